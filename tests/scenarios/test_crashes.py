"""A crash before any write, a conflict at any status write, a wiped status: the outcome is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.scenarios.world import UNPROVEN, Rates, World

STEPS = [{"setWeight": 10}, {"bake": {"minDuration": "5s", "minRequests": 5}}]
SPEC = World.spec(strategy={"canary": {"steps": STEPS, "analysis": UNPROVEN}}, gateway={"replicas": 2})


def outcome(world: World) -> dict[str, Any]:
    """What must not depend on when the operator died."""
    status = world.parsed
    assert status.rollout is not None
    assert world.config is not None
    return {
        "arms": [(arm.revision, arm.weight) for arm in world.config.arms],
        "stable": status.stable_revision,
        "outcome": (status.rollout.revision, status.rollout.attempt, status.rollout.outcome),
        "ended": [(one.revision, one.attempt, one.outcome) for one in status.rollouts],
        "promoted": [world.condition("Promoted")[key] for key in ("status", "reason")],
        "revisions": sorted(world.revisions),
        "states": sorted(one["status"]["state"] for one in world.revisions.values()),
        "runs": sorted(world.runs),
        "settled": world.config.settled and (world.config.settled.revision, world.config.settled.outcome),
    }


def served() -> World:
    world = World(SPEC)
    world.settle()
    return world


def promotes() -> World:
    world = served()
    world.say("Be brief.")
    return world


def rolls_back() -> World:
    world = served()
    world.say("Be brief.")
    world.rates[new_revision(world)] = Rates(error=0.8)
    return world


def new_revision(world: World) -> str:
    """The name of the revision that the spec asks for."""
    copy = world.fork()
    copy.one_pass()
    (name,) = set(copy.revisions) - set(world.revisions)
    return name


def is_aborted() -> World:
    world = served()
    world.say("Be brief.")
    world.until(lambda w: w.weight == 1000)
    status = world.parsed
    assert status.rollout is not None
    world.annotate("abort", f"{status.rollout.revision}/1")
    return world


def fails_its_gate() -> World:
    world = served()
    world.add_eval_set()
    world.edit(evals={"setRef": {"name": "support-evals"}})
    world.say("Be brief.")
    world.run(5)
    world.finish_eval("Failed", "12 of 20 items passed")
    return world


def is_superseded() -> World:
    world = served()
    world.say("Be brief.")
    world.until(lambda w: w.weight == 1000)
    world.say("Be polite.")
    return world


def first() -> World:
    return World(SPEC)


def done(world: World) -> bool:
    told = {one.get("status", {}).get("state") for one in world.revisions.values()}
    return world.settled and bool(world.pods) and None not in told and "Candidate" not in told


def faults_met(
    world: World, fault: str, done: Callable[[World], bool], outcome: Callable[[World], Any], wanted: Any
) -> int:
    """One fault before each write on the way to `done`, each by itself; the outcome is the same. How many struck."""
    tried = 0
    while not done(world):
        before = world.fork()
        world.until(lambda w, passes=world.passes: w.passes > passes)
        for index in range(before.writes, world.writes):
            other = before.fork()
            other.checked = False
            hits = other.fail_write(index, fault)
            other.until(lambda w, hits=hits, index=index: bool(hits) or w.writes > index)
            if not hits:
                continue
            tried += 1
            other.until(done)
            other.run(2)
            assert outcome(other) == wanted, f"{fault} before write {index} ({hits}):\n{other.transcript()}"
    return tried


@pytest.mark.parametrize("fault", ["crash", "conflict"])
@pytest.mark.parametrize("build", [promotes, rolls_back, is_aborted, fails_its_gate, is_superseded, first])
def test_every_write(build: Callable[[], World], fault: str) -> None:
    """One fault before each write of the way, one after the other."""
    world = build()
    straight = world.fork()
    straight.until(done)
    straight.run(2)
    wanted = outcome(straight)
    assert faults_met(world, fault, done, outcome, wanted) >= 2


def test_a_wiped_status_of_a_deployment_at_rest() -> None:
    world = promotes()
    world.until(done)
    before = outcome(world)
    generation = world.config.generation if world.config else 0
    world.lose_status()
    world.run(5)
    after = outcome(world)
    assert world.config
    assert world.config.generation == generation
    assert after["arms"] == before["arms"]
    assert after["stable"] == before["stable"]
    assert after["outcome"] == before["outcome"]
    world.check_quiet()


@pytest.mark.parametrize("build", [rolls_back, is_aborted])
def test_a_wiped_status_after_a_rollback_does_not_try_again(build: Callable[[], World]) -> None:
    world = build()
    world.until(done)
    before = outcome(world)
    assert before["outcome"][2] in ("RolledBack", "Aborted")
    world.lose_status()
    world.run(120)
    assert outcome(world) == before | {"ended": before["ended"][-1:]}
    assert not world.weight
    revision, attempt, _ = before["outcome"]
    world.rates = {}
    world.annotate("retry", f"{revision}/{attempt}")
    world.run(1)
    world.settle()
    assert outcome(world)["outcome"] == (revision, 2, "Promoted")


def test_a_wiped_status_in_mid_rollout_gives_the_traffic_back_first() -> None:
    world = promotes()
    world.until(lambda w: w.weight == 1000)
    stable = world.parsed.stable_revision
    world.lose_status()
    world.one_pass()
    assert world.parsed.stable_revision == stable
    assert world.weight == 0
    world.settle()
    assert world.parsed.rollout
    assert world.parsed.stable_revision == world.parsed.rollout.revision


def test_a_wiped_status_of_a_first_revision_that_was_aborted() -> None:
    world = World(SPEC | {"evals": {"setRef": {"name": "support-evals"}}})
    world.add_eval_set()
    world.run(5)
    rollout = world.parsed.rollout
    assert rollout is not None
    world.annotate("abort", f"{rollout.revision}/1")
    world.run(2)
    world.annotate("abort", None)
    world.run(2)
    world.lose_status()
    world.run(20)
    assert world.parsed.rollout
    assert world.parsed.rollout.outcome == "Aborted"


@pytest.mark.parametrize("restarted", [False, True])
def test_a_deleted_config_comes_back(restarted: bool) -> None:
    """From an operator that does not know it with another number: pods still serve the one that was deleted."""
    world = promotes()
    world.until(done)
    before = world.config
    assert before
    world.delete_config()
    if restarted:
        world.restart_operator()
    world.run(2)
    assert world.config
    assert world.config.generation > before.generation if restarted else world.config == before
    assert world.config.arms == before.arms


def test_an_old_leader_cannot_write_over_a_newer_status() -> None:
    """All of its writes that give traffic come after the fenced one."""
    world = promotes()
    world.until(lambda w: w.weight == 1000)
    writes: list[str] = []

    def stale(_: int, what: str) -> str | None:
        writes.append(what)
        return "conflict" if what == "status" else None

    world.fault = stale
    before = world.config
    for _ in range(5):
        world.step()
    assert world.config == before
    assert "config" not in writes
