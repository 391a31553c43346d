"""Calendar months, in UTC."""

from __future__ import annotations

import datetime as dt

__all__ = ["month_of", "next_month"]


def month_of(moment: dt.datetime) -> dt.datetime:
    """When the month of a moment began."""
    return moment.astimezone(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(moment: dt.datetime) -> dt.datetime:
    """When the month after that of a moment begins."""
    return (month_of(moment) + dt.timedelta(days=32)).replace(day=1)
