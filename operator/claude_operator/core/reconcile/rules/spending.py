"""Keeps the month's figures, and says once a month that the budget is nearly spent, and that it is."""

from __future__ import annotations

from claude_operator.api.conditions import Reason, Type
from claude_operator.api.spending import Spending
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.month import month_spend
from claude_operator.core.reconcile.spending import explain, reached, spending_of
from claude_operator.core.usage.figures import are_fresh

__all__ = ["watch"]

_LOOK = 900.0  # seconds between two looks, where nobody reads the gateways any more


def watch(draft: Draft) -> Draft:
    """The month as it is now, with an Event where it has reached a mark that was not told."""
    obs, before = draft.obs, draft.status.spending
    if obs.spec is None:
        return draft
    budget = obs.spec.budget
    if budget is None:
        return draft.set(spending=None) if before else draft
    spent = month_spend(obs)
    now = spending_of(budget, spent, obs.now, None)
    told = before.told if before and _same_month(before, now) else None
    mark = reached(budget, spent)
    news = mark if mark not in (None, told) and told != "Over" else None
    now = now.model_copy(update={"told": news or told})
    draft = draft.requeue_in(min((spent.ends - obs.now).total_seconds(), _LOOK))
    draft = draft.set(spending=now if before is None or _is_news(before, now) else before)
    text = explain(budget, now)
    if news is not None:
        reason = Reason.COST_OVER_BUDGET if news == "Over" else Reason.COST_NEAR_BUDGET
        return draft.record_event(reason, text, warning=True)
    if before and before.told == "Over" and now.told != "Over" and now.level in ("Within", "Near"):
        return draft.record_event(Reason.RECOVERED, f"{Type.WITHIN_COST}: {text}")
    return draft


def _is_news(before: Spending, now: Spending) -> bool:
    """Whether status is to have it now, and not with the next figures."""
    if not _same_month(before, now) or (before.level, before.told) != (now.level, now.told):
        return True
    if before.at is None or now.at is None or bool(before.spent_usd) != bool(now.spent_usd):
        return True
    return not are_fresh(before.at, now.at)


def _same_month(before: Spending, now: Spending) -> bool:
    return (before.month, before.monthly_usd) == (now.month, now.monthly_usd)
