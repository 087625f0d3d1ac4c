"""`cspine serve-pacs` while hundreds of connections do nothing, drip, flood, or send data that inflate."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pynetdicom import AE, _config

from tests.builders.segmentations import as_bytes
from tests.builders.studies import ct_datasets
from tests.service.fakes import send_study
from tests.system.conftest import MakeService
from tests.system.exchange import SCANNER
from tests.system.service import AE_TITLE, RunningService, listening
from tests.system.tools import free_port

pytestmark = pytest.mark.system
_SECONDS = 15.0
_REQUEST = b"\x01\x00\x00\x00\x00\xf0\x00\x01\x00\x00" + b"CSPINE".ljust(16) + b"PACS".ljust(16) + bytes(204)


class Attack:
    """Threads that attack a port until they are stopped."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, times: int, work: Callable[[socket.socket], None], pause_s: float = 0.0) -> None:
        """Open a connection again and again in threads, and do something with it."""

        def attack() -> None:
            while not self._stop.wait(pause_s):
                with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 5) as connection:
                    connection.settimeout(2)
                    work(connection)

        for _ in range(times):
            self._threads.append(threading.Thread(target=attack, daemon=True))
            self._threads[-1].start()

    def silence(self, connection: socket.socket) -> None:
        """Wait until the service closes the connection."""
        while not self._stop.is_set():
            try:
                if not connection.recv(1):
                    return
            except TimeoutError:
                continue

    def drip(self, connection: socket.socket) -> None:
        """Send an association request, a byte at a time."""
        for byte in _REQUEST:
            if self._stop.wait(0.3):
                return
            connection.sendall(bytes((byte,)))

    def stop(self) -> None:
        """End all."""
        self._stop.set()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def service(make_service: MakeService) -> Iterator[RunningService]:
    """A service with two associations, whose destination is down."""
    dicom = {"host": "127.0.0.1", "port": free_port(), "ae_title": "PACS"}
    running = make_service(
        listener=listening(free_port(), SCANNER, max_associations=2), destinations=[{"name": "pacs", "dicom": dicom}]
    )
    running.start()
    yield running
    status, report = running.health()
    assert (status, report["status"]) == (200, "ok")
    assert running.not_json() == []
    assert [line for line in running.events() if "unexpected" in line["event"]] == []
    assert running.stop() == 0


def port_of(service: RunningService) -> int:
    """The DICOM port of a service."""
    listener = service.sections["listener"]
    assert isinstance(listener, dict)
    return int(listener["port"])


def test_honest_senders_are_served_during_an_attack(service: RunningService) -> None:
    before, attack, sent, started = service.memory_mib(), Attack(port_of(service)), 0, time.monotonic()
    attack.start(200, attack.silence)
    attack.start(50, attack.drip)
    attack.start(4, lambda connection: connection.sendall(b"GET / HTTP/1.1\r\n\r\n"), pause_s=0.01)
    try:
        while time.monotonic() - started < _SECONDS:
            statuses: list[int] = []
            attempts = 0
            while not statuses:  # its own address is that of the attack, so a request may lose the race
                statuses = send_study(port_of(service), ct_datasets(f"honest {sent}", 3), SCANNER, AE_TITLE)
                attempts += 1
                assert attempts <= 5
            assert statuses == [0, 0, 0]
            sent += 1
            assert service.health()[0] == 200
    finally:
        attack.stop()
    assert sent >= 3
    assert service.memory_mib() - before < 200


def test_a_deflated_bomb_is_refused_without_being_inflated(
    service: RunningService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bomb,) = ct_datasets("bomb", 1)
    bomb.PixelData, bomb.file_meta.TransferSyntaxUID = bytes(400 * 2**20), DeflatedExplicitVRLittleEndian
    (tmp_path / "bomb.dcm").write_bytes(as_bytes(bomb))
    assert (tmp_path / "bomb.dcm").stat().st_size < 2**20
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)  # sends the file as it is
    before, ae = service.memory_mib(), AE(SCANNER)
    ae.add_requested_context(bomb.SOPClassUID, DeflatedExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", port_of(service), ae_title=AE_TITLE)
    assert association.send_c_store(tmp_path / "bomb.dcm").Status == 0xC000
    association.release()
    assert service.memory_mib() - before < 50
