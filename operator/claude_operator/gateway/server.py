"""The server end on aiohttp: a bare server without routes, bodies and headers as they come."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import aiohttp
from aiohttp import HttpVersion10, HttpVersion11, web, web_response
from multidict import CIMultiDict, MultiMapping

from claude_operator.gateway.connections import ConnectionTable, TrackedConnection
from claude_operator.gateway.errors import ClientGone, Refused, envelope, new_request_id
from claude_operator.gateway.memory import Lease
from claude_operator.gateway.pipelining import PipelinedHandler
from claude_operator.gateway.ports import ClientReply, ClientRequest

__all__ = [
    "AiohttpClientReply",
    "AiohttpClientRequest",
    "TrackingAppRunner",
    "TrackingServer",
    "make_server",
    "refusal",
]

_MAX_HEADER = 1 << 16  # bytes of the request line or of one header
_MAX_HEAD = 1 << 16  # bytes of all headers of a request that has not begun
_READ_AHEAD = 1 << 16  # bytes of a body that are read before they are asked for
_SOCKET_BUFFER = 1 << 16  # bytes, each way; by default the kernel buffers megabytes for a client that does not read
_WRITE_SIZE = 1 << 16  # bytes of an answer that are written at once
_BODY_SECONDS = 30.0  # that any body may take, ...
_MIN_BYTES_PER_SECOND = float(1 << 20)  # ... and its size at this rate on top
_PASSED_BYTES_PER_SECOND = float(1 << 16)  # of a body that is passed through, while the gateway waits for it
_SEND_SECONDS = 5.0  # that a client has to take an answer of a page or less
_LINGER = 3.0  # seconds that the rest of a refused body is read, so that its sender gets to see the answer
_GONE = 499  # no client sees it
_BROKEN = (ConnectionError, aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError)

_OTHER_HTTP = "other HTTP"  # the mark of a request in another version than 1.0 or 1.1

_SOFTWARE = "claude-operator"
# The header Server of both ports, where versions would stand.
web_response.SERVER_SOFTWARE = _SOFTWARE  # type: ignore[attr-defined]

Handler = Callable[[ClientRequest, ClientReply], Awaitable[None]]
Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def make_server(handle: Handler, is_draining: Callable[[], bool], table: ConnectionTable) -> TrackingServer:
    """A server that answers with `handle`; while `is_draining`, each answer closes its connection."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        reply = AiohttpClientReply(request, is_draining)
        await handle(AiohttpClientRequest(request), reply)
        return reply.response or web.Response(status=_GONE)

    return TrackingServer(handler, table, handler_cancellation=True)


class TrackingAppRunner(web.AppRunner):
    """Serves an application on tracked connections."""

    def __init__(self, app: web.Application, table: ConnectionTable) -> None:
        super().__init__(app, access_log=None)
        self._table = table

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return TrackingServer(made.request_handler, self._table, request_factory=made.request_factory)


class TrackingServer(web.Server):
    """Makes the connections that `table` has taken in; `Listener` brings them."""

    def __init__(self, handler: Answer, table: ConnectionTable, **options: Any) -> None:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            try:
                response: web.StreamResponse
                if _OTHER_HTTP in request:
                    response = _refuse("the gateway speaks HTTP/1.1: use a client that does", 505)
                else:
                    response = await handler(request)
                return await _send_in_time(request, response)
            except web.HTTPException as error:
                return await _send_in_time(request, error)
            finally:
                if isinstance(request.protocol, _Connection):
                    request.protocol.rest()

        super().__init__(answer, **options)
        self.table = table
        make_request = self.request_factory

        def mark_other(message: Any, *rest: Any) -> web.BaseRequest:
            """The request; one in HTTP/0.9 or 2.0 would be answered in that version, which is not spoken here."""
            if message.version in (HttpVersion10, HttpVersion11):
                return make_request(message, *rest)
            request = make_request(message._replace(version=HttpVersion11), *rest)
            request[_OTHER_HTTP] = True
            return request

        self.request_factory = mark_other

    def make_connection(self, tracked: TrackedConnection) -> web.RequestHandler:
        """The protocol of a connection."""
        return _Connection(
            tracked,
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,  # as its own docs say
            auto_decompress=False,
            keepalive_timeout=75.0,
            lingering_time=_LINGER,
            read_bufsize=_READ_AHEAD,
            max_line_size=_MAX_HEADER,
            max_field_size=_MAX_HEADER,
        )


