"""The complete workflow of `cspine evaluate`: labels and references in; results, tables and pictures out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike, environ, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspine.core.anatomy import Vertebra, parse_levels
from cspine.core.errors import UsageError
from cspine.io.machine import home_folder, usable_cores
from cspine.io.nifti_files import uncompressed
from cspine.io.output_folder import OutputFolder
from cspine.pipeline.scheme_files import levels_of_files
from cspine.study.evaluation.evaluation import CaseResult, levels_to_compare
from cspine.study.evaluation.evaluation_cases import evaluate_case, evaluate_pairs, without_masks
from cspine.study.evaluation.evaluation_tables import TABLES, write_tables
from cspine.study.evaluation.pairing import EvaluationCase, Inputs, find_cases, unread_references
from cspine.study.evaluation.provenance import check_provenance
from cspine.study.evaluation.summaries import LevelSummary, as_identity, predicted_by, summaries, summary
from cspine.study.orientation import orientation_notes

if TYPE_CHECKING:
    from cspine.models.package import ModelPackage


@dataclass(frozen=True)
class EvaluationOptions:
    """The options of an evaluation.

    Parameters
    ----------
    levels : tuple of Vertebra or str
        Levels to compare, for example ``"C1-T1"``; those that both sides can name if empty.
    allow_missing : bool
        List cases without a prediction as failed, and go on.
    jobs : int, optional
        Processes that compare labels; one per core if omitted.
    device : str
        Of a model.
    title : str, optional
        Name for tables; the model, or the folder of predictions, if omitted.
    pictures : int, optional
        How many of the worst cases are on the sheets; all if omitted.

    Raises
    ------
    UsageError
        If a number is out of its range.
    """

    levels: tuple[Vertebra, ...] | str = ()
    allow_missing: bool = False
    jobs: int | None = None
    device: str = "auto"
    title: str | None = None
    pictures: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("jobs", 1), ("pictures", 0)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise UsageError(f"`{name}`: {value!r} is not a whole number of at least {least}")


@dataclass(frozen=True)
class Evaluation:
    """The results of an evaluation.

    Parameters
    ----------
    title : str
        Name of the model or of the predictions.
    results : tuple of CaseResult
        One a case, over the levels that are compared.
    levels : tuple of Vertebra
        Those levels.
    model : dict or None
        The model that made the predictions, where it is known.
    notes : tuple of str
        What a reader must know of the predictions.
    """

    title: str
    results: tuple[CaseResult, ...]
    levels: tuple[Vertebra, ...]
    model: dict[str, Any] | None
    notes: tuple[str, ...] = ()

    def by_level(self) -> list[LevelSummary]:
        """Return the spread of each metric per level."""
        return summaries(self.results, self.levels)

    def scores(self) -> list[dict[str, object]]:
        """Return one row per case and level, in the form that pandas takes."""
        return [
            {
                "case": result.case,
                "level": score.level,
                "dice": score.dice,
                "hd95_mm": score.hd95_mm,
                "assd_mm": score.assd_mm,
                "volume_error_ml": score.volume_error_ml,
            }
            for result in self.results
            for score in result.scores
        ]

    def summary(self) -> dict[str, Any]:
        """Return the content of summary.json."""
        return {**summary(self.results, self.levels, self.model, self.title), "notes": [*self.notes]}


@dataclass(frozen=True)
class Task:
    """The task of an evaluation: existing labels, or the predictions of a model for images.

    Parameters
    ----------
    inputs : Inputs
        Where the files are.
    package : ModelPackage or None
        The model; None where predictions are given.
    out : Path or None
        Folder for tables, labels and pictures; None to write none.
    options : EvaluationOptions
        How.
    """

    inputs: Inputs
    package: ModelPackage | None = None
    out: Path | None = None
    options: EvaluationOptions = field(default_factory=EvaluationOptions)


def evaluate(
    predictions: str | PathLike[str] | None,
    references: str | PathLike[str],
    *,
    model: str | PathLike[str] | ModelPackage | None = None,
    out: str | PathLike[str] | None = None,
    inputs: Inputs | None = None,
    options: EvaluationOptions | None = None,
) -> Evaluation:
    """Compare labels with references, level by level: Dice, surfaces, volumes, and whether each level is right.

    Parameters
    ----------
    predictions : path or None
        Folder of labels, NIfTI or DICOM SEG, paired with the references by name; None to segment ``inputs.images``
        with a model.
    references : path
        Folder of reference labels, NIfTI or DICOM SEG.
    model : str, path or ModelPackage, optional
        Without predictions: name of an installed model, folder of a package, or a loaded package; `cspine run`'s
        default if omitted.
    out : path, optional
        Folder for tables and pictures; nothing is written if omitted.
    inputs : Inputs, optional
        Further inputs: images, a table of cases, label schemes, a naming pattern.
    options : EvaluationOptions, optional
        Levels, processes, title.

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError, DatasetError, UsageError
        If the files cannot be used together. A case whose files are damaged is a result with its ``error``.

    Examples
    --------
    >>> import pandas
    >>> found = cspine.study.evaluate("predictions", "references")  # doctest: +SKIP
    >>> pandas.DataFrame(found.scores()).groupby("level")["dice"].mean()  # doctest: +SKIP
    """
    given = replace(inputs or Inputs(), reference=Path(references), prediction=None)
    place = Path(out) if out is not None else None
    options = options or EvaluationOptions()
    if predictions is None:
        if given.images is None:
            raise UsageError("there are neither predictions nor `images` for a model", advice="Give one of them.")
        return run_evaluation(Task(given, _package(model), place, options))
    if model is not None:
        raise UsageError("existing predictions need no `model`", advice="Omit the model or the predictions.")
    return run_evaluation(Task(replace(given, prediction=Path(predictions)), None, place, options))


def _package(model: str | PathLike[str] | ModelPackage | None) -> ModelPackage:
    from cspine.models.package import ModelPackage, load_package
    from cspine.models.registry import model_to_run

    if isinstance(model, ModelPackage):
        return model
    return load_package(model_to_run(None if model is None else fspath(model), environ, home_folder()))


def run_evaluation(
    task: Task,
    progress: Callable[[int, int], None] = lambda done, total: None,
    warn: Callable[[str], None] = lambda note: None,
) -> Evaluation:
    """Evaluate as a task says.

    Parameters
    ----------
    task : Task
        What, and where to write.
    progress : callable
        Gets the cases done and all of them.
    warn : callable
        Gets each note about the inputs: before any case is done, and about turned references afterwards.

    Raises
    ------
    CSpineError
        As `evaluate`, and what would fail for every case.
    """
    inputs, options, package = task.inputs, task.options, task.package
    folder = _output_folder(task)
    if folder is not None:
        folder.check(inputs.read)
    cases = find_cases(inputs, task.out, allow_missing=options.allow_missing)
    notes = unread_references(inputs)
    if inputs.prediction is not None:
        notes += check_provenance(inputs.prediction, cases, inputs.split())
    for note in (*notes, *uncompressed(inputs.read)):
        warn(note)
    if folder is not None:
        folder.begin()
    if package is not None:
        every = _segmented(cases, package, options.device, progress)
    else:
        every = evaluate_pairs(cases, options.jobs or usable_cores(), progress)
    turned = orientation_notes((result.case, result.orientation) for result in every)
    for note in turned:
        warn(note)
    levels = _compared_levels(task, cases, every)
    results = tuple(without_masks(case, r.restricted(levels)) for case, r in zip(cases, every, strict=True))
    model = as_identity(package.identity) if package is not None else predicted_by(inputs.prediction)
    found = Evaluation(_title(task), results, levels, model, (*notes, *turned))
    if folder is not None:
        write_tables(cases, results, levels, folder.root)
        _write_sheets(cases, found, folder.root, options.pictures)
        folder.finish(found.summary())
    return found


def _title(task: Task) -> str:
    if task.options.title:
        return task.options.title
    if task.package is not None:
        return task.package.identity.title
    assert task.inputs.prediction is not None
    return task.inputs.prediction.resolve().name


def _output_folder(task: Task) -> OutputFolder | None:
    if task.out is None:
        return None
    prediction = task.inputs.prediction
    made_by = f"model {task.package.identity.checksum}" if task.package is not None else ""
    predictions = made_by or str(prediction.resolve() if prediction else "")
    return OutputFolder(task.out, "cspine evaluate", ("labels",), TABLES, {"predictions": predictions})


def _segmented(
    cases: Sequence[EvaluationCase], package: ModelPackage, device: str, progress: Callable[[int, int], None]
) -> list[CaseResult]:
    from cspine.inference.settings import InferenceSettings

    results: list[CaseResult] = []
    progress(0, len(cases))
    for case in cases:
        results.append(evaluate_case(case, package, InferenceSettings(device=device)))
        progress(len(results), len(cases))
    return results


def _compared_levels(
    task: Task, cases: Sequence[EvaluationCase], results: Iterable[CaseResult]
) -> tuple[Vertebra, ...]:
    """Return the requested levels, or those that both sides can have, as far as a reference can have them."""
    wanted = task.options.levels
    if isinstance(wanted, str):
        wanted = parse_levels(wanted)
    annotated = levels_of_files((case.reference, case.reference_scheme) for case in cases)
    if wanted:
        named = tuple(level for level in wanted if annotated is None or level.name in annotated)
        if not named:
            raise UsageError("`levels` has no level of the references")
        return named
    if task.package is not None:
        return levels_to_compare(results, task.package.manifest.stages[-1].levels, annotated)
    found = ((case.prediction, case.prediction_scheme) for case in cases if case.prediction is not None)
    return levels_to_compare(results, levels_of_files(found), annotated)


def _write_sheets(cases: Sequence[EvaluationCase], found: Evaluation, root: Path, pictures: int | None) -> None:
    from cspine.report.sheet import write_sheets
    from cspine.study.evaluation.pictures import sheet_rows

    count = len(found.results) if pictures is None else min(pictures, len(found.results))
    write_sheets(sheet_rows(cases, found.results, count), count, f"{found.title}: predicted, reference", root)
