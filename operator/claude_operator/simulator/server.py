"""The simulated API on aiohttp: `/v1/` as the API has it, `/-/` to steer and to look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import yaml
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from claude_operator.simulator.errors import ApiError, new_id, of_status
from claude_operator.simulator.log import Log
from claude_operator.simulator.models import list_models, model_info
from claude_operator.simulator.request import read
from claude_operator.simulator.scenario import Compiled, Scenario, ScenarioError
from claude_operator.simulator.service import Simulator, Turn
from claude_operator.simulator.stream import Message

__all__ = ["make_app"]

_LARGEST = 32 << 20  # bytes of a request
_LARGEST_SCENARIO = 1 << 20
_DELTAS_PER_SECOND = 20  # at most, whatever the token rate
_FEWEST = 3  # tokens in a delta
_ANTHROPIC = {"content-type": "application/json", "anthropic-organization-id": "00000000-0000-4000-8000-000000000000"}
_SSE = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}

Compile = Callable[[bytes], Compiled]


@dataclass(slots=True)
class Exchange:
    """What the log tells of one request."""

    request_id: str
    status: int = 200
    fields: dict[str, Any] = field(default_factory=dict)


Handler = Callable[[web.Request, Exchange], Awaitable[web.StreamResponse]]


def make_app(simulator: Simulator, log: Log, compile_text: Compile) -> web.Application:
    """The application; `compile_text` makes a scenario of what `PUT /-/scenario` brings."""
    app = web.Application(client_max_size=_LARGEST)
    api = _Api(simulator, log, compile_text)
    for method, path, handler in (
        ("POST", "/v1/messages", api.messages),
        ("POST", "/v1/messages/count_tokens", api.count_tokens),
        ("GET", "/v1/models", api.models),
        ("GET", "/v1/models/{id}", api.model),
        ("GET", "/-/scenario", api.show_scenario),
        ("PUT", "/-/scenario", api.put_scenario),
        ("GET", "/-/stats", api.show_stats),
        ("DELETE", "/-/stats", api.reset_stats),
        ("GET", "/-/ready", api.ready),
        ("*", "/{any:.*}", api.nothing),
    ):
        app.router.add_route(method, path, api.wrap(handler))
    return app


class _Api:
    def __init__(self, simulator: Simulator, log: Log, compile_text: Compile) -> None:
        self.simulator = simulator
        self.log = log
        self.compile_text = compile_text

    def wrap(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """The handler with the key checked, errors in the envelope, and a line in the log."""

        async def wrapped(http: web.Request) -> web.StreamResponse:
            began = time.perf_counter()
            exchange = Exchange(new_id("req"))
            try:
                if http.path.startswith("/v1/"):
                    _authenticate(http)
                response = await handler(http, exchange)
            except ApiError as error:
                response = self._failure(http, exchange, error)
            except (asyncio.CancelledError, ConnectionError):
                exchange.status = 499
                self._line(http, exchange, began)
                raise
            self._line(http, exchange, began)
            return response

        return wrapped

    async def messages(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """POST /v1/messages."""
        request = read(await _body(http, _LARGEST), http.headers.get("anthropic-version"), _betas(http))
        turn = self.simulator.begin(request)
        exchange.fields |= {
            "model": turn.model.id,
            "rule": turn.profile.label,
            "stream": bool(request.body.get("stream")),
            "system_hash": request.system_hash[:12],
        }
        if turn.fate.status in (429, 529):
            raise self._drawn(turn)
        reading = self.simulator.read_prompt(request, turn.model, turn.began)
        await asyncio.sleep(turn.fate.latency)
        if turn.fate.status != 200:
            raise self._drawn(turn)
        message = self.simulator.answer(turn, reading)
        exchange.fields |= {
            "ttft_ms": round(turn.fate.latency * 1e3, 1),
            "stop_reason": message.reply.stop_reason,
            "usage": message.usage,
        }
        if request.body.get("stream"):
            return await self._stream(http, exchange, turn, message)
        await asyncio.sleep(message.reply.output_tokens / turn.profile.tokens_per_second)
        return web.Response(body=message.json(), headers=self._headers(exchange))

    async def count_tokens(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """POST /v1/messages/count_tokens."""
        version = http.headers.get("anthropic-version")
        request = read(await _body(http, _LARGEST), version, _betas(http), counting=True)
        return self._json(exchange, {"input_tokens": self.simulator.count(request)})

    async def models(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """GET /v1/models."""
        lifecycles = [*http.query.getall("lifecycle[]", []), *http.query.getall("lifecycle", [])]
        return self._json(exchange, list_models(http.query, lifecycles, self.simulator.today))

    async def model(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """GET /v1/models/{id}."""
        return self._json(exchange, model_info(http.match_info["id"], self.simulator.today))

    async def show_scenario(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """GET /-/scenario: as it was written, as YAML, or as JSON for a client that accepts only that."""
        document = _plain(self.simulator.scenario.source)
        if http.headers.get("accept", "").startswith("application/json"):
            return self._json(exchange, document)
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        return web.Response(text=text, content_type="application/yaml")

    async def put_scenario(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """PUT /-/scenario."""
        body = await _body(http, _LARGEST_SCENARIO)
        try:
            scenario = self.compile_text(body)
        except ScenarioError as error:
            raise of_status(400, f"scenario: {error}") from error
        self.simulator.apply(scenario)
        return self._json(exchange, {"rules": len(scenario.profiles) - 1, "answers": len(scenario.answers)})

    async def show_stats(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """GET /-/stats."""
        return self._json(exchange, self.simulator.stats.document())

    async def reset_stats(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """DELETE /-/stats."""
        self.simulator.stats.reset()
        exchange.status = 204
        return web.Response(status=204)

    async def ready(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """GET /-/ready."""
        return web.Response(text="ok\n")

    async def nothing(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """Any other path."""
        raise of_status(404)

    async def _stream(self, http: web.Request, exchange: Exchange, turn: Turn, message: Message) -> web.StreamResponse:
        response = web.StreamResponse(headers=self._headers(exchange) | _SSE)
        await response.prepare(http)
        await response.write(message.head())
        rate = turn.profile.tokens_per_second
        size = max(_FEWEST, round(rate / _DELTAS_PER_SECOND))
        deltas = list(message.deltas(size))
        for number, delta in enumerate(deltas):
            if turn.fate.broken and number >= len(deltas) // 2:
                break
            await asyncio.sleep(size / rate)
            await response.write(delta)
        if turn.fate.broken:
            self.simulator.stats.answer(turn.profile.label, turn.model.id, "brokenStreams")
            exchange.fields["broken"] = True
            await _hang_up(http)
            return response
        await response.write(message.tail())
        await response.write_eof()
        return response

    def _drawn(self, turn: Turn) -> ApiError:
        """The failure that the draw has for this request, counted."""
        error = of_status(turn.fate.status)
        self.simulator.stats.error(turn.profile.label, turn.model.id, error.kind)
        return error

    def _failure(self, http: web.Request, exchange: Exchange, error: ApiError) -> web.StreamResponse:
        exchange.status = error.status
        exchange.fields["error"] = error.kind
        if http.path == "/v1/messages" and "rule" not in exchange.fields:
            self.simulator.stats.invalid(error.kind)
        headers = self._headers(exchange, exhausted=error.status == 429) | error.headers
        response = web.Response(status=error.status, body=error.body(exchange.request_id), headers=headers)
        if error.status == 413:
            response.force_close()
        return response

    def _json(self, exchange: Exchange, document: object) -> web.Response:
        return web.Response(body=orjson.dumps(document), headers={**_ANTHROPIC, "request-id": exchange.request_id})

    def _headers(self, exchange: Exchange, *, exhausted: bool = False) -> dict[str, str]:
        limits = self.simulator.limits.headers(self.simulator.clock(), exhausted=exhausted)
        return {**_ANTHROPIC, "request-id": exchange.request_id, **limits}

    def _line(self, http: web.Request, exchange: Exchange, began: float) -> None:
        if http.path == "/-/ready":
            return
        level = "info" if exchange.status < 500 else "warning"
        self.log.event(
            "request",
            level,
            request_id=exchange.request_id,
            method=http.method,
            path=http.path[:256].encode("utf-8", "replace").decode(),
            status=exchange.status,
            duration_ms=round((time.perf_counter() - began) * 1e3, 1),
            **exchange.fields,
        )


def _authenticate(http: web.Request) -> None:
    """Any key but `invalid`, as x-api-key or Bearer."""
    scheme, _, token = http.headers.get("authorization", "").partition(" ")
    key = http.headers.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else "")
    if not key.strip():
        raise of_status(401, "x-api-key header is required")
    if key == "invalid":
        raise of_status(401)


def _betas(http: web.Request) -> list[str]:
    return http.headers.getall("anthropic-beta", [])


async def _body(http: web.Request, limit: int) -> bytes:
    """The whole body; raises ApiError 413 for more than `limit` bytes, 400 for one that cannot be read."""
    if (http.content_length or 0) > limit:
        raise of_status(413)
    pieces, size = [], 0
    try:
        while piece := await http.content.readany():
            size += len(piece)
            if size > limit:
                raise of_status(413)
            pieces.append(piece)
    except HttpProcessingError as error:
        raise of_status(400, "The request body cannot be read") from error
    return b"".join(pieces)


async def _hang_up(http: web.Request) -> None:
    """Drop the connection once what was written is out."""
    await asyncio.sleep(0)
    if http.transport is not None:
        http.transport.close()


def _plain(scenario: Scenario) -> dict[str, Any]:
    document: dict[str, Any] = scenario.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return document
