"""Readings that are kept, calls in flight, and what clients got of late."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import msgspec
import pytest
from tests.gateway.harness import CANARY, STABLE, Gateway, make_arm, make_config
from tests.gateway.pod import Pod
from tests.gateway.upstream import Playback, Recorded, json_answer, sse_answer, stream_events
from tests.waiting import until

from claude_operator.api.evidence import Evidence, Failure, InFlight, Recent, Serving, parse_evidence, parse_serving
from claude_operator.gateway.call import Call
from claude_operator.gateway.in_flight import Failures
from claude_operator.gateway.live_config import Choice
from claude_operator.gateway.readings import KEPT

STREAM = {"messages": [], "stream": True}
NEW = {"reading", "before", "inFlight", "recent", "weights", "failures"}


async def read(gateway: Gateway, query: str = "?since=") -> Evidence:
    return parse_evidence(await gateway.read(f"/-/evidence{query}"))


async def serving(gateway: Gateway) -> Serving:
    return parse_serving(await gateway.read("/-/recent"))


async def test_without_since_nothing_is_new(gateway: Gateway) -> None:
    await gateway.post()
    for query in ("", "?keep=1"):
        assert not NEW & set(json.loads(await gateway.read(f"/-/evidence{query}")))


async def test_a_reading_is_found_again(gateway: Gateway) -> None:
    await gateway.post(headers={"x-claude-session-id": "a"})
    first = await read(gateway, "?since=&keep=1")
    assert (first.reading, first.before) == (1, None)
    gateway.upstream.script = json_answer(b"{}", "500 Oops")
    await gateway.post(headers={"x-claude-session-id": "a"})
    second = await read(gateway, f"?since={first.boot_id}.1&keep=1")
    assert second.reading == 2
    assert second.before is not None
    assert (second.before.reading, second.before.uptime, second.before.bad_count) == (1, first.uptime, 0)
    assert second.before.generations == first.generations
    assert second.generations != first.generations
    third = await read(gateway, f"?since={first.boot_id}.2")
    assert (third.reading, third.before and third.before.bad_count) == (0, 1)
    assert third.before is not None
    assert third.before.generations == second.generations


@pytest.mark.parametrize(
    "since", ["", "1", "other.1", "{boot}.2", "{boot}.x", "{boot}.", "{boot}", "{boot}.-1", "{boot}.²"]
)
async def test_another_reading_is_none(gateway: Gateway, since: str) -> None:
    boot = (await read(gateway, "?since=&keep=1")).boot_id
    evidence = await read(gateway, f"?since={since.format(boot=boot)}")
    assert (evidence.before, evidence.weights) == (None, {STABLE: 10_000})


def test_the_least_recently_used_reading_goes_first() -> None:
    pod = Pod()
    boot = pod.store.boot_id

    def known(number: int) -> bool:
        return parse_evidence(pod.store.document(1, 1.0, "", since=f"{boot}.{number}")).before is not None

    def keep() -> None:
        pod.store.document(1, 1.0, "", since="", keep=True)

    for _ in range(KEPT):
        keep()
    assert known(1)
    keep()
    assert (known(1), known(2), known(3)) == (True, False, True)


def test_what_is_unchanged_is_shared() -> None:
    pod = Pod()
    pod.settle(usage={"input_tokens": 3, "output_tokens": 1})
    pod.settle(revision=CANARY)
    first = pod.live.evidence.snapshot()
    assert pod.live.evidence.snapshot() is first
    pod.settle(revision=CANARY, outcome="error")
    second = pod.live.evidence.snapshot()
    assert second is not first
    by_revision = {stratum.revision: stratum for stratum in first.strata}
    for stratum in second.strata:
        assert (stratum is by_revision[stratum.revision]) == (stratum.revision == STABLE)
    assert by_revision[CANARY].counters.outcomes == {"ok": 1}
    assert pod.counters(CANARY).outcomes == {"ok": 1, "error": 1}


async def test_weights_are_those_that_are_served(gateway: Gateway) -> None:
    gateway.serve(make_arm(weight=9000), make_arm(CANARY, "canary", 1000), generation=2)
    evidence = await read(gateway)
    assert evidence.weights == {STABLE: 9000, CANARY: 1000}
    now = await serving(gateway)
    assert (now.boot_id, now.config_generation, now.weights) == (evidence.boot_id, 2, evidence.weights)
    gateway.offer(b"no config")
    assert (await serving(gateway)).weights == evidence.weights
    gateway.offer(msgspec.json.encode(msgspec.structs.replace(make_config(gateway.upstream.url), generation=3)))
    assert ((await read(gateway)).weights, (await serving(gateway)).weights) == ({}, {})
    await gateway.post()
    assert (await serving(gateway)).recent == Recent(10.0, 1, 1, {"unserved": 1}, "503 api_error")


async def test_before_the_first_config_there_are_no_weights(gateway: Gateway) -> None:
    gateway.service.control.live = None
    await gateway.post()
    assert (await read(gateway)).weights is None
    now = await serving(gateway)
    assert (now.weights, now.config_generation, now.recent.causes) == (None, 0, {"unserved": 1})


async def test_requests_in_flight(gateway: Gateway) -> None:
    start, *middle, _, _ = stream_events("x")
    silent, go_on = asyncio.Event(), asyncio.Event()

    async def script(request: Recorded, play: Playback) -> None:
        if request.json().get("stream"):
            await play.head(content_type="text/event-stream", transfer_encoding="chunked")
            await play.chunk(start)
            await silent.wait()
            await play.chunk(b"".join(middle))
        await go_on.wait()
        play.cut()

    gateway.upstream.script = script
    calls = [gateway.post(STREAM), gateway.post(), gateway.post(headers={"x-claude-revision": STABLE})]
    calls.append(gateway.post(path="/v1/messages/count_tokens"))
    began = time.monotonic()
    tasks = [asyncio.create_task(call) for call in calls]
    await until(lambda: len(gateway.upstream.requests) == 4)
    await asyncio.sleep(0.05)
    (flight,) = (await read(gateway)).in_flight
    assert (flight.revision, flight.requests, flight.waiting) == (STABLE, 2, 2)
    assert 0.05 <= flight.oldest <= time.monotonic() - began
    silent.set()

    async def is_seen() -> bool:
        (flight,) = (await read(gateway)).in_flight
        return (flight.requests, flight.waiting) == (2, 1)

    await until(is_seen)
    go_on.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (await read(gateway)).in_flight == []


def flying(pod: Pod, revision: str = STABLE, **more: Any) -> Call:
    call = Call("POST", "/v1/messages", 1.0, pod.live, choice=Choice(pod.live.arms[revision]), counted=True)
    for name, value in more.items():
        setattr(call, name, value)
    pod.accounting.start(call)
    return call


def test_the_longest_wait_is_that_of_a_call_without_content() -> None:
    pod = Pod()
    answered = flying(pod)
    pod.clock.now += 5.0
    flying(pod)
    flying(pod, CANARY)
    pod.clock.now += 2.0
    flying(pod, outcome="ok")  # a whole answer that is on its way to the client
    answered.first_content = 1.0
    assert pod.store.in_flight.snapshot() == [InFlight(STABLE, 3, 1, 2.0), InFlight(CANARY, 1, 1, 2.0)]
    answered.outcome = "ok"
    pod.accounting.finish(answered)
    assert pod.store.in_flight.snapshot()[0] == InFlight(STABLE, 2, 1, 2.0)


def settled(pod: Pod, outcome: str, status: int = 200, error: str = "", **more: Any) -> None:
    call = flying(pod, outcome=outcome, status=status, error=error, ended=2.0, **more)
    pod.accounting.finish(call)


def test_what_clients_got_of_late() -> None:
    pod = Pod()
    settled(pod, "error", 500, "api_error")
    pod.clock.now += 6.0
    settled(pod, "ok")
    settled(pod, "ok", attempt="1")
    settled(pod, "overload", 200, "overloaded_error", attempt="2")
    settled(pod, "account", 400, "invalid_request_error")
    settled(pod, "canceled")
    settled(pod, "refused", 401, "authentication_error")
    settled(pod, "refused", 413, "request_too_large")
    settled(pod, "refused", 529, "overloaded_error")
    settled(pod, "refused", 503, "api\nerror" + "x" * 99)
    causes = {"error": 1, "overload": 1, "account": 1, "unserved": 2}
    assert pod.store.recent_calls.snapshot() == Recent(10.0, 7, 5, causes, "503 api?error" + "x" * 55)
    pod.clock.now += 4.0  # the first second is out of the window, the rest is not
    assert pod.store.recent_calls.snapshot().causes == {"overload": 1, "account": 1, "unserved": 2}
    pod.clock.now += 5.0
    assert pod.store.recent_calls.snapshot().requests == 6
    pod.clock.now += 1.0
    assert pod.store.recent_calls.snapshot() == Recent()


async def test_pinned_and_retried_calls_are_in_it_and_other_paths_are_not(gateway: Gateway) -> None:
    await gateway.post(headers={"x-claude-revision": STABLE})
    await gateway.post(headers={"x-stainless-retry-count": "1"})
    await gateway.post(path="/v1/messages/count_tokens")
    await gateway.post(headers={"authorization": "Bearer wrong"})
    gateway.serve(url="http://127.0.0.1:1", generation=2)
    await gateway.post()
    gateway.serve(generation=3)
    gateway.upstream.script = sse_answer(
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"m"}}\n\n'
    )
    await gateway.post(STREAM)
    recent = (await serving(gateway)).recent
    assert recent == Recent(10.0, 4, 2, {"error": 1, "overload": 1}, "200 overloaded_error")
    assert (await read(gateway)).recent == recent


async def test_what_errors_say_is_told_by_arm_without_a_word_of_the_client(gateway: Gateway) -> None:
    """The commonest first, three of each revision; overloads and good answers are none."""
    messages = ["`temperature` is not supported by this model"] * 3 + ["messages.7: Anna Meier lives at Elm Road 7"]
    for message in messages:
        gateway.upstream.script = api_error(message)
        await gateway.post(headers={"x-claude-revision": STABLE})
    gateway.upstream.script = json_answer(b'{"type":"error","error":{"type":"overloaded_error"}}', "529 Overloaded")
    await gateway.post(headers={"x-claude-revision": STABLE})
    assert (await read(gateway)).failures == [
        Failure(STABLE, "400 invalid_request_error: `temperature` is not supported by this model", 3),
        Failure(STABLE, "400 invalid_request_error", 1),
    ]


def api_error(message: str) -> Any:
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    return json_answer(msgspec.json.encode(body), "400 Bad Request")


def test_failures_are_forgotten_after_a_while() -> None:
    now = [0.0]
    failures = Failures(lambda: now[0])
    pod = Pod()
    for at in (0.0, 299.0, 301.0):
        now[0] = at
        failures.add(flying(pod, outcome="error", status=400, error="invalid_request_error"))
    assert [one.requests for one in failures.snapshot()] == [3]
    now[0] = 601.0
    assert [one.requests for one in failures.snapshot()] == [1]
    now[0] = 1500.0
    assert failures.snapshot() == []
