"""What the month has cost so far, as far as it is known, by the gateways' own counts."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.text import count, minute
from claude_operator.core.usage.ledger import day_of
from claude_operator.core.usage.month import month_of, next_month
from claude_operator.core.usage.state import UsageState

__all__ = ["MonthSpend", "month_spend"]

_STALE = dt.timedelta(minutes=15)  # since the last reading: more than the longest time between two
_BEGINS_LATE = dt.timedelta(days=1)  # after its ClaudeDeployment was made: the ledger of before was lost
_NANO = Decimal(10) ** -9
_SUMS = ("nano", "unpriced")
_MONTH = len("2026-11")


@dataclass(frozen=True, slots=True)
class MonthSpend:
    """What calls have cost since the month began (UTC): at least that, where something is missing."""

    begins: dt.datetime
    usd: Decimal | None
    """None: nothing is known."""
    missing: str = ""
    """Why it may be more, as a clause; empty where it is not."""

    @property
    def ends(self) -> dt.datetime:
        """When the next month begins."""
        return next_month(self.begins)

    @property
    def name(self) -> str:
        """`2026-11`."""
        return f"{self.begins:%Y-%m}"


def month_spend(obs: Observation) -> MonthSpend:
    """The month's spend as it was last read."""
    usage = obs.usage
    if usage is None or usage.spend.began is None:
        return MonthSpend(month_of(obs.now), None, "the gateways' usage has not been read yet")
    begins, began = month_of(max(obs.now, usage.read_at)), usage.spend.began  # the rollout's time may be behind
    # What a clock that was set ahead has recorded belongs to a later month.
    days = [rows for day, rows in usage.spend.days.items() if day[:_MONTH] == day_of(begins)[:_MONTH]]
    nano, unpriced = (sum(getattr(one, field) for rows in days for one in rows.values()) for field in _SUMS)
    fault = usage.fault if began > begins else ""  # else the record has all of this month, whatever is wrong beside it
    missing = [_unread(obs, usage, begins), fault, _unseen(obs, began, begins), _unpriced(unpriced)]
    return MonthSpend(begins, nano * _NANO, " and ".join(filter(None, missing)))


def _unread(obs: Observation, usage: UsageState, begins: dt.datetime) -> str:
    if usage.read_at < begins or obs.now - usage.read_at > _STALE:
        return f"the gateways' usage was last read at {minute(usage.read_at)}"
    if usage.coverage.silent:
        return f"{usage.coverage.read} of {count(usage.coverage.pods, 'gateway pod')} told what they have counted"
    return ""


def _unseen(obs: Observation, began: dt.datetime, begins: dt.datetime) -> str:
    """That the ledger does not go back to the beginning of the month, though there were gateways."""
    made = dt.datetime.fromisoformat(str(obs.owner["metadata"].get("creationTimestamp") or begins.isoformat()))
    if began <= begins or began - made < _BEGINS_LATE:
        return ""
    return f"what calls cost before {minute(began)} was not counted"


def _unpriced(calls: int) -> str:
    return f"{count(calls, 'call')} {'has' if calls == 1 else 'have'} no known price" if calls else ""
