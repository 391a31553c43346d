"""How the budgets stand: what status and the condition WithinBudget say of them, and what holds a rollout."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal

from claude_operator.api.budgets import BudgetStatus
from claude_operator.api.conditions import Reason
from claude_operator.api.evidence import OTHER
from claude_operator.api.moments import to_millisecond
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.spec.budgets import THROUGHPUT, service_levels
from claude_operator.core.text import count, join_names
from claude_operator.core.usage.figures import RENEWED, are_fresh
from claude_operator.core.usage.service_level import Standing, standing
from claude_operator.core.usage.state import UsageState

__all__ = ["budget_state", "budget_statuses", "budgets_due", "explain_breach", "standings"]

_AGAIN = 60.0  # seconds

Finding = tuple[Literal["True", "False", "Unknown"], Reason, str]


def standings(obs: Observation) -> list[Standing]:
    """How each budget stands by the calls of all revisions; none where that is not known."""
    usage = _known(obs)
    if usage is None or obs.spec is None:
        return []
    at = usage.read_at.timestamp()
    return [
        standing(usage.latency, level, at=at, interval=usage.interval) for level in service_levels(obs.spec.budgets)
    ]


def budget_statuses(obs: Observation) -> list[BudgetStatus]:
    """`status.budgets`: entries whose state is as before keep their figures for a while."""
    if obs.spec is None:
        return obs.status.budgets
    before = {(one.surface, one.metric, one.limit, one.target, one.window): one for one in obs.status.budgets}
    found = []
    for one in standings(obs):
        new = _status(one, to_millisecond(obs.now))
        old = before.get((new.surface, new.metric, new.limit, new.target, new.window))
        same = old is not None and new.model_copy(update={"as_of": old.as_of}) == old
        fresh = old is not None and old.state == new.state and are_fresh(old.as_of, obs.now)
        found.append(old if old is not None and (same or fresh) else new)
    return found


def budget_state(obs: Observation, found: Sequence[BudgetStatus]) -> Finding:
    """The condition WithinBudget."""
    if obs.spec is None:
        return "Unknown", Reason.NOT_YET_REPORTED, "the spec cannot be read, so its budgets are not known"
    if not obs.spec.budgets:
        return "True", Reason.NO_BUDGET, "the spec declares no latency budgets"
    usage = _known(obs)
    if usage is None:
        return "Unknown", Reason.USAGE_UNKNOWN, "no gateway pod has told lately how long its calls took"
    told = _unbudgeted(obs, usage)
    for state, reason in (("Over", Reason.OVER_BUDGET), ("Recovering", Reason.RECOVERING)):
        worst = [one for one in found if one.state == state]
        if worst:
            now = "" if state == "Over" else _recovery(usage, len(worst))
            return "False", reason, f"{_sentences(worst)}{now}{told}"
    if usage.coverage.silent:
        silent = join_names(usage.coverage.silent)
        return "Unknown", Reason.USAGE_UNKNOWN, f"how long calls took is not known of {silent}{told}"
    few = [one for one in found if one.state == "FewCalls"]
    if few:
        return "Unknown", Reason.FEW_CALLS, f"too few calls to say: {_sentences(few)}{told}"
    kept = [one for one in found if one.state == "Within"]
    if kept:
        return "True", Reason.WITHIN_BUDGET, f"{_sentences(kept)}{told}"
    return "Unknown", Reason.NO_TRAFFIC, f"the surfaces of the budgets had no calls{told}"


def budgets_due(status: DeploymentStatus) -> float | None:
    """Seconds until the figures are made again though no call comes: windows end; None where they show none."""
    states = {one.state for one in status.budgets}
    if states & {"Over", "Recovering"}:
        return _AGAIN
    return RENEWED.total_seconds() if states - {"NoTraffic"} else None


def explain_breach(obs: Observation, status: DeploymentStatus) -> str | None:
    """Which budget is over on the canary, or on stable and not known to be kept on the canary; None for none.

    It blames nobody: what a canary does worse than stable is the judge's to say. While pods do not answer nobody knows
    that a breach is over.
    """
    usage, canary = _known(obs), status.canary_revision
    if usage is None or obs.spec is None or canary is None:
        return None
    at = usage.read_at.timestamp()
    going_on = ("Over", "Recovering") if usage.coverage.silent else ("Over",)
    others = {series.revision for series in usage.latency.slots} - {canary}
    for level in service_levels(obs.spec.budgets):
        if level.metric == THROUGHPUT:  # batches pass through: they belong to no arm
            continue
        ours = standing(usage.latency, level, at=at, revisions=[canary], interval=usage.interval)
        theirs = standing(usage.latency, level, at=at, revisions=others, interval=usage.interval)
        if ours.state in going_on:
            where = "on both arms" if theirs.state in going_on else "on the canary"
            return f"{where}, {_sentence(_status(ours, obs.now))}"
        if theirs.state in going_on and ours.state in ("FewCalls", "NoTraffic"):
            had = f"only {count(ours.counted.calls, 'call')}" if ours.counted.calls else "no calls"
            return f"on stable, {_sentence(_status(theirs, obs.now))}, and the canary had {had}"
    return None


def _known(obs: Observation) -> UsageState | None:
    """The usage, where some pod has told it."""
    usage = obs.usage
    return usage if usage is not None and usage.coverage.read else None


def _status(one: Standing, now: dt.datetime) -> BudgetStatus:
    level, calls = one.level, one.counted.calls
    return BudgetStatus(
        surface=level.surface,
        metric=level.metric,
        limit=level.limit,
        target=f"{level.percentile:g} %",
        window=level.window,
        state=one.state,
        attainment=_percent(one.attainment) if calls else "",
        burn_rate=f"{one.burn_rate:.2g}" if calls else "",
        calls=calls,
        as_of=now,
    )


def _percent(part: float) -> str:
    """With a digit more than usual, and never 100 % where a call was over."""
    return f"{min(100.0 * part, 99.99 if part < 1.0 else 100.0):.4g} %"


def _sentences(found: Sequence[BudgetStatus]) -> str:
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return "; ".join(map(_sentence, found[:3])) + more


def _sentence(one: BudgetStatus) -> str:
    what = "requests of batches" if one.metric == THROUGHPUT else "calls"
    kept = f"{one.attainment or 'none'} of {one.calls:,} {what} in {one.window} kept to {one.limit}"
    return f"{one.surface} {one.metric}: {kept}, where {one.target} have to"


def _recovery(usage: UsageState, budgets: int) -> str:
    are = "it is" if budgets == 1 else "they are"
    if usage.coverage.silent:
        return f"; whether {are} kept again is not known, since {join_names(usage.coverage.silent)} did not answer"
    return f"; in the last part of that time {are} kept again"


def _unbudgeted(obs: Observation, usage: UsageState) -> str:
    """Which surfaces clients send beside those of the budgets."""
    named = {one.surface for one in (obs.spec.budgets if obs.spec else None) or ()}
    found = [name for name in usage.latency.unbudgeted if name not in named]
    if not found or OTHER in named:
        return ""
    return f"; clients also send the surface{'s' * (len(found) > 1)} {join_names(found)}, which no budget names"
