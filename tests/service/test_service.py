"""The complete service in this process, with instant runs and a fake PACS."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cspine.core.errors import hashed
from cspine.service.config import ServiceConfig
from cspine.service.queue.job import State
from cspine.service.queue.spool import Spool
from cspine.service.service import Service
from tests.builders.segmentations import SECRET, segmentation_dataset
from tests.builders.studies import ct_datasets
from tests.service import fake_runs
from tests.service.fakes import Pacs, free_port, send_study, wait_for


def a_config(folder: Path, pacs_port: int, **changes: Any) -> dict[str, Any]:
    """A configuration as YAML holds it, fast."""
    retry = {"initial_delay_s": 0.3, "max_delay_s": 0.3}
    dicom = {"host": "127.0.0.1", "port": pacs_port, "ae_title": "PACS", "timeout_s": 5}
    return {
        "spool": str(folder / "spool"),
        "study_complete_after_s": 0.2,
        "listener": {"port": free_port(), "allowed_calling_ae_titles": ["SCANNER"]},
        "limits": {"min_free_bytes": 0},
        "run": {"devices": ["cpu"], "retry_after_s": 0.1, "max_attempts": 2, "time_limit_s": 60},
        "destinations": [{"name": "pacs", "dicom": dicom, "retry": retry}],
        "http": {"port": free_port()},
    } | changes


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the threads look for work more often."""
    monkeypatch.setattr("cspine.service.service._TICK_S", 0.05)


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    pacs = Pacs()
    yield pacs
    pacs.stop()


@pytest.fixture
def served(tmp_path: Path, pacs: Pacs) -> Iterator[Callable[..., ServiceConfig]]:
    """Start a service with a factory; it ends with the test."""
    services = []

    def start(factory: Any = fake_runs.quick, **changes: Any) -> ServiceConfig:
        config = ServiceConfig.model_validate(a_config(tmp_path, pacs.port, **changes))
        service = Service(config, factory)
        service.start()
        services.append(service)
        return config

    yield start
    for service in services:
        service.stop()


def listener_port(config: ServiceConfig) -> int:
    """The DICOM port of a configuration."""
    assert config.listener is not None
    return config.listener.port


def names(config: ServiceConfig, state: State) -> list[str]:
    """Jobs in a state."""
    return Spool(config.spool).names(state)


