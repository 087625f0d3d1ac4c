"""All data sets that a conversion was given, as one list of cases: no scan twice, each patient under one name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from cspine.core.errors import UsageError
from cspine.study.datasets.sources import ctspine1k, totalsegmentator, verse
from cspine.study.datasets.sources.found import Found, FoundCase, age_of, read_people, sex_of


@dataclass(frozen=True)
class Folders:
    """The folders of the data sets.

    Parameters
    ----------
    verse2019, verse2020, ctspine1k, hnscc, msd_colon, totalsegmentator : Path or None
        Folders of the data sets.
    images : tuple of Path
        Further folders with images of CTSpine1K.
    demographics : Path or None
        Table of patients: ``id`` (a case or a patient), and ``patient``, ``age``, ``sex`` where they are known. It goes
        in preference to the data sets' own tables.
    """

    verse2019: Path | None = None
    verse2020: Path | None = None
    ctspine1k: Path | None = None
    hnscc: Path | None = None
    msd_colon: Path | None = None
    totalsegmentator: Path | None = None
    images: tuple[Path, ...] = ()
    demographics: Path | None = None


#: Columns of the table of patients.
_COLUMNS = ("id", "patient", "age", "sex")


def collect(folders: Folders, limit: int | None = None) -> Found:
    """Return the cases of all data sets.

    Parameters
    ----------
    folders : Folders
        One data set or more.
    limit : int, optional
        Only the first so many cases of each data set.

    Raises
    ------
    UsageError
        If no data set is given, or images without their masks.
    DatasetError
        If a folder lacks the layout of its data set, or the table of patients has unknown columns or an id twice.
    """
    if folders.ctspine1k is None and (folders.hnscc or folders.msd_colon or folders.images):
        raise UsageError(
            "`hnscc`, `msd_colon` and `images` hold images without labels", advice="Give `ctspine1k` with their masks."
        )
    parts = _verse(folders)
    if folders.ctspine1k is not None:
        parts.append(ctspine1k.find(folders.ctspine1k, folders.hnscc, folders.msd_colon, folders.images))
    if folders.totalsegmentator is not None:
        parts.append(totalsegmentator.find(folders.totalsegmentator))
    if not parts:
        raise UsageError("no data set is given", advice="Give one or more, for example `verse2019` FOLDER.")
    person_rows = read_people(folders.demographics, "id", known=_COLUMNS) if folders.demographics is not None else {}
    found = Found()
    if folders.demographics is not None:
        found.notes = _doubts_about(
            folders.demographics.name, person_rows, [case for part in parts for case in part.cases]
        )
    for part in parts:
        part.cases = [_with_person(case, person_rows) for case in part.cases[:limit]]
        found.add(part)
    return found


def _verse(folders: Folders) -> list[Found]:
    """Return both versions of VerSe: 2020 has scans of 2019 again, and older layouts name a scan, not its patient."""
    versions = ((folders.verse2019, 2019), (folders.verse2020, 2020))
    parts = [verse.find(folder, year) for folder, year in versions if folder is not None]
    known = verse.patient_of_scans([case for part in parts for case in part.cases])
    if len(parts) == 2:
        earlier, later = parts
        repeated = {case.name for case in verse.repeats(later.cases, earlier.cases)}
        later.cases = [case for case in later.cases if case.name not in repeated]
        if repeated:
            later.skip("VerSe 2020: the scan is in VerSe 2019 already", len(repeated))
    for part in parts:
        part.cases = [replace(case, patient=known.get(case.patient, case.patient)) for case in part.cases]
    return parts


def _doubts_about(table: str, person_rows: dict[str, dict[str, str]], cases: list[FoundCase]) -> list[str]:
    """Return the entries of a table of patients without effect: a mistyped id may leave one patient in two subsets."""
    known = {name for case in cases for name in (case.name, case.patient)}
    kinds = (
        ("an id that matches no case and no patient", [name for name in person_rows if name not in known]),
        (
            "an age that cannot be read",
            [name for name, row in person_rows.items() if row.get("age") and age_of(row) is None],
        ),
        (
            "a sex that cannot be read",
            [name for name, row in person_rows.items() if row.get("sex") and not sex_of(row)],
        ),
    )
    return [
        f"{table} has {what}: {names[0]!r}" + (f" and {len(names) - 1} more" if names[1:] else "")
        for what, names in kinds
        if names
    ]


def _with_person(case: FoundCase, person_rows: dict[str, dict[str, str]]) -> FoundCase:
    """Take over what the table of patients says of a case, or of its patient."""
    row = person_rows.get(case.name, person_rows.get(case.patient))
    if row is None:
        return case
    age = age_of(row)
    return replace(
        case,
        patient=row.get("patient") or case.patient,
        age_years=case.age_years if age is None else age,
        sex=sex_of(row) or case.sex,
    )
