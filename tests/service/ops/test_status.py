"""The HTTP port answers whatever other connections do."""

from __future__ import annotations

import socket
import urllib.request
from contextlib import ExitStack

from prometheus_client import CollectorRegistry

from cspine.service.config import Http
from cspine.service.ops.status import StatusServer
from tests.service.fakes import free_port


def test_silent_connections_make_way_for_requests() -> None:
    server = StatusServer(Http(port=free_port()), CollectorRegistry(), lambda: (True, {"status": "ok"}))
    server.start()
    try:
        with ExitStack() as stack:
            silent = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(50)]
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/healthz", timeout=5) as answer:
                assert answer.status == 200
            for connection in silent[:18]:
                connection.settimeout(5)
                assert connection.recv(1) == b""
    finally:
        server.stop()
