"""A month's budget: what is known of it, what it holds and refuses, and what is told once."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.core.reconcile.rules.sample import (
    ANSWERED,
    CANARY,
    NOW,
    PLAN,
    SITE,
    STABLE,
    STEPS,
    drafted,
    failed,
    observed,
    owner,
    raw,
    serving,
    trial,
)

from claude_operator.api.conditions import Condition, Reason, Type
from claude_operator.api.deployment import Bake, DeploymentSpec, Step
from claude_operator.api.gateway import Throttle
from claude_operator.api.status import DeploymentStatus, Plan, Rollout
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.decision import Decision
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.month import month_spend
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.rules.analysis import roll_back
from claude_operator.core.reconcile.rules.canary import move
from claude_operator.core.reconcile.spending import level_of, throttle_to_serve
from claude_operator.core.spec.validate import Problem
from claude_operator.core.usage.amounts import NOTHING, REST, Amounts, Key
from claude_operator.core.usage.ledger import Spend, day_of
from claude_operator.core.usage.month import month_of
from claude_operator.core.usage.state import Coverage, Usages, UsageState

MONTH_END = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
UNTIL = "until 2026-12-01 00:00 UTC or until spec.budget.monthlyUSD is raised"
UNREAD = "2 of 3 gateway pods told what they have counted"
BEGAN = dt.datetime(2026, 10, 5, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
KEY = Key(STABLE, "chat", "", "claude-opus-5-5")


def budgeted(action: str = "Warn", usd: str = "2000", prompt: str = "Be kind.") -> dict[str, Any]:
    """A spec of what serves, or with `Be brief.` of what is on trial."""
    return raw(prompt, budget={"monthlyUSD": usd, "action": action})


def spent(
    usd: str, unpriced: int = 0, silent: int = 0, *, began: dt.datetime = BEGAN, at: dt.datetime = NOW
) -> UsageState:
    """The month up to `at`, the half of it on its first day, and as much again in the month before."""
    nano = int(Decimal(usd) * 10**9)
    first, rest = Amounts(7, unpriced, nano=nano // 2), Amounts(7, nano=nano - nano // 2)
    days = {day_of(month_of(at) - DAY): {KEY: Amounts(9, 9, nano=nano)}, day_of(month_of(at)): {KEY: first}}
    days[day_of(at)] = {REST: rest, KEY: days.get(day_of(at), {}).get(KEY, NOTHING)}
    coverage = Coverage(3 - silent, tuple(f"gateway-{number}" for number in range(silent)))
    return UsageState(Usages(Spend(began, days)), at, coverage)


def ahead(usd: str) -> UsageState:
    """The same, and a year's worth that a clock has recorded which was set ahead."""
    known = spent(usd)
    later = {day_of(NOW + days * DAY): {KEY: Amounts(7, 7, nano=10**15)} for days in (30, 365)}
    return replace(known, kept=Usages(replace(known.spend, days={**known.spend.days, **later})))


def seen(status: DeploymentStatus, spec: dict[str, Any], known: UsageState | None, **more: Any) -> Observation:
    return observed(status, spec, usage=known, **more)


def moved(status: DeploymentStatus, action: str, known: UsageState | None, **more: Any) -> Draft:
    """The draft after the canary's move, where gateways serve what they are to serve."""
    draft = drafted(status, budgeted(action, prompt="Be brief."), usage=known, increments=ANSWERED, **more)
    return move(replace(draft, obs=throttled(draft.obs, throttle_to_serve(draft.obs))))


def throttled(obs: Observation, throttle: Throttle | msgspec.UnsetType) -> Observation:
    assert obs.config is not None
    return replace(obs, config=msgspec.structs.replace(obs.config, throttle=throttle))


def within_cost(decision: Decision) -> Condition:
    return next(one for one in decision.status.conditions if one.type == Type.WITHIN_COST)


