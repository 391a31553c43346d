"""Who is connected and what for, so that nobody takes the place, the memory or the descriptors of others.

A connection is silent until its first byte, partial while the head of a request arrives, busy while that is answered,
and then idle. When there is no room for another one, who has been silent for a second or more goes, else who has been
partial for so long, else whoever has waited longest. What works is never cut off for a newcomer.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final, Literal

from claude_operator.gateway.errors import Refused
from claude_operator.gateway.memory import overloaded

__all__ = ["HEAD_SECONDS", "ConnectionTable", "TrackedConnection", "peer_of"]

HEAD_SECONDS = 10.0  # for the first byte, and from there for the whole head
_GRACE = 1.0  # seconds in which a newcomer's first bytes may still be on their way
_LEAVING = 16  # connections that are closed and not gone yet, beyond the number of those that may be open

Phase = Literal["silent", "partial", "idle", "busy", "gone"]
_GOES_FIRST: Final[tuple[Phase, ...]] = ("silent", "partial", "idle")

Line = dict["TrackedConnection", None]
"""In the order in which they came to wait."""


class _Peer:
    __slots__ = ("count", "lines")

    def __init__(self) -> None:
        self.count = 0
        self.lines: dict[Phase, Line] = {phase: {} for phase in _GOES_FIRST}


class ConnectionTable:
    """At most `size` connections, three quarters of them from one peer, and `head_bytes` of heads that are arriving.

    A peer may be an ingress or a NAT with very many clients behind it, so its part is large; the last quarter is for
    others.
    """

    def __init__(self, size: int, head_bytes: int, clock: Callable[[], float]) -> None:
        self.size, self.head_bytes = size, head_bytes
        self.per_peer = max(size * 3 // 4, 1)
        self.count = 0
        self.heads = 0
        self.clock = clock
        self.peers: dict[str, _Peer] = {}
        self._lines: dict[Phase, Line] = {phase: {} for phase in _GOES_FIRST}

    def enter(self, name: str) -> TrackedConnection | None:
        """Take in a connection of a peer, None where there is no room; may close another one."""
        peer = self.peers.get(name)
        if peer is not None and peer.count >= self.per_peer:
            goes = self._find_longest(peer.lines) if peer.count < self.per_peer + _LEAVING else None
        elif self.count >= self.size:
            goes = self._find_longest(self._lines)
        else:
            return self._take_in(name)
        if goes is None or self.count >= self.size + _LEAVING:
            return None
        self.close(goes, None)
        return self._take_in(name)

    def expire(self) -> None:
        """Close those whose head has not come in time; to be called every second or so."""
        late = self.clock() - HEAD_SECONDS
        for phase in ("silent", "partial"):
            line = self._lines[phase]
            while line and (first := next(iter(line))).since <= late:
                self.close(first, _too_slow() if phase == "partial" else None)

    def shed(self, last: TrackedConnection) -> None:
        """Close partial connections until their heads fit; `last` is the one that brought the last bytes."""
        while self.heads > self.head_bytes:
            goes = next(iter(self._lines["partial"]), last)
            self.close(goes, overloaded())

    def close(self, connection: TrackedConnection, answer: Refused | None) -> None:
        """Close a connection, with an answer if somebody waits for one. Its place is free once it has left."""
        connection.empty()
        self.move(connection, "gone")
        connection.close(answer)

    def move(self, connection: TrackedConnection, phase: Phase) -> None:
        """Put a connection at the end of a line."""
        peer = self.peers[connection.peer]
        if (left := self._lines.get(connection.phase)) is not None:
            left.pop(connection, None)
            peer.lines[connection.phase].pop(connection, None)
        connection.phase = phase
        if (entered := self._lines.get(phase)) is not None:
            connection.since = self.clock()
            entered[connection] = None
            peer.lines[phase][connection] = None

    def drop(self, connection: TrackedConnection) -> None:
        """Forget a connection that has ended."""
        self.move(connection, "gone")
        self.count -= 1
        peer = self.peers[connection.peer]
        peer.count -= 1
        if not peer.count:
            del self.peers[connection.peer]

    def _find_longest(self, lines: dict[Phase, Line]) -> TrackedConnection | None:
        """Who goes: the first of the silent and then of the partial ones after their grace, else of all."""
        first = [next(iter(lines[phase])) for phase in _GOES_FIRST if lines[phase]]
        late = self.clock() - _GRACE
        overdue = (one for one in first if one.phase != "idle" and one.since <= late)
        return next(overdue, None) or min(first, key=lambda one: one.since, default=None)

    def _take_in(self, name: str) -> TrackedConnection:
        self.count += 1
        peer = self.peers.get(name)
        if peer is None:
            peer = self.peers[name] = _Peer()
        peer.count += 1
        connection = TrackedConnection(self, name)
        self.move(connection, "silent")
        return connection


class TrackedConnection:
    """One connection. Whoever holds it tells what happens, and sets `close`."""

    __slots__ = ("_left", "_table", "close", "head", "peer", "phase", "since")

    def __init__(self, table: ConnectionTable, peer: str) -> None:
        self._table = table
        self._left = False
        self.peer = peer
        self.phase: Phase = "busy"
        self.since = 0.0
        self.head = 0
        """Bytes of a head that is not complete."""
        self.close: Callable[[Refused | None], None] = lambda answer: None

    def receive(self, size: int) -> None:
        """Bytes of a head have come that do not complete it."""
        if self.phase == "gone":
            return
        self.head += size
        self._table.heads += size
        if self.phase != "partial" and self.phase != "busy":
            self._table.move(self, "partial")
        if self._table.heads > self._table.head_bytes:
            self._table.shed(self)

    def work(self) -> None:
        """A head is complete: a request is to be answered."""
        if self.head:
            self.empty()
        if self.phase != "busy" and self.phase != "gone":
            self._table.move(self, "busy")

    def rest(self) -> None:
        """A request was answered, and no other one waits."""
        if self.phase == "busy":
            self._table.move(self, "partial" if self.head else "idle")

    def leave(self) -> None:
        """The connection has ended; saying so again does nothing."""
        if not self._left:
            self._left = True
            self.empty()
            self._table.drop(self)

    def empty(self) -> None:
        """Give back the bytes of the head."""
        self._table.heads -= self.head
        self.head = 0


def peer_of(address: object) -> str:
    """The peer of a socket's address: an IPv4 address, or the /64 that one IPv6 host can choose from."""
    host = str(address[0]) if isinstance(address, tuple) and address else ""
    if ":" not in host:
        return host
    parsed = ipaddress.IPv6Address(host.partition("%")[0])
    return str(parsed.ipv4_mapped or ipaddress.IPv6Network((parsed, 64), strict=False))


def _too_slow() -> Refused:
    message = f"the headers did not arrive within {HEAD_SECONDS:g} s: send the request again"
    return Refused(408, "timeout_error", message)
