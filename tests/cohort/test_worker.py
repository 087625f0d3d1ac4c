"""A worker of a cohort, without Ray."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from cspine.cohort import worker
from cspine.cohort.folder import StudyRecord
from cspine.cohort.studies import CohortStudy
from cspine.cohort.worker import CohortTask, StudyAttempt, StudyWorker, WorkerReady
from cspine.core.errors import CohortError, ModelChecksumError, ModelError, OutputError
from cspine.inference.engines import base
from cspine.models.package_writer import write_package
from cspine.report.summary import Summary
from cspine.surfaces.fe_settings import FeSettings
from cspine.surfaces.settings import SurfaceSettings
from tests.builders.bright_studies import write_bright_study
from tests.builders.cohorts import bright_task, same_results
from tests.builders.loads import noted_loads
from tests.builders.nnunet_results import TinyModel


@pytest.fixture
def task(bright_model: Path, tmp_path: Path) -> CohortTask:
    return bright_task(bright_model, tmp_path / "out")


def ready(task: CohortTask) -> StudyWorker:
    worker = StudyWorker(task)
    assert worker.ready() == WorkerReady(os.getpid())
    return worker


def run(task: CohortTask, source: Path, attempts: int = 1) -> StudyRecord:
    record = ready(task).run(StudyAttempt(CohortStudy("a", source), "k", attempts))
    assert isinstance(record, StudyRecord)
    return record


def test_a_study_has_the_bytes_of_a_single_run(
    task: CohortTask, bright_study: Path, single: tuple[Path, Summary]
) -> None:
    record = run(task, bright_study)
    assert record.outcome == "ok" and record.code == ""
    assert same_results(task.folder.study("a"), single[0])
    assert task.folder.cached_record("a", "k") == record
    assert list(task.folder.staging.iterdir()) == []


def test_a_study_has_the_outputs_of_the_settings_and_the_summary(task: CohortTask, bright_study: Path) -> None:
    chosen = replace(task, settings=replace(task.settings, outputs=("seg", "sc")))
    assert run(chosen, bright_study).outcome == "ok"
    assert names(task.folder.study("a")) == {
        "segmentation.dcm",
        "secondary-capture.dcm",
        "summary.json",
        "measurements.csv",
    }


def test_results_with_folders_are_replaced_by_those_of_another_run(task: CohortTask, bright_study: Path) -> None:
    settings = replace(
        task.settings,
        outputs=("seg", "surfaces", "fe"),
        surfaces=SurfaceSettings(formats=("stl", "dicom")),
        elements=FeSettings(formats=("vtu",), edge_mm=4.0),
    )
    chosen = replace(task, settings=settings)
    for _ in range(2):
        assert run(chosen, bright_study).outcome == "ok"
    assert names(task.folder.study("a")) == {
        "segmentation.dcm", "surface-C2.dcm", "C2.stl", "surfaces.json", "vertebrae.vtu", "elements.json",
        "summary.json", "measurements.csv",
    }  # fmt: skip
    (task.folder.study("a") / "report" / "surfaces" / "mine.txt").write_text("")
    assert run(chosen, bright_study).code == "CS-OUT-002"


def names(results: Path) -> set[str]:
    return {path.name for path in results.rglob("*") if path.is_file()}


def test_a_zip_gives_the_same(
    task: CohortTask, bright_study: Path, single: tuple[Path, Summary], tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in bright_study.iterdir():
            archive.write(path, path.name)
    assert run(task, tmp_path / "a.zip").outcome == "ok"
    assert same_results(task.folder.study("a"), single[0])


def test_a_worker_reads_the_model_and_compiles_its_network_once_for_all_studies(
    task: CohortTask, bright_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = noted_loads(monkeypatch, worker)
    ready_worker = ready(task)
    for name in ("a", "b"):
        record = ready_worker.run(StudyAttempt(CohortStudy(name, bright_study), "k"))
        assert isinstance(record, StudyRecord) and record.outcome == "ok"
    assert loads == ["package", "network"]


def test_a_study_that_fails_is_a_record_with_its_code_and_leaves_no_results(task: CohortTask, tmp_path: Path) -> None:
    write_bright_study(tmp_path / "dark", "dark", bright=False)
    record = run(task, tmp_path / "dark", attempts=2)
    assert (record.outcome, record.code, record.attempts) == ("failed", "CS-RES-001", 2)
    assert record.advice and not task.folder.study("a").exists()
    assert run(task, tmp_path / "absent").code == "CS-IN-001"
    assert task.folder.read_record("a") == task.folder.cached_record("a", "k")


def test_an_unexpected_error_does_not_stop_the_cohort_or_reveal_its_text(
    task: CohortTask, bright_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("SECRET^NAME")

    monkeypatch.setattr("cspine.cohort.worker.run_study", fail)
    record = run(task, bright_study)
    assert record.code == "CS-INT-001"
    assert "SECRET" not in record.model_dump_json()


def test_foreign_files_are_an_error_of_their_study(task: CohortTask, bright_study: Path) -> None:
    task.folder.study("a").mkdir(parents=True)
    (task.folder.study("a") / "mine.txt").write_text("")
    assert run(task, bright_study).code == "CS-OUT-002"
    assert (task.folder.study("a") / "mine.txt").exists()


def test_an_output_that_cannot_be_written_stops_the_cohort(
    bright_model: Path, bright_study: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    worker = ready(bright_task(bright_model, tmp_path / "file" / "out"))
    assert isinstance(worker.run(StudyAttempt(CohortStudy("a", bright_study), "k")), OutputError)


def test_a_model_that_is_replaced_during_the_cohort_stops_it(bright_study: Path, tmp_path: Path) -> None:
    base.release_networks()
    task = bright_task(tmp_path / "model", tmp_path / "out")
    ready_worker, other = ready(task), TinyModel()
    write_package(task.model, other.manifest(), {"fine": other.content()}, replace=True)
    assert isinstance(ready_worker.run(StudyAttempt(CohortStudy("a", bright_study), "k")), ModelChecksumError)
    assert task.folder.read_record("a") is None


def test_a_worker_with_another_version_or_model_is_not_ready(task: CohortTask, tmp_path: Path) -> None:
    assert isinstance(StudyWorker(replace(task, version="0.0.0")).ready(), CohortError)
    assert isinstance(StudyWorker(replace(task, checksum="0" * 64)).ready(), CohortError)
    assert isinstance(StudyWorker(replace(task, model=tmp_path / "absent")).ready(), ModelError)
