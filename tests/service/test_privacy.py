"""The service, its workers and its ports disclose nothing of a header, whatever the header is like."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pynetdicom import AE, _config

from cspine.service.queue.job import State
from cspine.service.queue.spool import Spool
from tests.builders.bright_studies import BrightModel
from tests.builders.marked_studies import leaking_files, leaks, write_marked_studies
from tests.service.fakes import Pacs, free_port, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Invalid value")]  # of the sender
ROOT = Path(__file__).parents[2]
_CT = "1.2.840.10008.5.1.4.1.1.2"
_EXPLICIT = "1.2.840.10008.1.2.1"


class Site:
    """A service as a process, with a destination."""

    def __init__(self, folder: Path, pacs: Pacs) -> None:
        self.folder, self.port, self.http = folder, free_port(), free_port()
        config = {
            "spool": "spool",
            "study_complete_after_s": 1,
            "listener": {"port": self.port, "allowed_calling_ae_titles": ["SCANNER"]},
            "limits": {"min_free_bytes": 0},
            "run": {"devices": ["cpu"], "model": str(folder / "model"), "step_size": 1},
            "destinations": [{"name": "pacs", "dicom": {"host": "127.0.0.1", "port": pacs.port, "ae_title": "PACS"}}],
            "http": {"port": self.http},
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        self.log = folder / "log"
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "cspine", "-v", "serve-pacs", str(folder / "config.yaml")]
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=dict(os.environ))
        wait_for(lambda: b'"listening"' in self.log.read_bytes() or self.process.poll() is not None, 60)

    def send(self, study: str) -> set[int]:
        """Send the files of a study as they are; return the statuses."""
        ae, statuses = AE("SCANNER"), set()
        ae.add_requested_context(_CT, _EXPLICIT)
        association = ae.associate("127.0.0.1", self.port, ae_title="CSPINE")
        for path in sorted((self.folder / "in" / study).iterdir()):
            statuses.add(int(association.send_c_store(path).get("Status", -1)))
        association.release()
        return statuses

    def ask(self, path: str) -> bytes:
        """Ask the HTTP port."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=10) as answer:
            content: bytes = answer.read()
            return content


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A service with a model that takes no time, and marked studies beside it."""
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)  # sends files as they are
    write_marked_studies(tmp_path / "in")
    BrightModel().package(tmp_path / "model")
    pacs = Pacs()
    started = Site(tmp_path, pacs)
    yield started
    started.process.kill()
    started.process.wait()
    pacs.stop()


def test_the_service_discloses_nothing_of_a_header(site: Site) -> None:
    spool = Spool(site.folder / "spool")
    assert site.send("shifted") >= {0x0000, 0xC000}
    assert site.send("needless") == {0x0000}  # the same study, whose damaged slice it replaces
    wait_for(lambda: spool.names(State.DONE) or spool.names(State.FAILED), 120)
    assert spool.names(State.DONE)
    assert site.send("needed") >= {0x0000}
    wait_for(lambda: spool.names(State.FAILED), 120)
    disclosed = site.ask("/metrics") + site.ask("/healthz")
    site.process.send_signal(signal.SIGTERM)
    assert site.process.wait(60) == 0
    assert all(line.startswith("{") for line in site.log.read_text().splitlines())
    assert leaks(disclosed + site.log.read_bytes()) == set()
    assert leaking_files(spool.folder) == {}
