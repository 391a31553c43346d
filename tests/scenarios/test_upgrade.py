"""From pods that prove nothing to pods that do, in the middle of a rollout: it goes on, whatever dies meanwhile."""

from __future__ import annotations

import pytest
from tests.scenarios.test_crashes import new_revision, outcome, promotes, rolls_back
from tests.scenarios.world import Rates, World

from claude_operator.core import names


def upgraded(world: World, *, bad: bool = False) -> World:
    """The canary has its weight when the new operator comes; its pods are replaced one after the other."""
    revision = new_revision(world)
    world.until(lambda w: w.weight == 1000)
    generation, started = world.config and world.config.generation, world.parsed.step
    world.install_before_keys()
    world.restart_operator()
    world.run(2)
    assert (world.config and world.config.generation, world.weight) == (generation, 1000)
    assert world.parsed.step == started or world.parsed.step is not None
    assert "signature" in world.kube.take("ConfigMap", names.gateway_name(world.name))["data"]
    if bad:
        world.rates[revision] = Rates(error=0.8)
    for index in range(2):
        world.restart_pod(index)
        world.run(4)
    return world


def test_a_rollout_is_promoted_across_the_upgrade() -> None:
    plain = promotes()
    plain.settle()
    world = upgraded(promotes())
    world.settle()
    assert outcome(world) == outcome(plain)
    for reason in ("ForeignPod", "ChildRestored", "StatusNotTrusted", "OutdatedPods"):
        assert reason not in world.transcript()
    assert "starts its steps again" not in world.transcript()


def test_harm_is_found_across_the_upgrade() -> None:
    plain = rolls_back()
    plain.settle()
    world = upgraded(promotes(), bad=True)
    world.settle()
    assert outcome(world)["outcome"] == outcome(plain)["outcome"]


@pytest.mark.parametrize("write", range(12))
def test_it_does_not_matter_when_the_new_operator_dies(write: int) -> None:
    world = promotes()
    world.until(lambda w: w.weight == 1000)
    world.install_before_keys()
    world.restart_operator()
    world.fail_write(world.writes + write, "crash")
    world.run(2)
    for index in range(2):
        world.restart_pod(index)
        world.run(4)
    world.settle()
    plain = promotes()
    plain.settle()
    assert outcome(world) == outcome(plain)
    assert "ChildRestored" not in world.transcript()
