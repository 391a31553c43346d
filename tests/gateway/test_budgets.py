"""Calls are counted on either side of a budget's limit, exactly, and batches by the answers that pass by."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from tests.gateway.harness import CANARY, POD, STABLE, Gateway, make_arm
from tests.gateway.upstream import Playback, Recorded, json_answer, sse_answer, stream_events

from claude_operator.api.budgets import Budget
from claude_operator.api.evidence import parse_evidence
from claude_operator.api.gateway import Limit
from claude_operator.api.usage import Usage, parse_usage
from claude_operator.api.usage_latency import MOST_UNBUDGETED
from claude_operator.core.spec.budgets import service_levels
from claude_operator.core.usage.latency import LatencyUsage, absorb, decode, encode
from claude_operator.core.usage.reading import PodUsage, UsageReading
from claude_operator.core.usage.service_level import standing
from claude_operator.gateway.batches import BatchStore
from claude_operator.gateway.budgets import is_within
from claude_operator.gateway.call import FEWEST_TOKENS, Call

FIRST, WHOLE, PACE = "timeToFirstToken", "duration", "timePerOutputToken"
CHAT = {"x-claude-surface": "chat"}
NOW = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
STREAMED = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "model": "m", "stream": True}


def made(**fields: Any) -> Call:
    """A call that began at 100 and got its first content at 101.5 where it is a stream."""
    return Call("POST", "/v1/messages", 100.0, None, **fields)


def streamed(outcome: str = "ok", ended: float = 104.6, **fields: Any) -> Call:
    return made(**{"stream": True, "outcome": outcome, "first_content": 101.5, "ended": ended, **fields})


WAITING = {"first_content": 0.0, "outcome": "canceled"}


@pytest.mark.parametrize(
    ("call", "metric", "most", "expected"),
    [
        (streamed(), FIRST, 1.5, True),  # at the limit, not at the end of a bucket
        (streamed(), FIRST, 1.499, False),
        (streamed("canceled"), FIRST, 1.5, True),  # the first token came, whatever became of the rest
        (streamed(**WAITING, ended=101.0), FIRST, 1.5, None),  # who leaves early says nothing
        (streamed(**WAITING, ended=102.0), FIRST, 1.5, False),
        (streamed("overload", first_content=0.0, ended=100.2), FIRST, 1.5, None),
        (made(outcome="ok", ended=109.0), FIRST, 1.5, None),  # an answer in one piece has no first token
        (made(outcome="ok", ended=109.0), WHOLE, 9.0, True),
        (made(outcome="ok", ended=109.0), WHOLE, 8.9, False),
        (made(outcome="error", ended=100.1), WHOLE, 9.0, None),
        (made(outcome="error", ended=220.0), WHOLE, 9.0, False),
        (streamed(), PACE, 0.1, True),  # 3.1 s for 31 tokens
        (streamed(), PACE, 0.099, False),
        (streamed("canceled"), PACE, 0.001, None),
        (made(outcome="ok", ended=109.0), PACE, 0.1, None),
    ],
)
def test_which_calls_are_within(call: Call, metric: Any, most: float, expected: bool | None) -> None:
    assert is_within(call, Limit("chat", metric, most), {"output": FEWEST_TOKENS}) is expected


def test_a_stream_of_few_tokens_has_no_pace() -> None:
    assert is_within(streamed(), Limit("chat", PACE, 0.0), {"output": FEWEST_TOKENS - 1}) is None


async def usage(gateway: Gateway) -> Usage:
    return parse_usage(await gateway.read("/-/usage"))


async def rows(gateway: Gateway) -> dict[tuple[str, str, float], tuple[int, int]]:
    """Within and over by arm, metric and limit."""
    return {(one.role, one.metric, one.max): (one.within, one.over) for one in (await usage(gateway)).latency}


async def series(gateway: Gateway, name: str) -> list[str]:
    async with gateway.http.get(gateway.admin + "/metrics") as response:
        return [line for line in (await response.text()).splitlines() if line.startswith(name)]


BUDGETS = [Limit("chat", FIRST, 600.0), Limit("chat", FIRST, 1e-9), Limit("chat", WHOLE, 600.0)]


async def test_every_budget_of_a_surface_counts(gateway: Gateway) -> None:
    gateway.serve(surfaces=["chat"], generation=2, budgets=BUDGETS)
    gateway.upstream.script = sse_answer(*stream_events("Hello"))
    for _ in range(3):
        await gateway.post(STREAMED, CHAT)
    await gateway.post(STREAMED)  # of no surface
    gateway.upstream.script = json_answer()
    await gateway.post(headers=CHAT)
    assert await rows(gateway) == {
        ("stable", FIRST, 600.0): (3, 0),
        ("stable", FIRST, 1e-9): (0, 3),
        ("stable", WHOLE, 600.0): (4, 0),
    }
    labels = f'arm="stable",max="1e-09",metric="{FIRST}",revision="{STABLE}",surface="chat"'
    found = await series(gateway, "claude_gateway_budget_calls_total")
    assert f'claude_gateway_budget_calls_total{{{labels},within="false"}} 3.0' in found
    assert f'claude_gateway_budget_calls_total{{{labels},within="true"}} 0.0' in found


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ([Limit("chat", FIRST, 600.0), Limit("chat", WHOLE, 600.0)], {"within": 3}),
        ([Limit("chat", FIRST, 600.0), Limit("chat", FIRST, 1e-9)], {"over": 3}),  # the second budget counts too
        ([Limit("chat", PACE, 1e-9)], {}),  # of few tokens nothing can be said
        ([Limit("batch", WHOLE, 1e-9)], {}),
    ],
)
async def test_the_judge_is_told_of_requests_that_kept_to_all_budgets_and_of_others(
    gateway: Gateway, limits: list[Limit], kept: dict[str, int]
) -> None:
    gateway.serve(surfaces=["chat"], generation=2, budgets=limits)
    gateway.upstream.script = sse_answer(*stream_events("Hello"))
    for _ in range(3):
        await gateway.post(STREAMED, CHAT)
    evidence = parse_evidence(await gateway.read("/-/evidence?since=&units=1&budgets=1"))
    strata = [one for each in evidence.generations for one in each.strata]
    assert [one.counters.budget for one in strata] == [kept]
    units = [one for each in evidence.generations for one in each.units]
    assert sum((Counter(one.counters.budget) for one in units), Counter()) == kept  # each is a conversation


async def test_an_operator_of_before_is_told_nothing_that_it_cannot_read(gateway: Gateway) -> None:
    """It refuses a document with a field that it does not know of, and that document is its evidence of harm."""
    gateway.serve(surfaces=["chat"], generation=2, budgets=[Limit("chat", WHOLE, 600.0)])
    await gateway.post(headers=CHAT)
    first = parse_evidence(await gateway.read("/-/evidence?since=&units=1&budgets=1&keep=1"))
    since = f"{first.boot_id}.{first.reading}"
    assert b'"budget":' in await gateway.read(f"/-/evidence?since={since}&units=1&budgets=1")
    for older in ("", f"?since={since}", f"?since={since}&units=1&callers=1&grading=1&drill=1"):
        assert b'"budget":' not in await gateway.read(f"/-/evidence{older}")


async def test_counts_stay_while_the_config_changes(gateway: Gateway) -> None:
    budgets = [Limit("chat", WHOLE, 600.0)]
    gateway.serve(surfaces=["chat"], generation=2, budgets=budgets)
    await gateway.post(headers=CHAT)
    arms = make_arm(weight=0), make_arm(CANARY, "canary", 10_000)
    gateway.serve(*arms, surfaces=["chat"], generation=3, budgets=budgets)
    await gateway.post(headers=CHAT)
    gateway.serve(*arms, surfaces=["chat"], generation=4)  # none any more
    await gateway.post(headers=CHAT)
    assert [(one.revision, one.within) for one in (await usage(gateway)).latency] == [(STABLE, 1), (CANARY, 1)]


async def test_retries_and_calls_that_are_not_evidence_count(gateway: Gateway) -> None:
    """What users wait for, whatever the judge makes of it."""
    gateway.serve(surfaces=["chat"], generation=2, budgets=[Limit("chat", WHOLE, 1e-9)])
    gateway.upstream.script = json_answer({"type": "error", "error": {"type": "api_error"}}, "500 Oops")
    await gateway.post(headers=CHAT)
    gateway.upstream.script = json_answer()
    await gateway.post(headers={**CHAT, "x-stainless-retry-count": "1"})
    assert await rows(gateway) == {("stable", WHOLE, 1e-9): (0, 2)}


async def test_what_the_page_tells_becomes_a_service_level(gateway: Gateway) -> None:
    slow, kept = service_levels(
        [
            Budget(surface="chat", metric="duration", max="1ms"),
            Budget(surface="chat", metric="duration", percentile=99, max="10m"),
        ]
    )
    limits = [Limit("chat", WHOLE, 1e-9), Limit("chat", WHOLE, 600.0)]
    gateway.serve(surfaces=["chat"], generation=2, budgets=limits)
    for _ in range(20):
        await gateway.post(headers=CHAT)
    reading = UsageReading((PodUsage(POD, await usage(gateway)),), frozenset({POD}))
    state = decode(encode(absorb(LatencyUsage(), reading, NOW)))
    found = [
        standing(state, replace(level, bound=limit.max), at=NOW.timestamp())
        for level, limit in zip((slow, kept), limits, strict=True)
    ]
    assert [(one.state, one.counted) for one in found] == [("Over", (0, 20)), ("FewCalls", (20, 0))]


async def test_surfaces_that_no_budget_names_are_told_up_to_a_number(gateway: Gateway) -> None:
    gateway.serve(surfaces=["chat"], generation=2, budgets=BUDGETS)
    await gateway.post(headers=CHAT)
    await gateway.post(headers={"x-claude-surface": "not a surface"})
    assert (await usage(gateway)).unbudgeted == []
    for number in range(MOST_UNBUDGETED + 3):
        await gateway.post(headers={"x-claude-surface": f"voice-{number}"})
    assert (await usage(gateway)).unbudgeted == [f"voice-{number}" for number in range(MOST_UNBUDGETED)]


async def test_without_budgets_no_surface_is_told(gateway: Gateway) -> None:
    await gateway.post(headers=CHAT)
    found = await usage(gateway)
    assert (found.latency, found.unbudgeted, found.batches) == ([], [], None)


# ------------------------------------------------------------------------------------------------------------ batches

CREATED, ENDED = "2026-11-30T12:00:00Z", "2026-11-30T12:30:00Z"
NOON = 1_796_040_000.0


def document(name: str = "msgbatch_1", *, status: str = "in_progress", **counts: int) -> dict[str, Any]:
    known = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    return {
        "id": name,
        "type": "message_batch",
        "processing_status": status,
        "request_counts": known | counts,
        "created_at": CREATED,
        "ended_at": ENDED if status == "ended" else None,
        "results_url": None,
    }


OPEN = document(processing=600)
DONE = document(status="ended", succeeded=590, errored=7, expired=3)


def seen(*answers: Any, at: float = NOON + 3600, began: float = NOON) -> BatchStore:
    moments = iter([began, *[at] * 99])
    store = BatchStore(clock=lambda: next(moments))
    for answer in answers:
        store.note(json.dumps(answer).encode(), "jobs", created=answer is OPEN)
    return store


def test_a_batch_counts_once_however_often_it_is_looked_at() -> None:
    found = seen(
        OPEN, OPEN, DONE, DONE, {"data": [DONE, document("msgbatch_2", processing=1)], "has_more": False}
    ).counts
    assert found is not None
    assert (found.submitted, found.ended) == (1, 1)
    assert found.requests == {"succeeded": 590, "errored": 7, "canceled": 0, "expired": 3}
    (first,) = [one for one in found.recent if one.ended]
    assert (first.surface, first.created, first.ended, first.requests, first.succeeded) == (
        "jobs",
        NOON,
        NOON + 1800,
        600,
        590,
    )
    assert len(found.recent) == 2
    assert "msgbatch" not in repr(found)


def test_what_ended_before_is_known_and_not_counted() -> None:
    found = seen(DONE, began=NOON + 3000).counts
    assert found is not None
    assert (found.ended, len(found.recent)) == (0, 1)
    assert seen(DONE, at=NOON + 9 * 86_400, began=NOON + 9 * 86_400).counts is None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"null",
        b"[]",
        b'{"type": "error"}',
        b'{"id": 7}',
        json.dumps(document() | {"created_at": "yesterday"}).encode(),
        json.dumps(document() | {"type": "message"}).encode(),
        json.dumps({"data": [{"id": "x"}]}).encode(),
    ],
)
def test_other_answers_say_nothing(answer: bytes) -> None:
    store = BatchStore()
    store.note(answer, "jobs")
    assert store.counts is None


def test_numbers_that_are_none_count_as_nothing() -> None:
    store = seen(document(status="ended", succeeded=-1, errored=10**9) | {"id": "x"})  # type: ignore[arg-type]
    assert store.counts is not None
    assert store.counts.requests == dict.fromkeys(("succeeded", "errored", "canceled", "expired"), 0)


async def test_batches_pass_through_unchanged_and_are_counted(gateway: Gateway) -> None:
    gateway.serve(surfaces=["jobs"], generation=2)
    now = document(processing=2) | {"created_at": "2090-01-01T00:00:00Z"}
    done = now | {"processing_status": "ended", "ended_at": "2090-01-01T01:00:00Z"}
    done["request_counts"] = DONE["request_counts"]
    packed = gzip.compress(json.dumps(done).encode())
    jobs = {"x-claude-surface": "jobs"}
    gateway.upstream.script = json_answer(now)
    response, body = await gateway.post({"requests": []}, jobs, "/v1/messages/batches")
    assert (response.status, json.loads(body)) == (200, now)

    async def finished(request: Recorded, play: Playback) -> None:
        await json_answer(packed, content_encoding="gzip")(request, play)

    gateway.upstream.script = finished
    headers = {"authorization": "Bearer client-key-SENTINEL"}
    async with gateway.http.get(gateway.url + "/v1/messages/batches/msgbatch_1", headers=headers) as answer:
        assert await answer.read() == packed
    gateway.upstream.script = json_answer(done)
    async with gateway.http.get(gateway.url + "/v1/messages/batches/msgbatch_1/results", headers=headers) as answer:
        assert json.loads(await answer.read()) == done
    found = (await usage(gateway)).batches
    assert found is not None
    assert (found.submitted, found.ended, [one.surface for one in found.recent]) == (1, 1, ["jobs"])
    assert 'claude_gateway_batches_total{state="ended"} 1.0' in await series(gateway, "claude_gateway_batches_total")
    name = "claude_gateway_batch_requests_total"
    assert f'{name}{{result="succeeded"}} 590.0' in await series(gateway, name)


async def test_an_answer_that_is_too_large_passes_unchanged_and_is_not_read(gateway: Gateway) -> None:
    """As it is, and where it is small and unpacks to more: nothing of it is kept or counted."""
    gateway.serve(surfaces=["jobs"], generation=2)
    large = json.dumps(DONE | {"padding": "x" * (1 << 21)}).encode()
    packed = gzip.compress(large)
    assert len(packed) < 1 << 18
    url, headers = gateway.url + "/v1/messages/batches", {"authorization": "Bearer client-key-SENTINEL"}
    for body, more in ((large, {}), (packed, {"content_encoding": "gzip"})):

        async def listed(request: Recorded, play: Playback, body: bytes = body, more: Any = more) -> None:
            await json_answer(body, **more)(request, play)

        gateway.upstream.script = listed
        async with gateway.http.get(url, headers=headers) as answer:
            assert (answer.status, await answer.read()) == (200, body)
    assert (await usage(gateway)).batches is None
