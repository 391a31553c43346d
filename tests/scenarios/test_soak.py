"""After promotion: soaks that pass, breach and are cut short, and ways back, as they read and wherever they crash.

`UPDATE_GOLDENS=1 pytest tests/scenarios` writes the transcripts anew.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests.scenarios.golden_file import check_transcript
from tests.scenarios.test_crashes import faults_met, outcome
from tests.scenarios.world import QUICK, UNPROVEN, Rates, World

from claude_operator.api.gateway import GatewayConfig
from claude_operator.api.status import DeploymentStatus

GOLDEN = Path(__file__).parent / "golden" / "soak"
SCENARIOS: dict[str, Callable[[], World]] = {}
KIND, BRIEF = "Be kind.", "Be brief."
USUAL = Rates(error=0.005)


class SoakWorld(World):
    """A world in which a revision that was promoted may be taken back: then the former one serves, and it has ended."""

    def _check_config(self, before: GatewayConfig | None) -> None:
        soak, config = self.parsed.soak, self.config
        settled = config.settled if config else None
        ended = before is not None and settled is not None and settled != before.settled
        if not (ended and soak and config and settled and settled.outcome != "Promoted"):
            super()._check_config(before)
            return
        assert before
        assert settled.revision == soak.revision == before.arms[0].revision
        assert [(arm.revision, arm.role, arm.weight) for arm in config.arms] == [(soak.previous, "stable", 10_000)]
        assert config.generation == before.generation + 1
        self._ended.add((settled.revision, settled.attempt))

    def _check_status(self, before: DeploymentStatus) -> None:
        after, soak = self.parsed, before.soak
        if after.soak and not soak:
            assert after.rollout
            assert (after.soak.revision, after.soak.previous) == (after.rollout.revision, before.stable_revision)
        rollout = after.rollout
        if soak is None or rollout is None or rollout.outcome not in ("RolledBack", "Aborted"):
            super()._check_status(before)
            return
        assert before.rollout
        assert (rollout.revision, rollout.attempt) == (before.rollout.revision, before.rollout.attempt)
        assert (after.stable_revision, after.canary_revision, after.soak) == (soak.previous, None, None)
        assert self.config
        assert [arm.revision for arm in self.config.arms] == [soak.previous], "it is told before it is done"


def strategy(**canary: Any) -> dict[str, Any]:
    return {"canary": {"steps": QUICK, "analysis": UNPROVEN, "soak": {"duration": "5m"}, **canary}}


@cache
def _promoted(window: bool) -> World:
    extra = {"rollbackWindow": {"duration": "30m"}} if window else {}
    world = SoakWorld(World.spec(strategy=strategy(**extra)))
    world.settle()
    world.rates[wanted(world)] = USUAL
    world.begin()
    world.say(BRIEF)
    world.one_pass()
    world.rates[wanted(world)] = USUAL
    world.settle()
    return world


def promoted(window: bool = False) -> World:
    """A second revision has just been promoted, and soaks for five minutes."""
    return _promoted(window).fork().begin()


def wanted(world: World) -> str:
    return world.parsed.rollout.revision  # type: ignore[union-attr]


def look(world: World) -> None:
    """What `kubectl` shows of it."""
    said = world.condition("CanaryHealthy")
    world.record_event(f"  CanaryHealthy={said['status']}", f"{said['reason']}: {said['message']}")


def fails(world: World, error: float) -> None:
    world.rates[wanted(world)] = Rates(error=error)
    world.user(f"the new revision begins to fail {100 * error:g} % of its requests")


def rolled_back(world: World) -> bool:
    rollout = world.parsed.rollout
    return world.settled and rollout is not None and rollout.outcome == "RolledBack"


def scenario(build: Callable[[], World]) -> Callable[[], World]:
    SCENARIOS[build.__name__] = build
    return build


@scenario
def a_soak_passes() -> World:
    world = _promoted(False).fork()
    look(world)
    world.run(150)
    look(world)
    world.run(160)
    look(world)
    assert world.parsed.soak is None
    return world


@scenario
def an_incident_in_the_rollout_is_no_part_of_the_history() -> World:
    """Both arms fail for a while before the promotion; after it the revision fails a third, and comes back at once."""
    world = SoakWorld(World.spec(strategy=strategy()))
    world.settle()
    world.begin()
    world.say(BRIEF)
    world.until(lambda w: w.weight == 5000)
    world.run(5)
    for revision in (world.parsed.stable_revision or "", wanted(world)):
        world.rates[revision] = Rates(error=1.0)
    world.user("the upstream answers 502 to all")
    world.run(30)
    world.rates.clear()
    world.user("the upstream is well again")
    world.settle()
    world.run(10)
    fails(world, 0.3)
    world.until(rolled_back, 15)
    return world


@scenario
def an_empty_account_holds_the_soak() -> World:
    world = promoted()
    world.run(60)
    world.rates[wanted(world)] = Rates(account=1.0)
    world.user("the account is empty")
    world.run(60)
    look(world)
    world.rates.clear()
    world.user("somebody adds credit")
    world.run(310)
    assert world.parsed.soak is None
    return world


@scenario
def a_soak_breaches() -> World:
    world = promoted()
    world.run(120)
    fails(world, 0.06)
    world.run(10)
    look(world)
    world.until(rolled_back)
    look(world)
    world.run(600)
    return world


@scenario
def a_soak_breaches_while_paused() -> World:
    world = promoted()
    world.edit(paused=True)
    fails(world, 0.5)
    world.until(rolled_back)
    return world


@scenario
def overloads_are_no_breach() -> World:
    world = promoted()
    world.run(60)
    world.rates[wanted(world)] = Rates(error=0.2, overload=0.3)
    world.user("the upstream overloads: 30 % are answered 529, 20 % time out")
    world.run(120)
    look(world)
    world.rates[wanted(world)] = USUAL
    world.run(130)
    return world


@scenario
def the_operator_restarts_in_the_middle() -> World:
    world = promoted()
    world.run(100)
    before = world.parsed.soak
    world.restart_operator()
    world.user("the operator restarts")
    world.run(20)
    after = world.parsed.soak
    assert before
    assert after
    assert (after.until, after.history) == (before.until, before.history)
    fails(world, 0.3)
    world.until(rolled_back)
    return world


@scenario
def a_retry_after_a_breach() -> World:
    world = promoted()
    fails(world, 0.5)
    world.until(rolled_back)
    world.rates[wanted(world)] = USUAL
    world.annotate("retry", f"{wanted(world)}/1")
    world.run(1)
    world.settle()
    look(world)
    return world


@scenario
def a_person_takes_it_back() -> World:
    world = promoted()
    world.run(60)
    world.annotate("abort", f"{wanted(world)}/1")
    world.run(30)
    return world


@scenario
def another_revision_ends_the_soak() -> World:
    world = promoted()
    world.run(60)
    world.say("Be polite.")
    world.run(1)
    world.settle()
    look(world)
    return world


@scenario
def back_within_the_window() -> World:
    world = promoted(window=True)
    world.run(720)
    world.say(KIND)
    world.run(2)
    world.run(600)
    world.say(BRIEF)
    world.run(2)
    return world


@scenario
def back_in_mid_soak_with_a_gate() -> World:
    world = promoted(window=True)
    world.run(60)
    world.add_eval_set()
    world.edit(evals={"setRef": {"name": "support-evals"}})
    world.say(KIND)
    world.run(2)
    assert not world.runs
    return world


@scenario
def back_after_the_window() -> World:
    world = promoted(window=True)
    world.run(1801)
    world.say(KIND)
    world.run(1)
    world.settle()
    return world


@scenario
def back_while_paused() -> World:
    world = promoted(window=True)
    world.run(60)
    world.edit(paused=True)
    world.say(KIND)
    world.run(20)
    world.edit(paused=False)
    world.run(2)
    return world


@pytest.mark.parametrize("name", SCENARIOS)
def test_transcript(name: str) -> None:
    check_transcript(SCENARIOS[name](), GOLDEN / f"{name}.txt")


def test_there_is_no_golden_without_a_scenario() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(SCENARIOS)


# ------------------------------------------------------------------------------------------------------ crashes


def breaches() -> World:
    world = promoted()
    world.run(20)
    world.rates[wanted(world)] = Rates(error=0.8)
    return world


def aborts() -> World:
    world = promoted()
    world.run(20)
    world.annotate("abort", f"{wanted(world)}/1")
    return world


def returns() -> World:
    world = promoted(window=True)
    world.run(20)
    world.say(KIND)
    return world


def done(world: World) -> bool:
    told = {one.get("status", {}).get("state") for one in world.revisions.values()}
    return world.settled and world.parsed.soak is None and None not in told


@pytest.mark.parametrize("fault", ["crash", "conflict"])
@pytest.mark.parametrize(("build", "ends"), [(breaches, "RolledBack"), (aborts, "Aborted"), (returns, "Promoted")])
def test_every_write(build: Callable[[], World], ends: str, fault: str) -> None:
    world = build()
    straight = world.fork()
    straight.until(done)
    straight.run(2)
    known = outcome(straight)
    assert known["outcome"][2] == ends
    assert len(known["ended"]) == 3
    assert faults_met(world, fault, done, outcome, known) >= (2 if fault == "crash" else 1)


def test_a_crash_between_config_and_status_is_told_once() -> None:
    world = breaches()
    told = len(world.log)
    crashed: list[str] = []

    def strike(_: int, what: str) -> str | None:
        """Dies before the status of the pass that has written the config."""
        settled = world.config.settled if world.config else None
        if what == "status" and settled and settled.outcome == "RolledBack" and not crashed:
            crashed.append(what)
            return "crash"
        return None

    world.fault = strike
    world.until(rolled_back)
    world.run(30)
    assert crashed
    assert sum("RolledBack" in line for line in world.log[told:]) == 1


@pytest.mark.parametrize("build", [breaches, aborts])
def test_a_status_that_is_wiped_after_it_does_not_bring_it_back(build: Callable[[], World]) -> None:
    world = build()
    world.until(done)
    before = outcome(world)
    world.lose_status()
    world.run(120)
    assert outcome(world) == before | {"ended": before["ended"][-1:]}


def test_a_status_that_is_wiped_in_a_soak_ends_it() -> None:
    world = promoted()
    world.run(20)
    world.lose_status()
    world.run(20)
    assert world.parsed.soak is None
    assert world.parsed.stable_revision == wanted(world)
    world.check_quiet()


def test_without_traffic_it_passes() -> None:
    world = promoted()
    world.traffic = 0.0
    world.run(310)
    assert world.parsed.soak is None
    assert world.parsed.rollout
    assert world.parsed.rollout.outcome == "Promoted"


# ---------------------------------------------------------------------------------------------------- any order


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order, the invariants hold, and it comes to rest."""

    @initialize()
    def start(self) -> None:
        self.world = promoted(window=True)
        self.world.begin()

    @rule(prompt=st.sampled_from([KIND, BRIEF, "Be polite."]), seconds=st.sampled_from([0, 8, 40]))
    def says(self, prompt: str, seconds: int) -> None:
        self.world.say(prompt)
        self.world.run(seconds)

    @rule(seconds=st.sampled_from([0.5, 12, 400]))
    def waits(self, seconds: float) -> None:
        self.world.run(seconds)

    @rule(name=st.sampled_from(["promote", "abort", "retry"]), what=st.sampled_from(["full", "1", "2", None]))
    def annotates(self, name: str, what: str | None) -> None:
        attempt = "1/" if name == "promote" else ""
        self.world.annotate(name, f"{wanted(self.world)}/{attempt}{what}" if what else None)

    @rule(error=st.sampled_from([0.0, 0.5]))
    def stable_fails(self, error: float) -> None:
        self.world.rates[self.world.parsed.stable_revision or ""] = Rates(error=error)

    @rule(paused=st.booleans())
    def pauses(self, paused: bool) -> None:
        self.world.edit(f"paused: {paused}", paused=paused)

    @rule()
    def operator_restarts(self) -> None:
        self.world.restart_operator()

    @rule(offset=st.integers(0, 4), fault=st.sampled_from(["crash", "conflict"]))
    def write_fails(self, offset: int, fault: str) -> None:
        self.world.fail_write(self.world.writes + offset, fault)

    def teardown(self) -> None:
        world = getattr(self, "world", None)
        if world is None:
            return
        world.rates = {}
        world.edit("all is well again", paused=False)
        world.run(400)
        world.settle(600)
        world.run(310)
        world.check_quiet()
        status = world.parsed
        assert (status.canary_revision, status.soak) == (None, None)
        assert world.config
        assert [arm.revision for arm in world.config.arms if arm.weight] == [status.stable_revision]


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=8, stateful_step_count=10, deadline=None)
