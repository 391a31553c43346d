"""Rollouts whose live answers are graded: they wait for verdicts, and are taken back by them.

`UPDATE_GOLDENS=1 pytest tests/scenarios` writes the transcripts anew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.scenarios.gateways import Grader
from tests.scenarios.golden_file import check_transcript
from tests.scenarios.world import QUICK, UNPROVEN, World

from claude_operator.api.gateway import Live

GOLDEN = Path(__file__).parent / "golden" / "live"
SCENARIOS: dict[str, Callable[[], World]] = {}
LIVE: dict[str, Any] = {
    "rubric": ["The answer names a number."],
    "graders": [{"name": "default", "model": "claude-haiku-4-5-20251001"}],
}
EVALS = {"setRef": {"name": "support-evals"}, "required": False, "live": LIVE}


def scenario(build: Callable[[], World]) -> Callable[[], World]:
    SCENARIOS[build.__name__] = build
    return build


def on_trial(grader: Grader | None) -> World:
    """The canary has its first traffic."""
    world = World(World.spec(evals=EVALS, strategy={"canary": {"steps": QUICK, "analysis": UNPROVEN}}))
    world.add_eval_set()
    world.by_unit = True
    world.settle()
    world.grader = grader
    world.begin()
    world.say("Be brief.")
    world.until(lambda w: w.weight > 0)
    return world


def holds(world: World, reason: str) -> bool:
    return bool(world.condition("Promoted")["reason"] == reason)


def canary(world: World) -> str:
    return world.parsed.rollout.revision  # type: ignore[union-attr]


@scenario
def each_bake_waits_for_its_verdicts() -> World:
    world = on_trial(Grader())
    assert world.config
    assert world.config.live == Live(0.01, 6)
    world.settle()
    assert world.parsed.stable_revision == canary(world)
    world.run(30)
    return world


@scenario
def worse_answers_are_taken_back() -> World:
    world = on_trial(Grader())
    world.run(5)
    world.grader = Grader(fails={canary(world): 0.7, world.parsed.stable_revision or "": 0.1})
    world.user("the canary's answers are short and wrong, with status 200")
    world.settle()
    return world


@scenario
def a_dead_grader_holds_the_rollout_until_it_is_back() -> World:
    world = on_trial(Grader())
    world.run(10)
    world.grader = None
    world.user("the grader dies")
    world.until(lambda w: holds(w, "GradesMissing"))
    world.run(120)
    assert world.weight == 1000
    world.grader = Grader()
    world.user("the grader is back")
    world.settle()
    return world


@scenario
def what_the_grader_says_of_its_trouble_is_told() -> World:
    world = on_trial(Grader(pace=0.0, trouble="maxCostUSDPerDay of $10 is spent until 00:00 UTC"))
    world.until(lambda w: holds(w, "GradesMissing"))
    world.run(30)
    return world


@scenario
def a_grader_that_cannot_decide_holds_the_rollout() -> World:
    world = on_trial(Grader(undecided=0.5))
    world.until(lambda w: holds(w, "GradesMissing"))
    world.run(60)
    world.grader = Grader()
    world.user("the criteria are decided now")
    world.settle()
    return world


@scenario
def another_operator_takes_over_again_and_again() -> World:
    """What it knows of the verdicts is in status."""
    world = on_trial(Grader())
    for _ in range(4):
        world.run(7)
        world.restart_operator()
    world.settle()
    assert world.parsed.stable_revision == canary(world)
    return world


@scenario
def live_is_taken_out_of_the_spec_in_mid_rollout() -> World:
    world = on_trial(None)
    world.run(30)
    assert world.weight == 1000
    world.edit("takes live out of the spec", evals={key: value for key, value in EVALS.items() if key != "live"})
    world.settle()
    return world


@pytest.mark.parametrize("name", SCENARIOS)
def test_transcript(name: str) -> None:
    check_transcript(SCENARIOS[name](), GOLDEN / f"{name}.txt")
