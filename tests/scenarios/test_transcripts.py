"""Whole rollouts as they read: what happened when, and what a person sees at the end.

`UPDATE_GOLDENS=1 pytest tests/scenarios` writes them anew.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.scenarios.golden_file import check_transcript
from tests.scenarios.world import QUICK, STEPS, UNPROVEN, Rates, World

from claude_operator.core.catalogue.table import Model
from claude_operator.core.usage.latency import LatencyUsage, Series, Slot
from claude_operator.core.usage.state import Coverage, Usages, UsageState

GOLDEN = Path(__file__).parent / "golden"
SCENARIOS: dict[str, Callable[[], World]] = {}


def scenario(build: Callable[[], World]) -> Callable[[], World]:
    SCENARIOS[build.__name__] = build
    return build


@cache
def _served(plan: str) -> World:
    world = World(World.spec(strategy=strategy(*(STEPS if plan == "STEPS" else QUICK))))
    world.settle()
    return world


def served(plan: str = "QUICK") -> World:
    """A deployment whose first revision serves, and its log empty."""
    return _served(plan).fork().begin()


def strategy(*steps: Any, **canary: Any) -> dict[str, Any]:
    return {"canary": {"steps": list(steps), "analysis": UNPROVEN, **canary}}


def wanted(world: World) -> str:
    return world.parsed.rollout.revision  # type: ignore[union-attr]


def on_trial(plan: str = "QUICK", weight: int = 1000, **spec: Any) -> World:
    """A canary that has just got `weight` basis points, served by every pod."""
    world = served(plan)
    if spec:
        world.edit(**spec)
    world.say("Be brief.")
    world.until(lambda w: w.weight == weight)
    world.run(1)
    return world


@scenario
def first_deployment() -> World:
    world = World()
    world.user("creates the ClaudeDeployment")
    world.settle()
    return world


@scenario
def first_deployment_with_a_gate() -> World:
    world = World(World.spec(evals={"setRef": {"name": "support-evals"}}))
    world.add_eval_set()
    world.user("creates the ClaudeDeployment")
    world.run(60)
    world.finish_eval("Passed", "20 of 20 items passed")
    world.settle()
    return world


@scenario
def promotion() -> World:
    world = served("STEPS")
    world.say("Be brief.")
    world.run(1)
    world.settle()
    return world


def proved(bake: dict[str, Any], *, weight: int = 10, by_unit: bool = False, **fields: Any) -> World:
    """A canary whose bake asks for a proof. `by_unit`: the gateways count conversations."""
    steps = [{"setWeight": weight}, {"bake": {"minDuration": "10s", **bake}}]
    world = World(World.spec(strategy={"canary": {"steps": steps}}), **fields)
    world.by_unit = by_unit
    world.settle()
    world.begin()
    world.say("Be brief.")
    world.until(lambda w: w.weight == 100 * weight)
    world.run(1)
    return world


@scenario
def promotion_by_evidence() -> World:
    world = World(World.spec(strategy={"canary": {"steps": STEPS}}))
    world.settle()
    world.begin()
    world.say("Be brief.")
    world.run(1)
    world.settle()
    return world


@scenario
def an_inconclusive_bake_holds() -> World:
    world = proved({"maxDuration": "2m"}, traffic=4.0)
    world.run(300)
    world.traffic = 80.0
    world.user("the service gets 20 times as many requests")
    world.settle()
    return world


@scenario
def an_inconclusive_bake_promotes() -> World:
    world = proved({"maxDuration": "2m", "onInconclusive": "Promote", "minRequests": 20}, traffic=4.0)
    world.settle()
    return world


@scenario
def an_inconclusive_bake_rolls_back() -> World:
    world = proved({"maxDuration": "2m", "onInconclusive": "Rollback", "minRequests": 20}, traffic=4.0)
    world.settle()
    return world


@scenario
def a_slower_first_token_is_rolled_back() -> World:
    world = proved({})
    world.rates[wanted(world)] = Rates(pace=2.0)
    world.user("the canary takes twice as long to the first token, and fails nothing")
    world.settle()
    return world


@scenario
def conversations_show_that_the_canary_is_harmless() -> World:
    world = proved({}, by_unit=True)
    world.run(30)
    world.user("looks at the rollout")
    world.settle()
    return world


@scenario
def conversations_that_go_bad_take_the_canary_back() -> World:
    world = proved({}, by_unit=True)
    world.run(5)
    world.rates[wanted(world)] = Rates(error=0.5, pace=1.3)
    world.user("half of the canary's conversations go bad")
    world.settle()
    return world


@scenario
def a_canary_that_fails_everything_in_few_conversations() -> World:
    """One in five seconds, half of them the canary's: the test would need nine that fail."""
    world = proved({"maxDuration": "20m"}, weight=50, by_unit=True, traffic=0.2)
    world.rates[wanted(world)] = Rates(error=1.0)
    world.user("the canary fails everything, in a service of few conversations")
    world.settle()
    return world


