"""Which studies are walked, by how many workers, and what a dead one costs; the pool is a stand-in for Ray."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cspine.cohort.folder import StudyRecord
from cspine.cohort.plan import Answer, Plan, make_plan, records_of, run_plan
from cspine.cohort.studies import CohortStudy
from cspine.cohort.worker import CohortTask, Job, Ready
from cspine.core.errors import CohortError, CSpineError, ModelError
from cspine.inference.settings import InferenceSettings
from cspine.report.summary import Summary
from tests.builders.cohorts import bright_task, failed_record

Outcome = Callable[[Job], StudyRecord | CSpineError | None]


@dataclass
class StandInPool:
    """Workers that answer in the order in which they were asked; None is a death."""

    task: CohortTask
    outcome: Outcome
    dies_at_start: int = 0
    answers: list[Answer] = field(default_factory=list)
    started: int = 0
    begun: set[str] = field(default_factory=set)
    most_begun: int = 0
    seen: list[tuple[str, int]] = field(default_factory=list)

    def start(self) -> int:
        self.started += 1
        self.answers.append(Answer(self.started, None if self.started <= self.dies_at_start else Ready(self.started)))
        return self.started

    def submit(self, worker: int, job: Job) -> None:
        self.begun.add(job.study.name)
        self.most_begun = max(self.most_begun, len(self.begun))
        self.seen.append((job.study.name, job.tries))
        result = self.outcome(job)
        if isinstance(result, StudyRecord):
            self.task.folder.put(result, None)
        self.answers.append(Answer(worker, result))

    def wait(self, seconds: float) -> Sequence[Answer]:
        answer = self.answers.pop(0)
        if not isinstance(answer.content, Ready):
            self.begun = set(list(self.begun)[1:])
        return [answer]


@pytest.fixture
def task(bright_model: Path, tmp_path: Path) -> CohortTask:
    return bright_task(bright_model, tmp_path / "out")


@pytest.fixture
def studies(tmp_path: Path) -> tuple[CohortStudy, ...]:
    for number in range(6):
        (tmp_path / f"s{number}").mkdir()
    return tuple(CohortStudy(f"s{number}", tmp_path / f"s{number}") for number in range(6))


def failing(job: Job) -> StudyRecord:
    return replace_name(failed_record(job.study.name, job.key), job)


def replace_name(record: StudyRecord, job: Job) -> StudyRecord:
    return record.model_copy(update={"tries": job.tries})


def test_every_study_is_walked_and_never_more_are_begun_than_there_are_workers(
    task: CohortTask, studies: tuple[CohortStudy, ...]
) -> None:
    plan, told = make_plan(studies, task), []
    pool = StandInPool(task, failing)
    run_plan(plan, pool, 2, task, lambda done, whole: told.append((done, whole)))
    assert [name for name, _ in pool.seen] == [study.name for study in studies]
    assert pool.started == 2 and pool.most_begun == 2
    assert told[0] == (0, 6) and told[-1] == (6, 6)
    assert [record.name for record in records_of(plan, task.folder)] == [study.name for study in studies]


def test_no_more_workers_are_started_than_there_are_studies(task: CohortTask, studies: tuple[CohortStudy, ...]) -> None:
    pool = StandInPool(task, failing)
    run_plan(make_plan(studies[:2], task), pool, 8, task, lambda *_: None)
    assert pool.started == 2


def test_a_dead_worker_costs_one_try_and_another_takes_its_place(
    task: CohortTask, studies: tuple[CohortStudy, ...], caplog: pytest.LogCaptureFixture
) -> None:
    plan = make_plan(studies, task)
    pool = StandInPool(task, lambda job: None if (job.study.name, job.tries) == ("s1", 1) else failing(job))
    with caplog.at_level(logging.INFO):
        run_plan(plan, pool, 2, task, lambda *_: None)
    assert pool.started == 3
    assert pool.seen.count(("s1", 2)) == 1 and len(pool.seen) == 7
    assert {record.name: record.tries for record in records_of(plan, task.folder)}["s1"] == 2
    assert "s1" not in caplog.text  # names of studies are not for logs


def test_a_study_on_which_workers_die_twice_has_failed(task: CohortTask, studies: tuple[CohortStudy, ...]) -> None:
    plan = make_plan(studies, task)
    pool = StandInPool(task, lambda job: None if job.study.name == "s5" else failing(job))
    run_plan(plan, pool, 2, task, lambda *_: None)
    last = records_of(plan, task.folder)[-1]
    assert (last.name, last.code, last.tries) == ("s5", "CS-RTE-004", 2)


def test_what_would_stop_every_study_stops_the_cohort(task: CohortTask, studies: tuple[CohortStudy, ...]) -> None:
    pool = StandInPool(task, lambda job: ModelError("gone"))
    with pytest.raises(ModelError, match="gone"):
        run_plan(make_plan(studies, task), pool, 2, task, lambda *_: None)
    assert len(pool.seen) <= 2


def test_workers_that_never_live_stop_the_cohort(task: CohortTask, studies: tuple[CohortStudy, ...]) -> None:
    with pytest.raises(CohortError, match=r"\b3\b"):
        run_plan(make_plan(studies, task), StandInPool(task, failing, dies_at_start=99), 2, task, lambda *_: None)
    pool = StandInPool(task, failing, dies_at_start=2)
    run_plan(make_plan(studies, task), pool, 2, task, lambda *_: None)
    assert pool.started == 4


def names(plan: Plan) -> list[str]:
    return [job.study.name for job in plan.jobs]


def test_failed_studies_are_tried_again_only_where_that_is_asked_for(
    task: CohortTask, studies: tuple[CohortStudy, ...]
) -> None:
    first = make_plan(studies, task)
    run_plan(first, StandInPool(task, failing), 1, task, lambda *_: None)
    assert names(make_plan(studies, task)) == []
    assert [record.name for record in make_plan(studies, task).kept] == names(first)
    assert names(make_plan(studies, task, retry_failed=True)) == names(first)
    assert names(make_plan(studies, task, anew=True)) == names(first)
    (studies[3].source / "late.dcm").write_bytes(b"a slice")
    assert names(make_plan(studies, task)) == ["s3"]


def test_another_model_version_or_setting_means_another_key_but_the_device_does_not(
    task: CohortTask, studies: tuple[CohortStudy, ...], tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("a")
    with_rules = replace(task, settings=replace(task.settings, rules_file=rules))

    def key(changed: CohortTask) -> str:
        return make_plan(studies[:1], changed).jobs[0].key

    keys = [key(task), key(replace(task, checksum="0" * 64)), key(replace(task, version="9")), key(with_rules)]
    keys.append(key(replace(task, settings=replace(task.settings, repair_gaps=True))))
    rules.write_text("b")
    keys.append(key(with_rules))
    assert len(set(keys)) == len(keys)
    settings = replace(task.settings, inference=InferenceSettings(device="auto"))
    assert key(replace(task, settings=settings, threads=4)) == keys[0]
    rules.unlink()
    with pytest.raises(CohortError, match="rules"):
        key(with_rules)


def test_an_input_that_has_gone_stops_the_cohort_before_it_makes_failures_of_results(
    task: CohortTask, single: tuple[Path, Summary], tmp_path: Path
) -> None:
    study = CohortStudy("a", tmp_path / "not mounted")
    assert len(make_plan([study], task).jobs) == 1
    task.folder.put(StudyRecord(name="a", key="k", tries=1, seconds=1.0, summary=single[1]), None)
    with pytest.raises(CohortError, match=r"\b1\b"):
        make_plan([study], task)
