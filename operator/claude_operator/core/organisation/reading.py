"""What was read of an organisation's history: how far it is known, its keys, usage and cost."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from claude_operator.api.history import History, UsageRow
from claude_operator.core.organisation.attribution import ApiKey, Slot, Tokens, Usage

__all__ = ["Reading", "reading_of"]

_DAY = dt.timedelta(days=1)
_LATE = dt.timedelta(days=1)
"""What the API tells late, it tells within a day; hours are read again meanwhile."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at it. `refusal` and `why`: what keeps the history from reading more, as a word and as a sentence."""

    read_at: dt.datetime | None = None
    """When the Admin API last answered."""
    usage_until: dt.datetime | None = None
    usage_since: dt.datetime | None = None
    """Each hour in between was read after its end."""
    cost: Mapping[dt.date, float] = field(default_factory=dict)
    """US dollars by day."""
    cost_until: dt.date | None = None
    """The last day whose cost was read."""
    keys: Sequence[ApiKey] = ()
    usage: Sequence[Usage] = ()
    refusal: str = ""
    why: str = ""
    tried: bool = True
    """Whether the API has answered to the key that there is now: what was read before was read with another one."""

    @property
    def cost_since(self) -> dt.date | None:
        """The first day with a cost: what was before it is not known."""
        return min(self.cost, default=None)

    @property
    def closed_days(self) -> tuple[dt.date, dt.date] | None:
        """The first and the last whole day (UTC) to whose usage hardly anything is added any more."""
        if self.usage_since is None or self.usage_until is None:
            return None
        begin, end = self.usage_since, (self.usage_until - _LATE).date() - _DAY
        first = begin.date() if begin.time() == dt.time() else begin.date() + _DAY
        return (first, end) if first <= end else None


def reading_of(history: History) -> Reading:
    """What a history says; raises `ValueError` where an amount is none."""
    workspaces = {one.id: one.name for one in history.workspaces}
    cost: dict[dt.date, Decimal] = defaultdict(Decimal)
    for row in history.costs:
        try:
            cost[_day(row.start)] += Decimal(row.cents)
            if not cost[_day(row.start)].is_finite():
                raise ArithmeticError
        except ArithmeticError:
            raise ValueError(f"{row.cents!r} is not an amount of cents") from None
    return Reading(
        read_at=_moment(history.last_poll),
        usage_until=_moment(history.complete_to),
        usage_since=_moment(history.complete_from),
        cost={day: float(cents) / 100 for day, cents in cost.items()},
        cost_until=_day(history.cost_to) - _DAY if history.cost_to is not None else None,
        keys=[ApiKey(one.id, one.name, one.hint, workspaces.get(one.workspace, one.workspace)) for one in history.keys],
        usage=[_usage(row) for row in history.usage],
        refusal=history.refusal or "",
        why=history.error,
        tried=history.key != "unknown",
    )


def _usage(row: UsageRow) -> Usage:
    counted = row.tokens
    tokens = Tokens(counted.input, counted.output, counted.cache_read, counted.cache_write_5m, counted.cache_write_1h)
    return Usage(Slot(_day(row.start), row.model, row.tier or "standard"), row.api_key, tokens)


def _day(seconds: int) -> dt.date:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).date()


def _moment(seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC)