@scenario
def gateways_that_count_conversations_come_in_mid_rollout() -> World:
    """The pods of the version before are judged by requests, the new ones by conversations, and nothing is lost."""
    world = proved({"minDuration": "3m"})
    world.run(30)
    world.by_unit = True
    for index in range(len(world.pods)):
        world.restart_pod(index)
        world.run(20)
    world.rates[wanted(world)] = Rates(error=0.2)
    world.user("the canary begins to fail")
    world.settle()
    return world


@scenario
def a_shared_slowdown_holds_and_goes_on() -> World:
    world = proved({"minDuration": "2m"})
    world.run(70)
    before = dict(world.rates)
    world.rates = {name: Rates(pace=2.5) for name in world.revisions}
    world.user("the upstream answers both arms 2.5 times as slowly")
    world.run(120)
    world.rates = before
    world.user("the upstream is as it was")
    world.settle()
    return world


def minutes(world: World, number: int, late: float) -> None:
    """Minutes of 600 calls of surface chat, of which a share is over its limit on both arms, read at their ends."""
    for _ in range(number):
        world.run(60)
        kept = world.usage.kept if world.usage else Usages()
        rows = [(arm.revision, round(600 * arm.weight / 10_000)) for arm in (world.config.arms if world.config else ())]
        slots = {
            Series(name, "chat", "timeToFirstToken", 1.5): (round(calls * (1 - late)), round(calls * late))
            for name, calls in rows
        }
        end = int(world.now.timestamp())
        known = kept.latency.slots
        added = {one: (*known.get(one, ()), Slot(end - 60, end, *counts)) for one, counts in slots.items()}
        world.usage = UsageState(Usages(latency=LatencyUsage({**known, **added})), world.now, Coverage(2))
        world.wake()


@scenario
def a_latency_budget_that_both_arms_break_holds() -> World:
    world = served()
    world.edit(budgets=[{"surface": "chat", "metric": "timeToFirstToken", "percentile": 95, "max": "1500ms"}])
    minutes(world, 10, late=0.01)
    world.user("the upstream gets slow: half of the calls are over their budget")
    minutes(world, 2, late=0.5)
    world.say("Be brief.")
    minutes(world, 5, late=0.5)
    world.user("the upstream is as it was")
    minutes(world, 6, late=0.01)
    world.settle()
    minutes(world, 60, late=0.01)
    return world


@scenario
def rollback_at_10_percent() -> World:
    world = on_trial("STEPS")
    world.run(20)
    world.rates[wanted(world)] = Rates(error=0.6)
    world.user("the canary begins to fail 60 % of its requests")
    world.settle()
    world.run(60)
    return world


@scenario
def rollback_with_a_sick_stable() -> World:
    world = served("STEPS")
    world.rates[world.parsed.stable_revision or ""] = Rates(error=0.3)
    world.say("Be brief.")
    world.run(1)
    world.rates[wanted(world)] = Rates(error=1.0)
    world.settle()
    return world


@scenario
def refusals_rise() -> World:
    world = on_trial("STEPS")
    world.rates[wanted(world)] = Rates(refusal=0.5)
    world.user("the canary begins to refuse half of its requests")
    world.settle()
    return world


