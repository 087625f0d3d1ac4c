"""The DICOM port under attack: silent and slow connections never shut it for honest senders."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE

from cspine.service.config import Limits, Listener
from cspine.service.intake import listener as listener_module
from cspine.service.intake.inbox import Inbox
from cspine.service.intake.listener import VERIFICATION, DicomListener
from cspine.service.ops.metrics import Metrics
from cspine.service.queue.spool import Spool
from tests.builders.studies import ct_datasets
from tests.service.fakes import free_port, send_study, wait_for

Listen = Callable[..., tuple[DicomListener, Metrics]]
_SHORT = {"negotiation_s": 0.6, "message_s": 0.3, "idle_s": 0.3}
_DRIP_S = 0.05


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Listen]:
    """Open a DICOM port; it is closed with the test."""
    opened = []

    def start(**changes: Any) -> tuple[DicomListener, Metrics]:
        config = Listener.model_validate({"port": free_port(), "allowed_calling_ae_titles": ["SCANNER"]} | changes)
        metrics, limits = Metrics(), Limits(min_free_bytes=0)
        listener = DicomListener(config, limits, Inbox(Spool(tmp_path / "spool"), limits), metrics)
        listener.start()
        opened.append(listener)
        return listener, metrics

    yield start
    for listener in opened:
        listener.stop()


def closed(metrics: Metrics, reason: str) -> float:
    """Number of connections that were closed for a reason."""
    return metrics.registry.get_sample_value("cspine_connections_closed_total", {"reason": reason}) or 0


def connect(listener: DicomListener) -> socket.socket:
    """A connection to the port."""
    connection = socket.create_connection(("127.0.0.1", listener.port))
    connection.settimeout(10)
    return connection


def ended(connection: socket.socket) -> bool:
    """Read until the other side closes the connection."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        pass
    return True


def drip(connection: socket.socket, data: bytes, stop: threading.Event) -> None:
    """Send a byte at a time until the connection is closed."""
    for byte in data:
        if stop.wait(_DRIP_S):
            return
        try:
            connection.sendall(bytes((byte,)))
        except OSError:
            return


def test_many_silent_connections_never_shut_the_port(listen: Listen) -> None:
    listener, metrics = listen(max_pending_connections=8, max_associations=2)
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(listener)) for _ in range(20)]
        assert send_study(listener.port, ct_datasets("honest")) == [0, 0, 0]
        assert all(ended(connection) for connection in silent[:12])  # the oldest made way
        assert closed(metrics, "crowded") >= 12
        assert len(listener._pending) <= 8
        assert send_study(listener.port, ct_datasets("honest again")) == [0, 0, 0]


def test_a_request_that_arrives_byte_by_byte_has_a_deadline(listen: Listen) -> None:
    listener, metrics = listen(timeouts=_SHORT)
    stop = threading.Event()
    with connect(listener) as slow:
        thread = threading.Thread(target=drip, args=(slow, b"\x01\x00\x00\x00\x00\xf0" + bytes(240), stop))
        thread.start()
        assert send_study(listener.port, ct_datasets("meanwhile")) == [0, 0, 0]
        assert ended(slow)
        stop.set()
        thread.join()
    wait_for(lambda: closed(metrics, "deadline") == 1)


def association(listener: DicomListener) -> Any:
    """An accepted association."""
    ae = AE("SCANNER")
    ae.add_requested_context(VERIFICATION)
    accepted = ae.associate("127.0.0.1", listener.port, ae_title="CSPINE")
    assert accepted.is_established
    return accepted


def test_a_pdu_of_an_association_that_arrives_byte_by_byte_has_a_deadline(listen: Listen) -> None:
    listener, metrics = listen(timeouts=_SHORT, max_associations=1)
    held, stop = association(listener), threading.Event()
    drip(held.dul.socket.socket, b"\x04\x00\x00\x00\x01\x00" + bytes(200), stop)  # ends when it is closed
    wait_for(lambda: not listener._senders)
    assert closed(metrics, "overdue") == 1
    wait_for(lambda: send_study(listener.port, ct_datasets("afterwards")) == [0, 0, 0])


def test_an_association_that_only_verifies_gives_its_place_back(listen: Listen) -> None:
    listener, metrics = listen(timeouts=_SHORT, max_associations=1)
    held = association(listener)

    def echoes() -> bool:
        return "Status" in held.send_c_echo() if held.is_established else False

    wait_for(lambda: not echoes())
    wait_for(lambda: not listener._senders)
    assert closed(metrics, "overdue") == 1
    wait_for(lambda: send_study(listener.port, ct_datasets("afterwards")) == [0, 0, 0])


def test_a_slow_sender_has_a_second_for_every_64_kib() -> None:
    timeouts = Listener(allowed_calling_ae_titles=("*",)).timeouts
    sender = listener_module._Sender(since=1000.0, bytes=10 * 65_536)
    assert not sender.is_overdue(1000 + 129, timeouts)
    assert sender.is_overdue(1000 + 131, timeouts)
    sender.is_storing = True  # the service's own time
    assert not sender.is_overdue(1e6, timeouts)


def test_associations_beyond_the_limit_are_rejected_and_may_come_back(listen: Listen) -> None:
    listener, metrics = listen(max_associations=1)
    held = association(listener)
    assert send_study(listener.port, ct_datasets("second")) == []
    assert metrics.registry.get_sample_value("cspine_associations_total", {"outcome": "rejected"}) == 1
    held.release()
    wait_for(lambda: send_study(listener.port, ct_datasets("second")) == [0, 0, 0])


def test_connections_that_come_to_nothing_are_logged_as_numbers(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener_module, "_LOG_EVERY_S", 0.2)
    listener, metrics = listen()
    for _ in range(30):
        with connect(listener) as noisy:
            noisy.sendall(b"GET / HTTP/1.1\r\n\r\n")
    wait_for(lambda: closed(metrics, "no_association") == 30)
    wait_for(lambda: any("reasons" in vars(record) for record in caplog.records))
    assert len(caplog.records) < 30


def test_stopping_does_not_wait_for_silent_connections(listen: Listen) -> None:
    listener, _ = listen()
    with connect(listener) as silent:
        wait_for(lambda: len(listener._pending) == 1)
        listener.stop()
        assert ended(silent)
