"""The DICOM listener: a Storage and Verification SCP that stores instances as they were encoded."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pynetdicom import AE, AllStoragePresentationContexts, evt

from cspine.core.errors import ListenerError, SpoolError, hashed
from cspine.io.foreign import raise_system_limit
from cspine.service.config import Limits, Listener, Timeouts
from cspine.service.intake.association_request import MAX_PDU_BYTES, Rejection
from cspine.service.intake.association_server import DicomServer, PduSocket
from cspine.service.intake.inbox import Inbox
from cspine.service.intake.store import StoreResponse, store
from cspine.service.network.connections import PendingConnections
from cspine.service.network.tls import server_context
from cspine.service.ops.metrics import Metrics

_log = logging.getLogger(__name__)

#: Transfer syntaxes of CT: little and big endian, deflated, RLE and the JPEG families; no video.
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
_OVERHEAD_BYTES = 2**20  # of the protocol, per instance
_MIN_BYTES_PER_S = 65_536  # of a sender: 0.5 Mbit/s
_STOP_TIMEOUT_S = 10.0
_POLL_S = 0.1  # poll interval of the shutdown flag and the deadlines
_LOG_EVERY_S = 10.0  # of connections that come to nothing: an attacker may open thousands


#: The response to a request without a usable dataset.
_UNREADABLE = StoreResponse(0xC000, "unreadable")


@dataclass
class _StudyTransfer:
    """The open transfer of a study: its number from `Inbox.begin_transfer`, and when its last instance began."""

    number: int
    last: float = field(default_factory=time.monotonic)


@dataclass
class _Sender:
    """An open association: the studies that it is sending, and the state of the transfer.

    ``current`` is the study of the last instance, and ``ended`` are those before it: most senders send one study after
    the other. If one of these returns, the sender ``interleaves`` studies, and each stays open.
    ``refused`` has the SOP Instance UIDs of each study that were not stored; ``since`` is when the last instance was
    answered, and ``bytes`` were received after it.
    """

    current: str = ""
    transfers: dict[str, _StudyTransfer] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    interleaves: bool = False
    refused: dict[str, set[str]] = field(default_factory=dict)
    bytes: int = 0
    responded_at_stop: bool = False
    since: float = field(default_factory=time.monotonic)
    is_storing: bool = False

    def others_to_end(self, study_uid: str, idle_s: float) -> list[str]:
        """Return the studies whose transfers end because an instance of another one arrives.

        Of a sender that interleaves studies, these are the ones without an instance for ``idle_s``.
        """
        self.interleaves |= study_uid in self.ended
        now = time.monotonic()
        others = [(uid, transfer) for uid, transfer in self.transfers.items() if uid != study_uid]
        return [uid for uid, transfer in others if not self.interleaves or now - transfer.last > idle_s]

    def note(self, study_uid: str, instance_uid: str, *, refused: bool) -> None:
        """Note whether an instance was stored; one that names no open study counts for the current one."""
        if refused:
            study = study_uid if study_uid in self.transfers else self.current
            self.refused.setdefault(study, set()).add(instance_uid)
            return
        for instances in self.refused.values():
            instances.discard(instance_uid)

    def is_overdue(self, now: float, timeouts: Timeouts) -> bool:
        """Return whether the next instance takes too long, however regularly its bytes arrive."""
        return (
            not self.is_storing
            and now - self.since > timeouts.idle_s + timeouts.message_s + self.bytes / _MIN_BYTES_PER_S
        )


class DicomListener:
    """Receive studies by C-STORE.

    Parameters
    ----------
    config : Listener
        Port and allowed senders.
    limits : Limits
        Limits.
    inbox : Inbox
        Where instances are stored.
    metrics : Metrics
        Metrics.
    """

    def __init__(self, config: Listener, limits: Limits, inbox: Inbox, metrics: Metrics) -> None:
        self._config = config
        self._limits = limits
        self._inbox = inbox
        self._metrics = metrics
        self._server: DicomServer | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._stopping = False
        self._senders: dict[Any, _Sender] = {}
        self._pending = PendingConnections(config.max_pending_connections, lambda: self._closed("crowded"))
        self._unlogged: Counter[str] = Counter()
        self._logged_at = 0.0
        ae = AE(config.ae_title)
        ae.require_called_aet = True
        allowed = config.allowed_calling_ae_titles
        ae.require_calling_aet = [] if "*" in allowed else list(allowed)
        ae.acse_timeout = config.timeouts.negotiation_s
        ae.dimse_timeout = config.timeouts.message_s
        ae.network_timeout = config.timeouts.idle_s
        ae.maximum_associations = config.max_associations
        ae.maximum_pdu_size = 131_072
        ae.add_supported_context(VERIFICATION)
        for context in AllStoragePresentationContexts:
            assert context.abstract_syntax is not None
            ae.add_supported_context(context.abstract_syntax, list(TRANSFER_SYNTAXES))
        self._ae = ae

    @property
    def port(self) -> int:
        """Return the port that the listener uses."""
        assert self._server is not None
        return int(self._server.server_address[1])

    @property
    def alive(self) -> bool:
        """Return whether connections are accepted."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Open the port.

        Raises
        ------
        ListenerError
            If the port cannot be opened.
        RoutingConfigError
            If a certificate is invalid.
        """
        context: ssl.SSLContext | None = server_context(self._config.tls) if self._config.tls else None
        handlers = [
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_DATA_RECV, self._on_data),
            (evt.EVT_ACCEPTED, self._on_accepted),
            (evt.EVT_REJECTED, self._on_rejected),
            (evt.EVT_RELEASED, self._on_released),
            (evt.EVT_ABORTED, self._on_aborted),
            (evt.EVT_CONN_CLOSE, self._on_aborted),
        ]
        try:
            server = self._ae.make_server(
                (self._config.host, self._config.port),
                ssl_context=context,
                evt_handlers=handlers,  # type: ignore[arg-type]
                server_class=DicomServer,
            )
        except OSError as error:
            raise ListenerError(f"cannot open DICOM port {self._config.port}: {error.strerror}") from error
        assert isinstance(server, DicomServer)
        server.configure(
            self._pending, self._check_deadlines, self._on_server_rejected, self._on_failed, self._on_oversized
        )
        self._server = server
        self._ae._servers.append(server)
        self._thread = threading.Thread(target=server.serve_forever, args=(_POLL_S,), name="listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port: finish the instance that is being received, then abort its association."""
        if self._server is None or self._stopping:
            return
        self._stopping = True
        self._server.shutdown()
        self._pending.close()
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while self._busy() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)  # for responses that are being sent
        for association in list(self._senders):
            association.abort()
            association.join(_STOP_TIMEOUT_S)

    def _busy(self) -> bool:
        with self._lock:
            return any(sender.bytes and not sender.responded_at_stop for sender in self._senders.values())

    # --- connections --------------------------------------------------------------------------------------------------

    def _check_deadlines(self) -> None:
        """Close the associations that make no progress; called in the thread of the port."""
        assert self._server is not None
        now, timeouts = time.monotonic(), self._config.timeouts
        for association in self._server.active_associations:  # also while it is negotiated or aborted
            connection, sender = association.dul.socket, self._senders.get(association)
            if not isinstance(connection, PduSocket) or connection.is_closed:
                continue
            late = sender is not None and sender.is_overdue(now, timeouts)
            if late or connection.pdu_takes_s(now) > timeouts.message_s:
                connection.hang_up()
                self._closed("overdue")
        if self._unlogged and now - self._logged_at > _LOG_EVERY_S:
            self._logged_at = now
            reasons, self._unlogged = dict(self._unlogged), Counter()
            _log.warning("connections closed by the service", extra={"reasons": reasons})

    def _closed(self, reason: str) -> None:
        """Count a connection that the service closed; the log gets their numbers from time to time."""
        self._metrics.closed.labels(reason).inc()
        self._unlogged[reason] += 1

    def _on_failed(self, error: BaseException) -> None:
        self._closed("deadline" if isinstance(error, TimeoutError) else "no_association")

    def _on_oversized(self) -> None:
        self._metrics.refused.labels("too_large").inc()
        _log.error("connection closed: a PDU of more than %d bytes", MAX_PDU_BYTES)

    def _on_server_rejected(self, rejection: Rejection) -> None:
        self._metrics.associations.labels("rejected").inc()
        _log.warning(
            "association rejected: AE title not allowed, or too many associations", extra={"reason": rejection.reason}
        )

    # --- event handlers, called in the thread of the association ------------------------------------------------------

    def _on_accepted(self, event: evt.Event) -> None:
        self._metrics.associations.labels("accepted").inc()
        with self._lock:
            self._senders[event.assoc] = _Sender()

    def _on_rejected(self, event: evt.Event) -> None:
        self._metrics.associations.labels("rejected").inc()
        _log.warning("association rejected: AE title not allowed, or too many associations")

    def _on_data(self, event: evt.Event) -> None:
        """Count the received bytes of an instance, so that an oversized one cannot exhaust memory."""
        sender = self._senders.get(event.assoc)
        if sender is None or event.data[:1] != _P_DATA_TF:
            return
        sender.bytes += len(event.data)
        if sender.bytes > self._limits.max_instance_bytes + _OVERHEAD_BYTES:
            self._metrics.refused.labels("too_large").inc()
            _log.error("connection closed: instance exceeds %d bytes", self._limits.max_instance_bytes)
            event.assoc.dul.socket.close()  # type: ignore[union-attr]

    def _on_store(self, event: evt.Event) -> int:
        sender = self._senders.get(event.assoc)
        if sender is None:
            return 0xA700
        sender.is_storing = True
        try:
            return self._stored(event, sender)
        finally:
            sender.since, sender.is_storing = time.monotonic(), False

    def _stored(self, event: evt.Event, sender: _Sender) -> int:
        """Store an instance and return the status of the response."""
        request = event.request

        def begin(study_uid: str) -> None:
            with self._lock:  # the connection may close in another thread
                if event.assoc not in self._senders:
                    raise SpoolError("the association is closed")
                # Some senders keep one association open for many studies.
                for other in sender.others_to_end(study_uid, self._config.timeouts.idle_s):
                    self._end_transfer(sender, other, interrupted=False)
                if study_uid not in sender.transfers:
                    sender.transfers[study_uid] = _StudyTransfer(self._inbox.begin_transfer(study_uid))
                    sender.refused.setdefault(study_uid, set()).update(sender.refused.pop("", ()))
                sender.current, sender.transfers[study_uid].last = study_uid, time.monotonic()

        sop_class, sop_instance = (str(getattr(request, f"AffectedSOP{part}UID")) for part in ("Class", "Instance"))
        try:
            file = _file_of(event)
            response = store(self._inbox, file, sop_class, sop_instance, begin) if file else _UNREADABLE
        except Exception as error:  # the sender must keep the instance
            _log.error("unexpected error", exc_info=error)
            self._metrics.errors.labels("listener").inc()
            response = StoreResponse(0xA700, "error")
        if not response.reason and event.assoc not in self._senders:  # it closed while its instance was written
            transfer = self._inbox.begin_transfer(response.study_uid)
            self._inbox.end_transfer(response.study_uid, transfer, interrupted=True)
        sender.bytes = 0
        sender.responded_at_stop = self._stopping
        sender.note(response.study_uid, sop_instance, refused=bool(response.reason))
        if response.reason:
            self._metrics.refused.labels(response.reason).inc()
        else:
            self._metrics.received.inc()
        return response.status

    def _on_released(self, event: evt.Event) -> None:
        self._end(event.assoc, interrupted=False)

    def _on_aborted(self, event: evt.Event) -> None:
        self._end(event.assoc, interrupted=True)

    def _end(self, association: Any, *, interrupted: bool) -> None:
        with self._lock:
            sender = self._senders.pop(association, None)
            if sender is None:
                return
            if interrupted:
                self._metrics.associations.labels("aborted").inc()
                for study_uid in sender.transfers or (None,):
                    _log.warning("transfer interrupted", extra={"study": hashed(study_uid) if study_uid else None})
            for study_uid in list(sender.transfers):
                self._end_transfer(sender, study_uid, interrupted=interrupted)

    def _end_transfer(self, sender: _Sender, study_uid: str, *, interrupted: bool) -> None:
        """End the transfer of a study; refused instances that were not sent again make it interrupted."""
        incomplete = interrupted or bool(sender.refused.pop(study_uid, None))
        self._inbox.end_transfer(study_uid, sender.transfers.pop(study_uid).number, interrupted=incomplete)
        sender.ended.add(study_uid)


def _file_of(event: evt.Event) -> bytes | None:
    """Return the DICOM file of a C-STORE request; None if the request itself is damaged."""
    try:
        return event.encoded_dataset()
    except Exception as error:  # what a damaged request makes pynetdicom raise is no reason to try again
        raise_system_limit(error, memory=True)
        return None