@pytest.mark.parametrize(
    ("now", "end"),
    [
        (dt.datetime(2026, 11, 24, 10, tzinfo=dt.UTC), MONTH_END),
        (dt.datetime(2026, 11, 30, 23, 59, 59, tzinfo=dt.UTC), MONTH_END),
        (MONTH_END, dt.datetime(2027, 1, 1, tzinfo=dt.UTC)),
        (dt.datetime(2027, 1, 31, 12, tzinfo=dt.UTC), dt.datetime(2027, 2, 1, tzinfo=dt.UTC)),
        (dt.datetime(2026, 12, 1, 0, 30, tzinfo=dt.timezone(dt.timedelta(hours=1))), MONTH_END),
    ],
)
def test_a_month_ends_at_midnight_utc(now: dt.datetime, end: dt.datetime) -> None:
    for known in (None, spent("7", at=now)):
        assert month_spend(replace(seen(serving(), budgeted(), known), now=now)).ends == end


@pytest.mark.parametrize(
    ("known", "level"),
    [
        (spent("0"), "Within"),
        (spent("1599.999"), "Within"),
        (spent("1600"), "Near"),
        (spent("1999.999"), "Near"),
        (spent("2000"), "Over"),
        (spent("2000", unpriced=3, silent=1), "Over"),  # at least that: it is over whatever is missing
        (spent("1999", unpriced=1), "Unknown"),
        (spent("0", silent=1), "Unknown"),
        (None, "Unknown"),
    ],
)
def test_what_is_not_known_is_not_within(known: UsageState | None, level: str) -> None:
    obs = seen(serving(), budgeted(), known)
    assert obs.spec is not None
    assert obs.spec.budget is not None
    assert level_of(obs.spec.budget, month_spend(obs)) == level


@pytest.mark.parametrize(
    ("action", "known", "status", "says"),
    [
        ("Warn", spent("412.3"), "True", "$412.30 of $2,000 (21 %) are spent in 2026-11"),
        ("Warn", spent("1999.999"), "True", "$1,999.99 of $2,000 (99 %) are spent in 2026-11; at 100 % an Event"),
        ("HoldRollouts", spent("1600"), "True", "; at 100 % no canary begins or gets more traffic"),
        ("Throttle", spent("1600"), "True", "; at 100 % gateways refuse calls"),
        ("Warn", spent("2004.1"), "False", "$2,004.10 of $2,000 (100 %) are spent in 2026-11"),
        ("HoldRollouts", spent("3000"), "False", f": no canary begins or gets more traffic {UNTIL}"),
        ("Throttle", spent("2000"), "False", f": gateways answer every new call with 429 {UNTIL}"),
        ("Warn", None, "Unknown", "it is not known what calls have cost in 2026-11, since the gateways' usage"),
        ("Warn", spent("10", 1), "Unknown", "(at least 0.5 %) are spent in 2026-11, and it may be more, since 1"),
        ("Throttle", spent("10", 2, 1), "Unknown", f"since {UNREAD} and 2 calls have no known price; no canary begins"),
    ],
)  # fmt: skip
def test_the_condition(action: str, known: UsageState | None, status: str, says: str) -> None:
    found = within_cost(decide(seen(serving(), budgeted(action), known), SITE))
    assert found.status == status
    assert says in found.message


def first() -> DeploymentStatus:
    """Before anything serves."""
    return DeploymentStatus(rollout=Rollout(revision=CANARY, plan=PLAN, started_at=NOW))


def made(ago: dt.timedelta) -> dict[str, Any]:
    """A ClaudeDeployment that was made so long ago."""
    whole = owner(budgeted())
    return {**whole, "metadata": {**whole["metadata"], "creationTimestamp": (NOW - ago).strftime("%Y-%m-%dT%H:%M:%SZ")}}


