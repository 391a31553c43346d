"""Two days of an organisation, in simulated time: what is stored is what the API has answered, each token and cent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from tests.organisation.rig import (
    DAY,
    MIDNIGHT,
    World,
    booked_costs,
    booked_usage,
    history,
    organisation,
    scenario,
    stored_costs,
    stored_usage,
)

from claude_operator.organisation import sqlite
from claude_operator.organisation.store import Store

KEYS = ("sk-ant-api03-search-0123456789", "sk-ant-api03-support-123456789", "sk-ant-api03-committed-012345")
MODELS = ("claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5")
ORGANIZATION = {
    "workspaces": [{"id": "wrkspc_search", "name": "Search", "keys": ["sk-ant-api03-search*"]}],
    "priorityKeys": ["sk-ant-api03-committed*"],
    "lag": "5m",
    "lateRate": 0.05,
    "lateBy": "6h",
    "cursorLife": "90s",
    "pageSize": 60,
    "requestsPerMinute": 1,
    "errorRate": 0.03,
    "rateLimitRate": 0.03,
    "breakRate": 0.03,
}
END = MIDNIGHT + 2 * DAY
SYSTEM = [{"type": "text", "text": "Answer briefly. " * 1500, "cache_control": {"type": "ephemeral"}}]


def traffic(world: World, chance: random.Random) -> Callable[[float, float], object]:
    """Calls at moments of their own, some of which read or write the cache, until the two days are over."""
    next_call = MIDNIGHT + 450.0

    async def happens(begun: float, ends: float) -> None:
        nonlocal next_call
        while next_call < min(ends, END):
            world.clock.now = max(begun, next_call)
            fields = {"system": SYSTEM} if chance.random() < 0.2 else {}
            if chance.random() < 0.1:
                fields["system"] = [{**SYSTEM[0], "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
            await world.use(chance.choice(KEYS), "Hello" * chance.randint(1, 9), model=chance.choice(MODELS), **fields)
            next_call += chance.expovariate(1 / 60)
        if next_call < END:
            next_call = max(next_call, begun)

    return happens


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_totals_are_those_of_the_api(open_store: Callable[[], Store], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_SYNCHRONOUS", "OFF")  # four thousand transactions: nobody switches the power off
    chance = random.Random(14)
    restarts = 0
    async with organisation(scenario(**ORGANIZATION), MIDNIGHT) as world:
        world.happens = traffic(world, chance)
        end = END + DAY  # late usage is reported six hours later, and read again a while after that
        while world.clock.now < end:
            async with world.polling(open_store) as poller:
                world.stops = min(end, world.clock.now + chance.expovariate(1 / 14_400))
                world.stopped.clear()
                life = asyncio.create_task(poller.run())
                waiting = asyncio.create_task(world.stopped.wait())
                await asyncio.wait((life, waiting), return_when=asyncio.FIRST_COMPLETED)
                for _ in range(chance.randrange(40)):  # in the middle of whatever it does
                    await asyncio.sleep(0)
                for task in (life, waiting):
                    task.cancel()
                result, _ = await asyncio.gather(life, waiting, return_exceptions=True)
                assert isinstance(result, asyncio.CancelledError), result
            restarts += 1
        book, polls = await world.book(), await world.polls()
        found = history(open_store, world.clock.now)

    assert stored_usage(found) == booked_usage(book)
    costs = booked_costs(book)
    assert stored_costs(found.costs) == costs
    assert stored_costs(found.key_costs or [], by_key=True) == booked_costs(book, by_key=True)
    assert {row.tier for row in found.usage} == {"standard", "priority"}
    assert found.complete_to is not None
    assert found.complete_to >= END

    # What the two days were meant to have did happen.
    assert restarts > 5
    assert {200, 500, 429, 0} <= {poll["status"] for poll in polls}
    assert any(status in (400, 410) for status in (poll["status"] for poll in polls)), "no cursor expired"
    times = [poll["at"] for poll in polls]
    assert min(after - before for before, after in pairwise(times)) >= 60
    assert sum(costs.values()) > 0
