"""`kubectl claude drill` as it reads, and when it asks for nothing; the drills are of a simulated cluster."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from tests.cli.test_views import check
from tests.scenarios.test_drill import ask, is_over, served
from tests.scenarios.world import QUICK, World

from claude_operator.cli import wishes
from claude_operator.cli.failure import Failure
from claude_operator.cli.view.drill import drill_facts, drill_view


def passed() -> World:
    world = served()
    ask(world)
    world.until(is_over)
    return world


def rehearsed() -> World:
    world = served()
    ask(world, "rehearsal")
    world.until(is_over)
    return world


def failed() -> World:
    steps = {"canary": {"steps": QUICK, "analysis": {"metrics": [{"name": "cost"}]}}}
    world = World(World.spec(strategy=steps))
    world.settle()
    ask(world)
    world.until(is_over)
    return world


def aborted() -> World:
    world = passed()
    world.run(3600)
    world.traffic = 0.0
    ask(world)
    world.until(lambda w: bool(w.parsed.drill and w.parsed.drill.aborted))
    return world


def running() -> World:
    world = served()
    ask(world)
    world.run(3)
    return world


RESULTS: dict[str, tuple[Callable[[], World], str]] = {
    "passed": (passed, "Passed"),
    "rehearsed": (rehearsed, "Passed"),
    "failed": (failed, "Failed"),
    "aborted": (aborted, "Aborted"),
    "running": (running, "Running"),
    "never": (served, "Never"),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_drill_reads(name: str) -> None:
    build, result = RESULTS[name]
    world = build()
    facts = drill_facts(world.owner)
    assert facts["result"] == result
    check(drill_view(facts, world.now + dt.timedelta(minutes=5)), facts, f"drill_{name}")


def test_each_wish_means_one_drill_of_what_serves() -> None:
    world = served()
    wish = wishes.drill(world.owner, world.now, live=True)
    assert wish.annotation == "claudeops.dev/drill"
    assert wish.value == f"{world.parsed.stable_revision}/live/2026-11-24T10:00:04.000000Z"
    assert "/rehearsal/" in wishes.drill(world.owner, world.now, live=False).value
    world.annotate("drill", wish.value)
    world.run(1)
    assert wish.is_handled(world.owner)
    with pytest.raises(Failure, match="support-drill-1 is under way already"):
        wishes.drill(world.owner, world.now, live=True)


def test_a_drill_that_could_not_begin_is_not_asked_for() -> None:
    world = served()
    world.say("Be brief.")
    world.until(lambda w: w.weight == 1000)
    with pytest.raises(Failure, match="a drill waits for its end"):
        wishes.drill(world.owner, world.now, live=False)
    with pytest.raises(Failure, match="no revision serves yet"):
        wishes.drill(World().owner, world.now, live=False)
