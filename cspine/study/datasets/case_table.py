"""The table of a dataset's cases, cases.csv: one row per case, written by the conversion and completed by the split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path

from cspine.core.errors import DatasetError, SplitError
from cspine.io.documents import DocumentError, read_csv
from cspine.io.tables import write_csv

#: Name of the table within a dataset.
CASE_TABLE = "cases.csv"


class Subset(StrEnum):
    """The subset of the study that a case belongs to."""

    TRAINING = "training"
    INTERNAL = "internal"
    EXTERNAL = "external"
    UNUSED = "unused"
    UNASSIGNED = "unassigned"


@dataclass(frozen=True)
class CaseRow:
    """One case of a dataset.

    Parameters
    ----------
    case : str
        Its name, for example ``"verse2019_sub-verse012"``: the nnU-Net identifier of its files.
    source : str
        Data set that it comes from, for example ``"VerSe 2019"``.
    patient : str
        Patient within all sources: cases of one patient stay together.
    image : str
        File or folder that it was made from, relative to the folder of its source.
    age_years : float or None
        Age at the scan.
    sex : str
        ``"M"``, ``"F"`` or empty.
    spacing_mm : tuple of float
        Voxel size along x, y, z of the source.
    shape : tuple of int
        Voxels along x, y, z of the source.
    orientation : str
        Where those axes point, for example ``"LPS"``.
    levels : tuple of str
        Vertebrae of the dataset's label set that are visible, head to foot.
    partial : tuple of str
        Those of them that the edge of the image cuts.
    doubts : tuple of str
        What the audit of the labels found, for example ``"missing level: C4"``.
    excluded : str
        Why the case is not used; empty where it is.
    subset : Subset
        Training, internal validation, external test; unused before the split, unassigned if not needed.
    fold : int or None
        Fold in which a training case is validated.
    """

    case: str
    source: str
    patient: str
    image: str
    age_years: float | None
    sex: str
    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    orientation: str
    levels: tuple[str, ...]
    partial: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    excluded: str = ""
    subset: Subset = Subset.UNUSED
    fold: int | None = None


_COLUMNS = tuple(field.name for field in fields(CaseRow))


def write_cases(path: Path, rows: Iterable[CaseRow]) -> None:
    """Write the table, sorted by case.

    Parameters
    ----------
    path : Path
        File to write.
    rows : iterable of CaseRow
        One row for each case.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_csv(path, _COLUMNS, [_as_text(row) for row in sorted(rows, key=lambda row: row.case)])


def read_cases(path: Path) -> list[CaseRow]:
    """Read the table.

    Parameters
    ----------
    path : Path
        File cases.csv of a dataset.

    Raises
    ------
    DatasetError
        If it is absent, or a row cannot be understood; the message names the row.
    """
    try:
        columns, rows = read_csv(path)
    except FileNotFoundError as error:
        raise DatasetError(
            f"no {path.name} in {path.parent}", advice="Make it with `cspine dataset convert`."
        ) from error
    except DocumentError as error:
        raise DatasetError(f"{path.name} {error}") from error
    except OSError as error:
        raise DatasetError(f"{path.name} cannot be read") from error
    if columns != _COLUMNS:
        raise DatasetError(f"the columns of {path.name} are not {', '.join(_COLUMNS)}")
    return [_parse(row, path.name, number) for number, row in enumerate(rows, 2)]


def split_checksum(rows: Iterable[CaseRow]) -> str:
    """Return the SHA-256 of who is in which subset and fold: equal for equal splits, whatever else a table says.

    It goes over the sorted lines ``case,subset,fold`` of the training, internal and external cases, divided by line
    feeds; the fold is empty where a case has none.

    Parameters
    ----------
    rows : iterable of CaseRow
        Rows in any order.
    """
    subsets = (Subset.TRAINING, Subset.INTERNAL, Subset.EXTERNAL)
    lines = sorted(
        f"{row.case},{row.subset.value},{'' if row.fold is None else row.fold}" for row in rows if row.subset in subsets
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def split_patients(rows: Iterable[CaseRow]) -> dict[str, list[str]]:
    """Return the patients with cases in more than one subset or fold, and those cases: there must be none.

    Parameters
    ----------
    rows : iterable of CaseRow
        Cases of the training, internal and external subset count.

    Returns
    -------
    dict of str to list of str
        Cases by patient.
    """
    subsets = (Subset.TRAINING, Subset.INTERNAL, Subset.EXTERNAL)
    of_patient: dict[str, list[CaseRow]] = {}
    for row in rows:
        if row.subset in subsets:
            of_patient.setdefault(row.patient, []).append(row)
    return {
        patient: [row.case for row in own]
        for patient, own in of_patient.items()
        if len({(row.subset, row.fold) for row in own}) > 1
    }


def refuse_split_patients(rows: Iterable[CaseRow], dataset: str) -> None:
    """Refuse a table in which a patient is in more than one subset, or in more than one fold.

    Parameters
    ----------
    rows : iterable of CaseRow
        The table.
    dataset : str
        What the message calls the dataset.

    Raises
    ------
    SplitError
        With the first such patient's cases.
    """
    for cases in split_patients(rows).values():
        raise SplitError(
            f"cases of one patient are in different subsets or folds of {dataset}: {', '.join(cases[:4])}",
            advice="Split it again with `cspine dataset split`.",
        )


def _as_text(row: CaseRow) -> list[str]:
    return [
        row.case,
        row.source,
        row.patient,
        row.image,
        "" if row.age_years is None else f"{row.age_years:g}",
        row.sex,
        " ".join(f"{step:.6g}" for step in row.spacing_mm),
        " ".join(str(n) for n in row.shape),
        row.orientation,
        " ".join(row.levels),
        " ".join(row.partial),
        "; ".join(row.doubts),
        row.excluded,
        row.subset.value,
        "" if row.fold is None else str(row.fold),
    ]


def _parse(row: dict[str, str], table: str, number: int) -> CaseRow:
    try:
        x, y, z = (float(step) for step in row["spacing_mm"].split())
        i, j, k = (int(n) for n in row["shape"].split())
        return CaseRow(
            case=row["case"],
            source=row["source"],
            patient=row["patient"],
            image=row["image"],
            age_years=float(row["age_years"]) if row["age_years"] else None,
            sex=row["sex"],
            spacing_mm=(x, y, z),
            shape=(i, j, k),
            orientation=row["orientation"],
            levels=tuple(row["levels"].split()),
            partial=tuple(row["partial"].split()),
            doubts=tuple(part for part in row["doubts"].split("; ") if part),
            excluded=row["excluded"],
            subset=Subset(row["subset"]),
            fold=int(row["fold"]) if row["fold"] else None,
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise DatasetError(f"{table}, line {number}: {error}") from error
