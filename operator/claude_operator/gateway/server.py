"""The server end on aiohttp: a bare server without routes, bodies and headers as they come."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, MultiMapping

from claude_operator.gateway.errors import ClientGone, Refused, envelope, new_request_id
from claude_operator.gateway.memory import Lease
from claude_operator.gateway.ports import ClientReply, ClientRequest

__all__ = ["AiohttpClientReply", "AiohttpClientRequest", "make_server"]

_LONG_HEADER = 1 << 16  # bytes of the request line or of one header
_LONG_HEAD = 1 << 16  # bytes of all headers of a request that has not begun
_READ_AHEAD = 1 << 16  # bytes of a body that wait in this process for whoever reads it
_SOCKET_BUFFER = 1 << 16  # bytes, each way; else the kernel holds megabytes for a client that does not read
_AT_ONCE = 1 << 16  # bytes of an answer that are written at once
_BODY_SECONDS, _SLOWEST = 30.0, float(1 << 20)  # a body may take so long, and a second more for so many bytes
_GONE = 499  # never seen by anybody
_BROKEN = (ConnectionError, aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError)

Handler = Callable[[ClientRequest, ClientReply], Awaitable[None]]


def make_server(handle: Handler, is_draining: Callable[[], bool], most: int) -> web.Server:
    """A server that has `handle` answer, for `most` connections; while `is_draining`, each answer closes its own."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        reply = AiohttpClientReply(request, is_draining)
        await handle(AiohttpClientRequest(request), reply)
        return reply.response or web.Response(status=_GONE)

    return _Server(handler, most)


class _Connection(web.RequestHandler):
    """A client's connection. What is not HTTP is refused in the API's form too, and not quoted."""

    _head = 0  # bytes of a request whose head is not complete
    _body: aiohttp.StreamReader | None = None  # of the request that came last

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it, or turn it away where there are too many."""
        super().connection_made(transport)
        peer = transport.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        if isinstance(self._manager, _Server) and self._manager.is_full:
            self._turn_away(Refused(529, "overloaded_error", "the gateway has too many connections", 5))

    def data_received(self, data: bytes) -> None:
        """Take in bytes. What comes after one request's body and makes no other is a head: bounded as a whole."""
        seen, between = self._request_count, self._body is None or self._body.is_eof()
        super().data_received(data)
        if self._request_count != seen:
            self._head = 0
            self._body = self._messages[-1][1] if self._messages else None
        elif between:
            self._head += len(data)
            if self._head > _LONG_HEAD:
                message = f"the headers are longer than {_LONG_HEAD} bytes"
                self._turn_away(Refused(431, "invalid_request_error", message))

    def _turn_away(self, refused: Refused) -> None:
        body = envelope(refused.kind, refused.message, new_request_id())
        lines = [
            f"HTTP/1.1 {refused.status} X",
            "content-type: application/json",
            f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in refused.headers),
            "connection: close",
        ]
        if self.transport is not None:
            self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a request that could not be read."""
        request_id = new_request_id()
        body = envelope("invalid_request_error", "the request is not well-formed HTTP", request_id)
        headers = {"content-type": "application/json", "request-id": request_id, "x-should-retry": "false"}
        response = web.Response(status=status, headers=headers, body=body)
        response.force_close()
        return response


class _Server(web.Server):
    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], most: int) -> None:
        super().__init__(handler, handler_cancellation=True)
        self._most = most

    @property
    def is_full(self) -> bool:
        """Whether there are more connections than may be."""
        return len(self._connections) > self._most

    def __call__(self) -> _Connection:
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # as its own docs say
            auto_decompress=False,
            keepalive_timeout=75.0,
            read_bufsize=_READ_AHEAD,
            max_line_size=_LONG_HEADER,
            max_field_size=_LONG_HEADER,
        )


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
        length = self._request.content_length
        most = limit if length is None else length
        if most > limit:
            return None
        await lease.reserve(length or 0, known=True)
        data = bytearray()  # grows in place: no second copy at the end
        try:
            async with asyncio.timeout(_BODY_SECONDS + most / _SLOWEST):
                async for piece in self._read():
                    size = len(data) + len(piece)
                    if size > limit:
                        return None
                    if length is None:
                        await lease.reserve(size, known=False)
                    data += piece
        except TimeoutError:
            raise Refused(408, "timeout_error", "the body arrived too slowly") from None
        lease.shrink(len(data))
        return data

    def chunks(self) -> AsyncIterator[bytes] | None:
        """The body piece by piece, None where there is none."""
        return self._read() if self._request.body_exists else None

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
        """Answer in one piece; a long one is written bit by bit, so that it is not copied whole."""
        if len(body) <= _AT_ONCE:
            await self._prepare(web.Response(status=status, headers=CIMultiDict(headers), body=bytes(body)))
        else:
            await self.start(status, [*headers, ("content-length", str(len(body)))])
            view = memoryview(body)
            for begin in range(0, len(body), _AT_ONCE):
                await self.write(bytes(view[begin : begin + _AT_ONCE]))
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
        """End it well."""
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
