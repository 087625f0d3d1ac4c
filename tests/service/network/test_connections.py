"""Pending connections: which one makes way, and deadlines that regular bytes do not move."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from cspine.service.network.connections import PendingConnections, receive


class Pairs:
    """Connected sockets: the service's end and the peer's end."""

    def __init__(self) -> None:
        self.all: list[socket.socket] = []

    def make(self) -> tuple[socket.socket, socket.socket]:
        """Return both ends."""
        ends = socket.socketpair()
        self.all += ends
        ends[1].settimeout(5)
        return ends


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    """Pairs of sockets, closed with the test."""
    made = Pairs()
    yield made
    for end in made.all:
        end.close()


def test_the_oldest_connection_of_the_crowded_address_makes_way(pairs: Pairs) -> None:
    dropped: list[int] = []
    pending = PendingConnections(3, lambda: dropped.append(1))
    honest, first, second, third = (pairs.make() for _ in range(4))
    pending.add(honest[0], "10.0.0.1")
    for attacker in (first, second, third):
        pending.add(attacker[0], "10.0.0.2")
    assert first[1].recv(1) == b"" and len(dropped) == 1 and len(pending) == 3
    assert not pending.remove(first[0])
    assert pending.remove(honest[0])


def test_a_secured_connection_takes_the_place_of_its_socket(pairs: Pairs) -> None:
    pending = PendingConnections(1)
    plain, secured = pairs.make()[0], pairs.make()
    pending.add(plain, "10.0.0.1")
    assert pending.replace(plain, secured[0])
    pending.close()
    assert secured[1].recv(1) == b""
    assert not pending.replace(plain, secured[0])


def test_bytes_that_arrive_regularly_do_not_move_the_deadline(pairs: Pairs) -> None:
    ours, theirs = pairs.make()
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.02):
            theirs.sendall(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    with pytest.raises(TimeoutError):
        receive(ours, 10_000, time.monotonic() + 0.3)
    stop.set()
    thread.join()


def test_exactly_the_bytes_that_are_asked_for_are_received(pairs: Pairs) -> None:
    ours, theirs = pairs.make()
    theirs.sendall(b"abcdef")
    assert receive(ours, 4, time.monotonic() + 5) == b"abcd"
    theirs.close()
    with pytest.raises(ConnectionError):
        receive(ours, 4, time.monotonic() + 5)
