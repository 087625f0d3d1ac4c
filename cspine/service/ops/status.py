"""The HTTP port: /healthz for supervisors and load balancers, /metrics for Prometheus."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from cspine.core.errors import ListenerError
from cspine.service.config import Http
from cspine.service.network.connections import PendingConnections

_MAX_CONNECTIONS = 32
#: Returns whether the service is healthy, and its status as JSON-compatible values.
Health = Callable[[], tuple[bool, dict[str, Any]]]


class _Server(ThreadingHTTPServer):
    """A server with a bounded number of connections: the oldest makes way, so that silent ones do no harm."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._connections = PendingConnections(_MAX_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request, str(client_address[0]))
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.remove(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: a connection that ends early is no error of the service."""


class StatusServer:
    """HTTP server of /healthz (200 or 503, JSON) and /metrics.

    Parameters
    ----------
    config : Http
        The port.
    registry : CollectorRegistry
        The metrics.
    health : callable
        Called for each request, so that the gauges are up to date.

    Raises
    ------
    ListenerError
        If the port cannot be opened.
    """

    def __init__(self, config: Http, registry: CollectorRegistry, health: Health) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                healthy, status = health()
                if self.path == "/healthz":
                    self._answer(200 if healthy else 503, "application/json", json.dumps(status).encode())
                elif self.path == "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                else:
                    self._answer(404, "text/plain", b"/healthz or /metrics\n")

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing: supervisors send a request every few seconds."""

        try:
            self._server = _Server((config.host, config.port), Handler)
        except OSError as error:
            raise ListenerError(f"cannot open HTTP port {config.port}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="http", daemon=True)

    @property
    def port(self) -> int:
        """Return the port that the server listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Start to answer requests."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