@scenario
def a_quiet_service_finds_a_broken_canary_too() -> World:
    world = on_trial("STEPS")
    world.traffic = 0.4  # two requests a tick
    world.rates[wanted(world)] = Rates(error=1.0)
    world.user("hardly anybody asks, and the canary fails every request")
    world.settle()
    return world


@scenario
def eval_gate_fails() -> World:
    world = served()
    world.add_eval_set()
    world.edit(evals={"setRef": {"name": "support-evals"}})
    world.say("Be brief.")
    world.run(30)
    world.finish_eval("Failed", "12 of 20 items passed, 19 on the baseline", "TooManyFailures")
    world.settle()
    world.edit("raises the replicas, which is no new revision", gateway={"replicas": 3})
    world.run(30)
    return world


@scenario
def evals_that_only_report() -> World:
    world = served()
    world.add_eval_set()
    world.edit(evals={"setRef": {"name": "support-evals"}, "required": False})
    world.say("Be brief.")
    world.run(5)
    world.finish_eval("Failed", "12 of 20 items passed, 19 on the baseline", "TooManyFailures")
    world.settle()
    return world


@scenario
def supersede() -> World:
    world = on_trial()
    world.say("Be polite.")
    world.run(1)
    world.settle()
    return world


@scenario
def revert_to_stable() -> World:
    world = on_trial()
    world.say("Be kind.")
    world.run(1)
    world.settle()
    world.run(10)
    world.say("Be brief.")
    world.run(2)
    world.settle()
    return world


@scenario
def there_and_back_at_once() -> World:
    """Superseded, and wanted again before the next revision has begun."""
    world = on_trial()
    world.say("Be polite.")
    world.one_pass()
    world.say("Be brief.")
    world.run(5)
    world.settle()
    return world


@scenario
def a_person_promotes() -> World:
    world = served()
    world.edit(strategy=strategy({"setWeight": 10}, {"pause": {}}))
    world.say("Be brief.")
    world.run(120)
    world.annotate("promote", f"{wanted(world)}/1/1")
    world.settle()
    return world


def bad_after(world: World, seconds: float, **rates: float) -> World:
    """The canary turns so bad after so many seconds."""
    world.run(seconds)
    world.rates[wanted(world)] = Rates(**rates)
    world.record_event("·", f"the canary turns bad: {rates}")
    return world


@scenario
def the_leader_dies_as_the_canary_begins_to_fail() -> World:
    """Two seconds before the last bake ends; the next leader looks five seconds later and sees all of it."""
    world = on_trial(weight=5000)
    bad_after(world, 7.0, error=1.0)
    world.run(1.0)
    world.record_event("·", "the leader is killed, and nobody leads for five seconds")
    world.flow(world.now + dt.timedelta(seconds=5))
    world.restart_operator()
    world.run(10)
    return world


@scenario
def the_api_is_away_over_the_end_of_a_bake() -> World:
    world = on_trial()
    bad_after(world, 7.0, error=1.0)
    world.record_event("·", "the API server is away for a minute")
    world.flow(world.now + dt.timedelta(seconds=60))
    world.restart_operator()
    world.run(10)
    return world


@scenario
def the_canary_hangs() -> World:
    world = on_trial()
    bad_after(world, 5.0, hang=1.0)
    world.run(60)
    return world


@scenario
def the_upstream_is_out_in_the_first_minute() -> World:
    world = on_trial()
    for revision in (world.parsed.stable_revision or "", wanted(world)):
        world.rates[revision] = Rates(error=1.0)
    world.record_event("·", "the upstream answers 502 to all")
    world.run(60)
    world.rates.clear()
    world.record_event("·", "the upstream is well again")
    world.settle()
    return world


@scenario
def the_account_is_empty() -> World:
    world = on_trial()
    for revision in (world.parsed.stable_revision or "", wanted(world)):
        world.rates[revision] = Rates(account=1.0)
    world.record_event("·", "the account is empty")
    world.run(60)
    world.rates.clear()
    world.record_event("·", "somebody adds credit")
    world.settle()
    return world


