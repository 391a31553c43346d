"""The rehearsed rollback: what it costs, that it leaves no trace, and what becomes of it when something intervenes."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from tests.scenarios.world import QUICK, UNPROVEN, Rates, World

from claude_operator.api.drill import MOST_REQUESTS, DrillStatus

REPORTING = {"checklist", "drill", "handled", "gateway", "conditions", "readings", "seenAt"}
"""Fields of status that a drill may change: those that say that there was one, and which config is live.

The checklist has an item that asks how long ago the last drill was.
"""


@cache
def _served(traffic: float, replicas: int, drill: str) -> World:
    spec = World.spec(
        strategy={"canary": {"steps": QUICK, "analysis": UNPROVEN}},
        gateway={"replicas": replicas},
        **({"drill": eval(drill)} if drill else {}),
    )
    world = World(spec, traffic=traffic)
    world.settle()
    return world


def served(traffic: float = 40.0, replicas: int = 2, drill: dict[str, Any] | None = None) -> World:
    return _served(traffic, replicas, repr(drill) if drill else "").fork().begin()


def ask(world: World, mode: str = "live") -> None:
    world.annotate("drill", f"{world.parsed.stable_revision}/{mode}/{world.now:%Y-%m-%dT%H:%M:%S.%fZ}")


def drill_of(world: World) -> DrillStatus:
    found = world.parsed.drill
    assert found is not None
    return found


def is_over(world: World) -> bool:
    return world.parsed.drill is not None and world.parsed.drill.running is None


def failed(world: World) -> int:
    """What gateways have really failed, by their own count."""
    return sum(n for pod in world.pods for _, n, _ in pod.drills.values())


def notes(world: World, reason: str) -> list[str]:
    return [line for line in world.log if f" {reason} " in line]


def test_harm_is_noticed_and_taken_back_and_costs_five_requests_at_most() -> None:
    world = served()
    ask(world)
    world.until(is_over)
    drill = drill_of(world)
    assert (drill.outcome, drill.mode, drill.revision) == ("Passed", "Live", world.parsed.stable_revision)
    assert drill.requests_hurt == failed(world) <= MOST_REQUESTS
    assert drill.detection_seconds is not None
    assert 0 < drill.detection_seconds <= 11
    assert drill.rollback_seconds is not None
    assert 0 < drill.rollback_seconds <= 2
    assert world.config is not None
    assert not world.config.drill


def test_it_leaves_no_trace_but_its_result() -> None:
    world = served()
    before, arms = copy.deepcopy(world.status), world.config.arms if world.config else []
    ask(world)
    world.until(is_over)
    world.annotate("drill", None)
    world.run(30)
    after = world.status
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed <= REPORTING, changed
    assert {one["type"]: one["status"] for one in before["conditions"]} == {
        one["type"]: one["status"] for one in after["conditions"]
    }
    assert after["gateway"]["weightsGeneration"] == before["gateway"]["weightsGeneration"]
    assert world.config is not None
    assert world.config.arms == arms
    assert not [name for _, _, name in world.kube.objects if "drill" in name]


def test_it_waits_for_a_configuration_that_is_being_written() -> None:
    """As after a drill before it, or an edit at the same moment: that passes by itself."""
    world = served()
    world.edit(budgets=[{"surface": "chat", "metric": "duration", "max": "30s"}])
    ask(world)
    world.until(is_over)
    assert drill_of(world).outcome == "Passed", world.transcript()
    assert not notes(world, "AnnotationIgnored"), world.transcript()


def test_ten_in_a_row_cost_fifty_requests_at_most() -> None:
    world = served()
    for number in range(1, 11):
        before = failed(world)
        ask(world)
        world.until(lambda w, n=number: is_over(w) and drill_of(w).number == n)  # type: ignore[misc]
        assert drill_of(world).outcome == "Passed", world.transcript()
        assert failed(world) - before <= MOST_REQUESTS
        world.run(1)
    assert failed(world) <= 10 * MOST_REQUESTS


@pytest.mark.parametrize("traffic", [40.0, 4000.0])
@pytest.mark.parametrize("replicas", [1, 2, 3, 7])
def test_however_many_gateways_there_are_the_bound_is_one(replicas: int, traffic: float) -> None:
    world = served(traffic=traffic, replicas=replicas)
    ask(world)
    world.until(is_over)
    assert drill_of(world).outcome == "Passed", world.transcript()
    assert 2 <= failed(world) <= MOST_REQUESTS


def test_a_spec_change_ends_it_at_once() -> None:
    world = served()
    ask(world)
    world.until(lambda w: failed(w) > 0)
    world.say("Be brief.")
    world.until(is_over, limit=2)
    assert drill_of(world).outcome is None
    assert drill_of(world).aborted is not None
    assert world.parsed.rollout is not None
    assert f"the rollout of {world.parsed.rollout.revision} begins" in notes(world, "DrillAborted")[0]
    world.settle()
    assert world.parsed.rollout.outcome == "Promoted"
    assert failed(world) <= MOST_REQUESTS


def test_none_begins_beside_a_rollout() -> None:
    world = served()
    world.say("Be brief.")
    world.until(lambda w: w.weight == 1000)
    ask(world)
    world.run(2)
    assert "is under way" in notes(world, "AnnotationIgnored")[0]
    world.settle()
    assert world.parsed.drill is None
    assert failed(world) == 0


@pytest.mark.parametrize("write", range(8))
@pytest.mark.parametrize("fault", ["crash", "conflict"])
def test_a_crash_at_any_write_neither_repeats_nor_prolongs_it(write: int, fault: str) -> None:
    world = served()
    ask(world)
    world.fail_write(world.writes + write, fault)
    world.until(is_over)
    drill = drill_of(world)
    assert failed(world) <= MOST_REQUESTS
    assert drill.number == 1
    assert drill.outcome == "Passed" or drill.aborted is not None
    world.run(60)
    assert world.config is not None
    assert not world.config.drill
    world.check_quiet()


def test_where_no_operator_runs_gateways_end_it_by_themselves() -> None:
    world = served(traffic=400.0)
    ask(world)
    world.until(lambda w: w.parsed.drill is not None and bool(w.config and w.config.drill))
    world.flow(world.now + dt.timedelta(hours=3))
    assert 0 < failed(world) <= MOST_REQUESTS
    world.restart_operator()
    world.until(is_over)
    assert failed(world) <= MOST_REQUESTS


def test_another_leader_goes_on_with_it() -> None:
    world = served(traffic=4.0, drill={"weight": 2})
    ask(world)
    world.until(lambda w: failed(w) >= 1)
    world.restart_operator()
    world.until(is_over)
    assert drill_of(world).outcome == "Passed", world.transcript()
    assert drill_of(world).requests_hurt == failed(world)


def test_too_little_traffic_is_no_result_and_keeps_the_last_one() -> None:
    world = served()
    ask(world)
    world.until(is_over)
    first = drill_of(world)
    world.traffic = 0.0
    ask(world)
    world.until(lambda w: is_over(w) and drill_of(w).number == 2)
    assert "too little traffic" in notes(world, "DrillAborted")[0]
    after = drill_of(world)
    assert (after.at, after.outcome, after.requests_hurt) == (first.at, first.outcome, first.requests_hurt)
    assert after.aborted is not None
    assert after.aborted.requests_hurt == 0


def test_a_judge_that_notices_nothing_has_failed_it() -> None:
    analysis = {"metrics": [{"name": "cost"}]}
    world = World(World.spec(strategy={"canary": {"steps": QUICK, "analysis": analysis}}))
    world.settle()
    ask(world)
    world.until(is_over)
    drill = drill_of(world)
    assert (drill.outcome, drill.detection_seconds, drill.rollback_seconds) == ("Failed", None, None)
    assert "the judge did not notice" in drill.message
    assert failed(world) == MOST_REQUESTS


def test_a_gateway_that_goes_away_counts_with_all_that_it_was_allowed() -> None:
    world = served(traffic=4.0, drill={"weight": 2})
    ask(world)
    world.until(lambda w: failed(w) >= 1)
    world.restart_pod(0)
    world.until(is_over)
    drill = drill_of(world)
    hurt = drill.requests_hurt if drill.outcome else drill.aborted and drill.aborted.requests_hurt
    assert hurt is not None
    assert failed(world) <= hurt <= MOST_REQUESTS
    assert "at most" in drill.message or (drill.aborted and "at most" in drill.aborted.message)


def test_gateways_of_before_drills_prevent_it() -> None:
    world = served()
    world.pods[1].before_drills = True
    ask(world)
    world.run(5)
    assert "gateways of an earlier version" in notes(world, "AnnotationIgnored")[0]
    assert world.parsed.drill is None


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("{stable}/live/2026-11-24T09:00:00Z", "another time"),
        ("{stable}/live/2026-11-25T10:00:00Z", "another time"),
        ("support-0000000000/live/{now}", "serves"),
        ("{stable}/both/{now}", "write the revision that serves"),
        ("{stable}", "write the revision that serves"),
        ("{stable}/live/2026-13-44T10:00:00Z", "write the revision that serves"),
        ("x" * 100_000, "write the revision that serves"),
        ("\x00\u202e/live/\ud7ff", "write the revision that serves"),
    ],
)
def test_what_means_no_drill_of_now_does_nothing(value: str, why: str) -> None:
    world = served()
    text = value.format(stable=world.parsed.stable_revision, now=f"{world.now:%Y-%m-%dT%H:%M:%SZ}")
    world.annotate("drill", text)
    world.run(5)
    assert why in notes(world, "AnnotationIgnored")[0]
    assert len(notes(world, "AnnotationIgnored")) == 1
    assert world.parsed.drill is None


def test_the_same_annotation_again_does_nothing() -> None:
    world = served()
    value = f"{world.parsed.stable_revision}/live/{world.now:%Y-%m-%dT%H:%M:%SZ}"
    world.annotate("drill", value)
    world.until(is_over)
    world.run(30)
    world.annotate("drill", None)
    world.run(1)
    world.annotate("drill", value)
    world.run(30)
    assert drill_of(world).number == 1
    assert "another time" in notes(world, "AnnotationIgnored")[0]


def test_a_schedule_begins_it_once_at_each_of_its_moments() -> None:
    world = served(drill={"schedule": "30 * * * *", "mode": "Live"})
    assert drill_of(world).slot == dt.datetime(2026, 11, 24, 9, 30, tzinfo=dt.UTC)
    world.run(3600)
    assert [drill_of(world).number, len(notes(world, "DrillPassed"))] == [1, 1]
    assert drill_of(world).by == "by schedule"
    world.restart_operator()
    world.run(3600)
    assert drill_of(world).number == 2


def test_a_scheduled_one_waits_for_a_rollout_and_is_left_out_after_an_hour() -> None:
    world = served(drill={"schedule": "30 */2 * * *", "mode": "Live"})
    world.run(1500)
    world.edit(strategy={"canary": {"steps": [{"setWeight": 10}, {"pause": {"duration": "20m"}}]}}, request=_other())
    world.run(600)
    assert world.weight == 1000
    assert drill_of(world).number == 0
    world.settle()
    world.run(120)
    assert drill_of(world).number == 1
    world.edit(paused=True)
    world.run(3 * 3600)
    assert len(notes(world, "DrillSkipped")) >= 1
    assert drill_of(world).number == 1


def _other() -> dict[str, Any]:
    return {"model": "claude-opus-5-5", "max_tokens": 1024, "system": [{"type": "text", "text": "Be brief."}]}


def test_requests_that_fail_already_prevent_it() -> None:
    world = served()
    stable = world.parsed.stable_revision or ""
    world.rates[stable] = Rates(error=0.9)
    world.run(30)
    ask(world)
    world.run(2)
    assert "requests fail already" in notes(world, "AnnotationIgnored")[0]


@pytest.mark.parametrize("traffic", [0.0, 40.0])
def test_a_rehearsal_needs_no_traffic_and_hurts_nobody(traffic: float) -> None:
    world = served(traffic=traffic)
    ask(world, "rehearsal")
    world.until(is_over)
    drill = drill_of(world)
    assert (drill.outcome, drill.mode, drill.requests_hurt) == ("Passed", "Rehearsal", 0), world.transcript()
    assert drill.requests
    assert drill.requests >= 2
    served_ = [
        counts for pod in world.pods for of in pod.counts.values() for key, counts in of.items() if key[1] == "stable"
    ]
    assert all(counts[2] == 0 for counts in served_)


def test_a_rehearsal_leaves_no_trace_but_its_result() -> None:
    world = served()
    before = copy.deepcopy(world.status)
    ask(world, "rehearsal")
    world.until(is_over)
    world.annotate("drill", None)
    world.run(30)
    changed = {key for key in before.keys() | world.status.keys() if before.get(key) != world.status.get(key)}
    assert changed <= REPORTING, changed


def interventions() -> dict[str, Callable[[World], None]]:
    """What may come between a drill's passes."""

    def set_clock(world: World) -> None:
        world.clock.skew = 7200.0
        world.wake()

    return {
        "another leader": World.restart_operator,
        "a new spec": lambda world: world.say("Be brief."),
        "a pause": lambda world: world.edit(paused=True),
        "a lost status": World.lose_status,
        "a lost config": World.delete_config,
        "a lost pod": World.restart_pod,
        "a lost revision": lambda world: world.delete_revision(world.parsed.stable_revision or ""),
        "a clock": set_clock,
        "no traffic": lambda world: setattr(world, "traffic", 0.0),
        "a spec that is refused": lambda world: world.edit(request={"model": "claude-opus-5-5", "max_tokens": -1}),
        "a Secret that is gone": World.drop_secret,
        "a pod that is silent": lambda world: setattr(world.pods[0], "silent", True),
    }


