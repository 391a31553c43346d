"""What status, the condition WithinBudget and a rollout make of budgets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.core.reconcile.rules.sample import (
    CANARY,
    NOW,
    SITE,
    STABLE,
    drafted,
    observed,
    raw,
    serving,
    told,
    trial,
)

from claude_operator.api.conditions import Condition, Reason, Type
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.reconcile.annotations import PROMOTE
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.rules.canary import move
from claude_operator.core.reconcile.service_levels import explain_breach, standings
from claude_operator.core.usage.latency import LatencyUsage, Series, Slot
from claude_operator.core.usage.state import Coverage, Usages, UsageState

FIRST = {"surface": "chat", "metric": "timeToFirstToken", "percentile": 95, "max": "1500ms"}
WHOLE = {"surface": "chat", "metric": "duration", "max": "30s"}
Counts = tuple[int, int]
NONE: Mapping[str, Counts] = {}


def counted(
    now: Mapping[str, Counts],
    before: Mapping[str, Counts] = NONE,
    *,
    metric: str = "timeToFirstToken",
    most: float = 1.5,
) -> dict[Series, tuple[Slot, ...]]:
    """Within and over by revision: in the last minute, and half an hour ago."""
    at = int(NOW.timestamp())
    found: dict[Series, tuple[Slot, ...]] = {}
    for counts, end in ((before, at - 1800), (now, at)):
        for revision, (within, over) in counts.items():
            series = Series(revision, "chat", metric, most)
            found[series] = (*found.get(series, ()), Slot(end - 60, end, within, over))
    return found


def usage(slots: dict[Series, tuple[Slot, ...]], read_at: dt.datetime = NOW, **fields: Any) -> UsageState:
    coverage, interval = fields.pop("coverage", Coverage(2)), fields.pop("interval", 60.0)
    return UsageState(Usages(latency=LatencyUsage(slots, **fields)), read_at, coverage, interval=interval)


KEPT = {STABLE: (990, 10)}
SLOW = {STABLE: (800, 200)}


def world(
    slots: dict[Series, tuple[Slot, ...]] | None, *, status: DeploymentStatus | None = None, **fields: Any
) -> Observation:
    known = None if slots is None else usage(slots, **fields)
    spec = raw("Be kind.", budgets=[FIRST, WHOLE])
    return observed(status or serving(), spec, usage=known)


def within(obs: Observation) -> Condition:
    return next(one for one in decide(obs, SITE).status.conditions if one.type == Type.WITHIN_BUDGET)


@pytest.mark.parametrize(
    ("slots", "status", "reason", "says"),
    [
        (
            counted(KEPT),
            "True",
            Reason.WITHIN_BUDGET,
            "chat timeToFirstToken: 99 % of 1,000 calls in 1h kept to at most 1500ms, where 95 % have to",
        ),
        (
            counted(SLOW),
            "False",
            Reason.OVER_BUDGET,
            "chat timeToFirstToken: 80 % of 1,000 calls in 1h kept to at most 1500ms, where 95 % have to",
        ),
        (
            counted(SLOW) | counted({STABLE: (0, 50)}, metric="duration", most=30.0),
            "False",
            Reason.OVER_BUDGET,
            "95 % have to; chat duration: 0 % of 50 calls in 1h kept to at most 30s, where 95 % have to",
        ),
        (
            counted(KEPT, SLOW),
            "False",
            Reason.RECOVERING,
            "kept to at most 1500ms, where 95 % have to; in the last part of that time it is kept again",
        ),
        (counted({STABLE: (0, 19)}), "Unknown", Reason.FEW_CALLS, "too few calls to say: chat timeToFirstToken: 0 %"),
        ({}, "Unknown", Reason.NO_TRAFFIC, "the surfaces of the budgets had no calls"),
        (None, "Unknown", Reason.USAGE_UNKNOWN, "no gateway pod has told lately how long its calls took"),
    ],
)
def test_condition(slots: Any, status: str, reason: Reason, says: str) -> None:
    one = within(world(slots))
    assert (one.status, one.reason) == (status, reason)
    assert says in one.message


def test_what_is_not_known_is_not_healthy() -> None:
    nobody = within(world(counted(KEPT), coverage=Coverage(0, ("gateway-0", "gateway-1"))))
    assert (nobody.status, nobody.reason) == ("Unknown", Reason.USAGE_UNKNOWN)
    silent = within(world(counted(KEPT), coverage=Coverage(1, ("gateway-1",))))
    assert (silent.status, silent.reason) == ("Unknown", Reason.USAGE_UNKNOWN)
    assert silent.message == "how long calls took is not known of gateway-1"
    breach = within(world(counted(SLOW), coverage=Coverage(1, ("gateway-1",))))  # what is known is enough
    assert (breach.status, breach.reason) == ("False", Reason.OVER_BUDGET)
    assert decide(world(None), SITE).status.budgets == []


def test_without_budgets_nothing_is_said_of_usage() -> None:
    one = within(observed(serving(), usage=None))
    assert (one.status, one.reason) == ("True", Reason.NO_BUDGET)


def test_of_a_spec_that_cannot_be_read_no_budget_is_known() -> None:
    before = decide(world(counted(KEPT)), SITE).status
    obs = replace(world(counted(KEPT), status=before), spec=None)
    one = within(obs)
    assert (one.status, one.reason) == ("Unknown", Reason.NOT_YET_REPORTED)
    assert decide(obs, SITE).status.budgets == before.budgets


def test_surfaces_that_no_budget_names_are_told() -> None:
    also = "; clients also send the surfaces beta, voice, which no budget names"
    assert within(world(counted(KEPT), unbudgeted=("beta", "chat", "voice"))).message.endswith(also)
    spec = raw("Be kind.", budgets=[FIRST, {**FIRST, "surface": "other"}])
    obs = observed(serving(), spec, usage=usage(counted(KEPT), unbudgeted=("beta",)))
    assert "beta" not in within(obs).message  # they count as other, which has a budget


def test_status_shows_each_budget() -> None:
    first, whole = decide(world(counted(SLOW)), SITE).status.budgets
    shown = first.model_dump(by_alias=True, exclude={"as_of"})
    assert shown == {
        "surface": "chat",
        "metric": "timeToFirstToken",
        "limit": "at most 1500ms",
        "target": "95 %",
        "window": "1h",
        "state": "Over",
        "attainment": "80 %",
        "burnRate": "4",
        "calls": 1000,
    }
    assert (whole.state, whole.attainment, whole.burn_rate, whole.calls) == ("NoTraffic", "", "", 0)


@pytest.mark.parametrize(
    ("slots", "later", "is_new"),
    [
        (counted({STABLE: (995, 5)}), 299, False),
        (counted({STABLE: (995, 5)}), 300, True),
        (counted(SLOW), 1, True),  # its state is another
        (counted(KEPT), 900, False),  # nothing is new
    ],
)
def test_figures_are_renewed_every_five_minutes_unless_a_state_changes(slots: Any, later: float, is_new: bool) -> None:
    before = decide(world(counted(KEPT)), SITE).status
    now = NOW + dt.timedelta(seconds=later)
    obs = world(slots, status=before)
    known = replace(obs, now=now, usage=usage(slots))
    known = replace(known, usage=replace(known.usage, read_at=now))
    after = decide(known, SITE).status
    assert (after.budgets[0] != before.budgets[0]) == is_new
    assert after.budgets[1] == before.budgets[1]


def test_events_tell_of_a_breach_and_of_its_end() -> None:
    over = decide(world(counted(SLOW), status=decide(world(counted(KEPT)), SITE).status), SITE)
    assert [one.reason for one in over.events] == [Reason.OVER_BUDGET]
    again = decide(world(counted(SLOW), status=over.status), SITE)
    assert not again.events
    better = decide(world(counted(KEPT, SLOW), status=over.status), SITE)
    assert [(one.reason, one.type) for one in better.events] == [(Reason.RECOVERING, "Normal")]
    kept = decide(world(counted(KEPT), status=over.status), SITE)
    assert [one.reason for one in kept.events] == [Reason.RECOVERED]


BOTH = {STABLE: (800, 200), CANARY: (80, 20)}


def held(slots: dict[Series, tuple[Slot, ...]], *, budgets: Any = (FIRST, WHOLE), **fields: Any) -> tuple[Any, str]:
    spec = raw(budgets=list(budgets))
    draft = move(drafted(trial(1), spec, increments=Increments(), usage=usage(slots, **fields)))
    assert told(draft) in ([], [Reason.WEIGHT_CHANGED])
    assert draft.hold
    return draft.hold.reason, draft.hold.message


@pytest.mark.parametrize(
    ("slots", "says"),
    [
        (counted(BOTH), "no arm: on both arms, chat timeToFirstToken: 80 % of 100 calls in 1h"),
        (
            counted({STABLE: (990, 10), CANARY: (80, 20)}),
            "no arm: on the canary, chat timeToFirstToken: 80 % of 100 calls in 1h kept to at most 1500ms",
        ),
        (counted(SLOW | {CANARY: (0, 5)}), "where 95 % have to, and the canary had only 5 calls"),
        (counted(SLOW), "where 95 % have to, and the canary had no calls"),
        (counted(BOTH, metric="duration", most=30.0), "chat duration: 80 % of 100 calls in 1h kept to at most 30s"),
    ],
)
def test_a_breach_holds_and_blames_no_arm(slots: Any, says: str) -> None:
    reason, message = held(slots)
    assert reason == Reason.OVER_BUDGET
    assert message.startswith("step 1 at 10 % holds, and blames no arm: on ")
    assert says in message
    assert message.endswith(
        f"to go on without: kubectl -n demo annotate --overwrite cld support {PROMOTE}={CANARY}/1/1"
    )


@pytest.mark.parametrize(
    "slots",
    [
        counted(KEPT | {CANARY: (99, 1)}),
        counted(SLOW | {CANARY: (99, 1)}),  # it would be the end of the breach
        counted(KEPT | {CANARY: (99, 1)}, SLOW | {CANARY: (50, 50)}),  # over no longer
        counted({STABLE: (0, 19)}),
        counted(BOTH, metric="duration", most=3.0),  # counted for a limit of before
        {},
    ],
)
def test_nothing_else_holds(slots: Any) -> None:
    assert held(slots)[0] == Reason.PROGRESSING


def test_a_breach_takes_nothing_back() -> None:
    obs = observed(trial(1), raw(budgets=[FIRST]), usage=usage(counted(BOTH)), increments=Increments())
    decision = decide(obs, SITE)
    assert not decision.backward
    assert decision.config == obs.config
    assert decision.status.rollout is not None
    assert decision.status.rollout.outcome is None
    healthy = next(one for one in decision.status.conditions if one.type == Type.CANARY_HEALTHY)
    assert healthy.status == "True"


@pytest.mark.parametrize(("interval", "state"), [(60.0, "Over"), (10.0, "Recovering")])
def test_who_reads_more_often_sees_the_end_of_a_breach_sooner(interval: float, state: str) -> None:
    """The last part of a short window is two readings at least."""
    at = int(NOW.timestamp())
    slots = {
        Series(STABLE, "chat", "timeToFirstToken", 1.5): (Slot(at - 100, at - 90, 0, 100), Slot(at - 20, at, 100, 0))
    }
    spec = raw("Be kind.", budgets=[FIRST | {"window": "5m"}])
    (one,) = standings(observed(serving(), spec, usage=usage(slots, interval=interval)))
    assert one.state == state


def test_pods_that_do_not_answer_end_no_breach() -> None:
    """Two readings without an answer, and the last part of the window is empty."""
    slow = counted({}, {STABLE: (80, 20), CANARY: (80, 20)})
    silent = Coverage(1, ("gateway-1",))
    said = within(world(slow, coverage=silent))
    assert (said.status, said.reason) == ("False", Reason.RECOVERING)
    assert "; whether it is kept again is not known, since gateway-1 did not answer" in said.message
    for coverage, holds in ((silent, True), (Coverage(2), False)):
        obs = world(slow, status=trial(1), coverage=coverage)
        assert bool(explain_breach(obs, obs.status)) is holds


def test_what_is_unknown_does_not_hold_by_itself() -> None:
    """The judge has its own readings, and holds where they are missing."""
    assert held(counted(BOTH), coverage=Coverage(0, ("gateway-0",)))[0] == Reason.PROGRESSING


@pytest.mark.parametrize(
    ("slots", "after"),
    [(counted(SLOW), 60.0), (counted(KEPT, SLOW), 60.0), (counted(KEPT), 300.0), ({}, None)],
)
def test_windows_end_though_no_call_comes(slots: Any, after: float | None) -> None:
    assert decide(world(slots), SITE).requeue == after


@pytest.mark.parametrize("moment", ["2026-11-24T10:00:00", "1026-11-24T10:00:00Z"])
def test_moments_that_nobody_can_have_written_are_dropped(moment: str) -> None:
    stored = decide(world(counted(KEPT)), SITE).status.to_dict()
    stored["budgets"][0]["asOf"] = moment
    stored["cost"] = {"today": "$1", "month": "$1", "gateways": "1 of 1", "since": moment, "at": moment}
    decision = decide(world(counted(KEPT), status=DeploymentStatus.model_validate(stored)), SITE)
    assert decision.status.budgets[0].as_of == NOW
    (event,) = [one for one in decision.events if one.reason == Reason.STATUS_NOT_TRUSTED]
    assert event.note.endswith("dropped: budgets, cost")


def test_a_clock_that_was_set_makes_nothing_unknown() -> None:
    """The rollout's time runs on, and the gateways are read by the wall clock."""
    obs = world(counted(KEPT), read_at=NOW + dt.timedelta(hours=2))
    later = {
        one: tuple(slot._replace(begin=slot.begin + 7200, end=slot.end + 7200) for slot in slots)
        for one, slots in counted(SLOW).items()
    }
    assert within(replace(obs, usage=usage(later, NOW + dt.timedelta(hours=2)))).reason == Reason.OVER_BUDGET
