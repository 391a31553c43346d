"""A request that waits longer than stable's ever do is bad before its client gives up."""

from __future__ import annotations

import asyncio
import math
from collections import Counter

import pytest
from tests.gateway.harness import CANARY, STABLE, Gateway, make_arm
from tests.gateway.pod import Clock
from tests.gateway.speakers import Process, arms
from tests.gateway.upstream import Playback, Recorded, json_answer, sse_answer, stream_events
from tests.waiting import until

from claude_operator.api.evidence import parse_evidence
from claude_operator.gateway import hangs
from claude_operator.gateway.assigner import Asked
from claude_operator.gateway.call import Call
from claude_operator.gateway.hangs import FEWEST, FLOOR, IN_ONE_PIECE, HangLimits

MODEL = "claude-sonnet-5-5"


def limits(*waited: float, stream: bool = True) -> float:
    clock = Clock()
    known = HangLimits(clock)
    for each in waited:
        known.add(each, stream=stream)
    clock.now += 1.0
    assert known.of(stream=not stream) == math.inf
    return known.of(stream=stream)


# -------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("waited", "least", "most"),
    [
        ([60.0] * (FEWEST - 1), math.inf, math.inf),  # nothing is known yet
        ([60.0] * FEWEST, 120.0, 150.0),  # twice the largest, by its bucket
        ([0.2] * FEWEST, FLOOR, FLOOR),
        ([0.2] * 5000, FLOOR, FLOOR),
        ([0.2] * 998 + [300.0, 20.0], 20.0, 25.0),  # one of a thousand may wait longer
        ([0.2] * 2994 + [20.0] * 6, 20.0, 25.0),
        ([30.0] * 2000, 30.0, 37.5),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_the_limit_is_what_stable_waits_at_most(waited: list[float], least: float, most: float, stream: bool) -> None:
    times = 1.0 if stream else IN_ONE_PIECE
    assert least * times <= limits(*waited, stream=stream) <= most * times


def test_a_limit_forgets_what_is_an_hour_old() -> None:
    clock = Clock()
    known = HangLimits(clock)

    def after(seconds: float) -> float:
        clock.now += seconds
        return known.of(stream=True)

    for _ in range(FEWEST):
        known.add(60.0, stream=True)
    assert after(1.0) >= 120.0
    assert after(1800.0) >= 120.0
    for _ in range(FEWEST):
        known.add(8.0, stream=True)
    assert after(1.0) >= 120.0
    assert after(1800.0) <= 20.0
    assert after(7200.0) == math.inf


def test_what_takes_no_time_has_no_place() -> None:
    known = HangLimits(Clock())
    for waited in (None, 0.0, -1.0):
        known.add(waited, stream=True)
    assert known.of(stream=True) == math.inf


# ------------------------------------------------------------------------------------------------ counting


def process() -> Process:
    """With a limit of ten seconds, for both kinds of answers; conversations are drawn."""
    one = Process()
    one.run(2, *arms(5000))
    for stream in (True, False):
        for _ in range(FEWEST):
            one.store.hang_limits.add(0.1, stream=stream)
    one.clock.now += 1.0
    return one


def begin(one: Process, number: int, *, stream: bool = True) -> Call:
    call = Call("POST", "/v1/messages", one.clock.now, one.live, counted=True)
    call.surface, call.model, call.stream = "chat", MODEL, stream
    call.choice = one.assigner.choose(one.live, call, Asked({}, session=f"s{number}"))
    call.sent = one.clock.now
    one.accounting.start(call)
    return call


def end(one: Process, call: Call, outcome: str) -> None:
    call.outcome, call.ended, call.status = outcome, one.clock.now, 200
    one.accounting.finish(call)


def first_bad(one: Process) -> Counter[str]:
    found: Counter[str] = Counter()
    for each in one.units().values():
        for unit in each:
            found += Counter(unit.counters.first_bad)
    return found


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("outcome", ["ok", "canceled", "error"])
def test_a_call_counts_once_as_it_passes_the_limit(stream: bool, outcome: str) -> None:
    one = process()
    call = begin(one, 1, stream=stream)
    one.clock.now += FLOOR * (1.0 if stream else IN_ONE_PIECE) - 1.0
    assert first_bad(one) == {}
    one.clock.now += 1.5
    assert first_bad(one) == {"hung:0": 1}
    assert first_bad(one) == {"hung:0": 1}
    end(one, call, outcome)
    assert first_bad(one) == {"hung:0": 1} | ({"error:0": 1} if outcome == "error" else {})


@pytest.mark.parametrize(("waits", "hung"), [(9.0, 0), (11.0, 1)])
@pytest.mark.parametrize("outcome", ["ok", "canceled", "error"])
def test_who_leaves_between_two_looks_counts_too(waits: float, hung: int, outcome: str) -> None:
    one = process()
    call = begin(one, 1)
    one.clock.now += waits
    end(one, call, outcome)
    assert first_bad(one)["hung:0"] == hung


@pytest.mark.parametrize(("stream", "outcome", "hung"), [(False, "ok", 0), (False, "error", 1), (True, "ok", 1)])
def test_an_answer_in_one_piece_that_came_is_long_and_not_hung(stream: bool, outcome: str, hung: int) -> None:
    """A revision may be wanted for its longer answers; outputTokens asks a person about those."""
    one = process()
    call = begin(one, 1, stream=stream)
    one.clock.now += 40.0
    end(one, call, outcome)
    assert first_bad(one).get("hung:0", 0) == hung


def test_a_long_answer_that_has_begun_does_not_hang() -> None:
    one = process()
    call = begin(one, 1)
    one.clock.now += 2.0
    call.first_content = one.clock.now
    one.clock.now += 600.0
    assert first_bad(one) == {}
    end(one, call, "ok")
    assert first_bad(one) == {}


def test_a_conversation_hangs_once() -> None:
    one = process()
    for _ in range(3):
        call = begin(one, 1)
        one.clock.now += 20.0
        end(one, call, "canceled")
    assert first_bad(one) == {"hung:0": 1}
    entries = sum(unit.counters.entries for each in one.units().values() for unit in each)
    assert entries == 0  # none of them was answered


def test_what_is_answered_429_counts_as_overload_and_no_more() -> None:
    one = process()
    for number in (1, 1, 2):
        call = begin(one, number)
        one.clock.now += 1.0
        end(one, call, "overload")
    assert first_bad(one) == {"overload:0": 2}


def test_retries_do_not_hang() -> None:
    one = process()
    call = begin(one, 1)
    call.earlier_attempts = 1
    one.clock.now += 20.0
    assert first_bad(one) == {}
    call.earlier_attempts, call.is_evidence = 0, False
    assert first_bad(one) == {}


def test_nothing_hangs_before_stable_is_known() -> None:
    one = Process()
    one.run(2, *arms(5000))
    begin(one, 1)
    one.clock.now += 3600.0
    assert first_bad(one) == {}


# ------------------------------------------------------------------------------------------- a real gateway


@pytest.mark.parametrize("stream", [True, False])
async def test_requests_that_hang_are_counted_before_the_client_leaves(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    for name, value in (("FEWEST", 5), ("FLOOR", 0.05), ("_DUE", 0.0)):
        monkeypatch.setattr(hangs, name, value)
    answer = sse_answer(*stream_events("Hello")) if stream else json_answer()

    async def script(request: Recorded, play: Playback) -> None:
        if request.json()["model"] != MODEL:
            await answer(request, play)
            return
        if stream:
            await play.head(content_type="text/event-stream", transfer_encoding="chunked")
            await play.chunk(stream_events()[0])  # the upstream takes it, and says no more
        await asyncio.Event().wait()

    gateway.upstream.script = script
    canary = make_arm(CANARY, "canary", 5000, request={"model": MODEL})
    gateway.serve(make_arm(STABLE, "stable", 5000), canary, generation=2)

    async def ask(number: int) -> None:
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "model": "m", "stream": stream}
        await gateway.post(body, headers={"x-claude-session-id": f"s{number}"})

    async def hung() -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for each in parse_evidence(await gateway.read("/-/evidence?since=&units=1")).generations:
            for unit in each.units:
                found += Counter({(unit.revision, kind): n for kind, n in unit.counters.first_bad.items()})
        return found

    clients = [asyncio.create_task(ask(number)) for number in range(40)]

    def waiting() -> int:
        return sum(not one.done() for one in clients)

    def all_sent() -> bool:
        return len(gateway.upstream.requests) == 40

    await until(all_sent, "not all requests came to the upstream")
    asked = sum(one.json()["model"] == MODEL for one in gateway.upstream.requests)
    assert 0 < asked < 40

    async def all_hang() -> bool:
        return (await hung())[CANARY, "hung:0"] == asked

    await until(all_hang, "not all hanging requests were counted")
    assert waiting() >= asked  # nobody has left yet
    await until(lambda: waiting() == asked, "stable did not answer all of its requests")
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    await gateway.lines(40)
    assert (await hung())[CANARY, "hung:0"] == asked