@pytest.mark.parametrize(("mode", "number"), [("live", 1), ("live", 3), ("live", 5), ("rehearsal", 3)])
@pytest.mark.parametrize("what", interventions())
def test_whatever_intervenes_it_ends_and_keeps_its_bound(what: str, mode: str, number: int) -> None:
    world = served(traffic=20.0)
    ask(world, mode)
    for _ in range(number):
        world.step()
    interventions()[what](world)
    world.run(800)
    hurt = failed(world) if mode == "live" else 0
    assert hurt <= MOST_REQUESTS
    assert world.config is not None
    assert not world.config.drill
    drill = world.parsed.drill
    assert drill is None or drill.running is None, world.transcript()
    if drill is not None and mode == "live" and what != "a lost status":
        told = max(drill.requests_hurt or 0, drill.aborted.requests_hurt if drill.aborted else 0)
        assert hurt <= told <= MOST_REQUESTS, world.transcript()
    world.until(lambda w: w.config is not None and not w.config.drill)


def test_a_forged_status_fails_no_more_than_a_drill_may() -> None:
    world = served()
    ask(world)
    world.until(lambda w: bool(w.parsed.drill and w.parsed.drill.running))
    forged = copy.deepcopy(world.status)
    forged["drill"]["running"]["allowed"] = {f"boot-{pod.boot}": 900 for pod in world.pods}
    forged["drill"]["running"]["weight"] = 10_000
    world.kube.put({**world.owner, "status": forged})
    world.wake()
    world.run(120)
    assert failed(world) <= MOST_REQUESTS
    assert "dropped: drill" in notes(world, "StatusNotTrusted")[0]


def test_a_second_one_waits_for_nobody_to_ask_again() -> None:
    world = served()
    ask(world)
    world.run(1)
    ask(world)
    world.run(60)
    assert drill_of(world).number == 1
    assert "is under way" in notes(world, "AnnotationIgnored")[0]
