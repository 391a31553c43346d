"""A Messages API and a Kubernetes API on loopback, as small as these tests need them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Body = dict[str, Any]
Script = Callable[[Body], "Text | Refusal | Awaitable[Text | Refusal]"]


@dataclass
class Text:
    """A streamed answer. `cut` ends it before message_stop, `error` with an event error, `stall` waits in it."""

    text: str = "billing"
    stop_reason: str = "end_turn"
    model: str = "claude-haiku-5-5"
    cut: bool = False
    error: dict[str, str] | None = None
    stall: float = 0.0
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Refusal:
    """An answer with a status of 4xx or 5xx; `body` in place of the API's envelope."""

    status: int
    type: str = "invalid_request_error"
    message: str = "no"
    body: str | None = None
    headers: dict[str, str] = field(default_factory=lambda: {"retry-after-ms": "1"})


@dataclass
class Call:
    headers: dict[str, str]
    raw: bytes
    body: Body


@dataclass
class Upstream:
    script: Script
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw)
        self.calls.append(Call({key.lower(): value for key, value in request.headers.items()}, raw, body))
        self.arrived.set()
        answer = self.script(body)
        if not isinstance(answer, Text | Refusal):
            answer = await answer
        if isinstance(answer, Refusal):
            error = {"type": "error", "error": {"type": answer.type, "message": answer.message}}
            text = json.dumps(error) if answer.body is None else answer.body
            return web.Response(
                status=answer.status, text=text, content_type="application/json", headers=answer.headers
            )
        return await self._stream(request, answer)

    async def _stream(self, request: web.Request, answer: Text) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream", **answer.headers})
        await response.prepare(request)

        async def event(kind: str, **fields: Any) -> None:
            data = json.dumps({"type": kind, **fields})
            await response.write(f"event: {kind}\ndata: {data}\n\n".encode())

        usage = {
            "input_tokens": 10,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 5,
            "output_tokens": 1,
        }
        await event("message_start", message={"model": answer.model, "content": [], "usage": usage})
        await event("ping")
        await event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""})
        await event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm"})
        await event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "sig"})
        await event("content_block_start", index=1, content_block={"type": "text", "text": ""})
        half = len(answer.text) // 2
        for part in (answer.text[:half], answer.text[half:]):
            await event("content_block_delta", index=1, delta={"type": "text_delta", "text": part})
        for index, (name, value) in enumerate(answer.calls, 2):
            block = {"type": "tool_use", "id": f"toolu_{len(self.calls)}_{index}", "name": name, "input": {}}
            await event("content_block_start", index=index, content_block=block)
            text = json.dumps(value)
            for part in (text[:3], text[3:]):
                delta = {"type": "input_json_delta", "partial_json": part}
                await event("content_block_delta", index=index, delta=delta)
        await asyncio.sleep(answer.stall)
        if answer.error:
            await event("error", error=answer.error)
        elif not answer.cut:
            await event("message_delta", delta={"stop_reason": answer.stop_reason}, usage={"output_tokens": 7})
            await event("message_stop")
        return response


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def upstream(script: Script) -> AsyncIterator[Upstream]:
    made = Upstream(script)
    app = web.Application()
    app.router.add_post("/v1/messages", made.serve)
    async with serving(app) as made.url:
        yield made


def question(body: Body) -> str:
    """What the first message asks."""
    return str(body["messages"][0]["content"])


@dataclass
class Cluster:
    """Objects by their path, and the writes in their order."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    writes: list[dict[str, Any]] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    """Statuses to answer the next writes of a status with."""
    read_failures: list[int] = field(default_factory=list)
    """Statuses to answer the next reads of a run with."""
    refuse_merges: int = 0
    """The status that each write of a Secret or a ConfigMap is refused with."""
    most_data: int = 1 << 20
    merges: int = 0
    url: str = ""

    def add(self, plural: str, name: str, **fields: Any) -> dict[str, Any]:
        group = "/api/v1" if plural in ("configmaps", "secrets") else "/apis/claudeops.dev/v1alpha1"
        made = {"metadata": {"name": name, "namespace": "demo", "uid": "u1", "generation": 1}, **fields}
        self.objects[f"{group}/namespaces/demo/{plural}/{name}"] = made
        return made

    async def get(self, request: web.Request) -> web.Response:
        if self.read_failures and "/claudeevalruns/" in request.path:
            return web.json_response({"reason": "No", "message": "no"}, status=self.read_failures.pop(0))
        if found := self.objects.get(request.path):
            return web.json_response(found)
        return web.json_response({"reason": "NotFound", "message": "not found"}, status=404)

    async def patch(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/merge-patch+json"
        if not request.path.endswith("/status"):
            return await self._merge(request)
        if self.failures:
            return web.json_response({"reason": "Internal", "message": "no"}, status=self.failures.pop(0))
        found = self.objects[request.path.removesuffix("/status")]
        written = (await request.json())["status"]
        self.writes.append(written)
        status = found.setdefault("status", {})
        for key, value in written.items():
            if value is None:
                status.pop(key, None)
            else:
                status[key] = value
        return web.json_response(found)

    async def _merge(self, request: web.Request) -> web.Response:
        """A Secret or a ConfigMap: no more data than the API server takes."""
        found = self.objects.get(request.path)
        if found is None:
            return web.json_response({"reason": "NotFound", "message": "not found"}, status=404)
        if self.refuse_merges:
            return web.json_response({"reason": "Forbidden", "message": "no"}, status=self.refuse_merges)
        merged, body = dict(found), await request.json()
        for part in ("data", "binaryData"):
            if part in body:
                wanted = (merged.get(part) or {}) | (body[part] or {}) if body[part] is not None else {}
                merged[part] = {name: text for name, text in wanted.items() if text is not None}
        if sum(len(text) * 3 // 4 for text in (merged.get("data") or {}).values()) > self.most_data:
            return web.json_response({"reason": "Invalid", "message": "too long"}, status=422)
        self.merges += 1
        self.objects[request.path] = merged
        return web.json_response(merged)


@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    made = Cluster()
    app = web.Application(client_max_size=3 << 20)
    app.router.add_get("/{path:.*}", made.get)
    app.router.add_patch("/{path:.*}", made.patch)
    async with serving(app) as made.url:
        yield made
