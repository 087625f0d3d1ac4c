"""From cases of public data sets to an nnU-Net raw dataset: parallel, resumable; a failure ends its own case."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813

from cspine.core.anatomy import rank, vertebra
from cspine.core.errors import DatasetError, InputError, OutputError, as_defect
from cspine.core.geometry import orientation_of, reorientation
from cspine.core.shape import shapes_of, vertebrae_only
from cspine.core.volumes import CtVolume
from cspine.io import nifti
from cspine.io.files import remove_file, write_atomic
from cspine.io.processes import DIED, Died, run_each
from cspine.io.tables import counted, write_csv
from cspine.io.workspace import Records, fingerprint, unchanged
from cspine.study.datasets.case_table import CASE_TABLE, CaseRow, Subset, read_cases, write_cases
from cspine.study.datasets.corrections import Correction, corrected, read_corrections, write_corrections
from cspine.study.datasets.dataset_folder import RECORDS, SPLITS, DatasetFolder
from cspine.study.datasets.exclusions import NOTHING_IN_VIEW, excluded, unknown_names
from cspine.study.datasets.label_audit import Doubt, audit_labels, read_centroids
from cspine.study.datasets.read_case import read_case
from cspine.study.datasets.sources.found import Found, FoundCase
from cspine.study.label_sets import LabelSet, label_set

#: Raised where a converted case would be another than before.
RESULT_VERSION = 3
#: Kind of audit.csv's rows for a vertebra that the edge of the image truncates: reported, but not a doubt.
PARTIAL = "partial"
#: Kind of the doubt about a case whose image another case has.
#: The file of corrections, in the dataset.
CORRECTIONS = "corrections.csv"
_SAME_IMAGE = "same image"
_DIED = "the process that converted it died, most often because it ran out of memory"
_HU_LIMITS = (-32768, 32767)


@dataclass(frozen=True)
class Conversion:
    """The task of a conversion.

    Parameters
    ----------
    dataset : DatasetFolder
        Where it goes.
    label_set : str
        ``"cervical"`` or ``"full-spine"``.
    auxiliary : bool
        True to keep the class of what lies below.
    jobs : int
        Processes.
    corrections : mapping of str to Correction, or None
        Levels that a data set names wrongly, by case; None keeps those of an earlier call.
    """

    dataset: DatasetFolder
    label_set: str
    auxiliary: bool
    jobs: int
    corrections: Mapping[str, Correction] | None = None

    @property
    def labels(self) -> LabelSet:
        """Return the classes of the dataset."""
        return label_set(self.label_set, self.auxiliary)


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
        todo = [case for case in found.cases if not _is_done(case, conversion)]
        failures = [(case, DatasetError.code, message) for case, message in found.broken]
        failures += _run(todo, conversion, len(found.cases), progress)
        _clear_unfinished(dataset)
        failed = {case for case, _, _ in failures}
        done = sum(case.name not in failed for case in todo)
        rows, same, notes = _rows(dataset, reasons)
        known = {row.case for row in rows} | {case.name for case in found.cases}
        notes += unknown_names("correction", conversion.corrections or {}, known)
        notes += _write_tables(conversion, rows, same, failures)
    return Outcome(done, len(found.cases) - len(todo), failures, rows, notes)


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
        audit += [[row.case, d["level"], d["kind"], d["sentence"]] for d in _complete(dataset, row.case)["doubts"]]
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


def _fingerprint(case: FoundCase, conversion: Conversion, *, strict: bool = False) -> str:
    """Return the checksum of all that decides about a converted case: files, metadata, label set and code."""
    how = f"{RESULT_VERSION} {conversion.label_set} {conversion.auxiliary} {case.scheme}"
    about = f"{case.source} {case.patient} {case.age_years} {case.sex}"
    if (correction := _correction(case, conversion)) is not None:
        about += f" {sorted(correction.items())}"
    places = [place for place in (case.image, case.labels, case.centroids) if place is not None]
    return fingerprint(places, f"{how}\n{about}", strict=strict)


def _correction(case: FoundCase, conversion: Conversion) -> Correction | None:
    return (conversion.corrections or {}).get(case.name)


def _is_done(case: FoundCase, conversion: Conversion) -> bool:
    """Return whether a case is complete and made of the same inputs and settings as now."""
    dataset = conversion.dataset
    content = _records(dataset).read(case.name) or {}
    if content.get("fingerprint") != _fingerprint(case, conversion):
        return False
    try:
        return not content["row"]["levels"] or dataset.where(case.name) is not None
    except (KeyError, TypeError):
        return False


def _records(dataset: DatasetFolder) -> Records[dict[str, Any]]:
    return Records(dataset.root / RECORDS, unchanged, unchanged)


def _begun(dataset: DatasetFolder, case: str) -> Path:
    """Return the file that exists while the files of a case are being written."""
    return dataset.root / RECORDS / f"{case}.begun"


def _clear_unfinished(dataset: DatasetFolder) -> None:
    """Remove the files of cases that were begun and not finished, so that nothing takes them for complete."""
    for begun in sorted((dataset.root / RECORDS).glob("*.begun")):
        case = begun.name.removesuffix(".begun")
        if not _records(dataset).path(case).is_file():
            dataset.remove(case)
        remove_file(begun)


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


def convert_case(case: FoundCase, conversion: Conversion) -> tuple[str, str] | None:
    """Convert one case; return code and message where that fails.

    The record of the case is written last: without it the files count for nothing, and are removed.
    """
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        _convert(case, conversion)
    except Exception as error:
        known = as_defect(error)
        return known.code, known.message
    return None


def _convert(case: FoundCase, conversion: Conversion) -> None:
    dataset, labels = conversion.dataset, conversion.labels
    try:
        files = _fingerprint(case, conversion, strict=True)
    except OSError as error:
        raise InputError(f"its files cannot be read: {error.strerror}") from error
    kind = dataset.where(case.name) or "Tr"
    write_atomic(_begun(dataset, case.name), Path.touch)
    _records(dataset).remove(case.name)
    dataset.remove(case.name)
    read = read_case(case)
    if (correction := _correction(case, conversion)) is not None:
        read = replace(read, labels=corrected(read.labels, correction, case.name))
    centroids = read_centroids(case.centroids) if case.centroids is not None else None
    doubts = [*read.doubts, *audit_labels(read.labels, centroids, read.ct)]
    only = vertebrae_only(read.labels.labels_zyx)
    shapes = [s for s in shapes_of(only, read.labels.grid) if s.vertebra in labels.levels]
    if shapes:
        hu = np.clip(np.rint(read.ct.hu_zyx), *_HU_LIMITS).astype(np.int16)
        network_labels = labels.to_network(read.labels.labels_zyx)
        image_path, labels_path = dataset.pair(kind, case.name)
        nifti.write(image_path, hu, read.ct.affine_lps)
        nifti.write(labels_path, network_labels, read.ct.affine_lps)
    z, y, x = read.ct.hu_zyx.shape
    row = CaseRow(
        case=case.name,
        source=case.source,
        patient=case.patient,
        image=case.origin,
        age_years=case.age_years if case.age_years is not None else read.age_years,
        sex=case.sex or read.sex,
        spacing_mm=read.ct.grid.spacing_xyz,
        shape=(x, y, z),
        orientation=orientation_of(read.ct.affine_lps),
        levels=tuple(shape.vertebra.name for shape in shapes),
        partial=tuple(shape.vertebra.name for shape in shapes if shape.touches_edge),
        doubts=tuple(str(doubt) for doubt in doubts if _concerns(doubt, labels)),
    )
    record = {
        "fingerprint": files,
        "voxels": _voxels_checksum(read.ct),
        "row": asdict(row),
        "doubts": [asdict(doubt) for doubt in doubts],
    }
    _records(dataset).write(case.name, record)
    remove_file(_begun(dataset, case.name))


def _voxels_checksum(ct: CtVolume) -> str:
    """Return a checksum of the values, the same however the axes lie."""
    values = reorientation(ct.affine_lps, "LPS").apply(ct.hu_zyx)
    return hashlib.sha256(f"{values.shape}".encode() + np.ascontiguousarray(values, dtype=np.float32).data).hexdigest()


def _same_images(dataset: DatasetFolder, cases: Iterable[str]) -> dict[str, str]:
    """Return the cases whose image is that of an earlier one by name, with that one."""
    first: dict[str, str] = {}
    found = {}
    for case in sorted(cases):
        checksum = str(_complete(dataset, case).get("voxels", case))
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


def _concerns(doubt: Doubt, labels: LabelSet) -> bool:
    """Return whether a doubt concerns the complete case, a level of the set, or the adjacent level below."""
    last = rank(labels.levels[-1].label)
    return not doubt.level or rank(vertebra(doubt.level).label) <= last + 1


def _rows(dataset: DatasetFolder, reasons: dict[str, str] | None) -> tuple[list[CaseRow], dict[str, str], list[str]]:
    """Return all complete cases with subset, fold and exclusion of an earlier table, the equal images, and notes."""
    table = dataset.root / CASE_TABLE
    before = {row.case: row for row in read_cases(table)} if table.is_file() else {}
    rows, notes = [], []
    for case in _records(dataset).names():
        row = _row_of(dataset, case)
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


def _row_of(dataset: DatasetFolder, case: str) -> CaseRow | None:
    try:
        stored: dict[str, Any] = _complete(dataset, case)["row"]
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in stored.items()}
        return CaseRow(**{**values, "subset": Subset.UNUSED})
    except (DatasetError, KeyError, TypeError, AttributeError):
        return None


def doubts_of(dataset: DatasetFolder, case: str) -> list[Doubt]:
    """Return the doubts about a case, with their sentences.

    Raises
    ------
    DatasetError
        If the conversion's record of the case cannot be read.
    """
    try:
        return [Doubt(**doubt) for doubt in _complete(dataset, case)["doubts"]]
    except (KeyError, TypeError) as error:
        raise _damaged(case) from error


def _complete(dataset: DatasetFolder, case: str) -> dict[str, Any]:
    """Return the record of a case that is there; DatasetError if it cannot be read."""
    content = _records(dataset).read(case)
    if content is None:
        raise _damaged(case)
    return content


def _damaged(case: str) -> DatasetError:
    return DatasetError(f"the record of {case} cannot be read", advice="Convert the case again.")
