"""A fault at every instant of a rollout, and a canary that turns bad there: it never goes on, and never stays.

Each pass of a rollout is an instant. From there the world goes another way: the canary turns bad while the leader
changes, the API server is away, a clock is set, a gateway restarts; or the upstream fails for both arms.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from tests.scenarios.world import UNPROVEN, Rates, World

STEPS = [
    {"setWeight": 20},
    {"bake": {"minDuration": "4s", "minRequests": 5}},
    {"setWeight": 50},
    {"pause": {"duration": "3s"}},
    {"setWeight": 80},
    {"bake": {"minDuration": "4s", "minRequests": 5}},
]
SPEC = World.spec(
    strategy={"canary": {"steps": STEPS, "analysis": {**UNPROVEN, "interval": "1s"}}}, gateway={"replicas": 1}
)
BACK = 3.0
"""Seconds in which a canary that fails everything is taken back, once somebody looks."""


@cache
def instants() -> list[World]:
    """The world at each pass of a rollout with traffic on the canary, up to its promotion."""
    world = World(SPEC, traffic=30.0)
    world.settle()
    world.say("Be brief.")
    world.until(lambda w: w.weight > 0)
    found = []
    while world.parsed.rollout and world.parsed.rollout.outcome is None:
        found.append(world.fork())
        world.until(lambda w, passes=world.passes: w.passes > passes)
    assert len(found) > 20
    return found


def canary_of(world: World) -> str:
    rollout = world.parsed.rollout
    assert rollout
    return rollout.revision


def away(world: World, seconds: float) -> None:
    """Nobody passes for a while; traffic goes on."""
    world.flow(world.now + dt.timedelta(seconds=seconds))
    world.wake()


def nothing(world: World) -> None:
    """All is as it was."""


def leader_changes(world: World) -> None:
    world.restart_operator()


def leader_is_killed(world: World) -> None:
    away(world, 5.0)
    world.restart_operator()


def api_is_away(seconds: float) -> Callable[[World], None]:
    def fault(world: World) -> None:
        away(world, seconds)

    fault.__name__ = f"api_is_away_for_{seconds:g}_s"
    return fault


def api_and_leader(world: World) -> None:
    away(world, 20.0)
    world.restart_operator()


def clock_ahead(world: World) -> None:
    world.clock.skew = 7200.0


def clock_behind(world: World) -> None:
    world.clock.skew = -7200.0


def clock_and_leader(world: World) -> None:
    away(world, 5.0)
    world.clock.skew = 7200.0
    world.restart_operator()


def gateway_restarts(world: World) -> None:
    world.restart_pod()
    world.restart_operator()


FAULTS = [
    nothing,
    leader_changes,
    leader_is_killed,
    api_is_away(5.0),
    api_is_away(60.0),
    api_and_leader,
    clock_ahead,
    clock_behind,
    clock_and_leader,
    gateway_restarts,
]


def ways(fault: Callable[[World], None], lead: float) -> Iterator[tuple[World, str]]:
    """At each instant: the fault, and a canary that fails everything from `lead` seconds before it on."""
    for begin in instants():
        world = begin.fork()
        canary = canary_of(world)
        world.rates[canary] = Rates(error=1.0)
        if lead:
            world.flow(world.now + dt.timedelta(seconds=lead))
        fault(world)
        yield world, canary


@pytest.mark.parametrize(
    ("fault", "lead"),
    [*((fault, 0.2) for fault in FAULTS), (nothing, 0.6), (leader_is_killed, 0.6)],
    ids=lambda one: one if isinstance(one, float) else one.__name__,
)
def test_a_canary_that_fails_everything_is_never_promoted(fault: Callable[[World], None], lead: float) -> None:
    for world, canary in ways(fault, lead):
        began = world.now
        ready = max(pod.ready_at for pod in world.pods)
        world.until(lambda w: w.parsed.rollout is None or w.parsed.rollout.outcome is not None, 120)
        status = world.parsed
        assert status.rollout
        assert (status.rollout.revision, status.rollout.outcome) == (canary, "RolledBack"), world.transcript()
        assert status.stable_revision != canary
        assert world.weight == 0
        took = (world.now - max(began, ready)).total_seconds()
        assert took <= BACK, f"{took} s:\n{world.transcript()}"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_good_canary_is_promoted_in_its_time(fault: Callable[[World], None]) -> None:
    """No fault takes it back, ends a step early or holds it for good; the world checks each step's length."""
    for begin in instants():
        world = begin.fork()
        fault(world)
        began = world.now
        world.until(lambda w: w.parsed.rollout is None or w.parsed.rollout.outcome is not None, 300)
        status = world.parsed
        assert status.rollout
        assert status.rollout.outcome == "Promoted", world.transcript()
        assert (world.now - began).total_seconds() <= 60.0, world.transcript()


