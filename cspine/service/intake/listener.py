"""The DICOM port: a Storage and Verification SCP that keeps what it is sent, as it was encoded."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.transport import ThreadedAssociationServer

from cspine.core.errors import ListenerError, SpoolError, hashed
from cspine.service.config import Limits, Listener
from cspine.service.intake.arrivals import Arrivals
from cspine.service.intake.receive import Answer, store
from cspine.service.network.tls import server_context
from cspine.service.ops.metrics import Metrics

_log = logging.getLogger(__name__)

#: Little and big endian, deflated, RLE and the JPEG families: what CT comes in. Video is left out.
TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.203",
)
VERIFICATION = "1.2.840.10008.1.1"
_P_DATA_TF = b"\x04"
_OVERHEAD = 2**20  # of the protocol around an instance
_LARGEST_PDU = 2**20  # what was negotiated is smaller, and so is any request for an association
_PATIENCE_S = 10.0
_LOOK_S = 0.1  # whether to stop


@dataclass
class _Sender:
    """An open association: the study that it is sending, and what came of its instances.

    ``refused`` holds the SOP Instance UIDs of the study that were not taken, ``held_since`` what `Arrivals.hold` gave.
    """

    study_uid: str = ""
    held_since: int = 0
    refused: set[str] = field(default_factory=set)
    bytes: int = 0
    answered_at_stop: bool = False


class _Server(ThreadedAssociationServer):
    """pynetdicom's server, but that a TLS handshake holds up no other, and a broken connection is one log line."""

    def get_request(self) -> tuple[socket.socket, Any]:
        assert self.socket is not None
        client, address = self.socket.accept()
        client.settimeout(self.ae.network_timeout)
        return client, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Begin an association, in a thread of its own."""
        if self.ssl_context is not None:
            request.settimeout(self.ae.acse_timeout)
            request = self.ssl_context.wrap_socket(request, server_side=True)
            request.settimeout(self.ae.network_timeout)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say that a connection came to nothing."""
        _log.warning("connection failed before an association", exc_info=False)


