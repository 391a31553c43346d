"""A model nears its end while it serves: the spec is rolled out with another one, whatever dies or is edited meanwhile.

`UPDATE_GOLDENS=1 pytest tests/scenarios` writes the transcripts anew.
"""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.scenarios.golden_file import check_transcript
from tests.scenarios.test_crashes import faults_met, outcome
from tests.scenarios.world import QUICK, UNPROVEN, Rates, World

from claude_operator.api.migration import MigrationStatus
from claude_operator.core.catalogue.table import Model, find

GOLDEN = Path(__file__).parent / "golden" / "migration"
SCENARIOS: dict[str, Callable[[], World]] = {}
Object = dict[str, Any]

OLD, NEW, OTHER = "claude-sonnet-4-5-20250929", "claude-sonnet-5-5", "claude-haiku-5-5"
MIGRATE: Object = {"migrate": {"to": NEW, "onlyWithEvals": False}}
GATED: Object = {"migrate": {"to": NEW}}
EVALS: Object = {"setRef": {"name": "support-evals"}}
TODAY = dt.date(2026, 11, 24)


def scenario(build: Callable[[], World]) -> Callable[[], World]:
    SCENARIOS[build.__name__] = build
    return build


def request(model: str = OLD, text: str = "Be kind.", **fields: Any) -> Object:
    return {"model": model, "max_tokens": 1024, "system": [{"type": "text", "text": text}], **fields}


def strategy(**canary: Any) -> Object:
    return {"canary": {"steps": QUICK, "analysis": UNPROVEN, **canary}}


def catalogue(**dates: Any) -> dict[str, Model]:
    """What the cluster knows of OLD; all else is the shipped table's."""
    known = find(OLD)
    assert known is not None
    bare = replace(known, stated=None, superseded=None, deprecated=None, retires=None, not_retired_before=None)
    return {OLD: replace(bare, **dates)}


DEPRECATED = {"deprecated": TODAY - dt.timedelta(days=1), "retires": TODAY + dt.timedelta(days=59)}
RETIRED = {"deprecated": TODAY - dt.timedelta(days=60), "retires": TODAY}


@cache
def _served() -> World:
    world = World(World.spec(request=request(), strategy=strategy(), lifecycle=MIGRATE))
    world.models = catalogue()
    world.settle()
    return world


def served(**spec: Any) -> World:
    """A deployment that serves on a model which is Active, and its log empty."""
    world = _served().fork()
    if spec:
        world.edit(**spec)
        world.settle()
    return world.begin()


def ages(world: World, note: str, **dates: Any) -> None:
    """The catalogue says something else of OLD."""
    world.models = catalogue(**dates)
    world.user(f"the catalogue says that {OLD} is {note}")


def on_trial(**spec: Any) -> World:
    """The canary on the new model has its first weight, and every pod serves it."""
    world = served(**spec)
    ages(world, "Deprecated", **DEPRECATED)
    world.until(lambda w: w.weight == 1000)
    world.run(1)
    return world


def wanted(world: World) -> str:
    return world.parsed.rollout.revision  # type: ignore[union-attr]


def migration(world: World) -> MigrationStatus:
    known = world.parsed.migration
    assert known is not None, world.transcript()
    return known


def look(world: World) -> None:
    """What `kubectl` shows of it."""
    known = world.parsed.migration
    text = f"{', '.join(known.models)} to {known.to}: {known.state}: {known.message}" if known else "nothing"
    world.record_event("  status.migration", text)


def model_of(world: World, name: str | None) -> str:
    return str(world.revisions[name or ""]["spec"]["request"]["model"])


@scenario
def a_deprecated_model_is_replaced() -> World:
    world = served()
    world.add_eval_set()
    world.edit("asks for evals", evals=EVALS, lifecycle=GATED)
    world.run(5)
    ages(world, "Deprecated", **DEPRECATED)
    world.run(10)
    look(world)
    world.finish_eval("Passed", "20 of 20 items passed")
    world.settle()
    look(world)
    world.edit("writes the new model", request=request(NEW))
    world.run(5)
    look(world)
    return world


@scenario
def a_migration_that_is_rolled_back_is_not_tried_again() -> World:
    world = on_trial()
    world.rates[wanted(world)] = Rates(error=0.6)
    world.user("the canary begins to fail 60 % of its requests")
    world.run(120)
    look(world)
    world.rates.clear()
    world.edit("changes the prompt", request=request(text="Be brief."))
    world.run(1)
    look(world)
    world.until(lambda w: w.parsed.stable_revision == wanted(w))
    world.run(5)
    look(world)
    world.settle()
    look(world)
    return world