@pytest.mark.parametrize(
    ("known", "now", "usd", "missing"),
    [
        (None, NOW, None, "the gateways' usage has not been read yet"),
        (UsageState(Usages(), NOW), NOW, None, "the gateways' usage has not been read yet"),
        (spent("7"), NOW, "7", ""),
        (spent("7", silent=1), NOW, "7", UNREAD),
        (spent("7", unpriced=1), NOW, "7", "1 call has no known price"),
        # A fault that says nothing of this month: of the cache's part, or of a record that began again before it.
        (replace(spent("7"), fault="cache: not gzip"), NOW, "7", ""),
        (
            replace(spent("7", began=NOW - DAY), fault="it began again"),
            NOW,
            "7",
            "it began again and what calls cost before 2026-11-23 10:00 UTC was not counted",
        ),
        (ahead("7"), NOW, "7", ""),
        (spent("7"), NOW + dt.timedelta(minutes=16), "7", "the gateways' usage was last read at 2026-11-24 10:00 UTC"),
        (spent("7"), NOW - dt.timedelta(hours=9), "7", ""),  # the rollout's time, which may be behind
        (spent("7"), MONTH_END, "0", "the gateways' usage was last read at 2026-11-24 10:00 UTC"),
        (spent("7", at=MONTH_END), NOW, "7", ""),
        (spent("7", began=NOW - DAY), NOW, "7", "what calls cost before 2026-11-23 10:00 UTC was not counted"),
    ],
)
def test_the_month(known: UsageState | None, now: dt.datetime, usd: str | None, missing: str) -> None:
    obs = replace(seen(serving(), budgeted(), known), now=now, owner=made(9 * DAY))
    found = month_spend(obs)
    assert found.missing == missing
    assert (found.usd is None) == (usd is None)
    assert found.usd is None or found.usd == Decimal(usd or 0)


def test_a_new_application_has_no_month_before() -> None:
    obs = replace(seen(serving(), budgeted(), spent("7", began=NOW)), owner=made(dt.timedelta(hours=2)))
    assert month_spend(obs).missing == ""


# ------------------------------------------------------------------------------------------------------- rollouts


@pytest.mark.parametrize(
    ("action", "known", "why"),
    [
        ("Warn", spent("2000"), None),
        ("Warn", None, None),
        ("HoldRollouts", spent("1999"), None),
        ("HoldRollouts", spent("2000"), Reason.COST_OVER_BUDGET),
        ("HoldRollouts", spent("2000", 1), Reason.COST_OVER_BUDGET),
        ("HoldRollouts", spent("10", silent=1), Reason.COST_UNKNOWN),
        ("HoldRollouts", None, Reason.COST_UNKNOWN),
        ("Throttle", spent("2000"), Reason.COST_OVER_BUDGET),
        ("Throttle", None, Reason.COST_UNKNOWN),
    ],
)
@pytest.mark.parametrize("index", [None, 0, 1])
def test_no_canary_begins_or_rises(
    index: int | None, action: str, known: UsageState | None, why: Reason | None
) -> None:
    status = trial(index)
    draft = moved(status, action, known)
    if why is None:
        assert draft.status.step != status.step
        return
    assert draft.hold is not None
    assert draft.hold.reason == why
    assert draft.status.step == status.step
    what = "full" if index is None else index
    assert draft.hold.message.endswith(f"claudeops.dev/promote={CANARY}/1/{what}")


@pytest.mark.parametrize("known", [spent("9999"), None])
@pytest.mark.parametrize("what", ["full", "1"])
def test_a_promotion_by_hand_is_not_held(known: UsageState | None, what: str) -> None:
    go = {"promote": f"{CANARY}/1/{what}"}
    status = moved(trial(1), "Throttle", known, annotations=go).status
    assert (status.stable_revision == CANARY) == (what == "full")
    assert status.step is None or status.step.index == 2


@pytest.mark.parametrize("known", [spent("9999"), None])
@pytest.mark.parametrize(
    "back", [{"status": trial(1, judgement=failed())}, {"status": trial(1), "annotations": {"abort": f"{CANARY}/1"}}]
)
def test_taking_back_is_not_held(known: UsageState | None, back: dict[str, Any]) -> None:
    decision = decide(observed(spec=budgeted("Throttle", prompt="Be brief."), usage=known, **back), SITE)
    assert decision.backward
    assert decision.status.canary_revision is None


@pytest.mark.parametrize("action", ["HoldRollouts", "Throttle"])
@pytest.mark.parametrize("known", [spent("9999"), None])
def test_a_plan_that_takes_back_what_is_inconclusive_does_not_while_calls_are_refused(
    action: str, known: UsageState | None
) -> None:
    plan = Plan(steps=[STEPS[0], Step(bake=Bake(max_duration="5m", on_inconclusive="Rollback"))])
    status = trial(1, age=301, requests=3, rollout=Rollout(revision=CANARY, plan=plan, started_at=NOW))
    draft = drafted(status, budgeted(action), usage=known, increments=ANSWERED)
    after = roll_back(replace(draft, obs=throttled(draft.obs, throttle_to_serve(draft.obs))))
    assert after.backward == (action == "HoldRollouts" or known is None)


