"""The complete workflow of `cspine predict`: from images to labels, records, and a table of the sources."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike, environ, fspath
from pathlib import Path

from cspine.core.errors import UsageError
from cspine.dicom.rules import load_rules
from cspine.inference.predict import engine_for
from cspine.inference.settings import InferenceSettings
from cspine.io.machine import home_folder
from cspine.io.nifti_files import uncompressed
from cspine.io.tables import counted
from cspine.models.package import ModelPackage, load_package
from cspine.models.registry import model_to_run
from cspine.study.prediction.prediction import TABLE, Prediction, PredictionFolder
from cspine.study.prediction.prediction import predict as predict_cases
from cspine.study.prediction.prediction_cases import (
    cases_of_dataset,
    cases_of_input,
    names_in_dataset,
    split_of,
    subsets_of,
)
from cspine.study.prediction.records import PredictionRecord

#: Subsets of a dataset that are predicted where none is named.
TESTS = "internal,external"


@dataclass(frozen=True)
class PredictionTask:
    """The task of a prediction.

    Parameters
    ----------
    out : Path
        Folder of the labels; one per model.
    source : Path or None
        NIfTI file, or folder of NIfTI or DICOM files.
    dataset : Path or None
        Dataset of `cspine dataset split`, instead.
    subsets : str or None
        With a dataset: some of training, internal, external; `TESTS` if None.
    settings : InferenceSettings
        Device, folds, mirroring, step size.
    raw : bool
        True for what the network predicts in the complete image, not cleaned, as nnU-Net's own predictor.
    rules_file : Path or None
        For DICOM: selection rules.

    Raises
    ------
    UsageError
        Unless there is either a source or a dataset, and subsets with a dataset only.
    """

    out: Path
    source: Path | None = None
    dataset: Path | None = None
    subsets: str | None = None
    settings: InferenceSettings = field(default_factory=InferenceSettings)
    raw: bool = False
    rules_file: Path | None = None

    def __post_init__(self) -> None:
        if (self.source is None) == (self.dataset is None):
            raise UsageError("give either `input` or `dataset`")
        if self.subsets is not None and self.dataset is None:
            raise UsageError(
                "`subsets` requires `dataset`", advice="Omit `subsets`: all images of `input` are predicted."
            )
        if self.raw:
            object.__setattr__(self, "settings", replace(self.settings, roi="full"))


def predict(
    source: str | PathLike[str] | None,
    out: str | PathLike[str],
    *,
    model: str | PathLike[str] | None = None,
    dataset: str | PathLike[str] | None = None,
    subsets: str | Sequence[str] | None = None,
    settings: InferenceSettings | None = None,
    raw: bool = False,
    rules: str | PathLike[str] | None = None,
) -> list[PredictionRecord]:
    """Predict the vertebrae of many images: ``out/NAME.nii.gz`` with the numbers of VerSe.

    Parameters
    ----------
    source : path or None
        A NIfTI file, or a folder of NIfTI or DICOM files; None with a dataset.
    out : path
        Folder of the labels. A second call resumes where the first stopped.
    model : str or path, optional
        Name of an installed model, or its folder.
    dataset : path, optional
        Dataset of the study whose cases are predicted, instead of ``source``.
    subsets : str or sequence of str, optional
        With a dataset, some of ``"training"``, ``"internal"`` and ``"external"``; the last two if omitted.
    settings : InferenceSettings, optional
        Device, folds, mirroring, step size.
    raw : bool
        True for what the network predicts, not cleaned; it then sees the complete image, whatever ``settings.roi`` is.
    rules : path, optional
        For DICOM: a file of selection rules.

    Returns
    -------
    list of PredictionRecord
        One a case; ``error`` says why one failed.

    Raises
    ------
    CSpineError
        What would stop every case: arguments that exclude each other, model, device, output.

    Examples
    --------
    >>> records = cspine.study.predict("images", "predictions", model="cervical-demo")  # doctest: +SKIP
    """
    task = PredictionTask(
        Path(out),
        Path(source) if source is not None else None,
        Path(dataset) if dataset is not None else None,
        subsets if subsets is None or isinstance(subsets, str) else ",".join(subsets),
        settings or InferenceSettings(),
        raw=raw,
        rules_file=Path(rules) if rules is not None else None,
    )
    package = load_package(model_to_run(None if model is None else fspath(model), environ, home_folder()))
    return run_prediction(task, package)


def run_prediction(
    task: PredictionTask,
    package: ModelPackage,
    progress: Callable[[int, int], None] = lambda done, total: None,
    warn: Callable[[str], None] = lambda note: None,
) -> list[PredictionRecord]:
    """Predict as a task says.

    Parameters
    ----------
    task : PredictionTask
        What, and where to.
    package : ModelPackage
        The model.
    progress : callable
        Gets the cases done and all of them.
    warn : callable
        Gets each note about the inputs before any case is done.

    Raises
    ------
    CSpineError
        As `predict`.
    """
    engine_for(package, task.settings)
    rules = load_rules(task.rules_file, package.levels)
    prediction = Prediction(package, task.settings, task.raw, rules)
    split: str | None = None
    names: Collection[str]
    if task.dataset is not None:
        subsets = subsets_of(TESTS if task.subsets is None else task.subsets)
        cases, place = cases_of_dataset(task.dataset, subsets, package), task.dataset
        names, split = names_in_dataset(task.dataset), split_of(task.dataset)
        if package.manifest.split != split:
            warn("the model names another split, or none; it may be trained on these cases")
    else:
        assert task.source is not None
        cases, place = cases_of_input(task.source), task.source
        names = {case.name for case in cases}
        for note in uncompressed([place]):
            warn(note)
    folder = PredictionFolder(task.out, prediction)
    folder.begin(cases, [place])
    if others := folder.others(names):
        warn(
            f"{counted(len(others), 'case')} of an earlier call not in this input, for example {others[0]}: "
            f"the labels stay, {TABLE} does not list them"
        )
    records = predict_cases(cases, prediction, folder, progress)
    folder.finish(names, split)
    return records