@scenario
def what_the_new_model_refuses_stops_it() -> World:
    world = served(request=request(temperature=0.5))
    ages(world, "Deprecated", **DEPRECATED)
    world.run(60)
    look(world)
    world.edit("removes temperature", request=request())
    world.run(1)
    look(world)
    world.settle()
    world.run(5)
    world.settle()
    look(world)
    world.edit("writes temperature again", request=request(temperature=0.5))
    world.run(60)
    world.edit("and removes it", request=request(text="Be brief."))
    world.run(1)
    world.settle()
    look(world)
    return world


@scenario
def without_evals_it_waits_for_them() -> World:
    world = served(lifecycle=GATED)
    ages(world, "Deprecated", **DEPRECATED)
    world.run(60)
    world.add_eval_set()
    world.edit("declares evals that only report", evals=EVALS | {"required": False})
    world.run(60)
    world.edit("requires them", evals=EVALS)
    world.run(10)
    world.finish_eval("Failed", "12 of 20 items passed")
    world.run(60)
    look(world)
    return world


@scenario
def the_model_is_retired_in_mid_rollout() -> World:
    """Of the migration: stable answers 404, and the cure goes through."""
    world = on_trial()
    ages(world, "Retired", **RETIRED)
    world.rates[world.parsed.stable_revision or ""] = Rates(error=1.0)
    world.record_event("·", f"{OLD} answers 404")
    world.settle()
    look(world)
    return world


@scenario
def the_model_is_retired_while_a_prompt_is_rolled_out() -> World:
    """Stable and canary fail alike: nobody is to blame, and the spec goes on with the new model."""
    world = served()
    world.edit("changes the prompt", request=request(text="Be brief."))
    world.until(lambda w: w.weight == 1000)
    world.run(1)
    for name in world.revisions:
        world.rates[name] = Rates(error=1.0)
    world.record_event("·", f"{OLD} answers 404")
    world.run(12)
    ages(world, "Retired", **RETIRED)
    world.settle()
    look(world)
    return world


@scenario
def a_prompt_that_is_being_rolled_out_comes_first() -> World:
    world = served()
    world.edit("changes the prompt", request=request(text="Be brief."))
    world.until(lambda w: w.weight == 1000)
    ages(world, "Deprecated", **DEPRECATED)
    world.run(2)
    look(world)
    world.until(lambda w: w.parsed.migration is not None and w.parsed.migration.state == "InProgress")
    world.settle()
    look(world)
    return world


@scenario
def a_prompt_that_was_rolled_back_is_not_tried_with_another_model() -> World:
    world = served()
    world.edit("changes the prompt", request=request(text="Be brief."))
    world.until(lambda w: w.weight == 1000)
    world.rates[wanted(world)] = Rates(error=0.6)
    world.user("the canary begins to fail 60 % of its requests")
    world.settle()
    ages(world, "Deprecated", **DEPRECATED)
    world.run(60)
    look(world)
    world.edit("goes back to the prompt that serves", request=request())
    world.run(1)
    world.settle()
    look(world)
    return world


@scenario
def the_off_switch() -> World:
    world = on_trial()
    world.edit("switches migrate off", lifecycle={})
    world.run(30)
    look(world)
    world.edit("switches it on again", lifecycle=MIGRATE)
    world.run(1)
    world.settle()
    look(world)
    return world


@scenario
def the_off_switch_after_the_promotion() -> World:
    world = on_trial(strategy=strategy(rollbackWindow={"duration": "1h"}))
    world.settle()
    world.run(60)
    world.edit("switches migrate off", lifecycle={})
    world.run(30)
    look(world)
    return world


@scenario
def the_off_switch_after_the_retirement() -> World:
    """The model that the spec asks for again answers nobody: what serves goes on."""
    world = on_trial(strategy=strategy(rollbackWindow={"duration": "1h"}))
    world.settle()
    ages(world, "Retired", **RETIRED)
    world.edit("switches migrate off", lifecycle={})
    world.run(60)
    look(world)
    world.edit("writes the new model", request=request(NEW))
    world.run(30)
    return world


