"""What `GET /-/usage` shows: what calls used and cost, by what a bill is told apart by."""

from __future__ import annotations

import dataclasses

import aiohttp
import msgspec
import pytest
from tests.core.usage.readings import NOON
from tests.gateway.harness import CANARY, OPERATOR_KEY, POD, STABLE, Gateway, make_arm
from tests.gateway.pod import Pod
from tests.gateway.upstream import MESSAGE, json_answer, sse_answer, stream_events
from tests.waiting import until

from claude_operator.api.usage import MOST_MODELS, MOST_ROWS, Usage, UsageRow, parse_usage
from claude_operator.core.catalogue.cost import cost_usd
from claude_operator.core.usage.ledger import Spend, absorb
from claude_operator.core.usage.reading import UsageReading
from claude_operator.shell import scrape
from claude_operator.shell.metrics import Metrics as OperatorMetrics
from claude_operator.shell.scrape import AdminPorts, Peer, Scraper

PRICE = cost_usd("claude-opus-5-5", MESSAGE["usage"])
assert PRICE is not None
TOKENS = (10, 5, 100, 10, 20)


async def usage(gateway: Gateway) -> Usage:
    return parse_usage(await gateway.read("/-/usage"))


def rows(found: Usage) -> dict[tuple[str, ...], UsageRow]:
    return {(row.revision, row.role, row.surface, row.subagent, row.model): row for row in found.rows}


async def test_a_row_for_each_surface_subagent_and_arm(gateway: Gateway) -> None:
    gateway.serve(make_arm(subagents={"scout": {"model": "claude-opus-5-5"}}), surfaces=["chat"], generation=7)
    for surface, subagent in (("chat", ""), ("chat", ""), ("voice", ""), ("chat", "scout"), ("chat", "made-up")):
        await gateway.post(headers={"x-claude-surface": surface, "x-claude-subagent": subagent})
    found = await usage(gateway)
    assert (found.config_generation, found.boot_id) == (7, gateway.service.control.store.boot_id)
    counted = rows(found)
    model = MESSAGE["model"]
    for key, calls in {("chat", ""): 3, ("other", ""): 1, ("chat", "scout"): 1}.items():
        row = counted.pop((STABLE, "stable", *key, model))
        assert (row.calls, row.unpriced, row.cost_usd) == (calls, 0, pytest.approx(calls * PRICE))
        tokens = row.input, row.output, row.cache_read, row.cache_write_5m, row.cache_write_1h
        assert tokens == tuple(calls * count for count in TOKENS)
    assert not counted


async def test_streams_pinned_calls_and_retries_cost_money_and_counting_tokens_does_not(gateway: Gateway) -> None:
    gateway.serve(make_arm(weight=10_000), make_arm(CANARY, "canary", 0), surfaces=["chat"], generation=2)
    gateway.upstream.script = sse_answer(*stream_events())
    await gateway.post({"messages": [], "stream": True})
    streamed = (await usage(gateway)).rows
    assert [(row.calls, row.unpriced) for row in streamed] == [(1, 0)]
    assert streamed[0].cost_usd > 0
    gateway.upstream.script = json_answer(b'{"type": "error", "error": {"type": "api_error"}}', "500 Oops")
    await gateway.post(headers={"x-stainless-retry-count": "0"})
    gateway.upstream.script = json_answer(MESSAGE)
    await gateway.post(headers={"x-stainless-retry-count": "1"})
    await gateway.post(headers={"x-claude-revision": STABLE})
    (row,) = (await usage(gateway)).rows
    assert (row.surface, row.calls, row.unpriced) == ("other", 4, 0)
    assert row.cost_usd == pytest.approx(streamed[0].cost_usd + 2 * PRICE)
    gateway.upstream.script = json_answer({"input_tokens": 7})
    await gateway.post(path="/v1/messages/count_tokens")
    assert (await usage(gateway)).rows == [row]


