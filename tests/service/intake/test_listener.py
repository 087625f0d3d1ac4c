"""The DICOM port, with real senders."""

from __future__ import annotations

import copy
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import JPEGLSLossless, RLELossless
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.events import Event

from cspine.core.errors import ListenerError, RoutingConfigError
from cspine.service.config import Limits, Listener
from cspine.service.intake.inbox import Inbox
from cspine.service.intake.instances import INCOMPLETE, file_name
from cspine.service.intake.listener import VERIFICATION, DicomListener
from cspine.service.intake.store import identify
from cspine.service.ops.metrics import Metrics
from cspine.service.queue.job import study_key
from cspine.service.queue.spool import Spool
from tests.builders.raises import raises_code
from tests.builders.segmentations import as_bytes
from tests.builders.studies import ct_datasets
from tests.service.fakes import free_port, send_study, wait_for

Started = tuple[DicomListener, Spool, Inbox, Metrics]


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Open a DICOM port; it is closed with the test."""
    opened = []

    def start(limits: Limits | None = None, **changes: Any) -> Started:
        settings = {"port": free_port(), "allowed_calling_ae_titles": ["SCANNER"]} | changes
        spool, metrics = Spool(tmp_path / "spool"), Metrics()
        limits = limits or Limits(min_free_bytes=0)
        inbox = Inbox(spool, limits)
        listener = DicomListener(Listener.model_validate(settings), limits, inbox, metrics)
        listener.start()
        opened.append(listener)
        return listener, spool, inbox, metrics

    yield start
    for listener in opened:
        listener.stop()


def count(metrics: Metrics, name: str, **labels: str) -> float:
    """Value of a metric."""
    return metrics.registry.get_sample_value(f"cspine_{name}", labels) or 0


def test_instances_are_stored_as_they_were_encoded(listen):
    listener, spool, inbox, metrics = listen()
    datasets = ct_datasets("encoded", 4)
    for syntax, dataset in zip((RLELossless, JPEGLSLossless), (0, 1), strict=True):
        datasets[dataset] = copy.deepcopy(datasets[dataset])
        datasets[dataset].compress(syntax)
    assert send_study(listener.port, datasets) == [0] * 4
    folder = spool.incoming / study_key(datasets[0].StudyInstanceUID)
    for dataset in datasets:
        assert (folder / file_name(dataset.SOPInstanceUID)).read_bytes()[-900:] == as_bytes(dataset)[-900:]
    assert count(metrics, "instances_received_total") == 4
    assert inbox.complete_studies(0) == [folder.name]


@pytest.mark.parametrize(("calling", "called"), [("STRANGER", "CSPINE"), ("SCANNER", "OTHER")])
def test_unknown_senders_are_rejected(calling, called, listen):
    listener, spool, _, metrics = listen()
    assert send_study(listener.port, ct_datasets("stranger"), calling, called) == []
    assert list(spool.incoming.iterdir()) == []
    assert count(metrics, "associations_total", outcome="rejected") == 1


def test_a_star_allows_any_sender_and_an_echo_succeeds(listen):
    listener, *_ = listen(allowed_calling_ae_titles=["*"])
    ae = AE("ANYBODY")
    ae.add_requested_context(VERIFICATION)
    association = ae.associate("127.0.0.1", listener.port, ae_title="CSPINE")
    assert association.send_c_echo().Status == 0
    association.release()


def test_a_study_is_not_complete_during_its_transfer_and_is_marked_after_an_interruption(listen):
    listener, spool, inbox, metrics = listen()
    first, second = ct_datasets("broken", 2)
    folder = spool.incoming / study_key(first.StudyInstanceUID)
    ae = AE("SCANNER")
    ae.add_requested_context(first.SOPClassUID, first.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", listener.port, ae_title="CSPINE")
    assert association.send_c_store(first).Status == 0
    assert inbox.complete_studies(0) == []
    association.abort()
    wait_for(lambda: (folder / INCOMPLETE).exists())
    assert inbox.complete_studies(0) == [folder.name]
    assert count(metrics, "associations_total", outcome="aborted") == 1
    assert send_study(listener.port, [first, second]) == [0, 0]
    wait_for(lambda: not (folder / INCOMPLETE).exists())


def _associated(port: int, dataset: Dataset) -> Association:
    ae = AE("SCANNER")
    ae.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    return ae.associate("127.0.0.1", port, ae_title="CSPINE")


def test_all_studies_that_an_association_interleaves_are_marked_after_an_interruption(listen):
    listener, spool, inbox, _ = listen()
    one, other, third = ct_datasets("one", 4), ct_datasets("other", 4), ct_datasets("third", 4)
    keys = [study_key(datasets[0].StudyInstanceUID) for datasets in (one, other, third)]
    association = _associated(listener.port, one[0])
    for dataset in (third[0], one[0], other[0], one[1], other[1]):  # the third study was ended before that showed
        assert association.send_c_store(dataset).Status == 0
    assert inbox.complete_studies(0) == keys[2:]
    association.abort()
    wait_for(lambda: not listener._senders)
    assert [(spool.incoming / key / INCOMPLETE).exists() for key in keys] == [True, True, False]


def test_studies_one_after_the_other_end_with_the_next_one_and_interleaved_ones_after_a_while(listen):
    listener, _, inbox, _ = listen()
    one, other = ct_datasets("one", 4), ct_datasets("other", 4)
    keys = [study_key(datasets[0].StudyInstanceUID) for datasets in (one, other)]
    association = _associated(listener.port, one[0])
    for dataset, complete in ((one[0], []), (other[0], keys[:1]), (one[1], []), (other[1], [])):
        assert association.send_c_store(dataset).Status == 0
        assert inbox.complete_studies(0) == complete
    (sender,) = listener._senders.values()
    sender.transfers[one[0].StudyInstanceUID].last -= 1000
    assert association.send_c_store(other[2]).Status == 0
    assert inbox.complete_studies(0) == keys[:1]
    association.release()
    wait_for(lambda: set(inbox.complete_studies(0)) == set(keys))


def test_garbage_and_idle_connections_block_no_sender(listen):
    listener, *_ = listen(timeouts={"negotiation_s": 0.5, "message_s": 0.5, "idle_s": 0.5})
    with socket.create_connection(("127.0.0.1", listener.port)) as silent:
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\xff\xff\xff\xff", b"\x04\x00\x00\x00\x00\x04abcd", b"\x00"):
            with socket.create_connection(("127.0.0.1", listener.port)) as noisy:
                noisy.sendall(noise)
        assert send_study(listener.port, ct_datasets("after noise")) == [0, 0, 0]
        silent.settimeout(10)
        while silent.recv(100):  # the listener closes it, with or without A-ABORT
            pass
    wait_for(lambda: not listener._senders)


def test_an_oversized_instance_is_rejected_before_it_exhausts_memory(listen, monkeypatch):
    monkeypatch.setattr("cspine.service.intake.listener._OVERHEAD_BYTES", 1000)
    listener, spool, _, metrics = listen(limits=Limits(min_free_bytes=0, max_instance_bytes=100_000))
    large = copy.deepcopy(ct_datasets("large", 1)[0])
    large.PixelData = b"\x00" * 1_000_000
    ae = AE("SCANNER")
    ae.add_requested_context(large.SOPClassUID, large.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", listener.port, ae_title="CSPINE")
    assert "Status" not in association.send_c_store(large)
    assert count(metrics, "instances_refused_total", reason="too_large") >= 1
    assert list(spool.incoming.iterdir()) == []


def test_a_connection_closed_during_validation_does_not_block_its_study(listen, monkeypatch):
    listener, _, inbox, _ = listen()
    checked, gone = threading.Event(), threading.Event()

    def slow(file: bytes, limit: int) -> Mapping[str, str] | None:
        checked.set()
        assert gone.wait(10)
        return identify(file, limit)

    monkeypatch.setattr("cspine.service.intake.store.identify", slow)
    first, *_ = ct_datasets("gone")
    ae = AE("SCANNER")
    ae.add_requested_context(first.SOPClassUID, first.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", listener.port, ae_title="CSPINE")
    threading.Thread(target=association.send_c_store, args=(first,), daemon=True).start()
    assert checked.wait(10)
    for open_association in list(listener._senders):  # as when the connection closes in pynetdicom's own thread
        listener._end(open_association, interrupted=True)
    gone.set()
    association.abort()
    wait_for(lambda: not listener._senders)
    monkeypatch.undo()
    assert send_study(listener.port, ct_datasets("gone")) == [0, 0, 0]
    wait_for(lambda: inbox.complete_studies(0) == [study_key(first.StudyInstanceUID)])


def test_a_connection_closed_during_a_write_marks_its_study_as_incomplete(listen, monkeypatch):
    listener, spool, inbox, _ = listen()
    add = inbox.add

    def slow(*instance: Any) -> None:
        for open_association in list(listener._senders):
            listener._end(open_association, interrupted=True)
        add(*instance)

    monkeypatch.setattr(inbox, "add", slow)
    first, *_ = ct_datasets("gone late")
    send_study(listener.port, [first])
    study = study_key(first.StudyInstanceUID)
    wait_for((spool.incoming / study / INCOMPLETE).exists)
    assert inbox.complete_studies(0) == [study]


def test_a_study_with_refused_instances_is_marked_until_they_are_sent(listen):
    listener, spool, *_ = listen(limits=Limits(min_free_bytes=0, max_study_instances=2))
    datasets = ct_datasets("refused")
    assert send_study(listener.port, datasets) == [0, 0, 0xA700]
    mark = spool.incoming / study_key(datasets[0].StudyInstanceUID) / INCOMPLETE
    wait_for(mark.exists)
    assert send_study(listener.port, datasets[:2]) == [0, 0]
    wait_for(lambda: not mark.exists())


@pytest.mark.parametrize("kind", [b"\x01", b"\x04"], ids=["association", "data"])
def test_a_pdu_of_gigabytes_is_rejected_by_its_header(listen, kind):
    listener, _, _, metrics = listen()
    with socket.create_connection(("127.0.0.1", listener.port)) as noisy, pytest.raises(OSError):
        noisy.settimeout(10)
        noisy.sendall(kind + b"\x00\x7f\xff\xff\xff")
        for _ in range(640):  # 40 MiB: far more than the buffers between the two
            noisy.sendall(bytes(65_536))
    wait_for(lambda: count(metrics, "connections_closed_total", reason="no_association") == 1)
    assert send_study(listener.port, ct_datasets("after it")) == [0, 0, 0]


def test_a_pdu_of_gigabytes_within_an_association_is_rejected_by_its_header(listen):
    listener, _, _, metrics = listen()
    ae = AE("SCANNER")
    ae.add_requested_context(VERIFICATION)
    association = ae.associate("127.0.0.1", listener.port, ae_title="CSPINE")
    association.dul.socket.socket.sendall(b"\x04\x00\x7f\xff\xff\xff")
    wait_for(lambda: count(metrics, "instances_refused_total", reason="too_large") == 1)
    wait_for(lambda: not listener._senders)
    assert send_study(listener.port, ct_datasets("after it")) == [0, 0, 0]


def test_a_full_spool_refuses_instances(listen):
    listener, _, _, metrics = listen(limits=Limits(min_free_bytes=0, max_spool_bytes=10))
    assert send_study(listener.port, ct_datasets("full")) == [0xA700] * 3
    assert count(metrics, "instances_refused_total", reason="out_of_resources") == 3


def test_a_port_in_use_is_an_error_with_advice(listen):
    listener, *_ = listen()
    with raises_code(ListenerError, listener.port):
        listen(port=listener.port)


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "crt.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=cspine test", "-addext", "subjectAltName=IP:127.0.0.1",
         "-out", str(files[0]), "-keyout", str(files[1])],
        check=True, capture_output=True,
    )  # fmt: skip
    return files


def test_tls_accepts_a_sender_with_a_certificate_and_no_other(listen, certificate):
    crt, key = certificate
    listener, *_ = listen(
        tls={"certificate": str(crt), "key": str(key), "ca": str(crt)},
        timeouts={"negotiation_s": 1, "message_s": 1, "idle_s": 1},
    )
    with socket.create_connection(("127.0.0.1", listener.port)):  # starts no handshake
        context = ssl.create_default_context(cafile=str(crt))
        context.load_cert_chain(crt, key)
        ae = AE("SCANNER")
        ae.add_requested_context(VERIFICATION)
        known = ae.associate("127.0.0.1", listener.port, ae_title="CSPINE", tls_args=(context, "127.0.0.1"))
        assert known.send_c_echo().Status == 0
        known.release()
    unknown = ae.associate(
        "127.0.0.1", listener.port, ae_title="CSPINE",
        tls_args=(ssl.create_default_context(cafile=str(crt)), "127.0.0.1"),
    )  # fmt: skip
    assert not unknown.is_established
    assert send_study(listener.port, ct_datasets("no tls")) == []


def test_an_invalid_certificate_is_refused(listen, tmp_path):
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    with raises_code(RoutingConfigError, "listener.tls"):
        listen(tls={"certificate": str(nonsense), "key": str(nonsense), "require_client_certificate": False})


def test_a_sender_keeps_an_instance_that_an_exhausted_machine_cannot_read(listen, monkeypatch):
    def exhausted(_):
        raise MemoryError

    listener, _, _, metrics = listen()
    monkeypatch.setattr(Event, "encoded_dataset", exhausted)
    assert send_study(listener.port, ct_datasets("memory", 1)) == [0xA700]
    assert count(metrics, "unexpected_errors_total", thread="listener") == 1
