"""Prices of the installation's own in a gateway, and answers of which nobody knows what they cost."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.gateway.harness import CANARY, Gateway, make_arm, make_config, written
from tests.gateway.upstream import MESSAGE, json_answer

from claude_operator.api.gateway import dump_config, dump_prices
from claude_operator.api.prices import TokenPrices

OPUS, BEDROCK = "claude-opus-5-5", "us.anthropic.claude-opus-4-8"
HALF = {OPUS: TokenPrices(2.0, 10.0, 0.1, 2.5, 4.0)}
M = 1_000_000


async def cost_of(gateway: Gateway, usage: dict[str, Any], model: str = OPUS) -> float:
    """What one call adds to the evidence."""
    before = await total(gateway)
    gateway.upstream.script = json_answer({**MESSAGE, "model": model, "usage": usage})
    response, _ = await gateway.post()
    assert response.status == 200
    return await total(gateway) - before


async def total(gateway: Gateway) -> float:
    generations = (await gateway.evidence()).generations
    return sum(stratum.counters.cost.sum for one in generations for stratum in one.strata)


async def page(gateway: Gateway) -> str:
    async with gateway.http.get(gateway.admin + "/metrics") as response:
        return await response.text()


async def test_own_prices_hold_from_their_config_on(gateway: Gateway) -> None:
    usage = {"input_tokens": M, "output_tokens": M}
    assert await cost_of(gateway, usage) == pytest.approx(4 + 20)
    gateway.serve(generation=2, prices=HALF)
    assert await cost_of(gateway, usage) == pytest.approx(2 + 10)
    assert await cost_of(gateway, usage, "claude-sonnet-5-5") == pytest.approx(2 + 10)  # the list's
    gateway.serve(generation=3)
    assert await cost_of(gateway, usage) == pytest.approx(4 + 20)


async def test_of_an_operator_without_prices_the_list_holds(gateway: Gateway) -> None:
    config = make_config(gateway.upstream.url, make_arm(), generation=2)
    whole = written(dump_config(config).encode())
    gateway.service.control.offer(replace(whole, prices="", prices_signature=""))
    assert gateway.service.control.error == ""
    assert await cost_of(gateway, {"input_tokens": M}) == pytest.approx(4.0)


@pytest.mark.parametrize("odd", [{OPUS: {"input": 12000, "output": 1}}, {OPUS: {"input": 1, "output": 1, "new": 1}}])
async def test_no_price_keeps_traffic_from_being_taken_back(gateway: Gateway, odd: Any) -> None:
    """What an operator has signed and this gateway cannot read: the prices of before hold, and the config is served."""
    gateway.serve(make_arm(weight=5000), make_arm(CANARY, "canary", 5000), generation=2, prices=HALF)
    document, prices = dump_config(make_config(gateway.upstream.url, make_arm(), generation=3)), json.dumps(odd)
    gateway.service.control.offer(written(document.encode(), prices=prices))
    assert gateway.service.control.error == ""
    assert gateway.service.control.generation == 3
    assert await cost_of(gateway, {"input_tokens": M}) == pytest.approx(2.0)


@pytest.mark.parametrize("how", ["others", "none", "another key", "an older one"])
async def test_nobody_but_the_operator_changes_them(gateway: Gateway, how: str) -> None:
    config = make_config(gateway.upstream.url, make_arm(), generation=3, prices=HALF)
    document, prices = dump_config(config).encode(), dump_prices(config)
    right = written(document, prices=prices)
    older = written(dump_config(make_config(gateway.upstream.url, make_arm(), generation=2)).encode())
    free = f'{{"{OPUS}":{{"input":0,"output":0}}}}'
    wrong = {
        "others": replace(right, prices=free),
        "none": replace(right, prices=""),
        "another key": replace(right, prices=free, prices_signature=written(document, key="x").prices_signature),
        "an older one": replace(right, prices=older.prices, prices_signature=older.prices_signature),
    }
    gateway.service.control.offer(right)
    gateway.service.control.offer(wrong[how])
    assert "prices.json is not signed by the operator" in gateway.service.control.error
    assert await cost_of(gateway, {"input_tokens": M}) == pytest.approx(2.0)


async def test_writes_are_as_long_as_the_composed_request_asked(gateway: Gateway) -> None:
    """5 a million for five minutes and 8 for an hour, where the upstream does not say which it was."""
    unsplit = {"input_tokens": 0, "cache_creation_input_tokens": M}
    for ttl, usd in (("5m", 5.0), ("1h", 8.0)):
        block = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": ttl}}
        gateway.serve(make_arm(request={"system": [block]}), generation=gateway.config.generation + 1)
        assert await cost_of(gateway, unsplit) == pytest.approx(usd)
    split = {**unsplit, "cache_creation": {"ephemeral_5m_input_tokens": M, "ephemeral_1h_input_tokens": 0}}
    assert await cost_of(gateway, split) == pytest.approx(5.0)  # what the upstream says holds


async def test_what_has_no_price_is_counted_and_not_free(gateway: Gateway) -> None:
    assert await cost_of(gateway, {"input_tokens": M}, BEDROCK) == 0.0
    assert await cost_of(gateway, {"input_tokens": M, "service_tier": "priority"}) == 0.0
    found = await page(gateway)
    assert "claude_gateway_cost_usd_total{" not in found
    for reason in ("no_price", "priority_tier"):
        assert f'reason="{reason}"' in found
    counters = [stratum.counters for one in (await gateway.evidence()).generations for stratum in one.strata]
    assert sum(one.cost.count for one in counters) == 0
    assert sum(one.normalised_cost.count for one in counters) == 1  # that of the commitment is compared


async def test_a_model_of_another_platform_gets_its_price(gateway: Gateway) -> None:
    gateway.serve(make_arm(request={"model": BEDROCK}), generation=2, prices={BEDROCK: TokenPrices(5.0, 25.0)})
    assert await cost_of(gateway, {"input_tokens": M}, BEDROCK) == pytest.approx(5.0)


@pytest.mark.parametrize("usage", [{"input_tokens": -5}, {"output_tokens": 10**12}, {"iterations": 7}])
async def test_a_usage_that_makes_no_sense_costs_nothing_and_harms_nothing(
    gateway: Gateway, usage: dict[str, Any]
) -> None:
    assert await cost_of(gateway, usage) == 0.0
    assert await gateway.outcomes() == {"ok": 1}
    assert 'reason="no_price"' in await page(gateway)