class DicomListener:
    """Receives studies by DICOM.

    Parameters
    ----------
    config : Listener
        The port and who may send.
    limits : Limits
        What is refused.
    arrivals : Arrivals
        Where instances go.
    metrics : Metrics
        What is counted.
    """

    def __init__(self, config: Listener, limits: Limits, arrivals: Arrivals, metrics: Metrics) -> None:
        self._config = config
        self._limits = limits
        self._arrivals = arrivals
        self._metrics = metrics
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._stopping = False
        self._senders: dict[Any, _Sender] = {}
        ae = AE(config.ae_title)
        ae.require_called_aet = True
        allowed = config.allowed_calling_ae_titles
        ae.require_calling_aet = [] if "*" in allowed else list(allowed)
        ae.acse_timeout = config.timeouts.negotiation_s
        ae.dimse_timeout = config.timeouts.message_s
        ae.network_timeout = config.timeouts.silence_s
        ae.maximum_associations = config.maximum_associations
        ae.maximum_pdu_size = 131_072
        ae.add_supported_context(VERIFICATION)
        for context in AllStoragePresentationContexts:
            assert context.abstract_syntax is not None
            ae.add_supported_context(context.abstract_syntax, list(TRANSFER_SYNTAXES))
        self._ae = ae

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._server is not None
        return int(self._server.server_address[1])

    @property
    def alive(self) -> bool:
        """Whether connections are accepted."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Open the port.

        Raises
        ------
        ListenerError
            If it cannot be opened.
        RoutingConfigError
            If a certificate cannot be used.
        """
        context: ssl.SSLContext | None = server_context(self._config.tls) if self._config.tls else None
        handlers = [
            (evt.EVT_CONN_OPEN, self._on_open),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_DATA_RECV, self._on_data),
            (evt.EVT_ACCEPTED, self._on_accepted),
            (evt.EVT_REJECTED, self._on_rejected),
            (evt.EVT_RELEASED, self._on_released),
            (evt.EVT_ABORTED, self._on_broken),
            (evt.EVT_CONN_CLOSE, self._on_broken),
        ]
        try:
            server = self._ae.make_server(
                (self._config.host, self._config.port),
                ssl_context=context,
                evt_handlers=handlers,  # type: ignore[arg-type]
                server_class=_Server,
            )
        except OSError as error:
            raise ListenerError(f"DICOM port {self._config.port} cannot be opened: {error.strerror}") from error
        assert isinstance(server, _Server)
        self._server = server
        self._ae._servers.append(server)
        self._thread = threading.Thread(target=server.serve_forever, args=(_LOOK_S,), name="listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port; an instance that is on its way is finished, then its association is aborted."""
        if self._server is None:
            return
        self._stopping = True
        self._server.shutdown()
        patience = time.monotonic() + _PATIENCE_S
        while self._busy() and time.monotonic() < patience:
            time.sleep(0.02)
        time.sleep(0.1)  # for answers on their way
        for association in list(self._senders):
            association.abort()
            association.join(_PATIENCE_S)

    def _busy(self) -> bool:
        with self._lock:
            return any(sender.bytes and not sender.answered_at_stop for sender in self._senders.values())

    # --- events, each in a thread of its association ------------------------------------------------------------------

    def _on_open(self, event: evt.Event) -> None:
        """Let nobody announce a PDU that would fill the memory while it is read: its length comes first."""
        connection = event.assoc.dul.socket
        assert connection is not None
        read = connection.recv

        def recv(nr_bytes: int) -> bytearray:
            if nr_bytes > _LARGEST_PDU:
                self._metrics.refused.labels("too large").inc()
                _log.error("connection closed: it announced a PDU of %d bytes", nr_bytes)
                connection.close()
                raise ConnectionAbortedError
            return read(nr_bytes)

        connection.recv = recv  # type: ignore[method-assign]

    def _on_accepted(self, event: evt.Event) -> None:
        self._metrics.associations.labels("accepted").inc()
        with self._lock:
            self._senders[event.assoc] = _Sender()

    def _on_rejected(self, event: evt.Event) -> None:
        self._metrics.associations.labels("rejected").inc()
        _log.warning("association rejected: AE title not allowed, or too many associations")

    def _on_data(self, event: evt.Event) -> None:
        """Count what comes of an instance: one over the limit must not fill the memory."""
        sender = self._senders.get(event.assoc)
        if sender is None or event.data[:1] != _P_DATA_TF:
            return
        sender.bytes += len(event.data)
        if sender.bytes > self._limits.instance_bytes + _OVERHEAD:
            self._metrics.refused.labels("too large").inc()
            _log.error("connection closed: an instance has more than %d bytes", self._limits.instance_bytes)
            event.assoc.dul.socket.close()  # type: ignore[union-attr]

    def _on_store(self, event: evt.Event) -> int:
        sender, request = self._senders.get(event.assoc), event.request
        if sender is None:
            return 0xA700

        def begin(study_uid: str) -> None:
            with self._lock:  # the connection may close meanwhile, in another thread
                if event.assoc not in self._senders:
                    raise SpoolError("its sender has gone")
                if study_uid != sender.study_uid:  # some senders keep one association for a day of studies
                    self._let_go(sender, interrupted=False)
                    sender.study_uid, sender.held_since = study_uid, self._arrivals.hold(study_uid)

        sop_class, sop_instance = (str(getattr(request, f"AffectedSOP{part}UID")) for part in ("Class", "Instance"))
        try:
            answer = store(self._arrivals, event.encoded_dataset(), sop_class, sop_instance, begin)
        except Exception as error:  # whatever it is, the sender shall keep the instance
            _log.error("unexpected error while receiving", exc_info=error)
            self._metrics.errors.labels("listener").inc()
            answer = Answer(0xA700, "error")
        if not answer.reason and event.assoc not in self._senders:  # it went while its instance was written
            held = self._arrivals.hold(answer.study_uid)
            self._arrivals.let_go(answer.study_uid, held, interrupted=True)
        sender.bytes = 0
        sender.answered_at_stop = self._stopping
        if answer.reason:
            self._metrics.refused.labels(answer.reason).inc()
            sender.refused.add(sop_instance)
        else:
            self._metrics.received.inc()
            sender.refused.discard(sop_instance)
        return answer.status

    def _on_released(self, event: evt.Event) -> None:
        self._end(event.assoc, interrupted=False)

    def _on_broken(self, event: evt.Event) -> None:
        self._end(event.assoc, interrupted=True)

    def _end(self, association: Any, *, interrupted: bool) -> None:
        with self._lock:
            sender = self._senders.pop(association, None)
            if sender is None:
                return
            if interrupted:
                self._metrics.associations.labels("broken").inc()
                study = hashed(sender.study_uid) if sender.study_uid else None
                _log.warning("a sender broke off", extra={"study": study})
            self._let_go(sender, interrupted=interrupted)

    def _let_go(self, sender: _Sender, *, interrupted: bool) -> None:
        """End with a sender's study; instances that were refused and not sent again are missing as after a break."""
        if sender.study_uid:
            broken = interrupted or bool(sender.refused)
            self._arrivals.let_go(sender.study_uid, sender.held_since, interrupted=broken)
            sender.refused = set()
