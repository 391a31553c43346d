"""The client end on aiohttp: one pool of keep-alive connections, nothing decoded, nothing added."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
from multidict import MultiMapping
from yarl import URL

from claude_operator.core.spec.networks import ANYWHERE, AddressRefused, AddressRules, Network
from claude_operator.core.spec.site_options import ALLOWED_OPTION
from claude_operator.gateway.errors import ClientGone, Refused, UpstreamFailed, UpstreamTimeout
from claude_operator.gateway.memory import Lease
from claude_operator.gateway.ports import CallTimeouts, MutableHeaders, RequestBody

__all__ = ["AiohttpUpstream"]

_KEEPALIVE = 30.0  # seconds; shorter than what servers grant, so that they are rarely the ones to close
_MAX_HEADER = 1 << 16  # bytes
# Bytes that are held of an answer whose client reads slowly: by the kernel, read ahead, and in one piece.
_RECEIVE_BUFFER = 1 << 16
_READ_AHEAD = 1 << 15
_CHUNK = 1 << 16
_ADDRESS_REFUSED = (
    "spec.upstream.baseURL leads to an address that gateways do not connect to, such as a link-local or loopback one,"
    " the node's or the API server's. Write another address there, or have the installer allow this one with the"
    f" operator's option {ALLOWED_OPTION}"
)
_MORE_MEMORY = "raise spec.gateway.resources.limits.memory"


class AiohttpUpstream:
    """Opens requests; use it as a context manager, within a running loop. It connects where `rules` permit."""

    def __init__(self, rules: AddressRules = ANYWHERE) -> None:
        self._rules = rules
        self._pool = _Pool(rules)
        self._retired: list[_Pool] = []

    async def __aenter__(self) -> AiohttpUpstream:
        return self

    async def __aexit__(self, *_: object) -> None:
        for pool in (self._pool, *self._retired):
            await pool.session.close()

    def deny(self, networks: tuple[Network, ...]) -> None:
        """Refuse these too, in place of those of before, also where a connection is kept alive. Calls go on."""
        rules = replace(self._rules, denied=(*self._rules.denied, *networks))
        if rules != self._pool.rules:
            self._retired.append(self._pool)
            self._pool = _Pool(rules)

    @asynccontextmanager
    async def open(
        self, method: str, url: str, headers: MutableHeaders, body: RequestBody, timeouts: CallTimeouts
    ) -> AsyncIterator[AiohttpReply]:
        """Send a request; raises UpstreamFailed, here and while the reply is read, and Refused."""
        if self._retired:
            await self._close_retired()
        with self._pool as session:
            total = _TotalTimeout(timeouts)
            try:
                async with total.limit(None):
                    response = await session.request(
                        method,
                        URL(url, encoded=True),
                        data=body,
                        headers=headers,
                        timeout=aiohttp.ClientTimeout(total=None, connect=timeouts.connect, sock_read=timeouts.idle),
                        allow_redirects=False,
                    )
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                raise _classify(error, timeouts) from error
            del body, headers
            if response.connection is not None and response.connection.protocol is not None:
                response.connection.protocol.read_timeout = None  # from here on it would run while the client is slow
            try:
                yield AiohttpReply(response, timeouts, total)
            finally:
                response.close()  # of no effect on a connection whose reply was read to the end

    async def _close_retired(self) -> None:
        idle = [pool for pool in self._retired if not pool.calls]
        self._retired = [pool for pool in self._retired if pool.calls]
        for pool in idle:
            await pool.session.close()


class _Pool:
    """Connections by the same rules, and how many calls use them."""

    def __init__(self, rules: AddressRules) -> None:
        self.rules = rules
        self.calls = 0
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=_KEEPALIVE,
                ttl_dns_cache=10,
                socket_factory=functools.partial(_socket, rules),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            read_bufsize=_READ_AHEAD,
            max_line_size=_MAX_HEADER,
            max_field_size=_MAX_HEADER,
        )

    def __enter__(self) -> aiohttp.ClientSession:
        self.calls += 1
        return self.session

    def __exit__(self, *_: object) -> None:
        self.calls -= 1


class _TotalTimeout:
    """The time that the upstream has. It passes within `running` only."""

    __slots__ = ("_left", "_timeouts")

    def __init__(self, timeouts: CallTimeouts) -> None:
        self._timeouts = timeouts
        self._left = timeouts.total

    def renew(self) -> None:
        """Start the total time again."""
        self._left = self._timeouts.total

    @asynccontextmanager
    async def limit(self, idle: float | None) -> AsyncIterator[None]:
        """Limit a wait for the upstream; raises UpstreamTimeout after `idle` seconds, or when no total time is left."""
        clock = asyncio.get_running_loop().time
        began, left = clock(), self._left
        silent = idle is not None and (left is None or idle < left)
        try:
            async with asyncio.timeout(idle if silent else left) as timeout:
                yield
        except TimeoutError as error:
            if not timeout.expired():
                raise
            if silent:
                raise _silence_timeout(idle) from error
            raise UpstreamTimeout(f"the upstream's answer did not come within {self._timeouts.total:g} s") from error
        finally:
            if left is not None:
                self._left = left - (clock() - began)


class AiohttpReply:
    """An upstream reply."""

    __slots__ = ("_response", "_timeouts", "_total", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, timeouts: CallTimeouts, total: _TotalTimeout) -> None:
        self.status: int = response.status
        self.headers: MultiMapping[str] = response.headers
        self._response = response
        self._timeouts = timeouts
        self._total = total

    def renew(self) -> None:
        """Give the upstream all of `CallTimeouts.total` again."""
        self._total.renew()

    async def body(self, lease: Lease) -> bytearray:
        """The whole body."""
        length = self._response.content_length
        data = bytearray()
        try:
            await lease.reserve(length or 0, known=True)
            async for chunk in self.chunks():
                if length is None:
                    await lease.reserve(len(data) + len(chunk), known=False)
                data += chunk
        except Refused as refused:
            if refused.retry_after:
                raise
            message = f"the answer does not fit into the gateway's memory: {_MORE_MEMORY}"
            raise Refused(502, "api_error", message) from None
        lease.shrink(len(data))
        return data

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in the pieces that it comes in."""
        content = self._response.content
        while True:
            try:
                async with self._total.limit(self._timeouts.idle):
                    chunk = await content.read(_CHUNK)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise _classify(error, self._timeouts) from error
            if not chunk:
                return
            yield chunk


