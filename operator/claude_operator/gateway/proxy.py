"""The path of a call: admit, choose an arm, compose, relay. It knows its two ends only as ports."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from multidict import MultiMapping

from claude_operator.api.gateway import BODY_LIMIT
from claude_operator.core.request.betas import united
from claude_operator.core.request.compose import Composed, compose, warms_cache
from claude_operator.core.request.endpoints import Route, route
from claude_operator.core.request.json_body import JsonObject
from claude_operator.core.request.outcomes import of_status
from claude_operator.core.request.privacy import identity
from claude_operator.core.request.threads import thread_of
from claude_operator.core.spec.site_options import HOST_OPTION
from claude_operator.gateway import headers as names
from claude_operator.gateway.accounting import Accounting
from claude_operator.gateway.assigner import Asked, Assigner
from claude_operator.gateway.attempts import BodySample
from claude_operator.gateway.body import decode, too_deep
from claude_operator.gateway.call import Call
from claude_operator.gateway.callers import MAX_KEYS
from claude_operator.gateway.control import Control
from claude_operator.gateway.drills import RehearsedFault
from claude_operator.gateway.errors import (
    ClientGone,
    Refused,
    UpstreamFailed,
    envelope,
    error_event,
    new_request_id,
    too_large,
)
from claude_operator.gateway.live_config import Choice, LiveConfig
from claude_operator.gateway.memory import Lease, Memory, overloaded
from claude_operator.gateway.outcome import outcome_when_client_left, read_answer, revision_headers
from claude_operator.gateway.ports import CallTimeouts, ClientReply, ClientRequest, Upstream, UpstreamReply
from claude_operator.gateway.sse import relay_for
from claude_operator.gateway.threads import Threads, thread_not_found
from claude_operator.gateway.throttle import turn_away

__all__ = ["Proxy"]

_CHUNK = 1 << 16  # bytes of a body that are sent at once
_BUFFERED = 1 << 14  # bytes of a body up to which it is kept until the answer begins
_MAX_USER = 512  # characters of a user's name, which is for the log alone
_READ_SECONDS = 30.0  # that a client has for an answer in one piece, ...
_READ_RATE = float(1 << 16)  # ... and its size at this rate on top
_REPORT_SECONDS = 5.0  # for sending the reason to a client that does not read
_HOST_NOT_ALLOWED = (
    "spec.upstream.baseURL has a host that the installer does not allow, so the gateway does not send its key there."
    f" Write another one, or have the installer allow it with the operator's option {HOST_OPTION}"
)

OwnHeaders = Sequence[tuple[str, str]]


class Proxy:
    """Answers calls. `closing` makes cancelled calls end with an error that the client can read."""

    def __init__(
        self,
        control: Control,
        upstream: Upstream,
        accounting: Accounting,
        memory: Memory,
        *,
        headers: names.UpstreamHeaders | None = None,
        clock: Callable[[], float] = time.perf_counter,
        draw: Callable[[int], int] = random.randrange,
    ) -> None:
        self.closing = False
        self.tasks: set[asyncio.Task[None]] = set()
        self._control = control
        self._upstream = upstream
        self._accounting = accounting
        self._memory = memory
        self._headers = headers or names.UpstreamHeaders()
        self._threads = Threads()
        self._assigner = Assigner(control.store.memory, control.store.eras, control.store.callers, draw)
        self._writing: dict[int, ClientReply] = {}
        self._clock = clock

    async def handle(self, request: ClientRequest, reply: ClientReply) -> None:
        """Answer one call and account for it, whatever happens."""
        call = Call(request.method, request.path, self._clock(), self._control.live)
        endpoint = route(request.method, request.target)
        call.counted = endpoint.kind == "messages"
        call.attempt = request.headers.get("x-stainless-retry-count", "")
        task = asyncio.current_task()
        if task is not None:
            self.tasks.add(task)
        self._accounting.metrics.in_flight.inc()
        try:
            await self._answer_or_report(call, endpoint, request, reply)
        finally:
            if task is not None:
                self.tasks.discard(task)
            self._accounting.metrics.in_flight.dec()
            call.ended = self._clock()
            call.error = call.error or call.summary.error
            self._finish(call)

    def _finish(self, call: Call) -> None:
        try:
            self._accounting.finish(call)
        except Exception as error:  # the answer was sent; a failure to account for it must not break it
            self._accounting.log_bug(error)

    async def _answer_or_report(self, call: Call, endpoint: Route, request: ClientRequest, reply: ClientReply) -> None:
        """Answer; a failure becomes an outcome and, while the client is connected, an error in the API's form."""
        try:
            await self._answer(call, endpoint, request, reply)
        except Refused as refused:
            call.outcome, call.error_code = "refused", refused.code
            await self._send_failure(call, reply, refused.status, refused.kind, refused.message, refused.headers)
        except UpstreamFailed as failure:
            call.outcome = "error"
            await self._send_failure(call, reply, failure.status, failure.kind, failure.message)
        except ClientGone:
            call.outcome = outcome_when_client_left(call)
        except asyncio.CancelledError:
            call.outcome = outcome_when_client_left(call)
            task = asyncio.current_task()
            if not self.closing or task is None:
                raise
            task.uncancel()
            await self._send_failure(call, reply, 503, "api_error", "the gateway is shutting down: try again")
        except Exception as error:
            call.outcome = "error"
            self._accounting.log_bug(error)
            await self._send_failure(call, reply, 500, "api_error", "the gateway has an internal error: see its log")

    async def _answer(self, call: Call, endpoint: Route, request: ClientRequest, reply: ClientReply) -> None:
        if endpoint.kind == "local":
            call.outcome, call.status, call.request_id = "local", endpoint.answer.status, new_request_id()
            try:
                async with asyncio.timeout(_REPORT_SECONDS):
                    await reply.send(call.status, _own_headers(call), endpoint.answer.body)
            except TimeoutError:
                reply.abort()
            return
        if endpoint.kind == "unknown":
            raise Refused(404, "not_found_error", endpoint.hint)
        live = call.live
        if live is None:
            raise Refused(503, "api_error", "the gateway has not read its configuration yet: try again later")
        keys = names.credentials(request.headers)
        if len(keys) > MAX_KEYS:
            message = f"the request shows more than {MAX_KEYS} keys: send one as x-api-key or Authorization: Bearer"
            raise Refused(400, "invalid_request_error", message)
        if not live.admits(keys):
            raise Refused(401, "authentication_error", live.credentials.explain_refusal(keys))
        if endpoint.kind == "administer" and live.swaps_key:
            message = "this endpoint manages the account, and the gateway does not call such endpoints with its own key"
            raise Refused(403, "permission_error", f"{message}: call the Claude API directly with your key")
        turn_away(live, request.method, endpoint)
        if len(self.tasks) > self._memory.budget.calls:
            raise overloaded()
        if endpoint.kind in ("messages", "count_tokens"):
            lease = self._memory.request()
            try:
                await self._forward_composed(call, live, endpoint, request, reply, lease)
            finally:
                lease.release()
            return
        lease = await self._memory.reserve_pass_through()
        try:
            await self._pass_through(call, live, endpoint, request, reply)
        finally:
            lease.release()

    # ------------------------------------------------------------------------------ composed calls

    async def _forward_composed(
        self, call: Call, live: LiveConfig, endpoint: Route, request: ClientRequest, reply: ClientReply, lease: Lease
    ) -> None:
        """Compose the request with an arm's revision and relay the answer. `lease` is for the request's body."""
        data = await request.body(BODY_LIMIT, lease)
        if data is None:
            raise Refused(413, "request_too_large", f"the request is larger than {BODY_LIMIT} bytes: send less")
        call.received = self._clock()
        fields = decode(data, request.headers, self._memory.budget.values)
        call.body = BodySample.of(data) if call.counted else None
        try:
            choice = self._choose(call, live, request.headers, fields)
            composed = compose(
                choice.arm, fields, subagent=call.subagent or None, count_tokens=endpoint.kind == "count_tokens"
            )
        except RecursionError:
            raise too_deep() from None
        betas, displaced = united(request.headers.getall(names.BETA, ()), composed.betas)
        self._record_composition(call, choice, (*composed.overridden, *([names.BETA] if displaced else ())), composed)
        if composed.size > BODY_LIMIT:
            raise too_large(len(data), composed.size, call.revision if live.exposes_revision else "")
        outgoing = self._headers.make(request.headers, _upstream_key(live), betas)
        body: bytes | AsyncIterator[bytes] = composed.body
        if composed.size > _BUFFERED:
            outgoing["content-length"] = str(composed.size)
            body = _send_pieces(deque(composed.pieces), lease)
        if self._control.store.drills.strikes(call):
            raise RehearsedFault
        configured = live.config.upstream.timeouts
        timeouts = CallTimeouts(configured.connect, configured.idle if composed.stream else None, configured.total)
        sending = self._upstream.open("POST", _url(live, endpoint), outgoing, body, timeouts)
        call.sent = self._clock()
        self._accounting.start(call, composed)
        del data, fields, composed, body  # an answer may take minutes, its request need not live as long
        async with sending as answer:
            await self._relay(call, answer, reply)

    def _choose(self, call: Call, live: LiveConfig, headers: MultiMapping[str], fields: JsonObject) -> Choice:
        """Choose the arm, and keep what the client says about the conversation."""
        asked = Asked.of(headers, fields)
        named = identity(asked.user or asked.user_id)
        call.session_id, call.user_id = asked.session or named.session, named.user[:_MAX_USER]
        call.subagent = headers.get(names.SUBAGENT, "")
        call.surface = self._control.store.usage.budgets.surface_of(live, headers.get(names.SURFACE, ""))
        # A key shared by all clients identifies nobody, and rotating it would move conversations.
        keys = () if live.swaps_key else names.credentials(headers)
        call.callers = tuple(live.assignment.caller(key) for key in keys)
        call.warms_cache = warms_cache(fields)
        call.thread = thread_of(fields) if call.counted else None
        choice = self._assigner.choose(live, call, asked)
        if choice is None:
            raise Refused(503, "api_error", "no revision serves yet: try again later")
        if call.continues_thread:
            choice = self._threads.choose_arm(live, call, choice)
        call.choice = choice
        sampler = self._control.store.sampler
        self._accounting.measure(sampler.begin, call, fields, opted_out=names.NO_GRADING in headers)
        return choice

    def _record_composition(self, call: Call, choice: Choice, overridden: tuple[str, ...], composed: Composed) -> None:
        call.model = composed.model
        call.model_label = composed.model if "model" in choice.arm.arm.request else ""
        call.stream = composed.stream
        call.cache_ttl = composed.cache_ttl
        ignored = (names.WANTED_REVISION,) if choice.refused_pin else ()
        call.overridden = (*ignored, *overridden)

    async def _relay(self, call: Call, answer: UpstreamReply, reply: ClientReply) -> None:
        """Relay the answer: a stream event by event, anything else when it is complete."""
        call.status = answer.status
        call.request_id = answer.headers.get("request-id") or new_request_id()
        if answer.status == 200 and answer.headers.get("content-type", "").startswith("text/event-stream"):
            await self._stream(call, answer, reply)
            return
        lease = self._memory.answer()
        try:
            body = await answer.body(lease)
            call.outcome = read_answer(call, body, answer.headers.get("content-encoding", ""))
            if call.continues_unknown_thread and call.summary.code == "thread_fingerprint_mismatch":
                raise thread_not_found()
            self._threads.remember(call)
            if call.outcome == "ok":
                self._assigner.answered(call)
            headers = [*names.for_client(answer.headers, framed=True), *revision_headers(call)]
            sending = reply.send(answer.status, headers, body)
            await self._deliver(reply, sending if len(body) <= _CHUNK else _in_time(reply, sending, len(body)))
        finally:
            lease.release()

    async def _stream(self, call: Call, answer: UpstreamReply, reply: ClientReply) -> None:
        encoding = answer.headers.get("content-encoding", "")
        call.relay = relay = relay_for(encoding, call.summary, call.answer, call.sample and call.sample.tap)
        await reply.start(answer.status, [*names.for_client(answer.headers, framed=True), *revision_headers(call)])
        try:
            async for chunk in answer.chunks():
                ready = relay.feed(chunk)
                if relay.advanced:
                    answer.renew()
                    self._threads.remember(call)
                if relay.has_content and not call.first_content:
                    call.first_content = self._clock()
                if call.summary.stopped:  # the client may go on at once
                    self._assigner.answered(call)
                if ready:
                    await self._deliver(reply, reply.write(ready))
        except UpstreamFailed:
            if not call.summary.ended:
                raise
        rest = relay.finish()
        if relay.readable and not call.summary.ended:
            raise UpstreamFailed("the upstream ended the stream before message_stop")
        self._assigner.answered(call)
        if rest:
            await self._deliver(reply, reply.write(rest))
        call.outcome = call.summary.failure or "ok"
        await self._deliver(reply, reply.finish())

    async def _deliver(self, reply: ClientReply, sending: Awaitable[None]) -> None:
        """Send something. When too many clients do not read, cut the connection of the one that waits longest."""
        self._writing[id(reply)] = reply
        if len(self._writing) > self._memory.budget.stalled:
            self._writing.pop(next(iter(self._writing))).abort()
        try:
            await sending
        finally:
            self._writing.pop(id(reply), None)

    # -------------------------------------------------------------------------------- everything else

    async def _pass_through(
        self, call: Call, live: LiveConfig, endpoint: Route, request: ClientRequest, reply: ClientReply
    ) -> None:
        """Relay a request and its answer unchanged, except for the keys."""
        outgoing = self._headers.make(request.headers, _upstream_key(live), None)
        configured = live.config.upstream.timeouts
        timeouts = CallTimeouts(configured.connect, configured.idle, None)
        url = _url(live, endpoint)
        async with self._upstream.open(request.method, url, outgoing, request.chunks(), timeouts) as answer:
            call.status = answer.status
            call.request_id = answer.headers.get("request-id", "")
            await reply.start(answer.status, names.for_client(answer.headers))
            async for chunk in self._control.store.usage.budgets.follow(live, request, endpoint.target, answer):
                await self._deliver(reply, reply.write(chunk))
            call.outcome = of_status(answer.status)
            await self._deliver(reply, reply.finish())

    # ------------------------------------------------------------------------------------ own errors

    async def _send_failure(
        self, call: Call, reply: ClientReply, status: int, kind: str, message: str, headers: OwnHeaders = ()
    ) -> None:
        """Send an error in the API's form: as a complete answer, or as a stream's last event."""
        call.error = kind
        call.request_id = call.request_id or new_request_id()
        try:
            async with asyncio.timeout(_REPORT_SECONDS):
                if not reply.started:
                    call.status = status
                    await self._send_error(
                        call, reply, envelope(kind, message, call.request_id, call.error_code), headers
                    )
                elif call.relay is not None and (before := call.relay.interrupt()) is not None:
                    await reply.write(before + error_event(kind, message, call.request_id))
                    await reply.finish()
                else:
                    reply.abort()
        except (ClientGone, TimeoutError):
            reply.abort()

    async def _send_error(self, call: Call, reply: ClientReply, body: bytes, headers: OwnHeaders) -> None:
        await reply.send(call.status, [*_own_headers(call), *headers, *revision_headers(call)], body)


