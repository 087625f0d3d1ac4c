"""One attempt to deliver, by C-STORE and STOW-RS."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

from cspine.service.config import Destination
from cspine.service.delivery.send import classify_response, classify_status, send
from tests.builders.segmentations import as_bytes, segmentation_dataset
from tests.service.fakes import Pacs, free_port


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    path = tmp_path / "segmentation.dcm"
    path.write_bytes(as_bytes(segmentation_dataset("1.2.3", "1.2.3.4")))
    return [path]


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    pacs = Pacs()
    yield pacs
    pacs.stop()


def by_dicom(port: int, **changes: object) -> Destination:
    """A destination on this machine."""
    dicom = {"host": "127.0.0.1", "port": port, "ae_title": "PACS", "timeout_s": 3} | changes
    return Destination.model_validate({"name": "pacs", "dicom": dicom})


@pytest.mark.parametrize(
    ("status", "outcome", "warned"),
    [
        (0x0000, "delivered", False),
        (0xB000, "delivered", True),
        (0xB007, "delivered", True),
        (0x0111, "delivered", False),
        (0xA700, "retry", False),
        (0xA702, "retry", False),
        (0x0213, "retry", False),
        (0x0122, "refused", False),
        (0xA900, "refused", False),
        (0xC000, "refused", False),
        (0x0110, "refused", False),
    ],
)
def test_each_status_has_its_meaning(status: int, outcome: str, warned: bool) -> None:
    sent = classify_status(status)
    assert (sent.outcome, bool(sent.warnings)) == (outcome, warned)


def failed(reason: int) -> bytes:
    """Body of an answer that names an instance that failed."""
    return json.dumps({"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [reason]}}]}}).encode()


@pytest.mark.parametrize(
    ("status", "content", "outcome"),
    [
        (200, b"{}", "delivered"),
        (200, b"", "delivered"),
        (200, failed(0xA900), "refused"),
        (202, failed(0xA700), "retry"),
        (202, b"{}", "delivered"),
        (202, b"<xml/>", "retry"),
        (202, b'{"00081198": {"vr": "SQ", "Value": [{}]}}', "refused"),
        (200, b"<xml/>", "delivered"),
        (409, failed(0x0111), "delivered"),
        (409, failed(0xC122), "refused"),
        (409, b"<html>", "refused"),
        (400, b"", "refused"),
        (415, b"", "refused"),
        (401, b"", "retry"),
        (408, b"", "retry"),
        (429, b"", "retry"),
        (429, failed(0xA900), "retry"),
        (500, failed(0xC000), "retry"),
        (503, b"", "retry"),
        (302, b"", "refused"),
    ],
)
def test_each_http_status_has_its_meaning(status: int, content: bytes, outcome: str) -> None:
    assert classify_response(status, content).outcome == outcome


def test_an_object_is_delivered_by_c_store(files: list[Path], pacs: Pacs) -> None:
    assert send(files, by_dicom(pacs.port)).outcome == "delivered"
    assert pacs.uids == ["1.2.3.4"]


def test_the_status_of_the_destination_counts(files: list[Path], pacs: Pacs) -> None:
    pacs.status = 0xA700
    assert send(files, by_dicom(pacs.port)).outcome == "retry"
    pacs.status = 0xC123
    assert send(files, by_dicom(pacs.port)).outcome == "refused"


def test_an_unreachable_destination_is_retried(files: list[Path]) -> None:
    assert send(files, by_dicom(free_port())).outcome == "retry"
    url = f"http://127.0.0.1:{free_port()}/dicom-web"
    web = Destination.model_validate({"name": "web", "dicomweb": {"url": url, "timeout_s": 2}})
    assert send(files, web).outcome == "retry"


def test_a_sop_class_that_is_not_supported_is_refused(files: list[Path]) -> None:
    only_ct = Pacs([CTImageStorage])
    sent = send(files, by_dicom(only_ct.port))
    only_ct.stop()
    assert sent.outcome == "refused"


def test_a_destination_that_knows_only_the_default_transfer_syntax_gets_it(files: list[Path]) -> None:
    old = Pacs(syntax=ImplicitVRLittleEndian)
    assert send(files, by_dicom(old.port)).outcome == "delivered"
    old.stop()
    assert old.got[0].file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert old.got[0].PatientID == "PRIVATE-77"


def test_a_missing_password_is_retried(files: list[Path], tmp_path: Path) -> None:
    credentials = {"user": "u", "password_file": str(tmp_path / "none")}
    web = {"name": "web", "dicomweb": {"url": "http://127.0.0.1:9", "credentials": credentials}}
    sent = send(files, Destination.model_validate(web))
    assert (sent.outcome, "none" in sent.message) == ("retry", True)


class _Web(BaseHTTPRequestHandler):
    got: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, dict(self.headers), body))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_file_is_delivered_by_stow(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACS_TOKEN", "abc")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Web) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/dicom-web/"
        web = {"name": "web", "dicomweb": {"url": url, "credentials": {"token_variable": "PACS_TOKEN"}}}
        assert send(files, Destination.model_validate(web)).outcome == "delivered"
        server.shutdown()
    path, headers, body = _Web.got[0]
    assert path == "/dicom-web/studies"
    assert headers["Authorization"] == "Bearer abc"
    assert files[0].read_bytes() in body
    assert body.count(headers["Content-Type"].rpartition("boundary=")[2].encode()) == 2
