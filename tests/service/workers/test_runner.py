"""The run of a job in a worker process, with a fast model."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cspine.core.errors import CSpineError, NoVertebraError
from cspine.models.package_writer import write_package
from cspine.service.config import Run
from cspine.service.queue.job import Job
from cspine.service.workers.runner import Runner, study_runner
from tests.builders.bright_studies import BrightModel, write_bright_study
from tests.builders.cohorts import bright_task
from tests.builders.loads import noted_loads

_CLOCK = "2026-01-02T03:04:05+00:00"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "bright"
    bright_task(folder, folder)
    return folder


@pytest.fixture(scope="module")
def runner(model: Path) -> Runner:
    return study_runner(Run(model=str(model)), "cpu")


def _job(folder: Path, *, incomplete: bool = False, bright: bool = True) -> Path:
    write_bright_study(folder / "input", "a", bright=bright)
    job = Job(id="j", study="s", created="", clock=_CLOCK, incomplete=incomplete)
    (folder / "job.json").write_text(job.model_dump_json())
    return folder


def _summary(job: Path) -> dict[str, Any]:
    loaded = json.loads((job / "results" / "report" / "summary.json").read_text())
    assert isinstance(loaded, dict)
    return loaded


def _codes(job: Path) -> set[str]:
    return {finding["code"] for finding in _summary(job)["findings"]}


def _digest(job: Path) -> str:
    return hashlib.sha256((job / "results" / "dicom" / "segmentation.dcm").read_bytes()).hexdigest()


def test_a_job_gets_results_and_the_seconds_of_its_steps(runner: Runner, tmp_path: Path) -> None:
    job = _job(tmp_path)
    seconds = runner(job, _CLOCK)
    assert seconds["infer"] > 0
    assert [vertebra["level"] for vertebra in _summary(job)["vertebrae"]] == ["C2"]


def test_a_job_has_the_outputs_of_the_configuration_and_the_summary(model: Path, tmp_path: Path) -> None:
    job = _job(tmp_path)
    study_runner(Run(model=str(model), outputs="seg,sc"), "cpu")(job, _CLOCK)
    written = {path.name for path in (job / "results").rglob("*") if path.is_file()}
    assert written == {"segmentation.dcm", "secondary-capture.dcm", "summary.json", "measurements.csv"}


def test_a_job_has_surfaces_and_elements_in_the_formats_of_the_configuration(model: Path, tmp_path: Path) -> None:
    job = _job(tmp_path)
    run = Run(model=str(model), outputs="surfaces,fe", surface_format="dicom", fe_format="k")
    study_runner(run, "cpu")(job, _CLOCK)
    results = job / "results"
    written = {path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()}
    assert written == {
        "dicom/surface-C2.dcm", "report/surfaces/surfaces.json", "report/fe/vertebrae.k", "report/fe/elements.json",
        "report/summary.json", "report/measurements.csv",
    }  # fmt: skip


def test_a_series_with_a_gap_is_run_if_the_configuration_repairs_gaps(model: Path, tmp_path: Path) -> None:
    job = _job(tmp_path)
    files = sorted((job / "input").iterdir())
    files[2].unlink()
    with pytest.raises(CSpineError):
        study_runner(Run(model=str(model)), "cpu")(job, _CLOCK)
    study_runner(Run(model=str(model), repair_gaps=True), "cpu")(job, _CLOCK)
    assert _summary(job)["settings"]["repair_gaps"] == "yes"
    assert _summary(job)["input"]["slices"] < len(files) - 1


def test_a_second_try_with_the_same_clock_gives_the_same_bytes(runner: Runner, tmp_path: Path) -> None:
    job = _job(tmp_path)
    runner(job, _CLOCK)
    first = _digest(job)
    runner(job, _CLOCK)
    assert _digest(job) == first


def test_the_model_is_read_and_its_network_compiled_once_for_all_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bright_task(tmp_path / "model", tmp_path)
    loads = noted_loads(monkeypatch)
    run = study_runner(Run(model=str(tmp_path / "model")), "cpu")
    for name in ("first", "second"):
        run(_job(tmp_path / name), _CLOCK)
    assert loads == ["package", "network"]


def test_a_package_that_is_replaced_is_used_from_the_next_job_on(tmp_path: Path) -> None:
    model = BrightModel()
    model.package(tmp_path / "model")
    run = study_runner(Run(model=str(tmp_path / "model")), "cpu")
    run(_job(tmp_path / "first"), _CLOCK)
    swapped = BrightModel(labels={"background": 0, "C2": 1, "C1": 2, "T2 and below": 3})
    new = write_package(
        tmp_path / "model", swapped.manifest("model", version="2"), {"fine": swapped.content()}, replace=True
    )
    run(_job(tmp_path / "second"), _CLOCK)
    levels = [_summary(tmp_path / name)["vertebrae"][0]["level"] for name in ("first", "second")]
    assert levels == ["C2", "C1"]
    assert _summary(tmp_path / "second")["model"]["checksum"] == new.identity.checksum


def test_an_interrupted_transfer_is_reported_by_a_finding(runner: Runner, tmp_path: Path) -> None:
    complete, incomplete = _job(tmp_path / "complete"), _job(tmp_path / "incomplete", incomplete=True)
    for job in (complete, incomplete):
        runner(job, _CLOCK)
    assert _codes(incomplete) - _codes(complete) == {"CS-FND-017"}


def test_a_fuller_run_with_the_earlier_result_in_its_input_supersedes_it(runner: Runner, tmp_path: Path) -> None:
    first, second = _job(tmp_path / "first"), _job(tmp_path / "second")
    files = sorted((first / "input").iterdir())
    for late in files[-4:]:
        late.unlink()
    runner(first, _CLOCK)
    shutil.copy(first / "results" / "dicom" / "segmentation.dcm", second / "input" / "earlier.dcm")
    runner(second, _CLOCK)
    written = _summary(first)["outputs"][0]["sop_instance_uid"]
    assert [result["sop_instance_uid"] for result in _summary(second)["supersedes"]] == [written]
    assert "CS-FND-015" in _codes(second)


def test_a_study_without_a_vertebra_fails_and_leaves_nothing(runner: Runner, tmp_path: Path) -> None:
    job = _job(tmp_path, bright=False)
    with pytest.raises(NoVertebraError):
        runner(job, _CLOCK)
    assert not (job / "results").exists()


def _shifted(data: bytes) -> bytes:
    """Return a file whose elements are shifted by a byte from the middle of its header on."""
    middle = data.index(b"\x28\x00\x10\x00US")
    return data[:middle] + b"\x00" + data[middle:]


@pytest.mark.parametrize("every", [False, True], ids=["one file", "every file"])
@pytest.mark.parametrize(
    "damage",
    [lambda data: data[: len(data) * 2 // 3], _shifted, lambda data: bytes(len(data)), lambda data: data[:200]],
    ids=["truncated", "shifted", "zeros", "stub"],
)
def test_a_damage_is_about_the_input_and_is_not_retried(
    damage: Callable[[bytes], bytes], every: bool, runner: Runner, tmp_path: Path
) -> None:
    job = _job(tmp_path)
    files = sorted((job / "input").iterdir())
    for path in files if every else files[len(files) // 2 :][:1]:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CSpineError) as raised:
        runner(job, _CLOCK)
    assert raised.value.is_about_input, raised.value