def ask(config: ServiceConfig, path: str) -> tuple[int, str]:
    """Ask the HTTP port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{config.http.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_a_study_is_received_run_and_delivered(served, pacs, caplog):
    caplog.set_level(logging.INFO, "cspine")
    config = served()
    datasets = ct_datasets("complete")
    assert send_study(listener_port(config), datasets) == [0, 0, 0]
    wait_for(lambda: names(config, State.DONE))
    assert [str(d.StudyInstanceUID) for d in pacs.got] == [datasets[0].StudyInstanceUID]
    status, health = ask(config, "/healthz")
    facts = json.loads(health)
    assert (status, facts["status"], facts["queue"]["done"]) == (200, "ok", 1)
    metrics = ask(config, "/metrics")[1]
    for line in ("instances_received_total 3.0", "studies_received_total 1.0", 'queue_jobs{state="done"} 1.0'):
        assert f"cspine_{line}" in metrics
    assert 'cspine_deliveries_total{destination="pacs",outcome="delivered"} 1.0' in metrics
    assert ask(config, "/other")[0] == 404
    text = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert hashed(datasets[0].StudyInstanceUID) in text
    assert SECRET not in text and "PRIVATE" not in text and datasets[0].StudyInstanceUID not in text


def test_a_study_sent_again_is_delivered_again_without_a_run(served, pacs):
    config = served()
    for times in (1, 2):
        send_study(listener_port(config), ct_datasets("again"))
        wait_for(lambda times=times: len(pacs.got) == times)
    wait_for(lambda: names(config, State.DONE))
    assert len(set(pacs.uids)) == 1
    assert len(names(config, State.DONE)) == 1


def test_late_slices_start_a_job_with_all_instances(served, pacs):
    config = served()
    datasets = ct_datasets("late", 4)
    send_study(listener_port(config), datasets[:3])
    wait_for(lambda: len(pacs.got) == 1)
    send_study(listener_port(config), datasets[3:])
    wait_for(lambda: len(names(config, State.DONE)) == 2)
    newest = config.spool / "done" / names(config, State.DONE)[-1]
    job = json.loads((newest / "job.json").read_text())
    assert job["previous"] == names(config, State.DONE)[0]
    assert len(list((newest / "input").iterdir())) == 5  # four slices and the earlier segmentation
    assert len(set(pacs.uids)) == 2


def test_a_returned_result_starts_no_run(served, pacs):
    config = served()
    datasets = ct_datasets("echo")
    send_study(listener_port(config), datasets)
    wait_for(lambda: names(config, State.DONE))
    send_study(listener_port(config), [segmentation_dataset(datasets[0].StudyInstanceUID, pacs.uids[0])])
    wait_for(lambda: not list((config.spool / "incoming").iterdir()))
    wait_for(lambda: not list((config.spool / "assembling").iterdir()))
    assert len(names(config, State.DONE)) == 1 and len(pacs.got) == 1


def test_failed_runs_are_retried_if_a_retry_can_help(served, pacs, caplog):
    config = served(fake_runs.fickle)
    expected = {
        4: ("CS-GEO-002", 1),  # a missing slice
        5: ("CS-INF-003", 2),  # no memory
        6: ("CS-RTE-004", 2),  # killed
        8: ("CS-INT-001", 2),  # a defect
    }
    for slices in expected:
        send_study(listener_port(config), ct_datasets(f"fails {slices}", slices))
    send_study(listener_port(config), ct_datasets("and the next is run"))
    wait_for(lambda: len(names(config, State.FAILED)) == len(expected), 40)
    jobs = Spool(config.spool).jobs(State.FAILED)
    assert {job.instances: (job.reason.code, job.attempts) for job in jobs if job.reason} == expected
    assert "SECRET^" not in "".join(job.model_dump_json() for job in jobs) + caplog.text
    wait_for(lambda: len(pacs.got) == 1)


def test_a_run_is_stopped_at_its_time_limit(served):
    config = served(fake_runs.fickle, run={"devices": ["cpu"], "max_attempts": 1, "time_limit_s": 2})
    send_study(listener_port(config), ct_datasets("endless", 7))
    wait_for(lambda: names(config, State.FAILED), 30)
    job = json.loads((config.spool / "failed" / names(config, State.FAILED)[0] / "job.json").read_text())
    assert job["reason"]["code"] == "CS-RTE-004" and " 2 s" in job["reason"]["message"]


def test_an_unreachable_destination_does_not_block_another(served, pacs):
    dead = {
        "name": "dead",
        "dicom": {"host": "127.0.0.1", "port": free_port(), "ae_title": "DEAD", "timeout_s": 2},
        "retry": {"initial_delay_s": 0.1, "give_up_after_h": 1 / 3600},
    }
    alive = {"name": "pacs", "dicom": {"host": "127.0.0.1", "port": pacs.port, "ae_title": "PACS"}}
    config = served(destinations=[dead, alive])
    send_study(listener_port(config), ct_datasets("two"))
    wait_for(lambda: len(pacs.got) == 1)
    wait_for(lambda: names(config, State.FAILED))
    job = json.loads((config.spool / "failed" / names(config, State.FAILED)[0] / "job.json").read_text())
    assert {name: d["state"] for name, d in job["destinations"].items()} == {"dead": "abandoned", "pacs": "delivered"}
    assert job["reason"]["code"] == "CS-RTE-005"


def test_shutdown_requeues_a_run_and_the_next_start_resumes_it(tmp_path, pacs):
    config = ServiceConfig.model_validate(a_config(tmp_path, pacs.port))
    service = Service(config, fake_runs.slow)
    service.start()
    send_study(listener_port(config), ct_datasets("stop"))
    wait_for(lambda: names(config, State.RUNNING) and list((config.spool / "running").glob("*/results/dicom/*")))
    service.stop()
    waiting = Spool(config.spool).jobs(State.WAITING)
    assert [(job.attempts, job.crashes) for job in waiting] == [(0, 0)]
    assert not (config.spool / "waiting" / waiting[0].id / "results").exists()
    again = Service(config, fake_runs.quick)
    again.start()
    try:
        wait_for(lambda: names(config, State.DONE))
    finally:
        again.stop()
    assert len(pacs.got) == 1


def test_an_unreadable_running_job_blocks_no_study_and_is_logged_once(tmp_path, pacs, caplog):
    config = ServiceConfig.model_validate(a_config(tmp_path, pacs.port))
    job = Spool(config.spool).job_folder(State.RUNNING, "20260101T000000000000-0123456789abcdef")
    (job / "input").mkdir(parents=True)
    (job / "job.json").write_text('{"of": "a newer version"}')
    service = Service(config, fake_runs.quick)
    service.start()
    try:
        send_study(listener_port(config), ct_datasets("beside"))
        wait_for(lambda: names(config, State.DONE))
    finally:
        service.stop()
    assert (job / "job.json").read_text() == '{"of": "a newer version"}'
    assert [record for record in caplog.records if record.exc_info] == []
    assert sum(job.name in record.getMessage() for record in caplog.records) == 1