async def test_what_has_no_price_is_told(gateway: Gateway) -> None:
    gateway.upstream.script = json_answer({**MESSAGE, "model": "claude-unheard-of-9"})
    await gateway.post()
    gateway.upstream.script = json_answer({**MESSAGE, "usage": {**MESSAGE["usage"], "service_tier": "priority"}})
    await gateway.post()
    gateway.upstream.script = json_answer({name: value for name, value in MESSAGE.items() if name != "usage"})
    await gateway.post()
    found = rows(await usage(gateway))
    assert {key[4]: (row.calls, row.unpriced, row.cost_usd) for key, row in found.items()} == {
        "claude-unheard-of-9": (1, 1, 0.0),
        MESSAGE["model"]: (2, 2, 0.0),
    }


async def test_it_is_for_the_operator_alone(gateway: Gateway) -> None:
    async with aiohttp.ClientSession() as http, http.get(gateway.admin + "/-/usage") as response:
        assert response.status == 401


def test_an_upstream_that_makes_up_models_fills_no_memory() -> None:
    pod = Pod()
    for number in range(MOST_MODELS + 8):
        call = pod.begin(f"session:{number}")
        call.summary.model = f"model-{number}" if number else "x" * 2000
        call.ended, call.outcome, call.status = 3.0, "ok", 200
        pod.accounting.finish(call)
    found = parse_usage(pod.store.usage.document("b", 1, 1.0)).rows
    assert len(found) == MOST_MODELS + 1
    assert {row.model: row.calls for row in found}["other"] == 8


def test_rows_are_bounded_and_what_comes_after_them_counts_in_one() -> None:
    pod = Pod()
    for number in range(MOST_ROWS + 5):
        call = pod.begin(f"session:{number}")
        call.surface = f"surface-{number}"
        pod.end(call, usage=MESSAGE["usage"])
    document = pod.store.usage.document("b", 1, 1.0)
    found = parse_usage(document).rows
    assert len(found) == MOST_ROWS + 1
    assert (found[-1].revision, found[-1].surface, found[-1].calls) == ("other", "other", 5)
    assert sum(row.calls for row in found) == MOST_ROWS + 5


def test_a_document_with_more_than_this_version_knows_is_refused() -> None:
    document = msgspec.json.encode({"bootId": "b", "uptime": 1.0, "configGeneration": 1, "dollars": 3})
    with pytest.raises(ValueError, match="usage: dollars: is not a field here"):
        parse_usage(document)


async def test_a_gateway_that_ends_waits_until_its_last_calls_are_read(gateway: Gateway) -> None:
    await gateway.post()
    await usage(gateway)
    await gateway.post()
    gateway.service.stop()
    await until(lambda: gateway.service.draining, "it does not drain")
    (row,) = (await usage(gateway)).rows
    assert row.calls == 2


@pytest.mark.parametrize("read", [False, True])
def test_nobody_waits_for_who_never_reads_or_knows_all(read: bool) -> None:
    pod = Pod()
    if read:
        pod.store.usage.document("b", 1, 1.0)
        pod.settle()
        assert not pod.store.usage.is_told
        pod.store.usage.document("b", 1, 1.0)
    else:
        pod.settle()
    assert pod.store.usage.is_told


async def test_the_operator_reads_what_the_bill_will_say(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "ADMIN_PORT", gateway.service.admin_port)
    pod, now, spend = Peer(POD, "127.0.0.1", True, OPERATOR_KEY.encode()), NOON, Spend()
    gateway.serve(surfaces=["chat"], generation=2)
    async with AdminPorts() as ports:
        reader = Scraper(OperatorMetrics(), ports.fetch)
        for _ in range(3):
            await gateway.post(headers={"x-claude-surface": "chat"})
            for _ in range(2):
                spend = absorb(spend, UsageReading(tuple(await reader.read_usage([pod])), frozenset({POD})), now)
        assert await reader.read_usage([dataclasses.replace(pod, key=b"another")]) == []
    ((key, amounts),) = [row for rows in spend.days.values() for row in rows.items()]
    assert key == (STABLE, "chat", "", MESSAGE["model"])
    assert (amounts.calls, amounts.unpriced, amounts.cache_read) == (3, 0, 300)
    assert amounts.usd == pytest.approx(3 * PRICE, abs=1e-9)
