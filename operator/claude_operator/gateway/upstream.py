"""The client end on aiohttp: one pool of keep-alive connections, nothing decoded, nothing added."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from multidict import MultiMapping
from yarl import URL

from claude_operator.gateway.errors import Refused, UpstreamFailed, UpstreamTimeout
from claude_operator.gateway.memory import Lease
from claude_operator.gateway.ports import Limits, MutableHeaders, RequestBody

__all__ = ["AiohttpUpstream"]

_KEEPALIVE = 30.0  # seconds; shorter than what servers grant, so that they are rarely the ones to close
_LONG_HEADER = 1 << 16  # bytes
# Bytes that are held of an answer whose client reads slowly: by the kernel, read ahead, and in one piece.
_RECEIVE_BUFFER = 1 << 16
_READ_AHEAD = 1 << 15
_PIECE = 1 << 16


class AiohttpUpstream:
    """Opens requests; use it as a context manager, within a running loop."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=_KEEPALIVE, ttl_dns_cache=10, socket_factory=_socket
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            read_bufsize=_READ_AHEAD,
            max_line_size=_LONG_HEADER,
            max_field_size=_LONG_HEADER,
        )

    async def __aenter__(self) -> AiohttpUpstream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    @asynccontextmanager
    async def open(
        self, method: str, url: str, headers: MutableHeaders, body: RequestBody, limits: Limits
    ) -> AsyncIterator[AiohttpReply]:
        """Send a request; raises UpstreamFailed, here and while the reply is read."""
        try:
            response = await self._session.request(
                method,
                URL(url, encoded=True),
                data=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=None, connect=limits.connect, sock_read=limits.idle),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _failure(error, limits) from error
        del body, headers
        try:
            yield AiohttpReply(response, limits)
        finally:
            response.close()  # of no effect on a connection whose reply was read to the end


class AiohttpReply:
    """An upstream reply."""

    __slots__ = ("_limits", "_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, limits: Limits) -> None:
        self.status: int = response.status
        self.headers: MultiMapping[str] = response.headers
        self._response = response
        self._limits = limits

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
            raise UpstreamFailed("the upstream's answer is larger than the gateway has room for") from None
        lease.shrink(len(data))
        return data

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in the pieces that it comes in."""
        content = self._response.content
        while True:
            try:
                chunk = await content.read(_PIECE)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise _failure(error, self._limits) from error
            if not chunk:
                return
            yield chunk


def _socket(address: Any) -> socket.socket:
    """A TCP socket whose kernel buffer is bounded."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    return made


def _failure(error: Exception, limits: Limits) -> UpstreamFailed:
    """What happened, in words that hold nothing of the exchange."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return UpstreamTimeout(f"no connection to the upstream within {limits.connect:g} s")
        case TimeoutError():
            return UpstreamTimeout(f"the upstream was silent for {limits.idle or 0:g} s")
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
