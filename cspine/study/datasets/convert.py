"""From cases of public data sets to an nnU-Net raw dataset: parallel, resumable; a failure ends its own case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from cspine.core.errors import DatasetError, OutputError
from cspine.io.files import remove_file
from cspine.io.machine import memory, usable_cores
from cspine.io.processes import DIED, Died, run_each
from cspine.io.tables import counted, write_csv
from cspine.study.datasets.case_records import clear_unfinished, complete_record, records_of, row_of
from cspine.study.datasets.case_table import CASE_TABLE, CaseRow, Subset, read_cases, write_cases
from cspine.study.datasets.convert_case import Conversion, convert_case, is_done
from cspine.study.datasets.corrections import read_corrections, write_corrections
from cspine.study.datasets.dataset_folder import SPLITS, DatasetFolder
from cspine.study.datasets.exclusions import NOTHING_IN_VIEW, excluded, unknown_names
from cspine.study.datasets.sources.found import Found, FoundCase

#: Kind of audit.csv's rows for a vertebra that the edge of the image truncates: reported, but not a doubt.
PARTIAL = "partial"
#: The file of corrections, in the dataset.
CORRECTIONS = "corrections.csv"
#: Kind of the doubt about a case whose image another case has.
_SAME_IMAGE = "same image"
#: Memory that a process needs: a CT of the trunk with its labels.
_BYTES_A_PROCESS = 3 * 10**9
_DIED = "the process that converted it died, most often because it ran out of memory"


@dataclass
class Outcome:
    """The outcome of a conversion.

    Parameters
    ----------
    done, cached : int
        Cases converted now, and those that were there already.
    failures : list of tuple of str
        Case, code and message.
    rows : list of CaseRow
        Every case of the dataset.
    notes : list of str
        What a user should know.
    """

    done: int
    cached: int
    failures: list[tuple[str, str, str]]
    rows: list[CaseRow]
    notes: list[str]


def convert(
    found: Found, conversion: Conversion, reasons: dict[str, str] | None, progress: Callable[[int, int], None]
) -> Outcome:
    """Convert the cases that are not there yet, then write the dataset's tables.

    Parameters
    ----------
    found : Found
        The cases.
    conversion : Conversion
        Where to and how.
    reasons : dict of str to str or None
        Exclusions by case or patient; None keeps those of an earlier call.
    progress : callable
        Called with the number of finished cases and of all cases.

    Raises
    ------
    DatasetError
        If two cases have one name, or the folder holds a dataset of another label set.
    OutputError
        If nothing can be written: for example, the disk is full. Complete cases remain.
    """
    dataset = conversion.dataset
    _ = dataset.number  # a wrong name is reported before any work
    _refuse_another_dataset(conversion)
    twice = sorted(name for name, count in Counter(case.name for case in found.cases).items() if count > 1)
    if twice:
        raise DatasetError(f"two cases have the name {twice[0]}", advice="Give each data set once.")
    with dataset.locked():
        conversion = _with_corrections(conversion)
        todo = [case for case in found.cases if not is_done(case, conversion)]
        failures = [(case, DatasetError.code, message) for case, message in found.broken]
        failures += _run(todo, conversion, len(found.cases), progress)
        clear_unfinished(dataset)
        failed = {case for case, _, _ in failures}
        done = sum(case.name not in failed for case in todo)
        rows, same, notes = _rows(dataset, reasons)
        known = {row.case for row in rows} | {case.name for case in found.cases}
        notes += unknown_names("correction", conversion.corrections or {}, known)
        notes += _write_tables(conversion, rows, same, failures)
    return Outcome(done, len(found.cases) - len(todo), failures, rows, notes)


def default_jobs() -> int:
    """Return how many processes the cores and the memory allow."""
    free = memory().available
    return max(1, min(usable_cores(), free // _BYTES_A_PROCESS)) if free else usable_cores()


def unlisted_cases(rows: Iterable[CaseRow], found: Found) -> list[str]:
    """Return the cases that an earlier call converted, and that are no longer in their data set.

    Parameters
    ----------
    rows : iterable of CaseRow
        Every case of the dataset; excluded ones are not returned.
    found : Found
        All cases of the data sets.
    """
    given = {case.name for case in found.cases} | {case for case, _ in found.broken}
    sources = {case.source for case in found.cases}
    return [row.case for row in rows if row.source in sources and row.case not in given and not row.excluded]


def _with_corrections(conversion: Conversion) -> Conversion:
    """Keep the corrections that are given in the dataset; take those that it has if none are given."""
    path = conversion.dataset.root / CORRECTIONS
    if conversion.corrections is None:
        return replace(conversion, corrections=read_corrections(path) if path.is_file() else {})
    write_corrections(path, conversion.corrections)
    return conversion


def _write_tables(
    conversion: Conversion, rows: list[CaseRow], same: Mapping[str, str], failures: Sequence[tuple[str, str, str]]
) -> list[str]:
    """Write cases.csv, audit.csv, failures.csv and dataset.json, and put the files where the rows say.

    Returns
    -------
    list of str
        What a user should know: a split that no longer fits is removed.
    """
    dataset = conversion.dataset
    notes = []
    if (dataset.root / SPLITS).exists() and _split_is_stale(dataset, rows):
        remove_file(dataset.root / SPLITS)
        notes.append("cases or their patients changed since the split: run `cspine dataset split` again")
    write_cases(dataset.root / CASE_TABLE, rows)
    dataset.publish(rows)
    audit = []
    for row in rows:
        if row.case in same:
            audit.append([row.case, "", _SAME_IMAGE, f"The image is that of {same[row.case]}."])
        audit += [
            [row.case, d["level"], d["kind"], d["sentence"]] for d in complete_record(dataset, row.case)["doubts"]
        ]
        audit += [
            [row.case, level, PARTIAL, f"{level} is truncated by the edge of the image; its volume is incomplete."]
            for level in row.partial
        ]
    write_csv(dataset.root / "audit.csv", ("case", "level", "kind", "sentence"), audit)
    write_csv(dataset.root / "failures.csv", ("case", "code", "message"), sorted(failures))
    sources = ", ".join(sorted({row.source for row in rows}))
    dataset.write_dataset_json(conversion.labels, rows, f"Made by cspine dataset convert from {sources}")
    return notes


def _split_is_stale(dataset: DatasetFolder, rows: Sequence[CaseRow]) -> bool:
    """Return whether a case came, went, changed its patient, or was included or excluded since the last table."""
    try:
        before = {(row.case, row.patient, bool(row.excluded)) for row in dataset.rows()}
    except DatasetError:
        return True
    return before != {(row.case, row.patient, bool(row.excluded)) for row in rows}


def _refuse_another_dataset(conversion: Conversion) -> None:
    path = conversion.dataset.root / "dataset.json"
    if path.is_file() and conversion.dataset.label_set() != conversion.labels:
        raise DatasetError(
            f"{conversion.dataset.root.name} holds a dataset with another label set",
            advice="Give another folder for `out`.",
        )


def _run(
    todo: list[FoundCase], conversion: Conversion, total: int, progress: Callable[[int, int], None]
) -> list[tuple[str, str, str]]:
    """Convert cases in processes of their own; a process that dies fails its own case only."""
    failures: list[tuple[str, str, str]] = []
    done = total - len(todo)
    progress(done, total)

    def take(index: int, outcome: tuple[str, str] | Died | None) -> None:
        nonlocal done
        failure = (DatasetError.code, _DIED) if outcome is DIED else outcome
        if failure is not None:
            if failure[0] == OutputError.code:  # the disk is full, or not ours: so it is for every case
                raise OutputError(f"case {todo[index].name}: {failure[1]}")
            failures.append((todo[index].name, *failure))
        done += 1
        progress(done, total)

    run_each(partial(convert_case, conversion=conversion), todo, conversion.jobs, take, isolated=True)
    return failures


def _same_images(dataset: DatasetFolder, cases: Iterable[str]) -> dict[str, str]:
    """Return the cases whose image is that of an earlier one by name, with that one."""
    first: dict[str, str] = {}
    found = {}
    for case in sorted(cases):
        checksum = str(complete_record(dataset, case).get("voxels", case))
        if first.setdefault(checksum, case) != case:
            found[case] = first[checksum]
    return found


def _as_one_patient(rows: Sequence[CaseRow], same: Mapping[str, str]) -> list[CaseRow]:
    """Give the patients of equal images one name, with all of their cases, and say so as a doubt."""
    own = {row.case: row.patient for row in rows}
    known = {patient: patient for patient in own.values()}
    for case, other in same.items():
        one, another = known[own[case]], known[own[other]]
        known = {patient: another if named == one else named for patient, named in known.items()}
    return [
        replace(row, patient=known[row.patient], doubts=(*row.doubts, *([_SAME_IMAGE] if row.case in same else [])))
        for row in rows
    ]


def _rows(dataset: DatasetFolder, reasons: dict[str, str] | None) -> tuple[list[CaseRow], dict[str, str], list[str]]:
    """Return all complete cases with subset, fold and exclusion of an earlier table, the equal images, and notes."""
    table = dataset.root / CASE_TABLE
    before = {row.case: row for row in read_cases(table)} if table.is_file() else {}
    rows, notes = [], []
    for case in records_of(dataset).names():
        row = row_of(dataset, case)
        if row is None:
            notes.append(f"{case}: its record is damaged; it is omitted until it is converted again")
        elif row.levels and dataset.where(case) is None:
            notes.append(f"{case}: its files are gone; it is omitted")
        else:
            old = before.get(case, row)
            given = old.excluded if old.excluded != NOTHING_IN_VIEW else ""
            rows.append(replace(row, subset=old.subset, fold=old.fold, excluded=given))
    same = _same_images(dataset, [row.case for row in rows])
    rows = _as_one_patient(rows, same)
    if same:
        case, other = next(iter(same.items()))
        notes.append(f"{counted(len(same), 'image')} had two names: {case} is {other}: see audit.csv")
    if reasons is None:
        reasons = {row.case: row.excluded for row in rows if row.excluded}
    rows, unknown = excluded(rows, reasons)
    rows = [replace(row, subset=Subset.UNUSED, fold=None) if row.excluded else row for row in rows]
    return rows, same, notes + unknown
