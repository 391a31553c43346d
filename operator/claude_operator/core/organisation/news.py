"""What an Event tells of an organisation's monthly budget: once a month that it is nearly spent, and that it is."""

from __future__ import annotations

from collections.abc import Sequence

from claude_operator.api.conditions import Condition
from claude_operator.api.organisation import OrganizationReason as Reason
from claude_operator.api.organisation import OrganizationType as Type
from claude_operator.core.organisation.conditions import Seen

__all__ = ["budget_told", "told_now"]

_LEVELS = {Reason.COST_NEAR_BUDGET: "Near", Reason.COST_OVER_BUDGET: "Over"}


def budget_told(seen: Seen, conditions: Sequence[Condition], before: str) -> str:
    """`status.budgetTold` from now on: month, budget and the highest mark that was reached; empty without a budget."""
    if seen.budget is None:
        return ""
    place = f"{seen.now:%Y-%m} {seen.budget.monthly_usd}"
    known = before.removeprefix(f"{place} ") if before.startswith(f"{place} ") else ""
    level = next((_LEVELS.get(Reason(one.reason), "") for one in conditions if one.type == Type.WITHIN_COST), "")
    reached = known if known == "Over" or not level else level
    return f"{place} {reached}" if reached else ""


def told_now(before: str, after: str, conditions: Sequence[Condition]) -> tuple[str, str] | None:
    """Reason and sentence of the Event that such a change is; None where there is nothing new to tell."""
    if after in ("", before):
        return None
    return next(((one.reason, one.message) for one in conditions if one.type == Type.WITHIN_COST), None)
