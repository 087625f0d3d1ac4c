"""The first PDU of a connection: received and judged before an association, with its threads, is made of it."""

from __future__ import annotations

import socket
from collections.abc import Collection
from dataclasses import dataclass

from cspine.service.network.connections import receive

#: Larger than any negotiated PDU or association request.
MAX_PDU_BYTES = 2**20
HEADER_BYTES = 6
_A_ASSOCIATE_RQ = 0x01
_MIN_BODY_BYTES = 68  # PS3.8, table 9-11, without variable items


class OversizedPduError(ConnectionError):
    """The header of a PDU announces more bytes than any peer may send."""


class NotAnAssociationError(ConnectionError):
    """The first bytes of a connection are no A-ASSOCIATE-RQ PDU."""


@dataclass(frozen=True)
class Rejection:
    """The reason of an A-ASSOCIATE-RJ PDU (PS3.8, table 9-21).

    Parameters
    ----------
    result : int
        1 permanent, 2 transient.
    source : int
        1 service user, 3 service provider (presentation).
    reason : int
        By source.
    """

    result: int
    source: int
    reason: int

    def pdu(self) -> bytes:
        """Return the encoded PDU."""
        return bytes((0x03, 0, 0, 0, 0, 4, 0, self.result, self.source, self.reason))


UNKNOWN_CALLING = Rejection(1, 1, 3)
UNKNOWN_CALLED = Rejection(1, 1, 7)
TOO_MANY = Rejection(2, 3, 2)


def body_length(header: bytes) -> int:
    """Return the length that the header of a PDU announces; OversizedPduError if it would exhaust memory."""
    length = int.from_bytes(header[2:HEADER_BYTES], "big")
    if length > MAX_PDU_BYTES:
        raise OversizedPduError(f"PDU length of {length} bytes")
    return length


def receive_request(connection: socket.socket, deadline: float) -> bytes:
    """Return the A-ASSOCIATE-RQ PDU that a connection starts with.

    Parameters
    ----------
    connection : socket
        The connection, after its TLS handshake.
    deadline : float
        When it must have arrived, by `time.monotonic`.

    Raises
    ------
    TimeoutError
        At the deadline.
    ConnectionError
        If the connection ends, or starts with something else.
    """
    header = receive(connection, HEADER_BYTES, deadline)
    length = body_length(header)
    if header[0] != _A_ASSOCIATE_RQ or length < _MIN_BODY_BYTES:
        raise NotAnAssociationError("not an association request")
    return header + receive(connection, length, deadline)


def evaluate_request(pdu: bytes, ae_title: str, allowed: Collection[str]) -> Rejection | None:
    """Return why an association is rejected by its AE titles, or None.

    Parameters
    ----------
    pdu : bytes
        As `receive_request` returns it.
    ae_title : str
        The AE title that must be called.
    allowed : collection of str
        AE titles that may call; empty for any.
    """
    called, calling = (pdu[start : start + 16].decode("ascii", "replace").strip(" \0") for start in (10, 26))
    if called != ae_title:
        return UNKNOWN_CALLED
    return UNKNOWN_CALLING if allowed and calling not in allowed else None
