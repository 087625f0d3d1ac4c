"""Responses of DICOMweb servers are bounded while they arrive."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from cspine.service.config import WebServer
from cspine.service.network import web
from cspine.service.network.web import OversizedBodyError, session

Serve = Callable[[Callable[[BaseHTTPRequestHandler], None]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Answer every request with a function; returns the address."""
    servers = []

    def start(answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with suppress(OSError):  # the other side hangs up
                    answer(self)
                self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def head(handler: BaseHTTPRequestHandler, status: int = 200, **headers: str) -> None:
    """Send the header of a response."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def endless(handler: BaseHTTPRequestHandler) -> None:
    """A chunked body without an end."""
    head(handler, Content_Type="multipart/related", Transfer_Encoding="chunked")
    while True:
        handler.wfile.write(b"10000\r\n" + bytes(65_536) + b"\r\n")


def without_length(handler: BaseHTTPRequestHandler) -> None:
    """A body without an end that announces no length."""
    head(handler, Content_Type="application/dicom", Connection="close")
    while True:
        handler.wfile.write(bytes(65_536))


def inflating(handler: BaseHTTPRequestHandler) -> None:
    """A small body that inflates to 100 MiB."""
    body = gzip.compress(bytes(100 * 2**20), 1)
    head(handler, Content_Type="application/dicom", Content_Encoding="gzip", Content_Length=str(len(body)))
    handler.wfile.write(body)


def redirecting(handler: BaseHTTPRequestHandler) -> None:
    """A redirection with an endless body."""
    head(handler, 302, Location="/elsewhere", Content_Type="application/dicom", Connection="close")
    while True:
        handler.wfile.write(bytes(65_536))


@pytest.mark.parametrize("answer", [endless, without_length, inflating, redirecting])
def test_a_body_beyond_the_limit_is_not_received(
    answer: Callable[[BaseHTTPRequestHandler], None], serve: Serve
) -> None:
    url = serve(answer)
    with session(WebServer(url=url), 2**20) as opened, pytest.raises(OversizedBodyError):
        opened.get(url, timeout=5)


def test_text_has_a_limit_of_its_own(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "MAX_TEXT_BYTES", 1000)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        head(handler, Content_Type="application/dicom+json", Content_Length="5000")
        handler.wfile.write(b"[" + b" " * 4998 + b"]")

    url = serve(answer)
    with session(WebServer(url=url), 2**20) as opened, pytest.raises(OversizedBodyError):
        opened.get(url, timeout=5)


def test_a_body_that_arrives_byte_by_byte_has_a_deadline(serve: Serve) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        head(handler, Content_Type="application/dicom", Content_Length="1000")
        for _ in range(1000):
            handler.wfile.write(b"x")
            time.sleep(0.05)

    url = serve(answer)
    with session(WebServer(url=url, timeout_s=0.4)) as opened, pytest.raises(requests.ReadTimeout):
        opened.get(url, timeout=0.4)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_within_the_limit_is_complete(chunked: bool, serve: Serve) -> None:
    body = bytes(range(256)) * 1000

    def answer(handler: BaseHTTPRequestHandler) -> None:
        packed = gzip.compress(body)
        if chunked:
            head(handler, Content_Encoding="gzip", Transfer_Encoding="chunked")
            handler.wfile.write(b"%x\r\n" % len(packed) + packed + b"\r\n0\r\n\r\n")
        else:
            head(handler, Content_Length=str(len(body)))
            handler.wfile.write(body)

    url = serve(answer)
    with session(WebServer(url=url)) as opened:
        assert opened.get(url, timeout=5).content == body


def test_a_body_that_ends_early_is_a_failed_request(serve: Serve) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        head(handler, Content_Length="1000")
        handler.wfile.write(b"x" * 500)

    url = serve(answer)
    with session(WebServer(url=url)) as opened, pytest.raises(requests.ConnectionError):
        opened.get(url, timeout=5)