@scenario
def a_budget_that_is_spent_holds_a_canary() -> World:
    world = on_trial()
    world.spend(3)
    world.edit("sets a budget", budget={"monthlyUSD": "20", "action": "HoldRollouts"})
    world.run(3)
    world.spend(17)
    world.run(3)
    world.spend(20)
    world.run(60)
    world.spend(None)
    world.run(20)
    world.spend(20)
    world.edit("raises the budget", budget={"monthlyUSD": "40", "action": "HoldRollouts"})
    world.settle()
    return world


@scenario
def a_budget_that_is_spent_throttles_both_arms() -> World:
    world = on_trial()
    world.spend(3)
    world.edit("sets a budget", budget={"monthlyUSD": "20", "action": "Throttle"})
    world.run(5)
    world.spend(20)
    world.run(90)
    world.edit("raises the budget", budget={"monthlyUSD": "25", "action": "Throttle"})
    world.settle()
    return world


@scenario
def stables_model_is_retired_in_mid_rollout() -> World:
    world = on_trial("STEPS")
    world.rates[world.parsed.stable_revision or ""] = Rates(error=1.0)
    world.record_event("·", "stable's model answers 404")
    world.settle()
    return world


@scenario
def the_canarys_model_has_a_rate_limit_of_its_own() -> World:
    world = on_trial()
    bad_after(world, 1.0, overload=0.4)
    world.run(60)
    world.rates.clear()
    world.record_event("·", "the limit is raised")
    world.settle()
    return world


@scenario
def the_clock_is_set_two_hours_ahead_and_back() -> World:
    world = on_trial("STEPS", weight=100)
    world.run(10)
    world.clock.skew = 7200.0
    world.record_event("·", "the operator's clock is set two hours ahead")
    world.run(20)
    world.restart_operator()
    world.record_event("·", "another leader, whose clock is right")
    world.clock.skew = 0.0
    world.until(lambda w: w.weight == 1000)
    return world


@scenario
def a_promote_of_an_earlier_attempt_does_nothing() -> World:
    world = on_trial()
    world.annotate("abort", f"{wanted(world)}/1")
    world.run(5)
    world.annotate("retry", f"{wanted(world)}/1")
    world.annotate("promote", f"{wanted(world)}/2/full")
    world.until(lambda w: w.weight == 1000)
    world.annotate("promote", f"{wanted(world)}/1/1")
    world.run(2)
    return world


@scenario
def promote_full() -> World:
    world = on_trial()
    world.annotate("promote", f"{wanted(world)}/1/full")
    world.run(1)
    world.settle()
    return world


@scenario
def abort_and_retry() -> World:
    world = on_trial()
    world.annotate("abort", f"{wanted(world)}/1")
    world.run(30)
    world.annotate("retry", f"{wanted(world)}/1")
    world.run(1)
    world.settle()
    return world


@scenario
def paused_freezes_but_a_rollback_happens() -> World:
    world = on_trial()
    world.edit("pauses", paused=True)
    world.run(120)
    world.rates[wanted(world)] = Rates(error=0.6)
    world.user("the canary begins to fail 60 % of its requests")
    world.run(20)
    world.edit("goes on", paused=False)
    world.run(20)
    return world


@scenario
def no_traffic_for_a_minute() -> World:
    world = on_trial()
    world.traffic = 0
    world.user("clients go away")
    world.run(60)
    world.traffic = 40
    world.user("clients come back")
    world.settle()
    return world


@scenario
def admin_ports_unreachable_for_a_minute() -> World:
    world = on_trial()
    for pod in world.pods:
        pod.silent = True
    world.user("the admin ports do not answer")
    world.run(60)
    for pod in world.pods:
        pod.silent = False
    world.user("the admin ports answer")
    world.settle()
    return world


@scenario
def overload_on_both_arms() -> World:
    world = on_trial()
    world.rates = dict.fromkeys(world.revisions, Rates(overload=0.9))
    world.user("the upstream answers 529 to 90 %")
    world.run(60)
    world.rates = {}
    world.user("the upstream is well again")
    world.settle()
    return world


