"""A cohort of bright studies, its task, and records."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cspine.cohort.folder import CohortFolder, StudyRecord
from cspine.cohort.worker import CohortTask
from cspine.dicom.clock import Clock
from cspine.inference.settings import InferenceSettings
from cspine.io.output import StudyOutput
from cspine.models.package import load_package
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps import read_headers
from cspine.pipeline.study import run_study
from cspine.report.summary import Summary
from tests.builders.bright_studies import BrightModel

CLOCK = Clock(datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))


def bright_task(model: Path, out: Path, clock: Clock = CLOCK) -> CohortTask:
    """A task with the bright model, which is written to ``model`` where it is not there."""
    if not model.exists():
        BrightModel().package(model)
    package = load_package(model)
    settings = RunSettings(clock, InferenceSettings(device="cpu"))
    return CohortTask(model, package.identity.checksum, settings, CohortFolder(out))


def single_run(task: CohortTask, source: Path, out: Path) -> Summary:
    """Run on one study with the task's settings, as `cspine run` does it."""
    with StudyOutput(out) as output:
        return run_study(read_headers(source), load_package(task.model), task.settings, output)


def same_results(first: Path, second: Path) -> bool:
    """Return whether two folders of a study have the same bytes, except for the timings in summary.json."""
    names = ("dicom/segmentation.dcm", "report/preview.png", "report/report.html")
    if any((first / name).read_bytes() != (second / name).read_bytes() for name in names):
        return False
    summaries = [
        Summary.model_validate_json((folder / "report" / "summary.json").read_text()).model_dump()
        for folder in (first, second)
    ]
    return all(summary.pop("timings_s") for summary in summaries) and summaries[0] == summaries[1]


def failed_record(name: str, key: str = "k", code: str = "CS-GEO-002") -> StudyRecord:
    """A record of a study that failed."""
    return StudyRecord(
        name=name, key=key, attempts=1, seconds=0.5, code=code, message="a slice is missing", advice="Do."
    )
