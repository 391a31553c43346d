"""What a month will cost: its days so far, and for each day that is left the mean of the last seven full days."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Mapping

__all__ = ["forecast", "in_month"]

_DAYS = 7
_DAY = dt.timedelta(days=1)


def forecast(cost: Mapping[dt.date, float], month: dt.date, *, since: dt.date, until: dt.date) -> float | None:
    """The cost of the month with this day; None where no day is known.

    `since` and `until`: the first and the last day whose cost is complete. A day between both that is not in `cost` was
    free.
    """
    if since > until:
        return None
    first = max(since, until - (_DAYS - 1) * _DAY)
    days = [first + number * _DAY for number in range((until - first).days + 1)]
    mean = sum(cost.get(day, 0.0) for day in days) / len(days)
    last = month.replace(day=calendar.monthrange(month.year, month.month)[1])
    known = max(until, month.replace(day=1) - _DAY)
    return in_month(cost, month, until) + mean * max(0, (last - known).days)


def in_month(cost: Mapping[dt.date, float], month: dt.date, until: dt.date) -> float:
    """The sum of the month's days up to and including `until`."""
    return sum(usd for day, usd in cost.items() if (day.year, day.month) == (month.year, month.month) and day <= until)
