"""Fake runs for the tests of the service: factories that a worker process can import."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path

from pydicom import dcmread

from cspine.core.errors import MissingSliceError, OutOfMemoryError
from cspine.io.output import StudyOutput
from cspine.service.config import Run
from cspine.service.intake.instances import is_ct
from cspine.service.workers.runner import Runner
from tests.builders.segmentations import as_bytes, segmentation_dataset


def result_uid(folder: Path, clock: str) -> str:
    """The UID of a result: as a real one's, it follows from the CT instances and the clock."""
    names = sorted(path.name for path in (folder / "input").glob("*.dcm") if is_ct(path))
    digest = hashlib.sha256("".join([clock, *names]).encode()).hexdigest()
    return f"2.25.{int(digest[:24], 16)}"


def write_result(folder: Path, clock: str) -> dict[str, float]:
    """Leave the results of a run in a job's folder."""
    first = dcmread(min(path for path in (folder / "input").glob("*.dcm") if is_ct(path)))
    with StudyOutput(folder / "results", overwrite=True) as output:
        data = as_bytes(segmentation_dataset(first.StudyInstanceUID, result_uid(folder, clock)))
        (output.staging / "dicom" / "segmentation.dcm").write_bytes(data)
        (output.staging / "report" / "summary.json").write_text("{}")
        output.commit()
    return {"infer": 0.01}


def quick(run: Run, device: str) -> Runner:
    """A run that takes no time."""
    return write_result


def slow(run: Run, device: str) -> Runner:
    """A run of a second and a half, whose results are half written halfway."""

    def run_job(folder: Path, clock: str) -> dict[str, float]:
        (folder / "results" / "dicom").mkdir(parents=True, exist_ok=True)
        (folder / "results" / "dicom" / "segmentation.dcm").write_bytes(b"half")
        time.sleep(1.5)
        (folder / "results" / "dicom" / "segmentation.dcm").unlink()
        return write_result(folder, clock)

    return run_job


def fickle(run: Run, device: str) -> Runner:
    """What the patient's number of slices says: 4 a missing slice, 5 no memory, 6 a death, 7 no end; else a result."""

    def run_job(folder: Path, clock: str) -> dict[str, float]:
        match sum(is_ct(path) for path in (folder / "input").glob("*.dcm")):
            case 4:
                raise MissingSliceError("1 slice is missing")
            case 5:
                raise OutOfMemoryError("memory ran out: SECRET")
            case 6:
                os.kill(os.getpid(), signal.SIGKILL)
            case 7:
                time.sleep(600)
            case 8:
                raise ValueError("SECRET^Surname")
        return write_result(folder, clock)

    return run_job
