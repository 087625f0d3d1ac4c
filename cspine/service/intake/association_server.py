"""The server of the DICOM port: it makes an association of a connection only when its request is received and allowed.

pynetdicom runs two threads that poll for each connection, and counts every connection as an association. Here a silent
one has a single sleeping thread, and costs no association.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from cspine.service.intake.association_request import (
    HEADER_BYTES,
    TOO_MANY,
    OversizedPduError,
    Rejection,
    body_length,
    evaluate_request,
    receive_request,
)
from cspine.service.network.connections import PendingConnections, hang_up


class PduSocket(AssociationSocket):
    """The socket of an association whose request was already received.

    Parameters
    ----------
    association : Association
        The association.
    connection : socket
        Its connection.
    received : bytes
        The PDU that was received.
    on_oversized : callable
        Called where a PDU announces more bytes than any peer may send; the connection is then closed.
    """

    def __init__(
        self, association: Association, connection: socket.socket, received: bytes, on_oversized: Callable[[], None]
    ) -> None:
        super().__init__(association, client_socket=connection)
        self._received = bytearray(received)
        self._on_oversized = on_oversized
        self._body_bytes = 0
        self._pdu_since: float | None = None
        #: Whether the service has ended the connection.
        self.is_closed = False

    @property
    def ready(self) -> bool:
        """Return whether there is something to read."""
        return bool(self._received) or super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        """Return the header or the rest of a PDU; less where the connection ends."""
        if self._body_bytes == 0:
            self._pdu_since = time.monotonic()
        data = self._received[:nr_bytes]
        del self._received[:nr_bytes]
        if len(data) < nr_bytes:
            data += super().recv(nr_bytes - len(data))
        if len(data) == nr_bytes:
            self._advance(bytes(data))
        return data

    def _advance(self, data: bytes) -> None:
        """Follow the PDU: after a header comes its body, after a body the next PDU."""
        try:
            is_header = self._body_bytes == 0 and len(data) == HEADER_BYTES
            self._body_bytes = body_length(data) if is_header else 0
        except OversizedPduError:
            self._on_oversized()
            self.close()
            raise
        if self._body_bytes == 0:
            self._pdu_since = None

    def pdu_takes_s(self, now: float) -> float:
        """Return the seconds since the PDU that is being received started; 0 between PDUs."""
        return 0.0 if (since := self._pdu_since) is None else now - since

    def hang_up(self) -> None:
        """End the connection from another thread."""
        self.is_closed = True
        if self.socket is not None:
            hang_up(self.socket)


class _Handler(RequestHandler):
    """Start an association whose request was received."""

    def __init__(self, request: socket.socket, client_address: Any, server: DicomServer, received: bytes) -> None:
        self._received = received
        self._on_oversized = server.on_oversized
        super().__init__(request, client_address, server)

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.dul.event_queue.get_nowait()  # the connection, reported by the socket that is replaced
        association.dul.socket = PduSocket(association, self.request, self._received, self._on_oversized)
        return association


class DicomServer(ThreadedAssociationServer):
    """The server of pynetdicom, with TLS handshake and association request received in a thread and by a deadline.

    `configure` is called before the server is started.
    """

    daemon_threads = True
    request_queue_size = 128

    def configure(
        self,
        pending: PendingConnections,
        on_tick: Callable[[], None],
        on_rejected: Callable[[Rejection], None],
        on_failed: Callable[[BaseException], None],
        on_oversized: Callable[[], None],
    ) -> None:
        """Set what the server reports to.

        Parameters
        ----------
        pending : PendingConnections
            Where connections wait until they are accepted.
        on_tick : callable
            Called several times per second.
        on_rejected : callable
            Called with the reason when an association is rejected.
        on_failed : callable
            Called with the error of a connection that did not become an association.
        on_oversized : callable
            Called where a PDU announces more bytes than any peer may send.
        """
        self.pending = pending
        self.on_tick = on_tick
        self.on_rejected = on_rejected
        self.on_failed = on_failed
        self.on_oversized = on_oversized
        self._admission = threading.Lock()

    # --- in the thread of the port ------------------------------------------------------------------------------------

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; its handshake takes place in a thread."""
        assert self.socket is not None
        return self.socket.accept()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection, and end another connection if there are too many."""
        self.pending.add(request, str(client_address[0]))
        try:
            super().process_request(request, client_address)
        except BaseException:  # no more threads
            self.pending.remove(request)
            raise

    def service_actions(self) -> None:
        """Check the deadlines."""
        super().service_actions()
        self.on_tick()

    # --- in the thread of a connection --------------------------------------------------------------------------------

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Receive the association request, and start or reject the association; a failure costs the connection."""
        deadline = time.monotonic() + float(self.ae.acse_timeout or 0)
        connection = request
        try:
            connection = self._wrapped(request)
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            pdu = receive_request(connection, deadline)
            connection.settimeout(self.ae.network_timeout)
            self._admit(connection, client_address, pdu)
        except Exception as error:
            if self.pending.remove(connection):  # not closed for another one
                self.on_failed(error)
            connection.close()
        finally:
            self.pending.remove(connection)

    def _wrapped(self, request: socket.socket) -> socket.socket:
        """Return the socket for TLS, before its handshake; the connection itself without TLS."""
        if self.ssl_context is None:
            return request
        wrapped = self.ssl_context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        if not self.pending.replace(request, wrapped):
            wrapped.close()
            raise ConnectionAbortedError("closed for another connection")
        return wrapped

    def _admit(self, connection: socket.socket, client_address: Any, pdu: bytes) -> None:
        rejection = evaluate_request(pdu, self.ae_title, self.ae.require_calling_aet)
        with self._admission:  # counted and started in one step
            if rejection is None and len(self.active_associations) >= self.ae.maximum_associations:
                rejection = TOO_MANY
            if rejection is None:
                _Handler(connection, client_address, self, pdu)
                return
        connection.sendall(rejection.pdu())
        self.on_rejected(rejection)
        hang_up(connection)
        connection.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report a connection that had no thread; called while its exception is handled."""
        error = sys.exc_info()[1]
        assert error is not None
        self.on_failed(error)
