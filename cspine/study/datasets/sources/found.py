"""A case as a data set holds it: where its image and its labels are, before either is opened."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cspine.core.errors import DatasetError
from cspine.io.documents import DocumentError, read_csv
from cspine.io.walk import files_below
from cspine.study.cases import Case

_NIFTI = ".nii.gz"
_OLDEST = 130
#: Other words may begin with the same letters: missing, MTF.
_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F"}
_ODD = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, kw_only=True)
class FoundCase(Case):
    """A case with its image and labels, named as in the dataset that it goes into: letters, digits, ``_ -``.

    Parameters
    ----------
    source : str
        Data set, for people.
    patient : str
        Patient within all sources.
    image : Path
        NIfTI file, or a folder of DICOM files.
    labels : Path
        NIfTI file, or a folder with one mask per vertebra.
    origin : str
        Image within its data set, as in cases.csv.
    scheme : str
        ``"verse"``, ``"ctspine1k"`` (1..25) or ``"masks"``.
    age_years : float or None
        Age, if the data set has it.
    sex : str
        ``"M"``, ``"F"`` or empty.
    centroids : Path or None
        VerSe's centroid file.
    """

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
    """The cases of a data set.

    Parameters
    ----------
    cases : list of FoundCase
        Image and labels are there.
    broken : list of tuple of str
        Case and reason, where a part that must be there is absent: a failure.
    skipped : dict of str to int
        Reason and number, where a data set is known to hold images without labels.
    notes : list of str
        Sentences about the table of patients that a reviewer should read.
    """

    cases: list[FoundCase] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Add the cases of another data set."""
        self.cases += other.cases
        self.broken += other.broken
        for reason, count in other.skipped.items():
            self.skip(reason, count)

    def skip(self, reason: str, count: int = 1) -> None:
        """Count an image that is omitted."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count


def niftis(root: Path, ending: str = _NIFTI) -> list[Path]:
    """Return the files below a folder whose names end so, by path; hidden ones are none, linked ones count.

    Raises
    ------
    DatasetError
        If the folder is not there, or one in it cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise DatasetError(
            f"a folder of {root} cannot be read: {error.strerror}", advice="Check the permissions of the data set."
        ) from error

    if not root.is_dir():
        raise DatasetError(f"no folder {root}", advice="Give the folder into which the data set was unpacked.")
    files = (path for path in files_below(root, refuse) if path.name.endswith(ending))
    return [path for path in files if not any(part.startswith(".") for part in path.parts[-3:])]


def case_name(source: str, name: str) -> str:
    """Return the name of a case in the dataset: its source and its own name, fit for a file name.

    Dots become dashes as well: programs take what follows a dot for the ending of a file.
    """
    return f"{source}_{_ODD.sub('-', name)}"


def people(root: Path, names: Iterable[str], key: str, delimiter: str | None = None) -> dict[str, dict[str, str]]:
    """Return the rows of the tables of patients in a folder, and in the folders in it, by the text of the key column.

    Parameters
    ----------
    root : Path
        Folder of the data set.
    names : iterable of str
        Names that a table may have.
    key : str
        Column that names the patient or the image.
    delimiter : str, optional
        Between the columns; derived from the ending if omitted.

    Raises
    ------
    DatasetError
        If a table is there and has no such column.
    """
    known: dict[str, dict[str, str]] = {}
    for name in names:
        for path in sorted([*root.glob(name), *root.glob(f"*/{name}")]):
            known |= read_people(path, key, delimiter)
    return known


def read_people(
    path: Path, key: str, delimiter: str | None = None, known: Sequence[str] | None = None
) -> dict[str, dict[str, str]]:
    """Return the rows of one table of patients by the text of its key column.

    Parameters
    ----------
    path : Path
        Table with a first row of column names.
    key : str
        Column that names the patient or the image.
    delimiter : str, optional
        Between the columns; derived from the ending if omitted.
    known : sequence of str, optional
        The only columns that it may have, and then each key but once: in a table that was written for cspine, another
        one is a slip.

    Raises
    ------
    DatasetError
        If it cannot be read, has no such column, or another than those that are known.
    """
    between = delimiter or ("\t" if path.suffix == ".tsv" else ",")
    try:
        columns, rows = read_csv(path, between, ragged=True)
    except DocumentError as error:
        raise DatasetError(f"{path.name} {error}") from error
    except OSError as error:
        raise DatasetError(f"{path.name} cannot be read") from error
    if key not in columns:
        raise DatasetError(
            f"{path.name} has no column {key!r}", advice="docs/guide/datasets.md shows the table's columns."
        )
    if known is not None:
        other = [name for name in columns if name not in known]
        if other:
            raise DatasetError(
                f"{path.name} has a column {other[0]!r}", advice=f"Its columns are {', '.join(known)}; remove others."
            )
        twice = [name for name, count in Counter(row.get(key, "").strip() for row in rows).items() if count > 1]
        if twice:
            raise DatasetError(f"{path.name} has {twice[0]!r} twice", advice="Leave one row for each id.")
    return {
        row.get(key, "").strip(): {k: v.strip() for k, v in row.items() if k and isinstance(v, str)} for row in rows
    }


def age_of(row: dict[str, str]) -> float | None:
    """Return the age that a row of such a table has, in years."""
    try:
        age = float(row.get("age", "").removesuffix("Y"))
    except ValueError:
        return None
    return age if 0 <= age < _OLDEST else None


def sex_of(row: dict[str, str]) -> str:
    """Return the sex that a row of such a table has, ``"M"`` or ``"F"``; empty where it says anything else."""
    return _SEXES.get((row.get("sex") or row.get("gender") or "").strip().lower(), "")
