"""From cases of public data sets to an nnU-Net raw dataset: in parallel, resumable, one case's fault its own."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813

from cspine import images
from cspine.anatomy import SACRUM
from cspine.errors import CSpineError, DatasetError, OutputError, as_defect
from cspine.geometry import orientation_of
from cspine.postprocessing.shape import shapes_of, vertebrae_only
from cspine.study.datasets.case_table import CASE_TABLE, CaseRow, Part, read_cases, write_cases
from cspine.study.datasets.dataset_folder import DatasetFolder
from cspine.study.datasets.exclusions import excluded
from cspine.study.datasets.label_audit import Doubt, audit_labels, read_centroids
from cspine.study.datasets.read_case import read_case
from cspine.study.datasets.sources.found import Found, FoundCase
from cspine.study.label_sets import LabelSet, label_set
from cspine.tables import write_csv, write_json

#: Raised where a converted case would be another than before.
EDITION = 1
RECORDS = ".conversion"
_HU_LIMITS = (-32768, 32767)


@dataclass(frozen=True)
class Conversion:
    """What is converted into what.

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
    """

    dataset: DatasetFolder
    label_set: str
    auxiliary: bool
    jobs: int

    @property
    def labels(self) -> LabelSet:
        """Classes of the dataset."""
        return label_set(self.label_set, self.auxiliary)


@dataclass
class Outcome:
    """What a conversion did.

    Parameters
    ----------
    done, kept : int
        Cases converted now, and those that were there already.
    failures : list of tuple of str
        Case, code and message.
    rows : list of CaseRow
        Every case of the dataset.
    notes : list of str
        What a user should know.
    """

    done: int
    kept: int
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
        Told the cases done and all of them.

    Raises
    ------
    DatasetError
        If two cases have one name, or the folder holds a dataset of another label set.
    OutputError
        If nothing can be written: the disk is full, say. What is whole stays.
    """
    dataset = conversion.dataset
    _ = dataset.number  # a wrong name is told before any work
    _refuse_another_dataset(conversion)
    twice = {case.case for case in found.cases if sum(other.case == case.case for other in found.cases) > 1}
    if twice:
        raise DatasetError(f"two cases have the name {min(twice)}", advice="Give each data set once.")
    todo = [case for case in found.cases if _record(dataset, case.case, _fingerprint(case, conversion)) is None]
    failures = [(case, DatasetError.code, message) for case, message in found.broken]
    failures += _run(todo, conversion, len(found.cases), progress)
    failed = {case for case, _, _ in failures}
    done = sum(case.case not in failed for case in todo)
    rows, notes = _rows(dataset, reasons)
    write_tables(conversion, rows, failures)
    return Outcome(done, len(found.cases) - len(todo), failures, rows, notes)


def write_tables(conversion: Conversion, rows: list[CaseRow], failures: Sequence[tuple[str, str, str]]) -> None:
    """Write cases.csv, audit.csv, failures.csv and dataset.json, and put the files where the rows say."""
    dataset = conversion.dataset
    write_cases(dataset.root / CASE_TABLE, rows)
    dataset.put_in_place(rows)
    audit = [
        [row.case, doubt["level"], doubt["kind"], doubt["sentence"]]
        for row in rows
        for doubt in _content(dataset, row.case)["doubts"]
    ]
    write_csv(dataset.root / "audit.csv", ("case", "level", "kind", "sentence"), audit)
    write_csv(dataset.root / "failures.csv", ("case", "code", "message"), sorted(failures))
    sources = ", ".join(sorted({row.source for row in rows}))
    dataset.write_dataset_json(conversion.labels, rows, f"Made by cspine dataset convert from {sources}")


def _refuse_another_dataset(conversion: Conversion) -> None:
    path = conversion.dataset.root / "dataset.json"
    if path.is_file() and conversion.dataset.label_set() != conversion.labels:
        raise DatasetError(
            f"{conversion.dataset.root.name} holds a dataset of other labels", advice="Give another folder for --out."
        )


def _fingerprint(case: FoundCase, conversion: Conversion) -> str:
    """Checksum of all that decides about a converted case: its files by size and time, the label set, the code."""
    digest = hashlib.sha256(f"{EDITION} {conversion.label_set} {conversion.auxiliary} {case.scheme}".encode())
    digest.update(f"{case.source} {case.patient} {case.age_years} {case.sex}".encode())
    for place in (case.image, case.labels, case.centroids):
        if place is None:
            continue
        files = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
        for path in files:
            about = path.stat()
            digest.update(f"{path.name} {about.st_size} {about.st_mtime_ns}".encode())
    return digest.hexdigest()