@pytest.mark.parametrize(("status", "serves"), [(serving(), STABLE), (first(), CANARY)])
def test_what_serves_goes_on_and_a_first_revision_is_served(status: DeploymentStatus, serves: str) -> None:
    prompt = "Be kind." if serves == STABLE else "Be brief."
    obs = seen(status, budgeted("HoldRollouts", prompt=prompt), spent("9999"))
    decision = decide(obs, SITE)
    assert decision.config is not None
    assert [(arm.revision, arm.weight) for arm in decision.config.arms] == [(serves, 10_000)]


# ------------------------------------------------------------------------------------------------------ throttling


LIVE = Throttle(MONTH_END, "2000")


@pytest.mark.parametrize(
    ("spec", "known", "live", "expected"),
    [
        (budgeted("Throttle"), spent("1999"), msgspec.UNSET, msgspec.UNSET),
        (budgeted("Throttle"), spent("2000"), msgspec.UNSET, LIVE),
        (budgeted("Throttle"), spent("2000", 7, 1), msgspec.UNSET, LIVE),
        (budgeted("Throttle"), spent("2000"), LIVE, LIVE),
        # What is not known begins nothing, and ends nothing.
        (budgeted("Throttle"), None, msgspec.UNSET, msgspec.UNSET),
        (budgeted("Throttle"), spent("1999", silent=1), msgspec.UNSET, msgspec.UNSET),
        (budgeted("Throttle"), None, LIVE, LIVE),
        (budgeted("Throttle"), spent("7", silent=1), LIVE, LIVE),
        (budgeted("Throttle"), spent("7", began=NOW), LIVE, LIVE),  # the record had to begin again
        (budgeted("Throttle"), spent("1999"), LIVE, msgspec.UNSET),
        # Another month, a raised budget, another action, no budget.
        (budgeted("Throttle"), None, Throttle(MONTH_END - dt.timedelta(days=30), "2000"), msgspec.UNSET),
        (budgeted("Throttle", "3000"), None, LIVE, msgspec.UNSET),
        (budgeted("Throttle", "3000"), spent("2000"), LIVE, msgspec.UNSET),
        (budgeted("HoldRollouts"), spent("2000"), LIVE, msgspec.UNSET),
        (raw("Be kind."), spent("2000"), LIVE, msgspec.UNSET),
    ],
)
def test_throttle(spec: dict[str, Any], known: UsageState | None, live: Any, expected: Any) -> None:
    obs = throttled(seen(serving(), spec, known), live)
    assert throttle_to_serve(obs) == expected
    config = decide(obs, SITE).config
    assert config is not None
    assert obs.config is not None
    assert config.throttle == expected
    assert config.generation == obs.config.generation + (expected != live)


def test_while_the_spec_cannot_be_read_what_is_refused_stays() -> None:
    obs = throttled(seen(serving(), budgeted("Throttle"), spent("2000")), LIVE)
    config = decide(replace(obs, spec=None, problems=(Problem(Reason.INVALID_SPEC, "spec: no object"),)), SITE).config
    assert config is not None
    assert config.throttle == LIVE


def test_the_month_turns() -> None:
    obs = throttled(seen(serving(), budgeted("Throttle"), spent("2000")), LIVE)
    last = decide(obs, SITE)
    assert last.requeue == 900.0
    late = MONTH_END - dt.timedelta(seconds=7)
    assert decide(replace(obs, now=late, usage=spent("2000", at=late)), SITE).requeue == 7.0
    ready = next(one for one in last.status.conditions if one.type == Type.READY)
    assert (ready.status, ready.reason) == ("False", Reason.COST_OVER_BUDGET)
    assert UNTIL in ready.message
    begins = replace(obs, now=MONTH_END, status=last.status, usage=spent("0", at=MONTH_END))
    decision = decide(begins, SITE)
    assert decision.config is not None
    assert decision.config.throttle is msgspec.UNSET
    assert [one.reason for one in decision.events] == [Reason.RECOVERED]
    assert decision.status.spending is not None
    assert (decision.status.spending.month, decision.status.spending.told) == ("2026-12", None)


