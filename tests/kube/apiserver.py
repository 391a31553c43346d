"""An API server on loopback that answers from a script and notes what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Request:
    """What arrived."""

    method: str
    path: str
    query: dict[str, str]
    content_type: str
    authorization: str
    body: Any


@dataclass
class ApiServer:
    """Gives the next of `answers` to each request, at last the `default`."""

    url: str = ""
    answers: list[web.StreamResponse | None] = field(default_factory=list)  # None: cut the connection
    requests: list[Request] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)  # the media types of each
    delay: float = 0.0  # seconds
    silent: int = 0  # so many requests get no answer at all

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        data = await request.read()
        self.accepted.append(request.headers.get("accept", ""))
        self.requests.append(
            Request(
                request.method,
                request.raw_path.partition("?")[0],
                dict(request.query),
                request.headers.get("content-type", ""),
                request.headers.get("authorization", ""),
                json.loads(data) if data else None,
            )
        )
        if self.silent:
            self.silent -= 1
            await asyncio.sleep(3600)
        await asyncio.sleep(self.delay)
        answer = self.answers.pop(0) if self.answers else web.json_response({"kind": "Thing"})
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return answer


@asynccontextmanager
async def api_server() -> AsyncIterator[ApiServer]:
    """One that listens."""
    server = ApiServer()
    runner = web.ServerRunner(web.Server(server.serve, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()


def failure(status: int, reason: str, message: str, **headers: str) -> web.Response:
    """A `Status` object, as the API server says no."""
    body = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": status}
    return web.json_response(body, status=status, headers={name.replace("_", "-"): headers[name] for name in headers})