def _record(dataset: DatasetFolder, case: str, fingerprint: str) -> dict[str, Any] | None:
    """What is told of a converted case, where its files are whole and it was made of the same."""
    try:
        content = _content(dataset, case)
    except (OSError, ValueError):
        return None
    return content if content.get("fingerprint") == fingerprint and dataset.where(case) is not None else None


def _content(dataset: DatasetFolder, case: str) -> dict[str, Any]:
    content = json.loads((dataset.root / RECORDS / f"{case}.json").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def _run(
    todo: list[FoundCase], conversion: Conversion, whole: int, progress: Callable[[int, int], None]
) -> list[tuple[str, str, str]]:
    """Convert cases in processes of their own; a process that dies takes its case along, and no other."""
    failures: list[tuple[str, str, str]] = []
    begun = whole - len(todo)
    progress(begun, whole)
    waiting, alone = list(reversed(todo)), False
    while waiting:
        # After a death nobody knows whose fault it was: what was running goes on one by one.
        workers = 1 if alone else max(1, min(conversion.jobs, len(waiting)))
        context = multiprocessing.get_context("forkserver")
        lost: list[FoundCase] = []
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            running = {}
            try:
                while (waiting or running) and not lost:
                    while waiting and len(running) < workers:
                        case = waiting.pop()
                        running[pool.submit(convert_case, case, conversion)] = case
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        case = running.pop(future)
                        try:
                            failure = future.result()
                        except BrokenProcessPool:
                            lost.append(case)
                            continue
                        if failure is not None:
                            if failure[0] == OutputError.code:
                                raise OutputError(failure[1])
                            failures.append((case.case, *failure))
                        begun += 1
                        progress(begun, whole)
                lost += running.values()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        if lost and alone:
            failures += [(case.case, CSpineError.code, "the process that converted it died") for case in lost]
            begun += len(lost)
            lost = []
        alone = bool(lost)
        waiting += lost
    return failures


def convert_case(case: FoundCase, conversion: Conversion) -> tuple[str, str] | None:
    """Convert one case; return code and message where that fails.

    The record of the case is written last: without it the files count for nothing.
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
    fingerprint = _fingerprint(case, conversion)
    read = read_case(case)
    centroids = read_centroids(case.centroids) if case.centroids is not None else None
    doubts = [*read.doubts, *audit_labels(read.labels, centroids)]
    drawn = labels.to_network(read.labels.labels_zyx)
    kind = dataset.where(case.case) or "Tr"
    image_path, labels_path = dataset.pair(kind, case.case)
    hu = np.clip(np.rint(read.ct.hu_zyx), *_HU_LIMITS).astype(np.int16)
    images.write(image_path, hu, read.ct.affine_lps)
    images.write(labels_path, drawn, read.ct.affine_lps)
    only = vertebrae_only(np.where(read.labels.labels_zyx == SACRUM, np.uint8(0), read.labels.labels_zyx))
    shapes = [s for s in shapes_of(only, read.labels.grid) if s.vertebra in labels.levels]
    z, y, x = read.ct.hu_zyx.shape
    row = CaseRow(
        case=case.case,
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
        doubts=tuple(str(doubt) for doubt in doubts),
    )
    record = {"fingerprint": fingerprint, "row": asdict(row), "doubts": [asdict(doubt) for doubt in doubts]}
    write_json(dataset.root / RECORDS / f"{case.case}.json", record)


def _rows(dataset: DatasetFolder, reasons: dict[str, str] | None) -> tuple[list[CaseRow], list[str]]:
    """Every case that is whole, with the part, the fold and the exclusion that an earlier table gave it."""
    table = dataset.root / CASE_TABLE
    before = {row.case: row for row in read_cases(table)} if table.is_file() else {}
    rows, notes = [], []
    for path in sorted((dataset.root / RECORDS).glob("*.json")):
        case = path.name.removesuffix(".json")
        if dataset.where(case) is None:
            notes.append(f"{case}: its files are gone; it is left out")
            continue
        told = _content(dataset, case)["row"]
        row = CaseRow(
            **{key: tuple(v) if isinstance(v, list) else v for key, v in told.items()} | {"part": Part.UNUSED}
        )
        old = before.get(case)
        rows.append(replace(row, part=old.part, fold=old.fold, excluded=old.excluded) if old is not None else row)
    if reasons is not None:
        rows, unknown = excluded(rows, reasons)
        notes += unknown
    return rows, notes


def doubts_of(dataset: DatasetFolder, case: str) -> list[Doubt]:
    """Return the doubts about a case."""
    return [Doubt(**doubt) for doubt in _content(dataset, case)["doubts"]]