# ----------------------------------------------------------------------------------------------- figures and Events


def passes(spec: dict[str, Any], *told: tuple[float, UsageState | None]) -> list[Decision]:
    """Passes at these seconds with what was known then."""
    status, decisions = serving(), []
    for after, one in told:
        now = NOW + dt.timedelta(seconds=after)
        known = replace(one, read_at=now) if one and now < MONTH_END else one
        obs = replace(seen(status, spec, known), now=now)
        decisions.append(decide(obs, SITE))
        status = decisions[-1].status
    return decisions


def test_each_mark_is_told_once_a_month() -> None:
    month = 8 * 86_400.0
    decisions = passes(
        budgeted(),
        (0, spent("10")),
        (60, spent("1700")),
        (120, None),
        (180, spent("1710", silent=1)),
        (240, spent("2100")),
        (300, None),
        (360, spent("2100")),
        (month, spent("1700", at=NOW + dt.timedelta(seconds=month))),
    )
    reasons = [[one.reason for one in decision.events if one.type == "Warning"] for decision in decisions]
    near, over = [Reason.COST_NEAR_BUDGET], [Reason.COST_OVER_BUDGET]
    assert reasons == [[], near, [], [], over, [], [], near]
    assert "$1,700.00 of $2,000 (85 %) are spent" in decisions[1].events[0].note


def test_a_raised_budget_is_told_anew() -> None:
    first = decide(seen(serving(), budgeted(), spent("2100")), SITE)
    assert [one.reason for one in first.events] == [Reason.COST_OVER_BUDGET]
    raised = decide(seen(first.status, budgeted(usd="2500"), spent("2100")), SITE)
    assert {one.reason for one in raised.events} == {Reason.COST_NEAR_BUDGET}
    assert within_cost(raised).reason == Reason.COST_NEAR_BUDGET


def test_figures_are_written_every_five_minutes_and_with_another_level_at_once() -> None:
    decisions = passes(
        budgeted(), *((after, spent(usd)) for after, usd in ((0, "10"), (299, "11"), (301, "12"), (360, "1700")))
    )
    figures = [one.status.spending.spent_usd for one in decisions if one.status.spending]
    assert figures == ["10.00", "10.00", "12.00", "1700.00"]
    assert within_cost(decisions[0]) == within_cost(decisions[1])
    ahead = replace(seen(decisions[0].status, budgeted(), spent("11")), now=NOW - dt.timedelta(hours=1))
    moved = decide(ahead, SITE).status.spending  # the clock of an operator that ran before may have been ahead
    assert moved is not None
    assert moved.spent_usd == "11.00"


@pytest.mark.parametrize(
    "odd",
    [
        {"spent_usd": "a lot"},
        {"spent_usd": "NaN"},
        {"month": "November"},
        {"month": "2026-13"},
        {"at": NOW.replace(tzinfo=None)},
        {"at": NOW + dt.timedelta(days=9)},
    ],
)
def test_what_somebody_else_has_written_there_is_dropped(odd: dict[str, Any]) -> None:
    before = decide(seen(serving(), budgeted(), spent("10")), SITE).status
    assert before.spending is not None
    status = before.model_copy(update={"spending": before.spending.model_copy(update=odd)})
    decision = decide(seen(status, budgeted(), spent("11")), SITE)
    assert [one.reason for one in decision.events] == [Reason.STATUS_NOT_TRUSTED]
    assert decision.status.spending is not None
    assert decision.status.spending.spent_usd == "11.00"


def test_without_a_budget_nothing_is_kept() -> None:
    before = decide(seen(serving(), budgeted(), spent("2100")), SITE).status
    after = decide(seen(before, raw("Be kind."), spent("2100")), SITE)
    assert after.status.spending is None
    assert within_cost(after).reason == Reason.NO_BUDGET


@pytest.mark.parametrize("amount", ["0", "0.00", "-1", "1e3", "2000.001", "$5", "", "1000000000"])
def test_an_amount_is_dollars_above_zero(amount: str) -> None:
    with pytest.raises(ValueError, match="monthlyUSD"):
        DeploymentSpec.model_validate(budgeted(usd=amount))