def _socket(rules: AddressRules, address: Any) -> socket.socket:
    """A TCP socket to an address that may be connected to, its kernel buffer bounded.

    It is made for each attempt with the address that is connected to, so what a name leads to at another time, or in
    another record of the same answer, makes no difference.
    """
    family, kind, protocol, _, where = address
    rules.check(where[0])
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    return made


def _classify(error: Exception, timeouts: CallTimeouts) -> UpstreamFailed | Refused | ClientGone:
    """The error for the client; its message quotes nothing from the request or the answer."""
    match error:
        case aiohttp.ClientConnectionError(__cause__=(Refused() | ClientGone()) as ours):  # while the body was read
            return ours
        case aiohttp.ClientConnectorError(os_error=AddressRefused()):
            # Where to connect is the deployment's choice and the same for both arms: no revision is to blame.
            return Refused(502, "api_error", _ADDRESS_REFUSED, retry=False)
        case aiohttp.ConnectionTimeoutError():
            return UpstreamTimeout(f"no connection to the upstream within {timeouts.connect:g} s")
        case TimeoutError():
            return _silence_timeout(timeouts.idle)
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return UpstreamFailed("the upstream's TLS certificate or handshake was not accepted")
        case aiohttp.ClientConnectorDNSError():
            return UpstreamFailed("the upstream's name does not resolve")
        case aiohttp.ClientConnectorError():
            return UpstreamFailed("the upstream does not accept connections")
        case aiohttp.InvalidURL() | ValueError():
            return UpstreamFailed("the upstream's baseURL is not a URL")
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | OSError():
            return UpstreamFailed("the upstream closed the connection before its answer was complete")
        case _:
            return UpstreamFailed("the upstream's answer is not HTTP")


def _silence_timeout(idle: float | None) -> UpstreamTimeout:
    return UpstreamTimeout(f"the upstream was silent for {idle or 0:g} s")
