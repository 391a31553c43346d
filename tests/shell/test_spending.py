"""A month's budget from what was counted to what gateways are told, by the operator's own loop."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import msgspec
import pytest
from tests.shell.rig import NAME, Rig, serving

from claude_operator.api.gateway import THROTTLE_KEY, THROTTLE_SIGNATURE_KEY
from claude_operator.core import names
from claude_operator.core.usage.amounts import REST, Amounts
from claude_operator.core.usage.ledger import Spend, day_of
from claude_operator.core.usage.state import Coverage, Usages, UsageState

BUDGET = {"monthlyUSD": "20", "action": "Throttle"}
UNTIL = "2026-12-01T00:00:00Z"


def spend(rig: Rig, usd: int) -> None:
    """So much was counted this month, and all gateways have just been read."""
    day = {day_of(rig.now): {REST: Amounts(calls=7, nano=usd * 10**9)}}
    rig.usage = UsageState(Usages(Spend(rig.now - dt.timedelta(days=60), day)), rig.now, Coverage(read=1))


def told(rig: Rig) -> Any:
    """What gateways are told to refuse."""
    return json.loads(rig.kube.take("ConfigMap", names.gateway_name(NAME))["data"][THROTTLE_KEY])


async def spent(**budget: str) -> Rig:
    """A budget that was within, and is spent now."""
    rig = await serving(budget=BUDGET | budget)
    spend(rig, 7)
    await rig.settle()
    assert rig.condition("WithinCost")[:2] == ("True", "CostWithinBudget")
    assert told(rig) == {}
    spend(rig, 20)
    await rig.settle()
    return rig


async def test_gateways_are_told_until_when_and_no_longer_once_the_budget_is_raised() -> None:
    rig = await spent()
    assert told(rig) == {"until": UNTIL, "monthlyUSD": "20"}
    assert rig.condition("Ready")[:2] == ("False", "CostOverBudget")
    assert rig.events("CostOverBudget") == [rig.condition("WithinCost")[2]]
    generation = rig.gateways.config.generation
    await rig.settle()
    assert rig.gateways.config.generation == generation
    rig.edit(budget=BUDGET | {"monthlyUSD": "25"})
    await rig.settle()
    assert told(rig) == {}
    assert rig.condition("Ready")[:2] == ("True", "Serving")
    assert len(rig.events("CostOverBudget")) == 1


@pytest.mark.parametrize("action", ["Warn", "HoldRollouts"])
async def test_other_actions_refuse_nothing(action: str) -> None:
    rig = await spent(action=action)
    assert told(rig) == {}
    assert rig.condition("WithinCost")[:2] == ("False", "CostOverBudget")
    assert rig.condition("Ready")[0] == "True"


async def test_an_operator_that_knows_nothing_yet_leaves_it_as_it_is() -> None:
    rig = await spent()
    rig.usage = None
    rig.start_operator()
    await rig.settle()
    assert told(rig) == {"until": UNTIL, "monthlyUSD": "20"}
    assert rig.condition("WithinCost")[:2] == ("Unknown", "CostUnknown")
    spend(rig, 20)
    await rig.settle()
    assert len(rig.events("CostOverBudget")) == 1


async def test_a_new_month_ends_it() -> None:
    rig = await spent()
    rig.clock.moment = dt.datetime(2026, 12, 1, 0, 0, 1, tzinfo=dt.UTC)
    spend(rig, 0)
    await rig.settle()
    assert told(rig) == {}
    assert rig.condition("WithinCost")[:2] == ("True", "CostWithinBudget")


@pytest.mark.parametrize("how", ["another", "taken out"])
async def test_who_may_write_config_maps_spends_no_more_by_that(how: str) -> None:
    rig = await spent()
    found = rig.kube.take("ConfigMap", names.gateway_name(NAME))
    data = {key: text for key, text in found["data"].items() if key not in (THROTTLE_KEY, THROTTLE_SIGNATURE_KEY)}
    rig.kube.put({**found, "data": data if how == "taken out" else {**found["data"], THROTTLE_KEY: "{}"}})
    await rig.settle()
    assert told(rig) == {"until": UNTIL, "monthlyUSD": "20"}


async def test_an_operator_before_it_is_followed_without_a_new_generation() -> None:
    rig = await serving()
    before, found = rig.gateways.config, rig.kube.take("ConfigMap", names.gateway_name(NAME))
    data = {key: text for key, text in found["data"].items() if key not in (THROTTLE_KEY, THROTTLE_SIGNATURE_KEY)}
    rig.kube.put({**found, "data": data})
    rig.start_operator()
    await rig.settle()
    assert told(rig) == {}
    assert rig.gateways.config == before
    assert rig.gateways.config.throttle is msgspec.UNSET
