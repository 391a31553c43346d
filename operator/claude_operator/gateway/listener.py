"""A port: takes connections while there is room for them, so that no burst takes the descriptors of another port."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from claude_operator.gateway.connections import HEAD_SECONDS, ConnectionTable, TrackedConnection, peer_of
from claude_operator.gateway.errors import Refused
from claude_operator.gateway.memory import overloaded
from claude_operator.gateway.server import TrackingServer, refusal

__all__ = ["Listener", "Tls"]

_BACKLOG = 1024  # connections that wait in the kernel
_AT_ONCE = 32  # connections that are taken before others have their turn
_PAUSE = 0.1  # seconds until the next try when a connection could not be taken

Tls = Callable[[], ssl.SSLContext | None]
"""The TLS of the next connection, None for none."""


class Listener(web.BaseSite):
    """A listening socket of a runner. The event loop's own servers take all that wait, before any is looked at."""

    def __init__(
        self, runner: web.BaseRunner, host: str, port: int, server: TrackingServer, tls: Tls = lambda: None
    ) -> None:
        super().__init__(runner)
        self._host, self._wanted = host, port
        self._table: ConnectionTable = server.table
        self._handlers, self._tls = server, tls
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """Where it listens."""
        return f"{self._host}:{self.port}"

    @property
    def port(self) -> int:
        """The port, once it is open."""
        return int(self._socket.getsockname()[1]) if self._socket else self._wanted

    async def start(self) -> None:
        """Open the port."""
        await super().start()
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._wanted, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        self._socket = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
        self._socket.setblocking(False)
        loop.add_reader(self._socket, self._accept)

    async def stop(self) -> None:
        """Close the port; connections stay."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        await super().stop()

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_AT_ONCE):
            if self._socket is None:
                return
            try:
                accepted, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError:  # no descriptor, or no memory of the kernel's: what is open goes on
                loop.remove_reader(self._socket)
                loop.call_later(_PAUSE, self._resume)
                return
            accepted.setblocking(False)
            tracked = self._table.enter(peer_of(address))
            if tracked is None:
                _turn_away(accepted, plain=self._tls() is None)
            else:
                task = loop.create_task(self._serve(accepted, tracked))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _resume(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    async def _serve(self, accepted: socket.socket, tracked: TrackedConnection) -> None:
        """Hand a connection to the server, after TLS's handshake if there is one."""
        if tracked.phase == "gone":  # another one came before this began
            accepted.close()
            tracked.leave()
            return
        task, tls = asyncio.current_task(), self._tls()

        def close(_: Refused | None) -> None:
            if task is not None:
                task.cancel()

        tracked.close = close
        seconds = {} if tls is None else {"ssl_handshake_timeout": HEAD_SECONDS}
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._handlers.make_connection(tracked), accepted, ssl=tls, **seconds
            )
        except (OSError, asyncio.CancelledError):  # the handshake failed, or there was no room for it any more
            tracked.leave()  # the socket is the transport's to close


def _turn_away(accepted: socket.socket, *, plain: bool) -> None:
    """Close a connection at once; where bytes can be sent without TLS, say why."""
    with suppress(OSError):
        if plain:
            accepted.send(refusal(overloaded()))
            accepted.shutdown(socket.SHUT_WR)
            accepted.recv(1 << 16)  # what was sent and not read would make the kernel take the answer back
    accepted.close()
