"""Gateways that no reading is made of: a pass comes where they say something else than the last one saw."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.shell.fakes import run
from tests.shell.rig import KEY, serving

from claude_operator.api.evidence import Recent, Serving
from claude_operator.shell.keys import DEPLOYMENT, Key
from claude_operator.shell.patrol import Patrol, Resting

FINE = Serving("b", 3, {"r": 10_000}, Recent(10.0, 9, 1, {"error": 1}))
DOWN = Serving("b", 3, {"r": 10_000}, Recent(10.0, 9, 8, {"error": 8}))
EMPTY = Serving("b", 3, {}, Recent())
QUIET = Serving("b", 3, {"r": 10_000}, Recent(10.0, 2, 2, {"error": 2}))


class Pods:
    """What each says, and how often it was asked."""

    def __init__(self, *said: Serving) -> None:
        self.said, self.asked = list(said), 0

    async def read_serving(self, pods: Sequence[Mapping[str, Any]]) -> list[Serving]:
        self.asked += 1
        return self.said


@pytest.mark.parametrize(
    ("said", "troubled", "wakes"),
    [
        ([FINE], False, False),
        ([DOWN], False, True),
        ([DOWN], True, False),
        ([FINE], True, True),
        ([EMPTY], False, True),
        ([EMPTY, FINE], False, False),
        ([QUIET], False, False),
        ([], False, False),  # no answer is for the pass that sees the pod unready
        ([], True, False),
    ],
)
def test_a_pass_comes_where_it_is_otherwise(said: list[Serving], troubled: bool, wakes: bool) -> None:
    async def main() -> None:
        keys: list[Key] = []
        patrol = Patrol(Pods(*said), lambda: [Resting(KEY, [], troubled)], keys.append)
        task = asyncio.create_task(patrol.run())
        await asyncio.sleep(5.5)
        task.cancel()
        assert keys == ([KEY, KEY] if wakes else [])

    run(main())


@pytest.mark.parametrize(("number", "seconds"), [(1, 5.0), (200, 5.0), (800, 20.0)])
def test_looks_are_spread_and_bounded(number: int, seconds: float) -> None:
    async def main() -> None:
        pods = Pods(FINE)
        all_ = [Resting(Key(DEPLOYMENT, "demo", f"d{n}"), [], False) for n in range(number)]
        task = asyncio.create_task(Patrol(pods, lambda: all_, lambda key: None).run())
        await asyncio.sleep(seconds * 3 - 0.01)
        task.cancel()
        assert pods.asked == pytest.approx(number * 3, rel=0.01, abs=1)

    run(main())


async def test_what_rests_is_known_by_the_last_pass() -> None:
    rig = await serving()
    (found,) = rig.gatherer.resting()
    assert (found.key, found.troubled, len(found.pods)) == (KEY, False, 1)
    rig.gateways.recent = Recent(10.0, 9, 8, {"error": 8}, "502 api_error")
    await rig.one()
    assert rig.gatherer.resting()[0].troubled
    assert rig.condition("Ready")[:2] == ("False", "RequestsFailing")
    rig.gateways.recent = None
    rig.say("Be brief.")
    await rig.settle()
    await rig.one()
    assert rig.gatherer.resting() == []  # it is read anyway
    assert rig.condition("Ready")[:2] == ("True", "Serving")
