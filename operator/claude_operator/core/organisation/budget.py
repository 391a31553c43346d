"""How far an organisation's monthly budget is spent: by its own cost, and for the days that lacks by the gateways'."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from claude_operator.core.organisation.attribution import Holder
from claude_operator.core.organisation.forecast import in_month
from claude_operator.core.organisation.reading import Reading

__all__ = ["MonthSpend", "month_spend"]

_LATE = 2  # days after which a day's cost ought to be known


@dataclass(frozen=True, slots=True)
class MonthSpend:
    """US dollars of the month, at least. `complete`: the cost of all days but yesterday and today is known."""

    usd: float
    complete: bool


def month_spend(reading: Reading | None, holders: Iterable[Holder], today: dt.date) -> MonthSpend:
    """Of the month of this day (UTC)."""
    known = reading.cost_until if reading else None
    first = today.replace(day=1)
    until = known or first - dt.timedelta(days=1)
    organization = in_month(reading.cost, today, until) if reading and known else 0.0
    after = [
        usd
        for one in holders
        if one.key
        for day, usd in one.spent.items()
        if max(until, first - dt.timedelta(days=1)) < day <= today
    ]
    complete = known is not None and (today - known).days <= _LATE
    return MonthSpend(organization + sum(after), complete)
