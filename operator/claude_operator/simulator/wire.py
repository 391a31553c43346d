"""The HTTP parts that the handlers share: keys, bodies, JSON answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from claude_operator.simulator.errors import of_status

__all__ = ["PLAIN_HEADERS", "Exchange", "Handler", "authenticate", "betas", "body", "close_connection", "json_response"]

PLAIN_HEADERS = {
    "content-type": "application/json",
    "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
}


@dataclass(slots=True)
class Exchange:
    """What the log says about one request."""

    request_id: str
    status: int = 200
    key: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


Handler = Callable[[web.Request, Exchange], Awaitable[web.StreamResponse]]


def json_response(exchange: Exchange, document: object) -> web.Response:
    """A document with the headers of every answer."""
    return web.Response(body=orjson.dumps(document), headers={**PLAIN_HEADERS, "request-id": exchange.request_id})


def authenticate(http: web.Request) -> str:
    """The key: any except `invalid`, as x-api-key or Bearer; one right key is enough."""
    keys = [value.strip() for value in http.headers.getall("x-api-key", [])]
    for value in http.headers.getall("authorization", []):
        scheme, _, token = value.partition(" ")
        if scheme.lower() == "bearer":
            keys.append(token.strip())
    if not any(keys):
        raise of_status(401, "x-api-key header is required")
    found = next((key for key in keys if key and key != "invalid"), None)
    if found is None:
        raise of_status(401)
    return found


def betas(http: web.Request) -> list[str]:
    return http.headers.getall("anthropic-beta", [])


async def body(http: web.Request, limit: int) -> bytes:
    """The whole body; raises ApiError 413 for more than `limit` bytes, 400 for one that cannot be read."""
    if http.headers.get("content-encoding", "identity").lower() != "identity":
        raise of_status(400, "The request body is compressed; send it as it is")
    if (http.content_length or 0) > limit:
        raise of_status(413)
    pieces, size = [], 0
    try:
        while piece := await http.content.readany():
            size += len(piece)
            if size > limit:
                raise of_status(413)
            pieces.append(piece)
    except web.RequestPayloadError as error:
        raise of_status(400, "The request body cannot be read") from error
    return b"".join(pieces)


async def close_connection(http: web.Request) -> None:
    """Close the connection after what was written is sent."""
    await asyncio.sleep(0)
    if http.transport is not None:
        http.transport.close()
