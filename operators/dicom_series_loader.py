"""DICOM series loader: scans the headers of a folder and selects the CT series to work on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cspine.core.anatomy import parse_levels
from cspine.core.errors import InputError
from cspine.dicom.clock import Clock
from cspine.operators.domain import CtStudy, Provenance
from cspine.operators.models import load_model
from cspine.operators.sdk import ConditionType, Fragment, InputContext, OperatorSpec
from cspine.operators.step import STUDIES, StepOperator
from cspine.operators.studies import ct_study
from cspine.pipeline import steps
from cspine.pipeline.settings import RunSettings

#: Port for the input folder, as the SDK's loader has it.
INPUT_FOLDER = "input_folder"


class DicomSeriesLoaderOperator(StepOperator):
    """Select the CT series of a study from the headers of its files; no pixel is read.

    It replaces the SDK's data loader and series selector together. Without a connected input it needs a
    ``CountCondition(self, 1)``, as the SDK's loader does.

    Named input:
        input_folder: Path of a folder with the files of one study. Optional; overrides the parameter.

    Named output:
        study_selected_series_list: list of one StudySelectedSeries (a `CtStudy`) with one selected series; its SOP
            instances are sorted along the normal of the slices and read from their files when they are asked for.

    Parameters
    ----------
    fragment : Fragment
        The application.
    *args, **kwargs
        What Holoscan's `Operator` takes: conditions, resources, and ``name``.
    input_folder : Path, optional
        Folder with the files of one study.
    rules : Path, optional
        YAML of selection rules; by default cspine's own for the levels of the model.
    series_uid : str, optional
        The series to take, whatever the rules say.
    model_path : Path, optional
        The model that the series is for: it decides which rules apply and which levels there can be.
    levels : str
        The levels that shall be written, for example ``C3-T1``: refused here if the model predicts none of them.
    prior : Path, optional
        Output folder or structured report of an earlier run, to compare measurements with.
    """

    output = STUDIES

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        input_folder: Path | None = None,
        rules: Path | None = None,
        series_uid: str | None = None,
        model_path: Path | None = None,
        levels: str = "",
        prior: Path | None = None,
        **kwargs: Any,
    ) -> None:
        self.input_folder = input_folder
        self.rules = rules
        self.series_uid = series_uid
        self.model_path = model_path
        self.levels = levels
        self.prior = prior
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.input(INPUT_FOLDER).condition(ConditionType.NONE)
        super().setup(spec)

    def work(self, op_input: InputContext) -> list[CtStudy]:
        """Scan and select."""
        folder = op_input.receive(INPUT_FOLDER) or self.input_folder
        if folder is None:
            raise InputError("the loader has no input folder", advice="Give the operator input_folder, or connect it.")
        settings = RunSettings(
            Clock.from_environment(),
            rules_file=self.rules,
            series_uid=self.series_uid or None,
            levels=parse_levels(self.levels) if self.levels else None,
            prior=self.prior,
        )
        watch = Provenance(settings).stopwatch()
        with watch.step("select"):
            chosen = steps.choose_series(steps.read_headers(Path(folder)), settings, load_model(self.model_path).levels)
        return [ct_study(chosen, Provenance(settings, watch.seconds))]
