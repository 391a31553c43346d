"""The server end on aiohttp: a bare server without routes, bodies and headers as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, MultiMapping

from claude_operator.gateway.errors import ClientGone, envelope, new_request_id
from claude_operator.gateway.ports import ClientReply, ClientRequest

__all__ = ["AiohttpClientReply", "AiohttpClientRequest", "make_server"]

_LONG_HEADER = 1 << 16  # bytes of the request line or of one header
_GONE = 499  # never seen by anybody
_BROKEN = (ConnectionError, aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError)

Handler = Callable[[ClientRequest, ClientReply], Awaitable[None]]


def make_server(handle: Handler, is_draining: Callable[[], bool]) -> web.Server:
    """A server that has `handle` answer; while `is_draining`, each answer closes its connection."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        reply = AiohttpClientReply(request, is_draining)
        await handle(AiohttpClientRequest(request), reply)
        return reply.response or web.Response(status=_GONE)

    return _Server(handler, handler_cancellation=True)


class _Connection(web.RequestHandler):
    """A client's connection. What is not HTTP is refused in the API's form too, and not quoted."""

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
        headers = {"content-type": "application/json", "request-id": request_id}
        response = web.Response(status=status, headers=headers, body=body)
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> _Connection:
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # as its own docs say
            auto_decompress=False,
            keepalive_timeout=75.0,
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
        raw = request.raw_path
        self.target: str = raw if raw.startswith("/") else request.rel_url.raw_path_qs
        self.path: str = self.target.partition("?")[0]

    async def body(self, limit: int) -> bytes | None:
        """The whole body, None where it is larger than `limit`."""
        if (self._request.content_length or 0) > limit:
            return None
        pieces = []
        size = 0
        async for piece in self._read():
            size += len(piece)
            if size > limit:
                return None
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

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

    async def send(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Answer in one piece."""
        await self._prepare(web.Response(status=status, headers=CIMultiDict(headers), body=body))
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
