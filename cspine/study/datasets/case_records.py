"""The records of the cases that a conversion finished: what each was made of, its row of the table, its doubts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cspine.core.errors import DatasetError
from cspine.io.files import remove_file
from cspine.io.workspace import Records, unchanged
from cspine.study.datasets.case_table import CaseRow, Subset
from cspine.study.datasets.dataset_folder import RECORDS, DatasetFolder
from cspine.study.datasets.label_audit import Doubt


def records_of(dataset: DatasetFolder) -> Records[dict[str, Any]]:
    """Return the records of a dataset, one JSON file for each case."""
    return Records(dataset.root / RECORDS, unchanged, unchanged)


def begun_file(dataset: DatasetFolder, case: str) -> Path:
    """Return the file that exists while the files of a case are being written.

    Parameters
    ----------
    dataset : DatasetFolder
        The dataset.
    case : str
        Name of the case.
    """
    return dataset.root / RECORDS / f"{case}.begun"


def clear_unfinished(dataset: DatasetFolder) -> None:
    """Remove the files of cases that were begun and not finished, so that nothing takes them for complete."""
    for begun in sorted((dataset.root / RECORDS).glob("*.begun")):
        case = begun.name.removesuffix(".begun")
        if not records_of(dataset).path(case).is_file():
            dataset.remove(case)
        remove_file(begun)


def row_of(dataset: DatasetFolder, case: str) -> CaseRow | None:
    """Return the row of a case as its record has it, without a subset; None where the record is damaged.

    Parameters
    ----------
    dataset : DatasetFolder
        The dataset.
    case : str
        Name of the case.
    """
    try:
        stored: dict[str, Any] = complete_record(dataset, case)["row"]
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in stored.items()}
        return CaseRow(**{**values, "subset": Subset.UNUSED})
    except (DatasetError, KeyError, TypeError, AttributeError):
        return None


def doubts_of(dataset: DatasetFolder, case: str) -> list[Doubt]:
    """Return the doubts about a case, with their sentences.

    Parameters
    ----------
    dataset : DatasetFolder
        The dataset.
    case : str
        Name of the case.

    Raises
    ------
    DatasetError
        If the conversion's record of the case cannot be read.
    """
    try:
        return [Doubt(**doubt) for doubt in complete_record(dataset, case)["doubts"]]
    except (KeyError, TypeError) as error:
        raise _damaged(case) from error


def complete_record(dataset: DatasetFolder, case: str) -> dict[str, Any]:
    """Return the record of a case that is there.

    Parameters
    ----------
    dataset : DatasetFolder
        The dataset.
    case : str
        Name of the case.

    Returns
    -------
    dict
        ``fingerprint``, ``voxels`` (checksum of the image), ``row`` and ``doubts``.

    Raises
    ------
    DatasetError
        If it cannot be read.
    """
    content = records_of(dataset).read(case)
    if content is None:
        raise _damaged(case)
    return content


def _damaged(case: str) -> DatasetError:
    return DatasetError(f"the record of {case} cannot be read", advice="Convert the case again.")
