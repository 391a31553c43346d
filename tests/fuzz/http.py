"""A connection of the gateway's data port, fed byte by byte without a socket."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

from claude_operator.core.request.endpoints import route
from claude_operator.gateway.connections import ConnectionTable
from claude_operator.gateway.ports import ClientReply, ClientRequest
from claude_operator.gateway.server import make_server

__all__ = ["SEEDS", "check"]

_BODY = b'{"messages":[]}'
SEEDS = [
    b"POST /v1/messages HTTP/1.1\r\nhost: gateway\r\nx-api-key: k\r\ncontent-length: 15\r\n\r\n" + _BODY,
    b"POST /v1/messages HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\nf\r\n" + _BODY + b"\r\n0\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nhost: gateway\r\n\r\nHEAD / HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n",
    b"POST /v1/messages HTTP/1.1\r\nhost: g\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n{}",
]


class _Transport(asyncio.Transport):
    """Keeps what is written; nothing is behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed, "something is written after the end"
        self.written += data

    def writelines(self, pieces: Any) -> None:
        for piece in pieces:
            self.write(piece)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing more comes by itself."""

    def resume_reading(self) -> None:
        """Nothing more comes by itself."""


class _Front:
    """A loop, a server on it, and what it was given to answer."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.faults: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self.server = self.loop.run_until_complete(self._make())
        self.seen: list[tuple[str, str]] = []

    async def _make(self) -> Any:
        self.table = ConnectionTable(1000, 1 << 24, self.loop.time)
        return make_server(self._answer, lambda: False, self.table)

    async def _answer(self, request: ClientRequest, reply: ClientReply) -> None:
        self.seen.append((request.method, request.target))
        async for _ in request.chunks() or _nothing():
            pass
        await reply.send(200, [("content-type", "application/json")], b"{}")

    async def feed(self, data: bytes) -> bytes:
        """What a connection answers to these bytes, the last of which end it."""
        transport = _Transport()
        tracked = self.table.enter("192.0.2.1")
        assert tracked is not None, "connections that have ended keep their places"
        connection = self.server.make_connection(tracked)
        connection.connection_made(transport)
        half = len(data) // 2
        for piece in (data[:half], data[half:]):
            if piece and not transport.closed:
                connection.data_received(piece)
                for _ in range(6):
                    await asyncio.sleep(0)
        connection.connection_lost(None)
        for _ in range(6):
            await asyncio.sleep(0)
        return bytes(transport.written)


async def _nothing() -> Any:
    return
    yield b""


@cache
def _front() -> _Front:
    return _Front()


def check(data: bytes) -> None:
    """No byte brings an exception about; each answer is HTTP; a request's target holds no line end."""
    front = _front()
    asyncio.set_event_loop(front.loop)
    front.seen.clear()
    front.faults.clear()
    written = front.loop.run_until_complete(front.feed(data))
    assert not front.faults, front.faults
    assert not written or written.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), written[:80]
    assert b"Traceback" not in written
    for method, target in front.seen:
        assert method.isascii(), method
        assert not {"\r", "\n", "\0"} & set(method + target), target
        route(method, target)
