"""The simulated API on aiohttp: `/v1/` like the API's, `/-/` for control and statistics."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable

from aiohttp import web

from claude_operator.core.catalogue.checks.beside import key_kind
from claude_operator.core.request.endpoints import local_answer
from claude_operator.core.request.privacy import without_emails
from claude_operator.log import Log
from claude_operator.simulator.admin import Admin
from claude_operator.simulator.admin_book import tier_of
from claude_operator.simulator.batches import Batches, Sender
from claude_operator.simulator.control import Compile, Control
from claude_operator.simulator.errors import ApiError, empty_account, new_id, of_status
from claude_operator.simulator.ledger import Payment
from claude_operator.simulator.models import list_models, model_info
from claude_operator.simulator.request import read
from claude_operator.simulator.service import Simulator, Turn
from claude_operator.simulator.stream import Message, event
from claude_operator.simulator.wire import (
    PLAIN_HEADERS,
    Exchange,
    Handler,
    authenticate,
    betas,
    body,
    close_connection,
    json_response,
)

__all__ = ["make_app", "make_runner"]

_MAX_BODY = 32 << 20  # bytes of a request
_DELTAS_PER_SECOND = 20  # at most, whatever the token rate
_MIN_DELTA = 3  # tokens in a delta
_SSE = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


def make_app(simulator: Simulator, log: Log, compile_text: Compile) -> web.Application:
    """The application; `compile_text` makes a scenario from the body of `PUT /-/scenario`."""
    app = web.Application(client_max_size=_MAX_BODY)
    api, control, admin = _Api(simulator, log), Control(simulator, compile_text), Admin(simulator)
    for method, path, handler in (
        ("POST", "/v1/messages", api.messages),
        ("POST", "/v1/messages/count_tokens", api.count_tokens),
        ("POST", "/v1/messages/batches", api.create_batch),
        ("GET", "/v1/messages/batches/{id}", api.batch),
        ("POST", "/v1/messages/batches/{id}/cancel", api.cancel_batch),
        ("GET", "/v1/messages/batches/{id}/results", api.batch_results),
        ("GET", "/v1/models", api.models),
        ("GET", "/v1/models/{id}", api.model),
        ("GET", "/-/scenario", control.show_scenario),
        ("PUT", "/-/scenario", control.put_scenario),
        ("GET", "/-/stats", control.show_stats),
        ("DELETE", "/-/stats", control.reset_stats),
        ("GET", "/-/ledger", control.show_ledger),
        ("DELETE", "/-/ledger", control.reset_ledger),
        ("GET", "/-/ready", control.ready),
        *admin.routes(),
        ("*", "/{any:.*}", api.unknown_path),
    ):
        app.router.add_route(method, path, api.wrap(handler))
    return app


def make_runner(app: web.Application, drain_seconds: float) -> web.AppRunner:
    """A runner that cancels handlers when clients disconnect, and at the end waits for answers in flight."""
    return web.AppRunner(
        app, access_log=None, handler_cancellation=True, auto_decompress=False, shutdown_timeout=drain_seconds
    )


class _Api:
    def __init__(self, simulator: Simulator, log: Log) -> None:
        self.simulator = simulator
        self.log = log
        self.batches = Batches(simulator)

    def wrap(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """The handler with the key checked, errors in the envelope, and a line in the log."""

        async def wrapped(http: web.Request) -> web.StreamResponse:
            began = time.perf_counter()
            exchange = Exchange(new_id("req"))
            local = local_answer(http.method, http.path)
            if local is not None:
                exchange.status = local.status
                self._log_request(http, exchange, began)
                return web.Response(status=local.status, body=local.body, headers=self._headers(exchange))
            try:
                if http.path.startswith("/v1/"):
                    exchange.key = authenticate(http)
                    if http.path.startswith("/v1/messages") and key_kind(exchange.key) == "admin":
                        raise of_status(401)
                response = await handler(http, exchange)
            except ApiError as error:
                response = self._error_response(http, exchange, error)
            except (asyncio.CancelledError, ConnectionError):
                exchange.status = 499
                self._log_request(http, exchange, began)
                raise
            except Exception as error:  # a bug: still an answer in the API's form
                frames = traceback.extract_tb(error.__traceback__)
                exchange.fields |= {
                    "exception": type(error).__name__,
                    "where": f"{frames[-1].name}:{frames[-1].lineno}",
                }
                response = self._error_response(http, exchange, of_status(500))
            self._log_request(http, exchange, began)
            return response

        return wrapped

    async def messages(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """POST /v1/messages."""
        raw = await body(http, _MAX_BODY)
        request = read(raw, http.headers.get("anthropic-version"), betas(http))
        turn = self.simulator.begin(request)
        exchange.fields |= {
            "model": turn.model.id,
            "rule": turn.profile.label,
            "stream": bool(request.body.get("stream")),
            "system_hash": turn.system_hash[:12],
        }
        if turn.draw.status in (400, 429, 529):
            raise self._drawn_error(turn)
        lookup = self.simulator.look_up_prompt(turn.request, turn.model, turn.began)
        await asyncio.sleep(turn.draw.latency)
        if turn.draw.status != 200:
            raise self._drawn_error(turn)
        scenario = self.simulator.scenario.source.organization
        message = self.simulator.answer(turn, lookup, tier=tier_of(exchange.key, request, scenario))
        payment = self.simulator.ledger.add(raw, message)
        self.simulator.book.add(self.simulator.clock(), exchange.key, message, scenario)
        exchange.fields |= {
            "ttft_ms": round(turn.draw.latency * 1e3, 1),
            "stop_reason": message.reply.stop_reason,
            "usage": message.usage,
        }
        if request.body.get("stream"):
            return await self._stream(http, exchange, turn, message, payment)
        await asyncio.sleep(message.reply.output_tokens / turn.profile.tokens_per_second)
        payment.complete = True
        return web.Response(body=message.json(), headers=self._headers(exchange))

    async def count_tokens(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """POST /v1/messages/count_tokens."""
        version = http.headers.get("anthropic-version")
        request = read(await body(http, _MAX_BODY), version, betas(http), counting=True)
        return json_response(exchange, {"input_tokens": self.simulator.count(request)})

    async def create_batch(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """POST /v1/messages/batches."""
        raw = await body(http, _MAX_BODY)
        sender = Sender(http.headers.get("anthropic-version"), betas(http), exchange.key)
        return json_response(exchange, self.batches.create(raw, sender))

    async def batch(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """GET /v1/messages/batches/{id}."""
        return json_response(exchange, self.batches.show(http.match_info["id"]))

    async def cancel_batch(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """POST /v1/messages/batches/{id}/cancel."""
        return json_response(exchange, self.batches.cancel(http.match_info["id"]))

    async def batch_results(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """GET /v1/messages/batches/{id}/results."""
        lines = self.batches.results(http.match_info["id"])
        return web.Response(body=lines, headers=self._headers(exchange) | {"content-type": "application/x-jsonl"})

    async def models(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """GET /v1/models."""
        lifecycles = [*http.query.getall("lifecycle[]", []), *http.query.getall("lifecycle", [])]
        return json_response(exchange, list_models(http.query, lifecycles, self.simulator.served, self.simulator.today))

    async def model(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """GET /v1/models/{id}."""
        simulator = self.simulator
        return json_response(exchange, model_info(http.match_info["id"], simulator.served, simulator.today))

    async def unknown_path(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """Any other path."""
        raise of_status(404)

    async def _stream(
        self, http: web.Request, exchange: Exchange, turn: Turn, message: Message, payment: Payment
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=self._headers(exchange) | _SSE)
        await response.prepare(http)
        await response.write(message.head())
        rate = turn.profile.tokens_per_second
        size = max(_MIN_DELTA, round(rate / _DELTAS_PER_SECOND))
        deltas, left = list(message.deltas(size)), message.reply.output_tokens
        for number, delta in enumerate(deltas):
            if (turn.draw.broken or turn.draw.overloaded) and number >= len(deltas) // 2:
                break
            await asyncio.sleep(min(size, left) / rate)
            left -= size
            await response.write(delta)
        if turn.draw.overloaded:
            self.simulator.stats.error(turn.profile.label, turn.model.id, "overloaded_in_stream")
            await response.write(event("error", error={"type": "api_error", "message": "Overloaded"}))
            await response.write_eof()
            return response
        if turn.draw.broken:
            self.simulator.stats.answer(turn.profile.label, turn.model.id, "brokenStreams")
            exchange.fields["broken"] = True
            await close_connection(http)
            return response
        await response.write(message.tail())
        payment.complete = True
        await response.write_eof()
        return response

    def _drawn_error(self, turn: Turn) -> ApiError:
        """The error that was drawn for this request; counts it."""
        error = empty_account() if turn.draw.status == 400 else of_status(turn.draw.status)
        self.simulator.stats.error(turn.profile.label, turn.model.id, error.kind)
        return error

    def _error_response(self, http: web.Request, exchange: Exchange, error: ApiError) -> web.StreamResponse:
        exchange.status = error.status
        exchange.fields["error"] = error.kind
        if http.path == "/v1/messages" and "rule" not in exchange.fields:
            self.simulator.stats.invalid(error.kind)
        headers = self._headers(exchange, exhausted=error.status == 429 and not error.code) | error.headers
        response = web.Response(status=error.status, body=error.body(exchange.request_id), headers=headers)
        if error.status == 413:
            response.force_close()
        return response

    def _headers(self, exchange: Exchange, *, exhausted: bool = False) -> dict[str, str]:
        limits = self.simulator.limits.headers(self.simulator.clock(), exhausted=exhausted)
        return {**PLAIN_HEADERS, "request-id": exchange.request_id, **limits}

    def _log_request(self, http: web.Request, exchange: Exchange, began: float) -> None:
        if http.path == "/-/ready":
            return
        level = "info" if exchange.status < 500 else "warning"
        self.log.event(
            "request",
            level,
            request_id=exchange.request_id,
            method=http.method,
            path=without_emails(http.path[:512])[:256].encode("utf-8", "replace").decode(),
            status=exchange.status,
            duration_ms=round((time.perf_counter() - began) * 1e3, 1),
            **exchange.fields,
        )
