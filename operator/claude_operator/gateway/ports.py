"""What the data plane needs from an HTTP server and an HTTP client: the two ends of `proxy`.

`server.py` and `upstream.py` are the ends on aiohttp. Others can take their place without a change in `proxy`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from multidict import CIMultiDict, CIMultiDictProxy, MultiMapping

from claude_operator.gateway.memory import Lease

__all__ = ["CallTimeouts", "ClientReply", "ClientRequest", "MutableHeaders", "RequestBody", "Upstream", "UpstreamReply"]

MutableHeaders = CIMultiDict[str]
Headers = CIMultiDictProxy[str] | CIMultiDict[str]
RequestBody = bytes | AsyncIterator[bytes] | None


@dataclass(frozen=True, slots=True)
class CallTimeouts:
    """Seconds: to connect, the longest silence after that, and `total` (None: without limit).

    `total` is for the whole answer; each `renew` starts it again. It runs only while the gateway waits for the
    upstream, not while a client reads slowly or memory is short.
    """

    connect: float
    idle: float | None
    total: float | None


class ClientRequest(Protocol):
    """A request as the client sent it."""

    @property
    def method(self) -> str:
        """In capitals."""

    @property
    def path(self) -> str:
        """Undecoded, without the query."""

    @property
    def target(self) -> str:
        """Undecoded, with the query."""

    @property
    def headers(self) -> MultiMapping[str]:
        """Any case, repeated ones included."""

    async def body(self, limit: int, lease: Lease) -> bytearray | None:
        """The whole body, None where it is larger than `limit` bytes; raises ClientGone, and Refused.

        Nothing is read before `lease` has room for it.
        """

    def chunks(self) -> AsyncIterator[bytes] | None:
        """The body piece by piece, None where there is none."""


class ClientReply(Protocol):
    """The answer to a client. Each method raises ClientGone when the client has disconnected."""

    @property
    def started(self) -> bool:
        """Whether the status line was sent."""

    async def send(self, status: int, headers: Iterable[tuple[str, str]], body: bytes | bytearray) -> None:
        """Answer in one piece."""

    async def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Begin an answer; its length is unknown unless the headers give it."""

    async def write(self, chunk: bytes) -> None:
        """Send a piece now; waits while the client is slower than the upstream."""

    async def finish(self) -> None:
        """Complete the answer."""

    def abort(self) -> None:
        """Cut the connection, so that the client sees that the answer is incomplete."""


class UpstreamReply(Protocol):
    """The upstream's answer, its head read. Reading raises UpstreamFailed."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def headers(self) -> MultiMapping[str]:
        """As sent."""

    async def body(self, lease: Lease) -> bytearray:
        """The whole body; `lease` makes room for it, or raises Refused."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body in the pieces that it comes in."""

    def renew(self) -> None:
        """Start `CallTimeouts.total` again: the upstream has sent something."""


class Upstream(Protocol):
    """A client for the Messages API. Leaving the context before the end closes the connection."""

    def open(
        self, method: str, url: str, headers: MutableHeaders, body: RequestBody, timeouts: CallTimeouts
    ) -> AbstractAsyncContextManager[UpstreamReply]:
        """Send a request; raises UpstreamFailed."""
