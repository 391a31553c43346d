"""A drill: a gateway fails a few requests on purpose, no more than it may, and counts them for the drill alone."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anthropic
import msgspec
import pytest
from tests.gateway.harness import CLIENT_KEY, STABLE, Gateway, make_arm, make_config, written
from tests.waiting import until

from claude_operator.api.evidence import DrillNote, Evidence, parse_evidence, parse_serving
from claude_operator.api.gateway import Fault, dump_config, dump_drill
from claude_operator.api.usage import USAGE_PATH, parse_usage

DRILL = "support-drill-1"


def fault(gateway: Gateway, allowed: int = 5, **fields: Any) -> Fault:
    boot = gateway.service.control.store.boot_id
    return Fault(
        **({"id": DRILL, "mode": "Live", "weight": 10_000, "allowed": {boot: allowed}, "seconds": 60.0} | fields)
    )


async def note(gateway: Gateway) -> DrillNote | None:
    return (await evidence(gateway)).drill


async def evidence(gateway: Gateway) -> Evidence:
    return parse_evidence(await gateway.read("/-/evidence?since=&drill=1&units=1&callers=1"))


async def statuses(gateway: Gateway, calls: int, **headers: str) -> list[int]:
    return [(await gateway.post(headers=headers))[0].status for _ in range(calls)]


async def test_it_fails_as_many_as_it_may_and_then_answers(gateway: Gateway) -> None:
    gateway.serve(generation=2, drill=fault(gateway, allowed=3))
    assert await statuses(gateway, 8) == [500] * 3 + [200] * 5
    assert len(gateway.upstream.requests) == 5
    told = await note(gateway)
    assert told is not None
    assert (told.id, told.failed) == (DRILL, 3)
    assert told.first is not None
    assert 0 <= told.first < 60


async def test_what_fails_is_told_in_the_api_s_envelope_and_invites_to_try_again(gateway: Gateway) -> None:
    gateway.serve(generation=2, drill=fault(gateway))
    for stream in (False, True):
        response, text = await gateway.post({"messages": [], "max_tokens": 1, "model": "m", "stream": stream})
        answer = json.loads(text)
        assert (response.status, answer["error"]["type"]) == (500, "api_error")
        assert "on purpose, to rehearse a rollback: try again" in answer["error"]["message"]
        assert response.headers["request-id"] == answer["request_id"]
        assert response.headers["x-claude-revision"] == DRILL
        assert "x-should-retry" not in response.headers


async def test_a_client_that_tries_again_is_answered(gateway: Gateway) -> None:
    gateway.serve(generation=2, drill=fault(gateway))
    assert await statuses(gateway, 3, **{"x-stainless-retry-count": "1"}) == [200] * 3
    client = anthropic.AsyncAnthropic(base_url=gateway.url, api_key=CLIENT_KEY, max_retries=1)
    async with client:
        for _ in range(3):
            await client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}])
    told = await note(gateway)
    assert told is not None
    assert told.failed == 3


async def test_it_counts_for_the_drill_and_for_nothing_else(gateway: Gateway) -> None:
    before = parse_usage(await gateway.read(USAGE_PATH))
    gateway.serve(generation=2, drill=fault(gateway))
    await statuses(gateway, 5, **{"x-claude-session-id": "s1"})
    found = await evidence(gateway)
    (stratum,) = [stratum for one in found.generations for stratum in one.strata]
    assert (stratum.revision, stratum.role, stratum.surface) == (DRILL, "canary", "other")
    assert (stratum.counters.requests, stratum.counters.outcomes) == (5, {"error": 5})
    assert [unit for one in found.generations for unit in one.units] == []
    assert found.weights == {STABLE: 10_000}
    assert parse_serving(await gateway.read("/-/recent")).recent.requests == 0
    assert parse_usage(await gateway.read(USAGE_PATH)).rows == before.rows
    assert {(line["revision"], line["arm"], line["outcome"]) for line in await gateway.lines(5)} == {
        (DRILL, "canary", "error")
    }


async def test_no_conversation_changes_its_arm_by_it(gateway: Gateway) -> None:
    gateway.serve(generation=2, drill=fault(gateway, allowed=1))
    session = {"x-claude-session-id": "s1"}
    assert await statuses(gateway, 1, **session) == [500]
    gateway.serve(generation=3)
    response, _ = await gateway.post(headers=session)
    assert (response.status, response.headers["x-claude-revision"]) == (200, STABLE)
    (line,) = [line for line in await gateway.lines(2) if line["status"] == 200]
    assert (line["moved"], line["turn"]) == (False, 0)


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({"x-claude-revision": STABLE}, "/v1/messages"),
        ({"x-stainless-retry-count": "2"}, "/v1/messages"),
        ({}, "/v1/messages/count_tokens"),
    ],
)
async def test_some_calls_never_fail_for_it(gateway: Gateway, headers: dict[str, str], path: str) -> None:
    gateway.serve(generation=2, drill=fault(gateway))
    assert (await gateway.post(headers=headers, path=path))[0].status == 200


async def test_a_process_that_is_not_named_fails_none(gateway: Gateway) -> None:
    gateway.serve(generation=2, drill=msgspec.structs.replace(fault(gateway), allowed={"another": 5}))
    assert await statuses(gateway, 5) == [200] * 5
    assert await note(gateway) == DrillNote(DRILL, DRILL)


async def test_its_share_is_drawn(gateway: Gateway) -> None:
    numbers = iter([9_999, 100, 99, 0])
    gateway.service.control.store.drills._draw = lambda _: next(numbers)
    gateway.serve(generation=2, drill=fault(gateway, weight=100))
    assert await statuses(gateway, 4) == [200, 200, 500, 500]


async def test_it_ends_by_itself_in_time_and_does_not_begin_again(gateway: Gateway) -> None:
    now = 1000.0
    gateway.service.control.store.drills._clock = lambda: now
    gateway.serve(generation=2, drill=fault(gateway, seconds=30.0))
    assert await statuses(gateway, 1) == [500]
    now += 31.0
    assert await statuses(gateway, 2) == [200] * 2
    gateway.serve(generation=3)
    assert await note(gateway) == DrillNote("", DRILL, 1, 31.0)
    gateway.serve(generation=4, drill=fault(gateway, seconds=30.0))
    assert await statuses(gateway, 2) == [200] * 2


async def test_an_operator_of_before_drills_reads_its_evidence(gateway: Gateway) -> None:
    gateway.serve(generation=2, drill=fault(gateway))
    await statuses(gateway, 1)
    assert "drill" not in json.loads(await gateway.read("/-/evidence?since=&units=1"))


@pytest.mark.parametrize("how", ["not signed", "signed by another", "signed for another config", "of another version"])
async def test_nobody_but_the_operator_has_requests_fail(gateway: Gateway, how: str) -> None:
    config = make_config(gateway.upstream.url, make_arm(), generation=2, drill=fault(gateway))
    document, drill = dump_config(config).encode(), dump_drill(config)
    offered = written(document, drill=drill)
    if how == "not signed":
        offered = type(offered)(**{**_fields(offered), "drill_signature": ""})
    elif how == "signed by another":
        offered = type(offered)(
            **{**_fields(offered), "drill_signature": written(document, key="x", drill=drill).drill_signature}
        )
    elif how == "signed for another config":
        other = written(dump_config(make_config(gateway.upstream.url, generation=3)).encode(), drill=drill)
        offered = type(offered)(**{**_fields(offered), "drill_signature": other.drill_signature})
    else:
        offered = written(document, drill=drill.replace('"mode"', '"kind"'))
    gateway.service.control.offer(offered)
    assert gateway.service.control.generation == 2, "the rest of the config is served"
    assert await statuses(gateway, 3) == [200] * 3


def _fields(document: Any) -> dict[str, Any]:
    return {name: getattr(document, name) for name in type(document).__slots__}


async def test_calls_at_the_same_moment_keep_to_the_bound(gateway: Gateway) -> None:
    gateway.serve(generation=2, drill=fault(gateway, allowed=5))
    answers = await asyncio.gather(*(gateway.post() for _ in range(40)))
    assert sorted(response.status for response, _ in answers) == [200] * 35 + [500] * 5


async def test_a_rehearsal_makes_its_requests_up(gateway: Gateway) -> None:
    gateway.serve(generation=2, drill=fault(gateway, mode="Rehearsal", weight=5000, allowed=4))
    control = gateway.service.control
    assert control.live is not None
    for _ in range(10):
        control.store.drills.make_up(control.live)
    assert await statuses(gateway, 5) == [200] * 5
    strata = {one.revision: one.counters for each in (await evidence(gateway)).generations for one in each.strata}
    assert strata[DRILL].outcomes == {"error": 4}
    assert strata[f"{DRILL}-well"].outcomes.keys() == {"ok"}
    assert strata[STABLE].outcomes == {"ok": 5}
    assert len(gateway.upstream.requests) == 5


async def test_a_gateway_rehearses_by_itself_each_second(gateway: Gateway) -> None:
    gateway.serve(generation=2, drill=fault(gateway, mode="Rehearsal", weight=5000, allowed=2))
    store = gateway.service.control.store
    await until(lambda: store.drills.note().failed == 2, "nothing is rehearsed")