class _Connection(PipelinedHandler):
    """A client's connection. It refuses what is not HTTP in the API's form too, without quoting it."""

    def __init__(self, tracked: TrackedConnection, server: web.Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._tracked = tracked
        self._wire: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless it was closed while its handshake went on."""
        super().connection_made(transport)
        self._wire = transport
        self._tracked.close = self._close_with
        peer = transport.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        if self._tracked.phase == "gone":
            self._close_with(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        self._wire = None
        self._tracked.leave()
        super().connection_lost(exc)

    def begin_request(self) -> None:
        """A request is to be answered."""
        self._tracked.work()

    def take_head(self, size: int) -> None:
        """More of a head has come."""
        self._tracked.receive(size)
        if self._tracked.head > _MAX_HEAD:
            message = f"the headers are longer than {_MAX_HEAD} bytes: send fewer or shorter ones"
            self._close_with(Refused(431, "invalid_request_error", message))

    def rest(self) -> None:
        """Its last request was answered."""
        if not self._messages:
            self._tracked.rest()

    def _close_with(self, refused: Refused | None) -> None:
        if refused is not None and self.transport is not None:
            self.transport.write(refusal(refused))
        wire = self._wire
        self.force_close()
        if isinstance(wire, asyncio.WriteTransport) and not wire.get_write_buffer_size() and refused is None:
            wire.abort()  # nothing is left to send: a client's own farewell, which TLS waits for, is not worth a place
        else:
            self._abort_soon()

    def _abort_soon(self) -> None:
        """Give the client a moment to read; a connection that is only closed waits for that without end."""
        self._loop.call_later(_LINGER, self._abort)

    def _abort(self) -> None:
        if isinstance(self._wire, asyncio.WriteTransport):
            self._wire.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a request that could not be read."""
        self._abort_soon()
        return _refuse("the request is not well-formed HTTP", status)


async def _send_in_time(request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
    """The response, sent unless it was before: the server itself would wait without end for a client to read it."""
    if response.prepared:
        return response
    try:
        async with asyncio.timeout(_SEND_SECONDS):
            await response.prepare(request)
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # the server finds it out
    return response


def _refuse(message: str, status: int) -> web.Response:
    """The last answer on a connection whose request cannot be read."""
    request_id = new_request_id()
    headers = {"content-type": "application/json", "request-id": request_id, "x-should-retry": "false"}
    response = web.Response(status=status, headers=headers, body=envelope("invalid_request_error", message, request_id))
    response.force_close()
    return response


def refusal(refused: Refused) -> bytes:
    """A whole answer for a connection that is closed."""
    body = envelope(refused.kind, refused.message, new_request_id())
    lines = [
        f"HTTP/1.1 {refused.status} X",
        f"server: {_SOFTWARE}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in refused.headers),
        "connection: close",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class AiohttpClientRequest:
    """A client's request."""

    __slots__ = ("_request", "headers", "method", "path", "target")

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self.method: str = request.method
        self.headers: MultiMapping[str] = request.headers
        self.target: str = request.raw_path
        self.path: str = self.target.partition("?")[0]

    async def body(self, limit: int, lease: Lease) -> bytearray | None:
        """The whole body, None where it is larger than `limit`."""
        self._check_coding()
        length = self._request.content_length
        max_size = limit if length is None else length
        if max_size > limit:
            return None
        await lease.reserve(length or 0, known=True)
        data = bytearray()  # grows in place: no second copy at the end
        try:
            async with asyncio.timeout(_BODY_SECONDS + max_size / _MIN_BYTES_PER_SECOND):
                async for piece in self._read():
                    size = len(data) + len(piece)
                    if size > limit:
                        return None
                    if length is None:
                        await lease.reserve(size, known=False)
                    data += piece
        except TimeoutError:
            raise _too_slow() from None
        lease.shrink(len(data))
        return data

    def chunks(self) -> AsyncIterator[bytes] | None:
        """The body piece by piece, None where there is none; raises Refused where it comes too slowly."""
        self._check_coding()
        return self._read_in_time() if self._request.body_exists else None

    def _check_coding(self) -> None:
        """Refuse a body in a transfer coding that would get lost: the parser takes `gzip, chunked` for `chunked`."""
        coding = self.headers.get("transfer-encoding")
        if coding is not None and coding.strip().lower() != "chunked":
            message = "the gateway accepts no transfer-encoding except chunked: send the body without any other"
            raise Refused(501, "invalid_request_error", message, retry=False)

    async def _read_in_time(self) -> AsyncIterator[bytes]:
        """The pieces. What counts is the time that the gateway waits for the client, not what the upstream takes."""
        clock, left = asyncio.get_running_loop().time, _BODY_SECONDS
        pieces = self._read()
        while True:
            began = clock()
            try:
                async with asyncio.timeout(left):
                    piece = await anext(pieces, None)
            except TimeoutError:
                raise _too_slow() from None
            if piece is None:
                return
            left = min(left - (clock() - began) + len(piece) / _PASSED_BYTES_PER_SECOND, _BODY_SECONDS)
            yield piece

    async def _read(self) -> AsyncIterator[bytes]:
        if self.headers.get("expect", "").lower() == "100-continue" and self._request.transport is not None:
            self._request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        content = self._request.content
        while True:
            try:
                piece = await content.readany()
            except _BROKEN as error:
                raise ClientGone from error
            if not piece:
                return
            yield piece


def _too_slow() -> Refused:
    return Refused(408, "timeout_error", "the request body arrived too slowly: send it again")


class AiohttpClientReply:
    """The answer to a client."""

    __slots__ = ("_is_draining", "_request", "response")

    def __init__(self, request: web.BaseRequest, is_draining: Callable[[], bool]) -> None:
        self._request = request
        self._is_draining = is_draining
        self.response: web.StreamResponse | None = None

    @property
    def started(self) -> bool:
        """Whether the status line is out."""
        return self.response is not None

    async def send(self, status: int, headers: Iterable[tuple[str, str]], body: bytes | bytearray) -> None:
        """Answer in one piece; a long one is written in chunks, so that it is not copied whole."""
        if len(body) <= _WRITE_SIZE:
            await self._prepare(web.Response(status=status, headers=CIMultiDict(headers), body=bytes(body)))
        else:
            await self.start(status, [*headers, ("content-length", str(len(body)))])
            view = memoryview(body)
            for begin in range(0, len(body), _WRITE_SIZE):
                await self.write(bytes(view[begin : begin + _WRITE_SIZE]))
        await self.finish()

    async def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Begin an answer."""
        await self._prepare(web.StreamResponse(status=status, headers=CIMultiDict(headers)))

    async def write(self, chunk: bytes) -> None:
        """Send a piece now."""
        if self.response is None:
            raise RuntimeError("write before start")
        try:
            await self.response.write(chunk)
        except ConnectionError as error:
            raise ClientGone from error

    async def finish(self) -> None:
        """Complete the answer."""
        if self.response is None:
            raise RuntimeError("finish before start")
        try:
            await self.response.write_eof()
        except ConnectionError as error:
            raise ClientGone from error

    def abort(self) -> None:
        """Cut the connection."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def _prepare(self, response: web.StreamResponse) -> None:
        self.response = response
        if self._is_draining():
            response.force_close()
        try:
            await response.prepare(self._request)
        except ConnectionError as error:
            raise ClientGone from error
