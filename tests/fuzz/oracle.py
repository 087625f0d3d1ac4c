"""The steps from scan to segmentation on a mutated series, and what may come of them.

Allowed are an error with a code; the same Hounsfield units at the same positions; and other ones, if a note or a
finding says so. Anything else is a fault, and so is a private word in any text.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cspine.core.errors import CSpineError
from cspine.core.findings import Finding
from cspine.core.geometry import shear_mm
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.archive import open_input
from cspine.dicom.clock import Clock
from cspine.dicom.read_seg import read_segmentation
from cspine.dicom.seg import SegSettings, write_segmentation
from cspine.dicom.seg_type import SegType
from cspine.io.console import print_error, start_logging
from cspine.io.privacy import withhold_foreign_texts
from cspine.pipeline import steps
from cspine.pipeline.completeness import completeness_findings
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps import ChosenSeries
from cspine.pipeline.steps.summary import input_summary
from tests.fuzz.case import Case, Slice, private_words
from tests.fuzz.mutations.archives import pack

_CLOCK = Clock(datetime(2026, 1, 1, tzinfo=UTC))
_SETTINGS = RunSettings(clock=_CLOCK)
_DEFECT = "CS-INT-001"
#: Findings and notes on values or their order: others do not explain another value at a position.
_ABOUT_VALUES = ("CS-FND-029", "CS-FND-030", "overlay", "evened out", "orthonormal", "tilt")


@dataclass(frozen=True)
class Outcome:
    """What came of a mutant.

    Parameters
    ----------
    kind : str
        ``refused``, ``same`` or ``noted``; ``unmade`` for a mutant that could not be written; or a fault: ``uncaught``,
        ``silent``, ``private``, ``seg``, ``slow``.
    detail : str
        Code, or what is wrong.
    """

    kind: str
    detail: str = ""

    @property
    def is_fault(self) -> bool:
        return self.kind not in ("refused", "same", "noted", "unmade")


@dataclass
class _Run:
    """All texts of a run, and its volume if there is one."""

    said: list[str] = field(default_factory=list)
    ct: CtVolume | None = None
    notes: list[str] = field(default_factory=list)
    damaged: int = 0
    fault: Outcome | None = None
    code: str = ""


def judge(case: Case, folder: Path) -> Outcome:
    """Write a case below an empty folder, process it, and return what came of it."""
    words = private_words(case.name)
    source = folder / "input"
    try:
        case.save(source)
    except Exception:  # pydicom does not write everything that can be read
        return Outcome("unmade")
    if case.as_zip:
        archive = folder / "input.zip"
        pack(source, archive)
        for change in case.as_zip:
            change(archive)
        source = archive
    run = _Run()
    with observed() as printed:
        _process(source, folder, run)
        said = "\n".join([*run.said, printed()]).casefold()
    leaked = [word for word in words if word and word.casefold() in said]
    if leaked:
        at = said.index(leaked[0].casefold())
        return Outcome("private", said[max(0, at - 160) : at + 60])
    if run.fault is not None:
        return run.fault
    if run.ct is None:
        return Outcome("refused", run.code)
    return _compared(run, case.truth)


def _process(source: Path, folder: Path, run: _Run) -> None:
    try:
        with open_input(source) as files:
            _steps(files, folder, run)
    except CSpineError as error:
        run.said += [str(error), error.advice]
        print_error(error)
        run.code, run.ct = error.code, None
        if error.code == _DEFECT:
            run.fault = Outcome("uncaught", str(error))
    except Exception as error:
        frames = "".join(traceback.format_tb(error.__traceback__)[-3:])
        run.fault = Outcome("uncaught", f"{type(error).__name__}: {error!s:.200}\n{frames}")


def _steps(files: Path, folder: Path, run: _Run) -> None:
    scan = steps.read_headers(files)
    run.damaged = len(scan.damaged)
    run.said += [damaged.reason for damaged in scan.damaged]
    chosen = steps.choose_series(scan, _SETTINGS)
    run.said += [decision.reason for decision in chosen.selection.decisions]
    ct = steps.read_ct(chosen, _SETTINGS)
    findings = _findings(chosen, ct)
    run.notes = [*ct.notes, *(f"{finding.code} {finding.sentence}" for finding in findings)]
    run.said += [*run.notes, input_summary(chosen, ct).model_dump_json()]
    labels = _labels(ct)
    kind = SegType.BINARY if ct.hu_zyx.shape[0] % 2 else SegType.LABELMAP
    record = write_segmentation(labels, ct, SegSettings(_CLOCK, kind), folder / "seg.dcm")
    run.said += record.warnings
    run.ct = ct
    if not _same_labels(labels, read_segmentation(record.path)):
        run.fault = Outcome("seg", "the segmentation read back has other labels")


def _findings(chosen: ChosenSeries, ct: CtVolume) -> tuple[Finding, ...]:
    return completeness_findings(chosen.context, ct, None, None, incomplete_transfer=False)


def _labels(ct: CtVolume) -> LabelVolume:
    """A label for bone in the upper and in the lower half."""
    labels = np.where(ct.hu_zyx > 300, np.uint8(3), np.uint8(0)).astype(np.uint8)
    half = labels.shape[0] // 2
    labels[:half][labels[:half] > 0] = 4
    return LabelVolume(labels, ct.affine_lps)


def _same_labels(written: LabelVolume, read: LabelVolume) -> bool:
    if max(abs(shear) for shear in shear_mm(read.affine_lps)) > 1e-6:
        return True  # labels are resampled to the sheared planes of the source
    for label in (3, 4):
        ours, theirs = (_points(volume, label) for volume in (written, read))
        if ours.shape != theirs.shape or np.abs(ours - theirs).max(initial=0.0) > 0.2:
            return False
    return True


def _points(volume: LabelVolume, label: int) -> NDArray[np.float64]:
    """The sorted positions of a label's voxels, shape (n, 3), in millimetres."""
    index = np.argwhere(volume.labels_zyx == label)[:, ::-1]
    points = index @ volume.affine_lps[:3, :3].T + volume.affine_lps[:3, 3]
    return np.asarray(points[np.lexsort(np.rint(points * 2).T)])


