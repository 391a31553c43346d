"""After a promotion: the former revision keeps its conversations for its time, whatever dies or is set meanwhile.

`UPDATE_GOLDENS=1 pytest tests/scenarios` writes the transcripts anew.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.scenarios.golden_file import check_transcript
from tests.scenarios.test_crashes import faults_met, outcome
from tests.scenarios.world import QUICK, UNPROVEN, Rates, World

from claude_operator.api.gateway import GatewayConfig
from claude_operator.core.catalogue.table import Model

GOLDEN = Path(__file__).parent / "golden" / "drain"
SCENARIOS: dict[str, Callable[[], World]] = {}
KIND, BRIEF, POLITE = "Be kind.", "Be brief.", "Be polite."
MINUTES = 10


class DrainWorld(World):
    """A world in which only what was stable keeps conversations, and gets no new ones."""

    def _check_config(self, before: GatewayConfig | None) -> None:
        super()._check_config(before)
        config = self.config
        former = config.arm("former") if config else None
        if former is None or before is None:
            return
        assert former.weight == 0
        assert former.revision in {arm.revision for arm in before.arms}, "what was not served has no conversations"


def strategy(**canary: Any) -> dict[str, Any]:
    return {"canary": {"steps": QUICK, "analysis": UNPROVEN, "drain": {"maxAge": f"{MINUTES}m"}, **canary}}


@cache
def _promoted() -> World:
    world = DrainWorld(World.spec(strategy=strategy()))
    world.settle()
    world.begin()
    world.say(BRIEF)
    world.run(1)
    world.settle()
    world.until(lambda w: w.settled and not w.parsed.step)
    return world


def promoted() -> World:
    """A second revision has just been promoted; the first keeps its conversations for ten minutes."""
    world = _promoted().fork().begin()
    assert kept(world)
    return world


def kept(world: World) -> str | None:
    """The revision that gateways are told to keep."""
    arm = world.config.arm("former") if world.config else None
    return arm.revision if arm else None


def wanted(world: World) -> str:
    return world.parsed.rollout.revision  # type: ignore[union-attr]


def look(world: World) -> None:
    """What `kubectl` shows of it."""
    drains = world.parsed.draining
    world.record_event("  status.draining", f"{drains.revision} {drains.until:%H:%M:%S}" if drains else "nothing")


def scenario(build: Callable[[], World]) -> Callable[[], World]:
    SCENARIOS[build.__name__] = build
    return build


@scenario
def a_drain_ends_in_its_time() -> World:
    world = promoted()
    look(world)
    world.run(MINUTES * 60 - 30)
    assert kept(world)
    world.run(60)
    look(world)
    assert not kept(world)
    return world


@scenario
def another_promotion_takes_its_place() -> World:
    world = promoted()
    first = kept(world)
    world.say(POLITE)
    world.run(1)
    world.settle()
    look(world)
    assert kept(world) not in (None, first)
    world.run(MINUTES * 60 + 30)
    return world


@scenario
def a_rollback_of_the_next_leaves_it() -> World:
    world = promoted()
    first = kept(world)
    world.say(POLITE)
    world.until(lambda w: w.weight == 1000)
    assert world.config
    assert [arm.role for arm in world.config.arms] == ["stable", "canary", "former"]
    world.rates[wanted(world)] = Rates(error=0.8)
    world.settle()
    look(world)
    assert kept(world) == first
    world.run(MINUTES * 60)
    return world


@scenario
def a_person_goes_back_to_it() -> World:
    """It is on trial again, with its conversations, and serves in the end."""
    world = promoted()
    former = kept(world)
    world.say(KIND)
    world.until(lambda w: w.weight == 1000)
    assert kept(world) is None
    world.settle()
    look(world)
    assert world.parsed.stable_revision == former
    return world


@scenario
def a_person_goes_back_at_once() -> World:
    world = promoted()
    former = kept(world)
    world.edit(strategy=strategy(rollbackWindow={"duration": "30m"}))
    world.say(KIND)
    world.run(2)
    look(world)
    assert (world.parsed.stable_revision, kept(world)) == (former, None)
    return world


@scenario
def a_person_ends_it() -> World:
    world = promoted()
    world.run(60)
    world.edit("drain.maxAge: 0s", strategy=strategy(drain={"maxAge": "0s"}))
    world.run(5)
    look(world)
    assert not kept(world)
    return world


@scenario
def its_model_is_retired() -> World:
    world = promoted()
    world.run(60)
    retired = Model("claude-opus-5-5", line="opus", retires=dt.date(2026, 1, 1))
    world.models = {**world.models, retired.id: retired}
    world.user("the model of both is retired")
    world.run(120)
    look(world)
    return world


@pytest.mark.parametrize("name", SCENARIOS)
def test_transcript(name: str) -> None:
    check_transcript(SCENARIOS[name](), GOLDEN / f"{name}.txt")


def test_there_is_no_golden_without_a_scenario() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(SCENARIOS)


# ------------------------------------------------------------------------------------------------------ crashes


def begins() -> World:
    """The canary is about to be promoted."""
    world = DrainWorld(World.spec(strategy=strategy()))
    world.settle()
    world.say(BRIEF)
    world.until(lambda w: w.weight == 5000)
    return world


def ends() -> World:
    world = promoted()
    world.run(MINUTES * 60 - 20)
    return world


def gives_way() -> World:
    """Another revision is about to be promoted."""
    world = promoted()
    world.say(POLITE)
    world.until(lambda w: w.weight == 5000)
    return world


def drains(world: World) -> bool:
    return bool(world.settled and world.parsed.draining and kept(world) == world.parsed.draining.revision)


def is_over(world: World) -> bool:
    return world.parsed.draining is None and world.settled


@pytest.mark.parametrize("fault", ["crash", "conflict"])
@pytest.mark.parametrize(("build", "done"), [(begins, drains), (ends, is_over), (gives_way, drains)])
def test_every_write(build: Callable[[], World], done: Callable[[World], bool], fault: str) -> None:
    """A fault before any of them: the arm is there for its time, and goes."""
    world = build()
    if build is gives_way:
        new = wanted(world)

        def done(world: World) -> bool:
            return drains(world) and world.parsed.stable_revision == new

    straight = world.fork()
    straight.until(done)
    straight.run(2)
    known = outcome(straight)
    assert faults_met(world, fault, done, outcome, known) >= 1


def told(world: World, reason: str) -> int:
    return sum(reason in line for line in world.log)


def lasts(world: World) -> float:
    """Seconds until the arm is gone."""
    began = world.now
    world.until(lambda w: kept(w) is None, 7200.0)
    return (world.now - began).total_seconds()


@pytest.mark.parametrize("skew", [7200.0, -7200.0])
def test_a_clock_that_is_set_makes_it_no_longer_or_shorter(skew: float) -> None:
    world = promoted()
    world.run(60)
    world.clock.skew = skew
    assert lasts(world) == pytest.approx(MINUTES * 60 - 60, abs=5)
    world.run(5)
    assert told(world, "Drained") == 1


def test_time_without_an_operator_does_not_count_more_than_it_is_long() -> None:
    """A leader that comes new knows of the last minute at least."""
    world = promoted()
    world.run(200)
    world.restart_operator()
    assert MINUTES * 60 - 200 - 1 <= lasts(world) <= MINUTES * 60 - 200 + 61
    world.run(5)
    assert told(world, "Drained") == 1


def test_a_wiped_status_keeps_it_for_as_long_as_after_a_promotion() -> None:
    world = promoted()
    former = kept(world)
    world.run(200)
    world.lose_status()
    world.run(20)
    assert kept(world) == former
    assert world.parsed.draining
    assert MINUTES * 60 - 25 <= lasts(world) <= MINUTES * 60
    world.run(5)
    assert world.parsed.draining is None
    world.check_quiet()


def test_its_end_in_the_midst_of_a_rollout_changes_no_step() -> None:
    """The config has a new generation, and the same weights."""
    world = promoted()
    world.run(MINUTES * 60 - 30)
    world.edit(strategy=strategy(steps=[{"setWeight": 10}, {"bake": {"minDuration": "2m", "minRequests": 5}}]))
    world.say(POLITE)
    world.until(lambda w: w.weight == 1000)
    world.run(2)
    gateway, step = world.parsed.gateway, world.parsed.step
    assert kept(world)
    assert gateway
    assert gateway.weights_generation == gateway.config_generation
    seen = world.parsed.judgement
    world.until(lambda w: kept(w) is None)
    world.run(10)
    after = world.parsed
    assert after.gateway
    assert after.gateway.weights_generation == gateway.weights_generation == after.gateway.config_generation - 1
    assert after.step
    assert step
    assert after.step.started_at == step.started_at
    assert after.judgement
    assert seen
    assert after.judgement.requests > seen.requests
    world.settle()
    assert world.parsed.stable_revision == wanted(world)
