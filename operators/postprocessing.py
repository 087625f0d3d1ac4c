"""Postprocessing: cleans predicted labels and states what is wrong with them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cspine.core.anatomy import parse_levels
from cspine.core.findings import parse_fail_on
from cspine.operators.domain import Provenance, VertebraImage, ct_of, prediction_of, provenance_of
from cspine.operators.models import named_model
from cspine.operators.sdk import ConditionType, Fragment, InputContext, OperatorSpec
from cspine.operators.step import IMAGE, PREDICTION, SEG_IMAGE, STUDIES, StepOperator
from cspine.operators.studies import chosen_series
from cspine.pipeline import steps


class PostprocessingOperator(StepOperator):
    """Keep the vertebrae of one column, put their levels in order, and add findings on their quality.

    Named inputs:
        prediction: Image of VerSe numbers on the grid of the CT, of cspine's inference or any other operator.
        image: Image of Hounsfield units that the labels were predicted on.
        study_selected_series_list: list of StudySelectedSeries. Optional; with it the findings say whether the series
            is complete, and know the patient's age.

    Named output:
        seg_image: Image (a `VertebraImage`) of VerSe numbers, uint8 (z, y, x), on the slices of the series: 1..8 for
            C1..T1, as the SDK's DICOM Segmentation writer wants its segments numbered.

    Parameters
    ----------
    fragment : Fragment
        The application.
    *args, **kwargs
        What Holoscan's `Operator` takes: conditions, resources, and ``name``.
    levels : str
        The levels to keep, for example ``C3-C7`` or ``C1-T1,L1-L5``; all that were predicted by default.
    solve_levels : bool
        Renumber vertebrae if this makes their levels consecutive.
    fail_on : str
        Severities and codes of findings with which the run fails, for example ``serious``; none by default.
    incomplete : bool
        The transfer of the study was incomplete: a finding states it.
    model_name, model_version : str
        The model behind a prediction of another operator than cspine's inference.
    """

    inputs = (PREDICTION, IMAGE)
    output = SEG_IMAGE

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        levels: str = "",
        solve_levels: bool = True,
        fail_on: str = "",
        incomplete: bool = False,
        model_name: str = "",
        model_version: str = "",
        **kwargs: Any,
    ) -> None:
        self.levels = levels
        self.solve_levels = solve_levels
        self.fail_on = parse_fail_on(fail_on) if fail_on else ()
        self.incomplete = incomplete
        self.model = named_model(model_name, model_version)
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.input(STUDIES).condition(ConditionType.NONE)
        super().setup(spec)

    def work(self, op_input: InputContext) -> VertebraImage:
        """Clean the labels."""
        prediction = op_input.receive(PREDICTION)
        ct = ct_of(op_input.receive(IMAGE))
        studies = op_input.receive(STUDIES)
        before = provenance_of(prediction)
        settings = replace(
            before.settings,
            levels=parse_levels(self.levels) if self.levels else None,
            solve_levels=self.solve_levels,
            fail_on=self.fail_on,
            incomplete=self.incomplete,
        )
        watch = before.stopwatch()
        with watch.step("postprocess"):
            chosen = chosen_series(studies) if studies else None
            vertebrae = steps.clean(prediction_of(prediction, self.model), ct, chosen, settings)
        return VertebraImage(vertebrae, ct, Provenance(settings, watch.seconds))
