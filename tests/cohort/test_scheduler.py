"""Scheduling of studies, workers and retries, with a fake pool instead of Ray."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cspine.cohort.folder import StudyRecord
from cspine.cohort.scheduler import Plan, WorkerEvent, make_plan, records_of, run_plan
from cspine.cohort.studies import CohortStudy
from cspine.cohort.worker import CohortTask, StudyAttempt, WorkerReady
from cspine.core.errors import CohortError, CSpineError, ModelError
from cspine.inference.settings import InferenceSettings
from cspine.report.summary import Summary
from cspine.surfaces.fe_settings import FeSettings
from cspine.surfaces.settings import SurfaceSettings
from tests.builders.cohorts import bright_task, failed_record
from tests.builders.raises import raises_code

Outcome = Callable[[StudyAttempt], StudyRecord | CSpineError | None]


@dataclass
class FakePool:
    """Workers that answer in the order in which they were asked; None is a death."""

    task: CohortTask
    outcome: Outcome
    dies_at_start: int = 0
    answers: list[WorkerEvent] = field(default_factory=list)
    started: int = 0
    active: set[str] = field(default_factory=set)
    max_active: int = 0
    seen: list[tuple[str, int]] = field(default_factory=list)

    def start(self) -> int:
        self.started += 1
        self.answers.append(
            WorkerEvent(self.started, None if self.started <= self.dies_at_start else WorkerReady(self.started))
        )
        return self.started

    def submit(self, worker: int, attempt: StudyAttempt) -> None:
        self.active.add(attempt.study.name)
        self.max_active = max(self.max_active, len(self.active))
        self.seen.append((attempt.study.name, attempt.number))
        result = self.outcome(attempt)
        if isinstance(result, StudyRecord):
            self.task.folder.store(result, None)
        self.answers.append(WorkerEvent(worker, result))

    def wait(self, seconds: float) -> Sequence[WorkerEvent]:
        answer = self.answers.pop(0)
        if not isinstance(answer.content, WorkerReady):
            self.active = set(list(self.active)[1:])
        return [answer]


@pytest.fixture
def task(bright_model: Path, tmp_path: Path) -> CohortTask:
    return bright_task(bright_model, tmp_path / "out")


@pytest.fixture
def studies(tmp_path: Path) -> tuple[CohortStudy, ...]:
    for number in range(6):
        (tmp_path / f"s{number}").mkdir()
    return tuple(CohortStudy(f"s{number}", tmp_path / f"s{number}") for number in range(6))


def failing(attempt: StudyAttempt) -> StudyRecord:
    return replace_name(failed_record(attempt.study.name, attempt.key), attempt)


def replace_name(record: StudyRecord, attempt: StudyAttempt) -> StudyRecord:
    return record.model_copy(update={"attempts": attempt.number})


def test_every_study_is_run_by_at_most_the_given_workers(task: CohortTask, studies: tuple[CohortStudy, ...]) -> None:
    plan, progress = make_plan(studies, task), []
    pool = FakePool(task, failing)
    run_plan(plan, pool, 2, task, lambda done, total: progress.append((done, total)))
    assert [name for name, _ in pool.seen] == [study.name for study in studies]
    assert pool.started == 2 and pool.max_active == 2
    assert progress[0] == (0, 6) and progress[-1] == (6, 6)
    assert [record.name for record in records_of(plan, task.folder)] == [study.name for study in studies]


def test_no_more_workers_are_started_than_there_are_studies(task: CohortTask, studies: tuple[CohortStudy, ...]) -> None:
    pool = FakePool(task, failing)
    run_plan(make_plan(studies[:2], task), pool, 8, task, lambda *_: None)
    assert pool.started == 2


def test_a_dead_worker_costs_one_attempt_and_is_replaced(
    task: CohortTask, studies: tuple[CohortStudy, ...], caplog: pytest.LogCaptureFixture
) -> None:
    plan = make_plan(studies, task)
    pool = FakePool(
        task, lambda attempt: None if (attempt.study.name, attempt.number) == ("s1", 1) else failing(attempt)
    )
    with caplog.at_level(logging.INFO):
        run_plan(plan, pool, 2, task, lambda *_: None)
    assert pool.started == 3
    assert pool.seen.count(("s1", 2)) == 1 and len(pool.seen) == 7
    assert {record.name: record.attempts for record in records_of(plan, task.folder)}["s1"] == 2
    assert "s1" not in caplog.text  # names of studies are not for logs


def test_a_study_on_which_workers_die_twice_fails(task: CohortTask, studies: tuple[CohortStudy, ...]) -> None:
    plan = make_plan(studies, task)
    pool = FakePool(task, lambda attempt: None if attempt.study.name == "s5" else failing(attempt))
    run_plan(plan, pool, 2, task, lambda *_: None)
    last = records_of(plan, task.folder)[-1]
    assert (last.name, last.code, last.attempts) == ("s5", "CS-RTE-004", 2)


def test_an_error_that_affects_every_study_stops_the_cohort(task: CohortTask, studies: tuple[CohortStudy, ...]) -> None:
    pool = FakePool(task, lambda attempt: ModelError("gone"))
    with raises_code(ModelError, "gone"):
        run_plan(make_plan(studies, task), pool, 2, task, lambda *_: None)
    assert len(pool.seen) <= 2


def test_workers_that_never_start_stop_the_cohort(task: CohortTask, studies: tuple[CohortStudy, ...]) -> None:
    with raises_code(CohortError, 3):
        run_plan(make_plan(studies, task), FakePool(task, failing, dies_at_start=99), 2, task, lambda *_: None)
    pool = FakePool(task, failing, dies_at_start=2)
    run_plan(make_plan(studies, task), pool, 2, task, lambda *_: None)
    assert pool.started == 4


def names(plan: Plan) -> list[str]:
    return [attempt.study.name for attempt in plan.pending]


def test_failed_studies_are_run_again_only_on_request(task: CohortTask, studies: tuple[CohortStudy, ...]) -> None:
    first = make_plan(studies, task)
    run_plan(first, FakePool(task, failing), 1, task, lambda *_: None)
    assert names(make_plan(studies, task)) == []
    assert [record.name for record in make_plan(studies, task).cached] == names(first)
    assert names(make_plan(studies, task, retry_failed=True)) == names(first)
    assert names(make_plan(studies, task, recompute=True)) == names(first)
    (studies[3].source / "late.dcm").write_bytes(b"a slice")
    assert names(make_plan(studies, task)) == ["s3"]


def test_another_model_version_or_setting_means_another_key_but_the_device_does_not(
    task: CohortTask, studies: tuple[CohortStudy, ...], tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("a")
    with_rules = replace(task, settings=replace(task.settings, rules_file=rules))

    def key(changed: CohortTask) -> str:
        return make_plan(studies[:1], changed).pending[0].key

    keys = [key(task), key(replace(task, checksum="0" * 64)), key(replace(task, version="9")), key(with_rules)]
    keys.append(key(replace(task, settings=replace(task.settings, repair_gaps=True))))
    keys.append(key(replace(task, settings=replace(task.settings, outputs=("seg", "sc", "summary")))))
    keys.append(key(replace(task, settings=replace(task.settings, fail_on=("serious",)))))
    keys.append(key(replace(task, settings=replace(task.settings, surfaces=SurfaceSettings(formats=("dicom",))))))
    keys.append(key(replace(task, settings=replace(task.settings, elements=FeSettings(formats=("k",))))))
    rules.write_text("b")
    keys.append(key(with_rules))
    assert len(set(keys)) == len(keys)
    settings = replace(task.settings, inference=InferenceSettings(device="auto"))
    assert key(replace(task, settings=settings, threads=4)) == keys[0]
    rules.unlink()
    with raises_code(CohortError, "rules"):
        key(with_rules)


def test_a_missing_input_of_finished_studies_stops_the_cohort(
    task: CohortTask, single: tuple[Path, Summary], tmp_path: Path
) -> None:
    study = CohortStudy("a", tmp_path / "not mounted")
    assert len(make_plan([study], task).pending) == 1
    task.folder.store(StudyRecord(name="a", key="k", attempts=1, seconds=1.0, summary=single[1]), None)
    with raises_code(CohortError, 1):
        make_plan([study], task)