async def _in_time(reply: ClientReply, sending: Awaitable[None], size: int) -> None:
    """Send an answer whose memory others wait for: a client that reads too slowly is cut off."""
    try:
        async with asyncio.timeout(_READ_SECONDS + size / _READ_RATE):
            await sending
    except TimeoutError:
        reply.abort()


def _own_headers(call: Call) -> list[tuple[str, str]]:
    """The headers of an answer that the gateway gives itself."""
    return [("content-type", "application/json"), ("request-id", call.request_id), ("server", "claude-operator")]


async def _send_pieces(pieces: deque[bytes | memoryview], lease: Lease) -> AsyncIterator[bytes]:
    """A body in chunks; then its memory is released, before the answer comes."""
    while pieces:
        piece = memoryview(pieces.popleft())
        for begin in range(0, len(piece), _CHUNK):
            yield bytes(piece[begin : begin + _CHUNK])
        del piece
    lease.release()


def _upstream_key(live: LiveConfig) -> str | None:
    """The key for the upstream, None where the client's own goes through."""
    if not live.swaps_key:
        return None
    if live.withholds_key:
        raise Refused(502, "api_error", _HOST_NOT_ALLOWED, retry=False)
    if live.credentials.upstream_key is None:
        raise Refused(500, "api_error", live.credentials.explain_missing_key(), retry=False)
    return live.credentials.upstream_key


def _url(live: LiveConfig, endpoint: Route) -> str:
    return live.config.upstream.base_url.rstrip("/") + endpoint.target
