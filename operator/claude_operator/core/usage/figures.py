"""What a spend comes to: today, this month, and by the end of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from claude_operator.core.usage.amounts import Amounts, total
from claude_operator.core.usage.ledger import Spend, day_of
from claude_operator.core.usage.month import month_of, next_month

__all__ = ["RENEWED", "Figures", "are_fresh", "dollars", "figures"]

RENEWED = dt.timedelta(minutes=5)
"""Between two writes of figures to a status, where nothing else changes."""
_WINDOW = 7  # days, today among them, whose mean goes on in the forecast
_LEAST = dt.timedelta(days=1)  # that has to be known for a forecast


@dataclass(frozen=True, slots=True)
class Figures:
    """As of one moment. `forecast` in US dollars, None where too little is known."""

    today: Amounts
    month: Amounts
    forecast: float | None


def figures(spend: Spend, now: dt.datetime) -> Figures:
    """The figures of the day and month, in UTC, that `now` is in.

    The forecast is what this month has cost so far, and for the rest of it the mean of the last seven days, today
    among them, or of as many as are known.
    """
    now = now.astimezone(dt.UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    month = _between(spend, month_of(now), now)
    return Figures(_between(spend, midnight, now), month, _forecast(spend, month, midnight, now))


def are_fresh(taken: dt.datetime, now: dt.datetime) -> bool:
    """Whether figures of a status stay as they are. Those of a clock that was set back do not."""
    return dt.timedelta(0) <= now - taken < RENEWED


def dollars(usd: float) -> str:
    """An amount for people, `$12.34`; below a cent `$0.0012`."""
    if 0 < usd < 0.01:
        return f"${usd:.4f}" if usd >= 0.00005 else "<$0.0001"
    return f"${usd:,.2f}"


def _forecast(spend: Spend, month: Amounts, midnight: dt.datetime, now: dt.datetime) -> float | None:
    if spend.began is None:
        return None
    begin = max(spend.began, midnight - dt.timedelta(days=_WINDOW - 1))
    known = now - begin
    if known < _LEAST:
        return None
    return month.usd + _between(spend, begin, now).usd * ((next_month(now) - now) / known)


def _between(spend: Spend, begin: dt.datetime, now: dt.datetime) -> Amounts:
    """All of the days from one to today; what a clock that was set ahead has recorded does not count yet."""
    first, last = day_of(begin), day_of(now)
    return total(amounts for day, rows in spend.days.items() if first <= day <= last for amounts in rows.values())
