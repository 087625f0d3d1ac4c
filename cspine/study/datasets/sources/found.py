"""A case as a data set holds it: where its image and its labels are, before either is opened."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cspine.errors import DatasetError

_NIFTI = ".nii.gz"


@dataclass(frozen=True)
class FoundCase:
    """Image and labels of one case.

    Parameters
    ----------
    case : str
        Name that it gets in the dataset: letters, digits, ``. _ -``.
    source : str
        Data set, for people.
    patient : str
        Patient within all sources.
    image : Path
        NIfTI file, or a folder of DICOM files.
    labels : Path
        NIfTI file, or a folder with one mask a vertebra.
    origin : str
        Image within its data set, as cases.csv tells it.
    scheme : str
        ``"verse"``, ``"ctspine1k"`` (1..25) or ``"masks"``.
    age_years : float or None
        Age, where the data set tells it.
    sex : str
        ``"M"``, ``"F"`` or empty.
    centroids : Path or None
        VerSe's centroid file.
    """

    case: str
    source: str
    patient: str
    image: Path
    labels: Path
    origin: str
    scheme: str
    age_years: float | None = None
    sex: str = ""
    centroids: Path | None = None


@dataclass
class Found:
    """What a data set gave.

    Parameters
    ----------
    cases : list of FoundCase
        Image and labels are there.
    broken : list of tuple of str
        Case and reason, where a part that must be there is absent: a failure.
    skipped : dict of str to int
        Reason and number, where a data set is known to hold images without labels.
    """

    cases: list[FoundCase] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)

    def add(self, other: Found) -> None:
        """Take over what another data set gave."""
        self.cases += other.cases
        self.broken += other.broken
        for reason, count in other.skipped.items():
            self.skip(reason, count)

    def skip(self, reason: str, count: int = 1) -> None:
        """Count an image that is left out."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count


def niftis(root: Path, ending: str = _NIFTI) -> list[Path]:
    """Return the files below a folder whose names end so, by path; hidden ones are none.

    Raises
    ------
    DatasetError
        If the folder is not there.
    """
    if not root.is_dir():
        raise DatasetError(f"no folder {root}", advice="Give the folder into which the data set was unpacked.")
    return sorted(p for p in root.rglob(f"*{ending}") if not any(part.startswith(".") for part in p.parts[-3:]))


def people(root: Path, names: Iterable[str], key: str, delimiter: str | None = None) -> dict[str, dict[str, str]]:
    """Return the rows of the first table of patients that is there, by the text of its key column.

    Parameters
    ----------
    root : Path
        Folder of the data set.
    names : iterable of str
        Names that the table may have.
    key : str
        Column that names the patient or the image.
    delimiter : str, optional
        Between the columns; told from the ending where it is left out.

    Raises
    ------
    DatasetError
        If the table is there and has no such column.
    """
    path = next((root / name for name in names if (root / name).is_file()), None)
    if path is None:
        return {}
    between = delimiter or ("\t" if path.suffix == ".tsv" else ",")
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines, delimiter=between))
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path.name} cannot be read") from error
    if rows and key not in rows[0]:
        raise DatasetError(f"{path.name} has no column {key!r}")
    return {(row[key] or "").strip(): {k: (v or "").strip() for k, v in row.items() if k} for row in rows}


def age_of(row: dict[str, str]) -> float | None:
    """Return the age that a row of such a table tells, in years."""
    try:
        return float(row.get("age", ""))
    except ValueError:
        return None


def sex_of(row: dict[str, str]) -> str:
    """Return the sex that a row of such a table tells, or an empty text."""
    told = (row.get("sex") or row.get("gender") or "").strip().upper()[:1]
    return told if told in ("M", "F") else ""
