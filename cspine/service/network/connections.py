"""Connections of a port whose peers have not identified themselves: a bounded number, each with a deadline."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

_CHUNK_BYTES = 65_536


class PendingConnections:
    """The connections of a port that are not yet accepted.

    Beyond the limit, the oldest connection of the address that has most of them is closed: one address with silent
    connections never closes those of another, and a peer that speaks at once is through before its turn comes.

    Parameters
    ----------
    limit : int
        Maximum number of connections.
    on_drop : callable
        Called after a connection was closed for a new one.
    """

    def __init__(self, limit: int, on_drop: Callable[[], None] = lambda: None) -> None:
        self._limit = limit
        self._on_drop = on_drop
        self._lock = threading.Lock()
        self._addresses: dict[socket.socket, str] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    def add(self, connection: socket.socket, address: str) -> None:
        """Register a new connection; close another one if there are now too many."""
        with self._lock:
            self._addresses[connection] = address
            surplus = self._surplus() if len(self._addresses) > self._limit else None
            if surplus is not None:
                del self._addresses[surplus]
                hang_up(surplus)
        if surplus is not None:
            self._on_drop()

    def replace(self, connection: socket.socket, secured: socket.socket) -> bool:
        """Register the TLS socket of a connection in its place; return False if the connection was closed."""
        with self._lock:
            if connection not in self._addresses:
                return False
            self._addresses = {
                secured if known is connection else known: address for known, address in self._addresses.items()
            }
            return True

    def remove(self, connection: socket.socket) -> bool:
        """Forget a connection that is accepted or over; return whether it was still registered."""
        with self._lock:
            return self._addresses.pop(connection, None) is not None

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for connection in self._addresses:
                hang_up(connection)
            self._addresses.clear()

    def _surplus(self) -> socket.socket:
        counts = Counter(self._addresses.values())
        crowded = max(counts.values())
        return next(connection for connection, address in self._addresses.items() if counts[address] == crowded)


def hang_up(connection: socket.socket) -> None:
    """End a connection in both directions: a thread that waits for it continues at once, and closes it."""
    with suppress(OSError):
        # Not the method of a TLS socket, which other threads may be using.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def receive(connection: socket.socket, size: int, deadline: float) -> bytes:
    """Return exactly ``size`` bytes of a connection.

    Parameters
    ----------
    connection : socket
        A connected socket; its timeout is changed.
    size : int
        Number of bytes.
    deadline : float
        When the last one must have arrived, by `time.monotonic`, however regularly they arrive.

    Raises
    ------
    TimeoutError
        At the deadline.
    ConnectionError
        If the connection ends before.
    """
    data = bytearray()
    while len(data) < size:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline of the connection has passed")
        connection.settimeout(left)
        received = connection.recv(min(size - len(data), _CHUNK_BYTES))
        if not received:
            raise ConnectionResetError("the connection ended")
        data += received
    return bytes(data)