@scenario
def a_model_is_deprecated_and_another_rejected() -> World:
    world = served()
    day = dt.date(2026, 11, 20)
    world.models = {
        "claude-opus-5-5": Model("claude-opus-5-5", line="opus", deprecated=day, retires=dt.date(2027, 1, 15)),
        "claude-old": Model("claude-old", line="opus", retires=day, replacement="claude-opus-5-5"),
    }
    world.user("the catalogue says that claude-opus-5-5 is deprecated and claude-old retired")
    world.run(5)
    request = world.owner["spec"]["request"]
    world.edit("asks for claude-old", request=request | {"model": "claude-old"})
    world.run(5)
    world.edit("goes back", request=request)
    world.settle()
    return world


@scenario
def a_model_retires_and_does_not_come_back() -> World:
    world = served()
    end = dt.date(2026, 11, 27)
    world.models = {
        "claude-opus-5-5": Model("claude-opus-5-5", line="opus", deprecated=dt.date(2026, 11, 24), retires=end),
    }
    world.user("the catalogue says that claude-opus-5-5 retires in three days")
    world.run(2 * 86_400)
    request = world.owner["spec"]["request"]
    world.edit("asks for claude-sonnet-5-5", request=request | {"model": "claude-sonnet-5-5"})
    world.settle()
    world.run(86_400)
    world.edit("goes back to claude-opus-5-5", request=request)
    world.run(600)
    return world


@scenario
def a_missing_secret_appears() -> World:
    world = World()
    world.drop_secret()
    world.user("creates the ClaudeDeployment")
    world.run(40)
    world.add_secret()
    world.record_event("·", "creates the Secret")
    world.settle()
    return world


@scenario
def an_invalid_spec_holds() -> World:
    world = on_trial()
    upstream = world.owner["spec"]["upstream"]
    world.edit("writes a base URL with /v1", upstream=upstream | {"baseURL": "https://api.anthropic.com/v1"})
    world.run(60)
    world.edit("mends it", upstream=upstream)
    world.settle()
    return world


@scenario
def an_invalid_spec_and_a_rollback() -> World:
    world = on_trial()
    upstream = world.owner["spec"]["upstream"]
    world.edit("writes a base URL with /v1", upstream=upstream | {"baseURL": "https://api.anthropic.com/v1"})
    world.run(20)
    world.rates[wanted(world)] = Rates(error=0.6)
    world.user("the canary begins to fail 60 % of its requests")
    world.until(lambda w: not w.weight)
    world.run(5)
    return world


@scenario
def the_strategy_is_edited() -> World:
    world = on_trial()
    world.edit("wants 10 steps more", strategy=strategy(*({"setWeight": n} for n in range(1, 11))))
    world.run(1)
    world.settle()
    return world


@scenario
def stale_annotations_are_told_once() -> World:
    world = on_trial()
    revision = wanted(world)
    world.annotate("promote", f"{revision}/1/7")
    world.run(1)
    world.annotate("abort", f"{revision}/2")
    world.run(1)
    world.annotate("retry", f"{revision}/1")
    world.run(1)
    world.settle()
    return world


@scenario
def the_history_has_a_limit() -> World:
    world = served()
    world.edit(strategy=strategy(), revisionHistoryLimit=2)
    for number in range(5):
        world.say(f"Be kind {number} times.")
        world.run(1)
        world.settle()
        world.run(60)
    world.record_event("·", f"kept: {', '.join(sorted(world.revisions))}")
    assert len(world.revisions) == 4  # with what serves and what still has conversations
    return world


def ask_for_drill(world: World) -> None:
    world.annotate("drill", f"{world.parsed.stable_revision}/live/{world.now:%Y-%m-%dT%H:%M:%SZ}")


@scenario
def a_drill_rehearses_the_rollback() -> World:
    world = served()
    ask_for_drill(world)
    world.run(60)
    return world


@scenario
def a_drill_gives_way_to_a_new_revision() -> World:
    world = served()
    world.traffic = 2.0
    ask_for_drill(world)
    world.run(3)
    world.traffic = 40.0
    world.say("Be brief.")
    ask_for_drill(world)
    world.run(1)
    world.settle()
    return world


@pytest.mark.parametrize("name", SCENARIOS)
def test_transcript(name: str) -> None:
    check_transcript(SCENARIOS[name](), GOLDEN / f"{name}.txt")


def test_there_is_no_golden_without_a_scenario() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(SCENARIOS)