@pytest.mark.parametrize("rates", [Rates(error=1.0), Rates(hang=1.0), Rates(account=1.0), Rates(overload=1.0)])
@pytest.mark.parametrize("fault", [nothing, leader_is_killed], ids=lambda fault: fault.__name__)
def test_trouble_of_both_arms_promotes_nothing_and_blames_nobody(fault: Callable[[World], None], rates: Rates) -> None:
    for begin in instants():
        world = begin.fork()
        status = world.parsed
        assert status.stable_revision
        for revision in (status.stable_revision, canary_of(world)):
            world.rates[revision] = rates
        world.flow(world.now + dt.timedelta(seconds=1.0))  # the reading that has the last good answers
        world.one_pass()
        if world.parsed.rollout is None or world.parsed.rollout.outcome is not None:
            assert rates.hang, world.transcript()
            continue
        fault(world)
        world.run(15.0)
        after = world.parsed
        assert after.rollout
        assert after.rollout.outcome is None, world.transcript()
        ready = world.condition("Ready")
        if not rates.hang:
            assert (ready["status"], ready["reason"]) == ("False", "RequestsFailing"), ready
        healthy = world.condition("CanaryHealthy")
        assert healthy["status"] == "Unknown", healthy
        assert sum("!" in line and healthy["reason"] in line for line in world.log) == 1, world.transcript()


@pytest.mark.parametrize("fault", [nothing, leader_is_killed, api_and_leader], ids=lambda fault: fault.__name__)
def test_a_canary_that_hangs_goes_nowhere(fault: Callable[[World], None]) -> None:
    for begin in instants():
        world = begin.fork()
        weight = world.weight
        world.rates[canary_of(world)] = Rates(hang=1.0)
        world.flow(world.now + dt.timedelta(seconds=1.0))  # the reading that has its last answers
        world.one_pass()
        if world.parsed.rollout is None or world.parsed.rollout.outcome is not None:
            continue
        weight = max(weight, world.weight)
        fault(world)
        world.run(30.0)
        assert world.weight <= weight, world.transcript()
        said = world.condition("Promoted")
        assert said["reason"] == "NoAnswer", said
        assert "the canary hangs" in said["message"], said


def test_where_stable_alone_fails_the_canary_goes_on_and_the_way_out_is_told() -> None:
    for begin in instants():
        world = begin.fork()
        status = world.parsed
        assert status.stable_revision
        world.rates[status.stable_revision] = Rates(error=1.0)
        seen = set()
        for _ in range(120):
            if world.parsed.rollout is None or world.parsed.rollout.outcome is not None:
                break
            world.run(0.5)
            seen.add(world.condition("CanaryHealthy")["reason"])
            said = world.condition("Ready")["message"]
            if "promoting the canary ends it" in said:
                assert f"promote={canary_of(world)}/1/full" in said
        assert world.parsed.rollout
        assert world.parsed.rollout.outcome == "Promoted", world.transcript()
        assert world.parsed.stable_revision == canary_of(world)