@scenario
def a_person_steers_it() -> World:
    world = on_trial()
    world.edit("pauses", paused=True)
    world.run(60)
    world.edit("goes on", paused=False)
    world.annotate("abort", f"{wanted(world)}/1")
    world.run(60)
    look(world)
    world.annotate("retry", f"{wanted(world)}/1")
    world.until(lambda w: w.weight == 1000)
    world.annotate("promote", f"{wanted(world)}/2/full")
    world.run(1)
    world.settle()
    look(world)
    return world


@scenario
def another_replacement_is_named() -> World:
    world = on_trial()
    world.edit(f"names {OTHER}", lifecycle={"migrate": {"to": OTHER, "onlyWithEvals": False}})
    world.run(1)
    world.settle()
    look(world)
    world.edit("names a retired model", lifecycle={"migrate": {"to": "claude-opus-4-1-20250805"}})
    world.run(60)
    look(world)
    return world


@scenario
def subagents_are_replaced_too() -> World:
    world = served(request=request(OTHER), subagents={"researcher": {"request": {"model": OLD}}})
    ages(world, "Deprecated", **DEPRECATED)
    world.run(1)
    world.settle()
    look(world)
    spec = world.revisions[world.parsed.stable_revision or ""]["spec"]
    models = spec["request"]["model"], spec["subagents"]["researcher"]["request"]["model"]
    world.record_event("  models", " and ".join(models))
    return world


@scenario
def a_first_revision_on_a_retired_model() -> World:
    world = World(World.spec(request=request(), strategy=strategy(), lifecycle=MIGRATE))
    world.models = catalogue(**RETIRED)
    world.user("creates the ClaudeDeployment")
    world.settle()
    look(world)
    return world


@scenario
def a_model_of_a_later_state() -> World:
    """`when: Retired` waits for it, `when: Legacy` does not."""
    world = served(lifecycle={"migrate": {**MIGRATE["migrate"], "when": "Retired"}})
    ages(world, "Deprecated", **DEPRECATED)
    world.run(30)
    look(world)
    world.edit("does not wait so long", lifecycle={"migrate": {**MIGRATE["migrate"], "when": "Legacy"}})
    world.run(1)
    world.settle()
    look(world)
    return world


@pytest.mark.parametrize("name", SCENARIOS)
def test_transcript(name: str) -> None:
    check_transcript(SCENARIOS[name](), GOLDEN / f"{name}.txt")


def test_there_is_no_golden_without_a_scenario() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(SCENARIOS)


# ------------------------------------------------------------------------------------------- whatever dies meanwhile


def becomes_deprecated() -> World:
    world = served()
    world.models = catalogue(**DEPRECATED)
    world.wake()
    return world


def fails() -> World:
    world = becomes_deprecated()
    world.until(lambda w: w.weight == 1000)
    world.rates[wanted(world)] = Rates(error=0.8)
    return world


def retires() -> World:
    world = on_trial()
    world.models = catalogue(**RETIRED)
    world.rates[world.parsed.stable_revision or ""] = Rates(error=1.0)
    world.wake()
    return world


def is_switched_off() -> World:
    world = on_trial()
    world.edit("switches migrate off", lifecycle={})
    return world


def done(world: World) -> bool:
    told = {one.get("status", {}).get("state") for one in world.revisions.values()}
    known = world.parsed.migration
    ended = known is None or known.state in ("Promoted", "Failed")
    asked = bool(world.owner["spec"]["lifecycle"].get("migrate"))
    return world.settled and ended and asked is (known is not None) and not {None, "Candidate", "Canary"} & told


def result(world: World) -> Object:
    known = world.parsed.migration
    told = known.model_dump(mode="json", exclude={"since"}) if known else None
    return {**outcome(world), "migration": told, "models": [model_of(world, name) for name in sorted(world.revisions)]}


@pytest.mark.parametrize("fault", ["crash", "conflict"])
@pytest.mark.parametrize("build", [becomes_deprecated, fails, retires, is_switched_off])
def test_a_fault_before_every_write(build: Callable[[], World], fault: str) -> None:
    world = build()
    straight = world.fork()
    straight.until(done)
    straight.run(2)
    assert faults_met(world, fault, done, result, result(straight)) >= 2


@cache
def instants() -> list[World]:
    """The world at each pass of the migration's rollout, from when the catalogue says so."""
    world = becomes_deprecated()
    found = []
    while not done(world):
        found.append(world.fork())
        world.until(lambda w, passes=world.passes: w.passes > passes)
    assert len(found) > 10
    return found


def nothing(world: World) -> None:
    """All is as it was."""


