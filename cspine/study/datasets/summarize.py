"""The complete workflow of `cspine dataset summary`: the content of a dataset in numbers and pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from cspine.core.progress import ProgressCallback
from cspine.io.output import SUMMARY
from cspine.io.output_folder import OutputFolder
from cspine.io.tables import counted
from cspine.report.sheet import write_sheets
from cspine.report.sheet_rows import SheetRow
from cspine.study.datasets.case_table import CaseRow
from cspine.study.datasets.dataset_folder import DatasetFolder
from cspine.study.datasets.demographics import write_demographics
from cspine.study.datasets.overview import as_summary, sheet_rows, to_show, write_levels

_FILES = ("levels.csv", "demographics.csv", "demographics.md")


@dataclass(frozen=True)
class DatasetSummary:
    """The summary of a dataset.

    Parameters
    ----------
    name : str
        Name of the dataset's folder.
    rows : tuple of CaseRow
        Its cases, the excluded ones among them, with source, subset, fold, levels and doubts.
    content : dict
        What summary.json says: number of cases and patients, cases of each subset, doubtful and excluded cases.
    files : tuple of Path
        Picture sheets, levels.csv, demographics.md and summary.json.
    """

    name: str
    rows: tuple[CaseRow, ...]
    content: dict[str, Any]
    files: tuple[Path, ...]


def summarize(
    dataset: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    pictures: int = 32,
    progress: ProgressCallback = lambda done, total: None,
) -> DatasetSummary:
    """Count the cases of a dataset by source, subset, fold and level, with doubts and exclusions, and show some.

    Parameters
    ----------
    dataset : path
        Dataset that `convert` made, before or after its split; nothing in it changes.
    out : path, optional
        Folder of sheets and tables; ``dataset/summary`` if omitted.
    pictures : int
        Cases on the picture sheets, the doubtful ones first; 0 for none.
    progress : callable
        Gets the pictures done and all of them.

    Returns
    -------
    DatasetSummary

    Raises
    ------
    DatasetError
        If the folder is no dataset of the study.
    OutputError, UsageError
        If the output folder cannot be written, or has files of another origin.

    Examples
    --------
    >>> found = cspine.study.summarize("raw/Dataset501_Cervical")  # doctest: +SKIP
    >>> found.content["cases"], found.content["subsets"]  # doctest: +SKIP
    (209, {'training': 172, 'internal': 37})
    """
    folder = DatasetFolder(Path(dataset))
    rows, place = folder.rows(), Path(out) if out is not None else folder.root / "summary"
    labels = folder.label_set()
    output = OutputFolder(place, "cspine dataset summary", (), _FILES)
    output.check([])
    output.begin()
    write_levels(place / "levels.csv", rows)
    write_demographics(place, rows)
    shown = to_show(rows, pictures)
    name = folder.root.resolve().name
    drawn = _counted_rows(sheet_rows(folder, shown), len(shown), progress)
    sheets = write_sheets(drawn, len(shown), f"{name}: {labels.name}, {counted(len(rows), 'case')}", place)
    content = as_summary(folder, rows)
    output.finish(content)
    tables = (place / file for file in ("levels.csv", "demographics.md", SUMMARY))
    return DatasetSummary(name, tuple(rows), content, (*sheets, *tables))


def _counted_rows(rows: Iterable[SheetRow], count: int, progress: ProgressCallback) -> Iterator[SheetRow]:
    """Yield the rows, and report their number."""
    for done, row in enumerate(rows, 1):
        yield row
        progress(done, count)