# --- the same values at the same positions ----------------------------------------------------------------------------


def _compared(run: _Run, truth: list[Slice]) -> Outcome:
    assert run.ct is not None
    if any("tilt" in note for note in run.notes):
        return Outcome("noted", "tilt")
    found = [_compare(run.ct, part) for part in truth]
    lost, differing = found.count("lost"), found.count("differs")
    if not lost and not differing:
        return Outcome("same")
    detail = f"{lost} slices lost and {differing} with other values; notes: {run.notes}, damaged: {run.damaged}"
    explained = any(word in note for note in run.notes for word in _ABOUT_VALUES)
    if differing and not explained:
        return Outcome("silent", detail)
    return Outcome("noted" if run.notes else "silent", detail)


def _compare(ct: CtVolume, part: Slice) -> str:
    """Compare a slice with the volume at its position: ``same``, ``lost`` or ``differs``."""
    rows, columns = part.hu_yx.shape
    x = part.cosines[:3] * part.spacing_yx[1] * (columns - 1)
    y = part.cosines[3:] * part.spacing_yx[0] * (rows - 1)
    corners = np.stack([part.position, part.position + x, part.position + y])
    inverse = np.linalg.inv(ct.affine_lps)
    index = corners @ inverse[:3, :3].T + inverse[:3, 3]
    k = round(float(index[0, 2]))
    expected = np.array([[0, 0, k], [columns - 1, 0, k], [0, rows - 1, k]])
    if ct.hu_zyx.shape[1:] != (rows, columns) or not 0 <= k < ct.hu_zyx.shape[0]:
        return "lost"
    if np.abs(index - expected).max() > 0.3:
        return "lost"
    return "same" if np.abs(ct.hu_zyx[k] - part.hu_yx).max() <= 1.01 else "differs"


# --- all that is printed ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def observed() -> Iterator[Callable[[], str]]:
    """Set up warnings and logs as the commands do, and yield a function that returns all that was printed since."""
    streams = io.StringIO()
    log = logging.getLogger("cspine")
    before = (log.handlers[:], log.level, log.propagate)
    hooks = (sys.excepthook, sys.unraisablehook, threading.excepthook)
    with tempfile.TemporaryFile() as file, warnings.catch_warnings():
        kept = [os.dup(number) for number in (1, 2)]
        sys.stdout.flush()
        sys.stderr.flush()
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        try:
            with contextlib.redirect_stdout(streams), contextlib.redirect_stderr(streams):
                withhold_foreign_texts()
                warnings.simplefilter("always")
                start_logging(logging.DEBUG)
                yield lambda: streams.getvalue() + _content(file.fileno())
        finally:
            for number, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, number)
                os.close(copy)
            log.handlers[:], log.level, log.propagate = before
            sys.excepthook, sys.unraisablehook, threading.excepthook = hooks


def _content(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0).decode("utf-8", "replace")