def leader_is_killed(world: World) -> None:
    world.flow(world.now + dt.timedelta(seconds=5))
    world.restart_operator()


def clock_is_set(world: World) -> None:
    world.clock.skew = 7200.0
    world.wake()


def catalogue_is_corrected(world: World) -> None:
    """Or cannot be read: what was begun goes on."""
    world.models = catalogue()
    world.wake()


def the_model_retires(world: World) -> None:
    world.models = catalogue(**RETIRED)
    for name in world.revisions:
        if model_of(world, name) == OLD:
            world.rates[name] = Rates(error=1.0)
    world.wake()


def it_retires_and_the_leader_is_killed(world: World) -> None:
    the_model_retires(world)
    leader_is_killed(world)


@pytest.mark.parametrize(
    "fault",
    [nothing, leader_is_killed, clock_is_set, catalogue_is_corrected, the_model_retires,
     it_retires_and_the_leader_is_killed],
)  # fmt: skip
def test_the_new_model_is_promoted_from_every_instant(fault: Callable[[World], None]) -> None:
    first = instants()[0].passes
    for begin in instants():
        world = begin.fork()
        fault(world)
        if fault is catalogue_is_corrected and begin.passes == first:
            continue  # before the first pass nothing was begun
        if fault is clock_is_set and not begin.weight:
            continue  # before the first step it is the time that steps are measured by here
        world.until(done, 300)
        assert migration(world).state == "Promoted", world.transcript()
        assert model_of(world, world.parsed.stable_revision) == NEW
        assert len([line for line in world.log if "MigrationStarted" in line]) <= 1, world.transcript()


@pytest.mark.parametrize("build", [becomes_deprecated, fails])
def test_a_wiped_status_of_one_that_has_ended(build: Callable[[], World]) -> None:
    """Neither is the old model rolled out again, nor is the new one tried again."""
    world = build()
    world.until(done)
    before = result(world)
    assert world.config
    generation = world.config.generation
    world.lose_status()
    world.run(120)
    after = result(world)
    for part in ("arms", "stable", "outcome", "migration", "revisions"):
        assert after[part] == before[part], world.transcript()
    assert world.config.generation == generation
    world.check_quiet()


def test_a_wiped_status_in_mid_rollout() -> None:
    for begin in instants():
        world = begin.fork()
        stable = world.parsed.stable_revision
        world.lose_status()
        world.one_pass()
        assert world.parsed.stable_revision == stable
        assert world.weight == 0
        world.until(done, 300)
        assert migration(world).state == "Promoted", world.transcript()


def test_a_status_that_is_forged_moves_no_model_by_itself() -> None:
    """Without migrate in the spec nothing comes of it; with it the canary is gated and judged all the same."""
    forged = {"from": [OLD], "to": NEW, "state": "Promoted", "replaced": [OLD], "revision": "support-0123456789"}
    for spec in ({}, MIGRATE):
        world = served(lifecycle=spec)
        stable = world.parsed.stable_revision
        world.kube.put({**world.owner, "status": {**world.status, "migration": forged}})
        world.wake()
        world.run(1)
        assert world.parsed.stable_revision == stable
        assert world.weight == (1000 if spec else 0)
        assert len(world.revisions) == (2 if spec else 1)


@pytest.mark.parametrize("model", [OLD, NEW])
def test_what_is_rolled_out_is_what_a_person_would_have_written(model: str) -> None:
    """The same revision: writing the new model before, during or after the migration changes no name."""
    world = served()
    if model == OLD:
        world.models = catalogue(**DEPRECATED)
        world.wake()
    else:
        world.edit(request=request(NEW))
    world.run(1)
    world.settle()
    by_hand = served()
    by_hand.edit(request=request(NEW))
    by_hand.run(1)
    by_hand.settle()
    assert world.parsed.stable_revision == by_hand.parsed.stable_revision


def test_with_a_proof_the_cure_of_a_retired_model_goes_through() -> None:
    """Bakes that ask for a proof compare with a stable revision that fails everything."""
    world = on_trial(strategy={"canary": {"steps": QUICK}})
    the_model_retires(world)
    world.until(done, 1800)
    assert migration(world).state == "Promoted", world.transcript()


def test_the_spec_as_it_is_stored_is_never_written() -> None:
    world = becomes_deprecated()
    before = copy.deepcopy(world.owner["spec"])
    world.until(done)
    assert world.owner["spec"] == before
