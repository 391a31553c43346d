"""How far an organisation's monthly budget is spent: by its own cost, and for the days that lacks by the gateways'."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from claude_operator.api.spending import Action, Level
from claude_operator.core.organisation.attribution import Holder
from claude_operator.core.organisation.forecast import in_month
from claude_operator.core.organisation.reading import Reading
from claude_operator.core.usage.month import next_month

__all__ = ["NOT_LOOKED", "MonthSpend", "OrganizationLimit", "limit_of", "month_spend"]

_NEAR = 0.8
_LATE = 2  # days after which a day's cost ought to be known


@dataclass(frozen=True, slots=True)
class MonthSpend:
    """US dollars of the month, at least.

    `complete`: the cost of all days but yesterday and today is known, and of whose gateways to add what these lack.
    """

    usd: float
    complete: bool


def month_spend(reading: Reading | None, holders: Iterable[Holder] | None, today: dt.date) -> MonthSpend:
    """Of the month of this day (UTC); what holders spent is not known where `holders` is None."""
    known = reading.cost_until if reading else None
    first = today.replace(day=1)
    until = known or first - dt.timedelta(days=1)
    organization = in_month(reading.cost, today, until) if reading and known else 0.0
    after = [
        usd
        for one in holders or ()
        if one.key
        for day, usd in one.spent.items()
        if max(until, first - dt.timedelta(days=1)) < day <= today
    ]
    complete = holders is not None and known is not None and (today - known).days <= _LATE
    return MonthSpend(organization + sum(after), complete)


@dataclass(frozen=True, slots=True)
class OrganizationLimit:
    """How far the budget of a ClaudeOrganization is spent, for the ClaudeDeployments that use its keys."""

    name: str
    monthly_usd: str
    action: Action
    level: Level
    ends: dt.datetime
    """When the next month begins."""


NOT_LOOKED = OrganizationLimit("", "0", "Warn", "Unknown", dt.datetime.max.replace(tzinfo=dt.UTC))
"""While the operator, which has just begun to lead, has not looked at ClaudeOrganizations yet: nothing changes."""


def limit_of(name: str, monthly_usd: str, action: Action, spent: MonthSpend, now: dt.datetime) -> OrganizationLimit:
    """By what is spent: what is known to be over is over, also where something is missing."""
    limit = float(monthly_usd)
    level: Level = "Within" if spent.usd < _NEAR * limit else "Near"
    if spent.usd >= limit:
        level = "Over"
    elif not spent.complete:
        level = "Unknown"
    return OrganizationLimit(name, monthly_usd, action, level, next_month(now))
