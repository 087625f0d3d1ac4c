"""Study commands as functions of paths: what `cspine.study` offers beside `evaluate` and `predict`."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, environ, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from cspine.io.machine import home_folder

if TYPE_CHECKING:
    from cspine.models.package import ModelPackage
    from cspine.study.audits.audit import AuditSettings
    from cspine.study.audits.run_audit import AuditOutcome
    from cspine.study.comparison.results import Results
    from cspine.study.comparison.statistics import Settings
    from cspine.study.datasets.case_table import CaseRow
    from cspine.study.datasets.convert import Outcome
    from cspine.study.datasets.sources.collect import Folders
    from cspine.study.datasets.split import SplitSettings
    from cspine.study.training.settings import TrainingSettings

    Place = str | PathLike[str]


def audit(
    images: Place,
    out: Place,
    *,
    model: Place | None = None,
    organs: Place | None = None,
    settings: AuditSettings | None = None,
    pseudo_labels: Place | None = None,
    require: float | None = None,
    recompute: bool = False,
) -> AuditOutcome:
    """Check a model on real CTs without labels: order, completeness, volumes, spacing, test-retest consistency.

    Parameters
    ----------
    images : path
        Folder of CT images, ``X_0000.nii.gz`` or ``X_ct.nii.gz``.
    out : path
        Folder of tables, labels and picture sheets; a second call resumes where the first stopped.
    model : str or path, optional
        Name of an installed model, or its folder.
    organs : path, optional
        Folder of organ labels, ``X_oar.nii.gz``.
    settings : AuditSettings, optional
        Inference, agreement, labels of the organs.
    pseudo_labels : path, optional
        Folder for an nnU-Net raw dataset of the cases that pass.
    require : float, optional
        Required share of cases with a complete column in order.
    recompute : bool
        True to recompute every case.

    Raises
    ------
    RequirementError
        If fewer cases than required have a complete column in order; all files are written by then.
    CSpineError
        What would stop every case; a case that fails is a record with its ``error``.
    """
    from cspine.models.package import load_package
    from cspine.models.registry import model_to_run
    from cspine.study.audits.audit import AuditSettings
    from cspine.study.audits.run_audit import AuditTask, check_audit, require_share, run_audit

    task = AuditTask(
        Path(images),
        Path(out),
        settings or AuditSettings(),
        _path(organs),
        _path(pseudo_labels),
        recompute,
    )
    check_audit(task)
    package = load_package(model_to_run(None if model is None else fspath(model), environ, home_folder()))
    outcome = run_audit(task, package)
    if require is not None:
        require_share(outcome.records, require)
    return outcome


def compare(
    evaluations: Sequence[Place],
    *,
    out: Place | None = None,
    reference: Place | None = None,
    title: str | None = None,
    levels: str | None = None,
    single: Sequence[str] = (),
    worst: int = 4,
    with_paper: bool = False,
    force: bool = False,
    settings: Settings | None = None,
) -> Results:
    """Compare models on the same cases: one of them with each of the others.

    Parameters
    ----------
    evaluations : sequence of path
        Folders that `evaluate` or `cspine evaluate` wrote.
    out : path, optional
        Folder for report, tables and plots; nothing is written if omitted.
    reference : path, optional
        The evaluation that the others are compared with; the first if omitted.
    title : str, optional
        Title of the report; the models' titles if omitted.
    levels : str, optional
        Vertebrae to compare, for example ``"C1-T1"``; all if omitted.
    single : sequence of str
        Cases with a table of their own.
    worst : int
        Number of worst cases to show in the report.
    with_paper : bool
        True to show the figures of the paper beside these.
    force : bool
        True to compare even if the references differ, with a note.
    settings : Settings, optional
        Test, correction, margins, resamples, seed.

    Raises
    ------
    ComparisonError, UsageError
        If a folder cannot be read, or they cannot be compared.

    Examples
    --------
    >>> results = cspine.study.compare(["eval-a", "eval-b"], out="comparison")  # doctest: +SKIP
    """
    from cspine.core.anatomy import parse_levels
    from cspine.study.comparison.compare import Task, run_comparison
    from cspine.study.comparison.statistics import Settings

    task = Task(
        tuple(Path(folder) for folder in evaluations),
        settings or Settings(),
        _path(reference),
        title,
        tuple(level.name for level in parse_levels(levels)) if levels is not None else None,
        tuple(single),
        worst,
        with_paper,
        force,
    )
    return run_comparison(task, _path(out))


def convert(
    out: Place,
    label_set: str,
    folders: Folders,
    *,
    auxiliary: bool = False,
    exclude: Place | None = None,
    corrections: Place | None = None,
    write_exclusions: Place | None = None,
    jobs: int | None = None,
    limit: int | None = None,
) -> Outcome:
    """Convert cases of public data sets to an nnU-Net dataset with one table of all cases.

    Parameters
    ----------
    out : path
        Folder of the dataset, named like ``Dataset501_Cervical``.
    label_set : str
        ``"cervical"`` or ``"full-spine"``.
    folders : Folders
        Where the data sets lie.
    auxiliary : bool
        Keep a class of what lies below the last level.
    exclude, corrections : path, optional
        Files of excluded cases and of corrected levels; those of an earlier call apply if omitted.
    write_exclusions : path, optional
        Write a file of excluded cases with all doubtful ones, for review; one that exists is not changed.
    jobs : int, optional
        Processes; as many as the cores and the memory allow if omitted.
    limit : int, optional
        Only the first so many cases of each data set, for a trial.

    Raises
    ------
    DatasetError, UsageError
        If a data set has another layout, a file cannot be read, or the folder holds another dataset.
    """
    from cspine.study.datasets.convert import convert as convert_found
    from cspine.study.datasets.convert import default_jobs
    from cspine.study.datasets.convert_case import Conversion
    from cspine.study.datasets.corrections import read_corrections
    from cspine.study.datasets.dataset_folder import DatasetFolder
    from cspine.study.datasets.exclusions import propose, read_exclusions
    from cspine.study.datasets.sources.collect import collect

    corrected = read_corrections(Path(corrections)) if corrections is not None else None
    reasons = read_exclusions(Path(exclude)) if exclude is not None else None
    conversion = Conversion(DatasetFolder(Path(out)), label_set, auxiliary, jobs or default_jobs(), corrected)
    outcome = convert_found(collect(folders, limit), conversion, reasons, lambda done, total: None)
    if write_exclusions is not None and not Path(write_exclusions).exists():
        propose(Path(write_exclusions), outcome.rows)
    return outcome


def _path(place: Place | None) -> Path | None:
    return Path(place) if place is not None else None


def split(datasets: Sequence[Place], settings: SplitSettings | None = None) -> list[list[CaseRow]]:
    """Assign the patients of one or more datasets of a study to training, internal validation and external test.

    Parameters
    ----------
    datasets : sequence of path
        Datasets that `convert` made; the first one leads.
    settings : SplitSettings, optional
        Patients of each subset, folds, seed; the paper's if omitted.

    Returns
    -------
    list of list of CaseRow
        The cases of each dataset with their subsets and folds.

    Raises
    ------
    SplitError
        If there are too few patients.
    """
    from cspine.study.datasets.apply_split import apply_split
    from cspine.study.datasets.dataset_folder import DatasetFolder
    from cspine.study.datasets.split import SplitSettings

    return apply_split([DatasetFolder(Path(root)) for root in datasets], settings or SplitSettings())


def train(
    dataset: Place,
    run: Place,
    out: Place,
    *,
    settings: TrainingSettings | None = None,
    preset: str | None = None,
    folds: tuple[str, ...] | None = None,
    device: str = "auto",
    processes: int | None = None,
    name: str | None = None,
    title: str | None = None,
) -> ModelPackage:
    """Train a network with nnU-Net on a dataset of the study, and write a model package.

    Parameters
    ----------
    dataset : path
        Dataset with a split.
    run : path
        Folder of the run's state; the same call resumes where an interrupted one stopped.
    out : path
        Folder of the package; a package that is there is replaced.
    settings : TrainingSettings, optional
        Configuration, epochs, patch and network; those of the preset, or stock nnU-Net, if omitted.
    preset : str, optional
        ``"paper-cervical"``, ``"paper-full-spine"`` or ``"smoke"``; the dataset must have its label set.
    folds : tuple of str, optional
        Folds to train, for example ``("0", "1")``, or ``("all",)``; all of the split if omitted.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"cuda:0,1"``.
    processes : int, optional
        Helper processes; one per core if omitted.
    name, title : str, optional
        Name and title of the package; from its folder and its labels if omitted.

    Returns
    -------
    ModelPackage
        The package, as it is read from ``out``.

    Raises
    ------
    UsageError
        If there is no such preset, device or name, or ``out`` would replace something else than a package.
    TrainingError
        If the dataset does not suit the preset, a step fails, or the run's folder holds another run.
    """
    from cspine.study.training.run_training import TrainingTask, run_training
    from cspine.study.training.settings import TrainingSettings, preset_named

    if settings is None:
        settings = preset_named(preset).settings if preset is not None else TrainingSettings()
    task = TrainingTask(
        Path(dataset),
        Path(run),
        Path(out),
        settings,
        preset=preset,
        folds=folds,
        device=device,
        processes=processes,
        name=name,
        title=title,
    )
    return run_training(task)
