"""`cspine serve-pacs` as a process of its own, to be stopped, killed and started again on one spool."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cspine.service.queue.job import Job, State, study_key
from cspine.service.queue.spool import Spool
from tests.system.orthanc import Orthanc
from tests.system.tools import ROOT, free_port, waited

AE_TITLE = "CSPINE"
Event = dict[str, Any]


@dataclass
class RunningService:
    """One service; nothing runs until `start`.

    Parameters
    ----------
    folder : Path
        Configuration, spool and log.
    sections : dict
        Sections of the configuration; spool and http come by themselves.
    environment : dict
        Environment variables beside those of the tests.
    """

    folder: Path
    sections: dict[str, object]
    environment: dict[str, str] = field(default_factory=dict)
    http_port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def spool(self) -> Path:
        """The folder of its queue."""
        return self.folder / "spool"

    @property
    def log(self) -> Path:
        """What it said, over all its starts."""
        return self.folder / "service.log"

    def start(self) -> None:
        """Start, and return when it listens."""
        config = self.folder / "service.yaml"
        self.folder.mkdir(parents=True, exist_ok=True)
        sections = {
            "spool": str(self.spool),
            "http": {"port": self.http_port},
            "run": {"allow_demonstration": True},
        } | self.sections
        config.write_text(yaml.safe_dump(sections), encoding="utf-8")
        before = len(self.events("listening"))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cspine", "serve-pacs", str(config)],
                cwd=ROOT, env=os.environ | self.environment, stdout=log, stderr=log,
            )  # fmt: skip
        waited("the service listens", lambda: self.ended() or len(self.events("listening")) > before)
        assert not self.ended(), self.log.read_text()[-2000:]

    def ended(self) -> bool:
        """Whether the process is no more."""
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """End the process at once, as kill -9 or a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)

    def stop(self) -> int:
        """Signal it to stop; returns its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def memory_mib(self) -> float:
        """Return the resident memory of the process."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text("ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    # --- logs and status ---------------------------------------------------------------------------------------------

    def events(self, event: str = "", **facts: object) -> list[Event]:
        """Log lines whose event begins with a text and that have these fields, oldest first."""
        if not self.log.exists():
            return []
        # The last line may be incomplete; other lines that are not JSON are found by `not_json`.
        lines = [line for line in self.log.read_text("utf-8").split("\n")[:-1] if line.startswith("{")]
        found = [json.loads(line) for line in lines]
        return [line for line in found if line["event"].startswith(event) and facts.items() <= line.items()]

    def waited_for(self, event: str, seconds: float = 90.0, count: int = 1, **facts: object) -> Event:
        """Wait for the log line, the ``count``-th of its kind; returns it."""

        def look() -> Event | None:
            assert not self.ended(), self.log.read_text()[-2000:]
            found = self.events(event, **facts)
            return found[count - 1] if len(found) >= count else None

        return waited(f"the service says '{event}' ({facts})", look, seconds)

    def not_json(self) -> list[str]:
        """Lines of the log that are no JSON."""
        return [line for line in self.log.read_text("utf-8").splitlines() if line and not line.startswith("{")]

    def health(self) -> tuple[int, dict[str, Any]]:
        """Status code and content of /healthz."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/healthz", timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as trouble:
            return trouble.code, json.loads(trouble.read())

    def metric(self, name: str) -> float:
        """The value of a line of /metrics such as ``cspine_polls_total{outcome="succeeded"}``; 0 where it is absent."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), 0.0)

    # --- its queue ----------------------------------------------------------------------------------------------------

    def jobs(self, study_uid: str) -> list[tuple[State, Job]]:
        """The jobs of a study with their states, oldest first."""
        spool = Spool(self.spool)
        with spool.transition():  # as `cspine queue` does: nothing moves meanwhile
            return spool.of_study(study_key(study_uid))

    def states(self, study_uid: str) -> list[str]:
        """The states of the jobs of a study, oldest first."""
        return [str(state) for state, _ in self.jobs(study_uid)]


def listening(port: int, *calling: str, **changes: object) -> dict[str, object]:
    """The section ``listener``; patience of a few seconds, so that the tests need not wait long for its end."""
    patience = {"negotiation_s": 3, "message_s": 5, "idle_s": 8}
    return {
        "ae_title": AE_TITLE,
        "port": port,
        "allowed_calling_ae_titles": list(calling),
        "timeouts": patience,
    } | changes


def to_pacs(pacs: Orthanc) -> dict[str, object]:
    """A destination by C-STORE that is tried again every second."""
    address = {"host": "127.0.0.1", "port": pacs.dicom_port, "ae_title": pacs.ae_title, "calling_ae_title": AE_TITLE}
    retry = {"initial_delay_s": 1, "factor": 1, "max_delay_s": 1}
    return {"name": "pacs", "dicom": address | {"timeout_s": 10}, "retry": retry}


def to_dicomweb(pacs: Orthanc) -> dict[str, object]:
    """The same by STOW-RS; the password is in the environment variable PACS_PASSWORD."""
    return {"name": "web", "dicomweb": web(pacs), "retry": {"initial_delay_s": 1, "factor": 1, "max_delay_s": 1}}


def web(pacs: Orthanc) -> dict[str, object]:
    """The DICOMweb server and how to sign in to it."""
    return {"url": pacs.dicomweb_url, "credentials": {"user": pacs.user, "password_variable": "PACS_PASSWORD"}}
