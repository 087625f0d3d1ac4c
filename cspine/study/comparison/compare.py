"""The complete workflow of `cspine compare`: from evaluations to tables, plots, pictures, report and summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cspine
from cspine.core.errors import UsageError
from cspine.io.files import write_folder_atomic
from cspine.io.output_folder import OutputFolder
from cspine.study.comparison import reading
from cspine.study.comparison.alignment import align
from cspine.study.comparison.conclusion import conclude
from cspine.study.comparison.pictures import Picture, write_pictures
from cspine.study.comparison.plots import Plot, write_plots
from cspine.study.comparison.report import NOTICE, write_report
from cspine.study.comparison.results import Results, compute
from cspine.study.comparison.statistics import Settings
from cspine.study.comparison.tables import build_tables, write_tables

COMMAND = "cspine compare"
TABLES, PLOTS, REPORT = "tables", "plots", "report.html"


@dataclass(frozen=True)
class Task:
    """The task of a comparison.

    Parameters
    ----------
    folders : tuple of Path
        Folders of `cspine evaluate`.
    settings : Settings
        How.
    reference : Path or None
        The folder that the others are compared with; None for the first.
    title : str or None
        Stands above the report.
    levels : tuple of str or None
        Levels to compare; None for all.
    single : tuple of str
        Cases that are reported one by one.
    worst : int
        How many of the worst cases are drawn.
    with_paper : bool
        True to report the paper's figures beside these.
    force : bool
        True to go on where references differ.
    """

    folders: tuple[Path, ...]
    settings: Settings
    reference: Path | None = None
    title: str | None = None
    levels: tuple[str, ...] | None = None
    single: tuple[str, ...] = ()
    worst: int = 4
    with_paper: bool = False
    force: bool = False


def compare(task: Task, on_progress: Callable[[int, int], None] = lambda done, total: None) -> Results:
    """Read the evaluations and compute everything.

    Parameters
    ----------
    task : Task
        What to compare.
    on_progress : callable
        Gets the tests done so far and their number.

    Raises
    ------
    ComparisonError
        If a folder cannot be read, or they cannot be compared.
    UsageError
        If a folder is given twice, or the reference is none of them.
    """
    places = [folder.resolve() for folder in task.folders]
    for place, folder in zip(places, task.folders, strict=True):
        if places.count(place) > 1:
            raise UsageError(f"{folder} is given twice")
    folders = list(task.folders)
    if task.reference is not None:
        if task.reference.resolve() not in places:
            raise UsageError(
                f"`reference` {task.reference} is none of the folders",
                advice="Name one of the evaluations: the others are compared with it.",
            )
        folders.insert(0, folders.pop(places.index(task.reference.resolve())))
    cohort = align([reading.read_evaluation(folder) for folder in folders], task.levels, task.force)
    return compute(task.title, cohort, task.settings, task.single, task.with_paper, on_progress)


def run_comparison(
    task: Task, out: Path | None, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Results:
    """Compare evaluations and write the report into a folder, where one is given; errors as `compare` and `write`.

    Parameters
    ----------
    task : Task
        What to compare.
    out : Path or None
        Folder for report, tables and plots.
    on_progress : callable
        Gets the tests done so far and their number.
    """
    folder = output_folder(out) if out is not None else None
    if folder is not None:
        folder.check(task.folders)
    results = compare(task, on_progress)
    if folder is not None:
        write(results, task.worst, folder)
    return results


def output_folder(out: Path) -> OutputFolder:
    """Return the output folder of the command."""
    return OutputFolder(out, COMMAND, (TABLES, PLOTS), (REPORT,))


def write(results: Results, worst: int, folder: OutputFolder) -> None:
    """Write tables, plots, pictures, report and summary.

    Parameters
    ----------
    results : Results
        What was found.
    worst : int
        How many of the worst cases are drawn.
    folder : OutputFolder
        Where; `check` was called.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    folder.begin()
    tables = build_tables(results)
    write_folder_atomic(folder.root / TABLES, lambda partial: write_tables(results, tables, partial))
    plots: list[Plot] = []
    pictures: list[Picture] = []

    def draw(partial: Path) -> None:
        plots.extend(write_plots(results, partial))
        pictures.extend(write_pictures(results.cohort, worst, partial))

    write_folder_atomic(folder.root / PLOTS, draw)
    write_report(results, tables, plots, pictures, folder.root)
    folder.finish(summary(results, pictures))


def summary(results: Results, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Return what summary.json says.

    Parameters
    ----------
    results : Results
        What was found.
    pictures : sequence of Picture
        The worst cases.
    """
    cohort, settings = results.cohort, results.settings
    conclusion = conclude(results)
    return {
        "cspine_version": cspine.__version__,
        "title": results.title,
        "notice": NOTICE,
        "models": [
            {
                "title": model.title,
                "model": model.model,
                "cases": {subset or "all": len(cohort.cases(subset, model)) for subset in cohort.subsets},
                "not_evaluated": list(model.failed),
            }
            for model in cohort.models
        ],
        "common_cases": {subset or "all": len(cohort.cases(subset)) for subset in cohort.subsets},
        "settings": {
            "test": settings.test,
            "correction": settings.correction,
            "alpha": settings.alpha,
            "margins": settings.margins,
            "resamples": settings.resamples,
            "seed": settings.seed,
        },
        "notes": list(cohort.notes),
        "conclusion": list(conclusion.claims),
        "verdicts": [
            {
                "first": row.first,
                "second": row.second,
                "subset": row.subset or "all",
                "vertebra": row.group,
                "measure": row.measure,
                "n": row.result.n,
                "dropped": row.dropped,
                "mean_difference": row.result.difference,
                "verdict": row.verdict or None,
                "reason": "; ".join(row.result.reasons),
            }
            for row in results.comparisons
            if row.measure in settings.margins
        ],
        "worst_cases": [own.case for own in pictures],
    }
