"""`cspine serve-pacs` as a process: start, kill, and clean shutdown."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from cspine.cli.main import cli
from cspine.core.errors import RoutingConfigError, RoutingError, UsageError
from cspine.service.ops.json_log import JsonFormatter
from cspine.service.queue.spool import Spool
from tests.builders.segmentations import SECRET
from tests.builders.studies import ct_datasets
from tests.service.fakes import Pacs, free_port, send_study, wait_for

pytestmark = pytest.mark.usefixtures("untouched_logging")
ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    pacs = Pacs()
    yield pacs
    pacs.stop()


@pytest.fixture
def site(tmp_path: Path, pacs: Pacs) -> dict[str, Any]:
    """A configuration, written to config.yaml."""
    config: dict[str, Any] = {
        "spool": "spool",
        "study_complete_after_s": 0.5,
        "listener": {"port": free_port(), "allowed_calling_ae_titles": ["SCANNER"]},
        "limits": {"min_free_bytes": 0},
        "run": {"devices": ["cpu"], "allow_demonstration": True},
        "destinations": [{"name": "pacs", "dicom": {"host": "127.0.0.1", "port": pacs.port, "ae_title": "PACS"}}],
        "http": {"port": free_port()},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return config


@pytest.fixture
def start(tmp_path: Path, site: dict[str, Any]) -> Iterator[Start]:
    """Start the service in a process and wait until it listens; it is killed with the test."""
    started = []

    def begin(*command: str) -> subprocess.Popen[str]:
        log = (tmp_path / f"log-{len(started)}").open("w+")
        process = subprocess.Popen(
            [sys.executable, "-m", *command, str(tmp_path / "config.yaml")], cwd=ROOT, stderr=log, text=True
        )
        started.append(process)
        wait_for(lambda: '"event": "listening"' in (tmp_path / log.name).read_text() or process.poll() is not None, 60)
        assert process.poll() is None, (tmp_path / log.name).read_text()
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def test_the_command_listens_refuses_a_second_and_ends_on_sigterm(start, site, tmp_path):
    process = start("cspine", "serve-pacs")
    assert send_study(site["listener"]["port"], ct_datasets("one", 1)) == [0]
    second = subprocess.run(
        [sys.executable, "-m", "cspine", "serve-pacs", str(tmp_path / "config.yaml")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (second.returncode, "CS-RTE-002" in second.stderr) == (15, True)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    lines = [json.loads(line) for line in (tmp_path / "log-0").read_text().splitlines()]
    events = [line["event"] for line in lines]
    assert events[0] == "listening" and events[-1] == "stopped"
    assert lines[0]["dicom"] == site["listener"]["port"]


def test_killed_in_the_middle_of_a_run_it_runs_the_study_again_and_delivers_it_once(start, site, pacs, tmp_path):
    process = start("tests.service.serve", "slow")
    send_study(site["listener"]["port"], ct_datasets("killed"))
    wait_for(lambda: list((tmp_path / "spool" / "running").glob("*/results/dicom/*")))
    process.kill()
    process.wait()
    before = next((tmp_path / "spool" / "running").glob("*/job.json"))
    clock = json.loads(before.read_text())["clock"]
    start("tests.service.serve", "quick")
    wait_for(lambda: list((tmp_path / "spool" / "done").iterdir()))
    assert len(pacs.got) == 1
    after = json.loads((tmp_path / "spool" / "done" / before.parent.name / "job.json").read_text())
    assert (after["clock"], after["crashes"]) == (clock, 1)


def test_killed_while_receiving_it_keeps_all_acknowledged_instances(start, site, pacs, tmp_path):
    datasets = ct_datasets("receiving", 40)
    answered: list[str] = []
    process = start("tests.service.serve", "quick")
    from pynetdicom import AE

    ae = AE("SCANNER")
    ae.add_requested_context(datasets[0].SOPClassUID, datasets[0].file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", site["listener"]["port"], ae_title="CSPINE")
    for number, dataset in enumerate(datasets):
        if number == 25:
            os.kill(process.pid, signal.SIGKILL)
        try:
            answer = association.send_c_store(dataset)
        except RuntimeError:
            break
        if "Status" not in answer:
            break
        answered.append(str(dataset.SOPInstanceUID))
    process.wait()
    assert 25 <= len(answered) < 40
    spool = tmp_path / "spool"
    assert len(list(spool.glob("incoming/*/*.dcm"))) >= len(answered)
    start("tests.service.serve", "quick")
    assert send_study(site["listener"]["port"], datasets) == [0] * 40
    wait_for(lambda: any(len(list(job.glob("input/*.dcm"))) >= 40 for job in (spool / "done").iterdir()), 30)
    assert "SECRET" not in "".join(path.read_text() for path in tmp_path.glob("log-*"))


def test_schema_and_errors_are_reported(tmp_path):
    output = CliRunner().invoke(cli, ["serve-pacs", "--schema"], catch_exceptions=False)
    assert json.loads(output.output)["title"] == "ServiceConfig"
    assert isinstance(CliRunner().invoke(cli, ["serve-pacs"]).exception, UsageError)
    absent = CliRunner().invoke(cli, ["serve-pacs", str(tmp_path / "none.yaml")])
    assert isinstance(absent.exception, RoutingConfigError)


def test_a_missing_library_is_reported_with_its_extra():
    code = (
        "import sys; sys.modules['pynetdicom'] = None\n"
        "from cspine.cli.main import main\nsys.argv = ['cspine', 'serve-pacs', 'deploy/pacs/listener.yaml']\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "CS-USE-004" in done.stderr and "cspine[service]" in done.stderr


def test_check_tests_the_configuration(site, pacs, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    good = CliRunner().invoke(cli, ["serve-pacs", str(tmp_path / "config.yaml"), "--check"], catch_exceptions=False)
    assert good.exit_code == 0 and "C-ECHO" in good.output and "FAIL" not in good.output
    assert sorted(tmp_path.rglob("*")) == before
    service = Spool(tmp_path / "spool")
    service.lock()
    site["destinations"][0]["dicom"]["port"] = free_port()
    site["destinations"].append({"name": "web", "dicomweb": {"url": f"http://127.0.0.1:{free_port()}"}})
    site["listener"]["port"] = pacs.port
    site["run"]["model"] = "no-such-model"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(site))
    bad = CliRunner().invoke(cli, ["serve-pacs", str(tmp_path / "config.yaml"), "--check"])
    assert isinstance(bad.exception, RoutingError)
    failed = [line.split("│")[1].strip() for line in bad.output.splitlines() if "FAIL" in line]
    assert failed == ["spool", "listener", "model", "destination pacs", "destination web"]


def test_a_log_line_is_json_and_hides_the_text_of_an_unexpected_error():
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        record = logging.LogRecord("cspine.x", logging.ERROR, "f", 1, "it %s", ("failed",), (ValueError, error, None))
    record.study = "0123456789ab"
    line = json.loads(JsonFormatter(device="cpu").format(record))
    assert (line["event"], line["level"], line["study"], line["device"]) == ("it failed", "error", record.study, "cpu")
    assert line["error"].startswith("[CS-INT-001] ValueError")
    assert SECRET not in json.dumps(line)
    assert abs(time.time() - record.created) < 60 and line["time"].endswith("+00:00")
