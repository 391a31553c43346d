"""Events before a model is switched off: at 60, 30, 14, 7, 3 and 1 days, and on its last one, each once.

What has been said stands in `status.retirements`, so neither a restart nor a clock that is set back says it again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from claude_operator.api.conditions import Reason, Type
from claude_operator.api.lifecycle import LifecyclePolicy
from claude_operator.api.served import RetirementTold
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.catalogue.lifecycle import Lifecycle
from claude_operator.core.reconcile.decision import Event
from claude_operator.core.reconcile.models_used import ModelUse, models_used
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.text import count

__all__ = ["THRESHOLDS", "countdown", "retirements"]

THRESHOLDS = (60, 30, 14, 7, 3, 1, 0)
"""Days before retirement; 0: it is Retired."""
_REMEMBERED = dt.timedelta(days=30)  # after its retirement a model that nobody uses is forgotten
_MOST = 64  # of those that nobody uses


def retirements(obs: Observation, uses: Iterable[ModelUse]) -> list[RetirementTold]:
    """`status.retirements` after this pass: what was said before it, and what it says."""
    said = {one.model: one for one in obs.status.retirements}
    policy = obs.spec.lifecycle if obs.spec is not None else LifecyclePolicy()
    for use in uses:
        due = _due(use, policy)
        if due is None:
            continue
        before = said.get(use.id)
        if before is None or before.retires_at != due.retires_at or before.days > due.days:
            said[use.id] = due
    used = {use.id for use in uses}
    gone = [one for one in said.values() if one.model not in used and _is_recent(one, obs.now.date())]
    return [*gone[-_MOST:], *(one for one in said.values() if one.model in used)]


def countdown(obs: Observation, after: DeploymentStatus) -> list[Event]:
    """An Event for each model of which this pass has said more; none where the condition's Event says it, too."""
    before = {one.model: one for one in obs.status.retirements}
    fresh = {one.model: one for one in after.retirements if before.get(one.model) != one}
    if not fresh or obs.outdated:  # the API server drops what status says of it, and it would be said in each pass
        return []
    covered = _told_by_condition(obs, after)
    uses = [use for use in models_used(obs, after) if use.id in fresh and use.state.lifecycle not in covered]
    return [Event(Reason.MODEL_RETIRES, _sentence(use), "Warning") for use in uses]


def _due(use: ModelUse, policy: LifecyclePolicy) -> RetirementTold | None:
    """What is to be said of it by now, None where that is nothing, or where spec.lifecycle ignores it."""
    state = use.state
    if state.lifecycle == Lifecycle.RETIRED:
        date = state.retires_at.isoformat() if state.retires_at else ""
        return RetirementTold(model=use.id, retires_at=date, days=0) if policy.on_retired != "Ignore" else None
    if state.lifecycle != Lifecycle.DEPRECATED or policy.on_deprecated == "Ignore":
        return None
    if state.retires_at is None or state.days_left is None:
        return None
    passed = [days for days in THRESHOLDS if state.days_left <= days and days > 0]
    return RetirementTold(model=use.id, retires_at=state.retires_at.isoformat(), days=passed[-1]) if passed else None


def _told_by_condition(obs: Observation, after: DeploymentStatus) -> Sequence[str]:
    """The state that ModelCurrent has from this pass on: its Event names every model in it."""
    reasons = [
        next((one.reason for one in status.conditions if one.type == Type.MODEL_CURRENT), "")
        for status in (obs.status, after)
    ]
    return [reasons[1]] if reasons[0] != reasons[1] else []


def _sentence(use: ModelUse) -> str:
    state, who = use.state, f"; used by {', '.join(use.where)}"
    if state.lifecycle == Lifecycle.RETIRED or state.overdue or state.retires_at is None:
        return f"{state.sentence(use.id)}{who}"
    instead = f"; use {state.replacement}" if state.replacement else ""
    return f"{use.id} retires in {count(state.days_left or 0, 'day')}, on {state.retires_at}{instead}{who}"


def _is_recent(told: RetirementTold, today: dt.date) -> bool:
    try:
        return today <= dt.date.fromisoformat(told.retires_at) + _REMEMBERED
    except (ValueError, OverflowError):  # written by somebody else
        return False
