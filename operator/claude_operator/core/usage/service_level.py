"""How a surface stands against its service level: attainment, burn rate, and whether it is over now. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from claude_operator.api.base import seconds
from claude_operator.api.usage_latency import BatchRow
from claude_operator.core.spec.budgets import THROUGHPUT, ServiceLevel
from claude_operator.core.usage.latency import Counted, LatencyUsage
from claude_operator.core.usage.reading import READ_EVERY

__all__ = ["Standing", "State", "short_window", "standing"]

State = Literal["Within", "Over", "Recovering", "FewCalls", "NoTraffic"]

_LEAST_READINGS = 2.0  # of the short window
_PARTS = 12  # the short window's part of the long one, as in the burn-rate alerts


@dataclass(frozen=True, slots=True)
class Standing:
    """One service level over its window, and over the last part of it."""

    level: ServiceLevel
    counted: Counted
    recent: Counted

    @property
    def state(self) -> State:
        """Over takes both windows: the long one says that it matters, the short one that it goes on."""
        if not self.counted.calls:
            return "NoTraffic"
        if self.counted.calls < self.level.least_calls:
            return "FewCalls"
        if self._burn(self.counted) <= 1.0:
            return "Within"
        return "Over" if self._burn(self.recent) > 1.0 else "Recovering"

    @property
    def attainment(self) -> float:
        """The share of calls that kept to the limit; 1 without calls."""
        return self.counted.within / self.counted.calls if self.counted.calls else 1.0

    @property
    def burn_rate(self) -> float:
        """The share of calls over the limit, as a multiple of the share that is allowed."""
        return self._burn(self.counted)

    def _burn(self, counted: Counted) -> float:
        """Rounded where floating point would take a share that is allowed for more."""
        return round(counted.over / counted.calls / self.level.allowance, 9) if counted.calls else 0.0


def standing(
    usage: LatencyUsage,
    level: ServiceLevel,
    *,
    at: float,
    revisions: Iterable[str] | None = None,
    interval: float = READ_EVERY,
) -> Standing:
    """How a level stands at a moment (Unix seconds), by the calls of these revisions, or of all.

    `interval`: seconds between two readings while calls come.
    """
    window = seconds(level.window)
    widths = window, short_window(window, interval)
    if level.metric == THROUGHPUT:
        counted, recent = (_batches(usage, level, at, width) for width in widths)
        return Standing(level, counted, recent)
    wanted = None if revisions is None else set(revisions)
    found = [
        series
        for series in usage.slots
        if (series.surface, series.metric, series.max) == (level.surface, level.metric, level.bound)
        and (wanted is None or series.revision in wanted)
    ]
    counted, recent = (
        _sum(usage.counted(series, at=at, window=window, recent=width) for series in found) for width in widths
    )
    return Standing(level, counted, recent)


def short_window(window: float, interval: float = READ_EVERY) -> float:
    """Seconds of the last part of a window, which says whether a breach goes on."""
    return max(window / _PARTS, _LEAST_READINGS * interval)


def _sum(parts: Iterable[Counted]) -> Counted:
    found = list(parts)
    return Counted(sum(one.within for one in found), sum(one.over for one in found))


def _batches(usage: LatencyUsage, level: ServiceLevel, at: float, width: float) -> Counted:
    """Requests of batches that ended in the window, or that can no longer be in time, by whether their batch was."""
    within = over = 0
    for row in usage.batches.values():
        if row.surface != level.surface or (row.ended or row.seen) <= at - width:
            continue
        if row.ended:
            is_kept = row.succeeded >= level.bound * max(row.ended - row.created, 1e-3)
            within, over = (within + row.requests, over) if is_kept else (within, over + row.requests)
        elif _is_late(row, level):
            over += row.requests
    return Counted(within, over)


def _is_late(row: BatchRow, level: ServiceLevel) -> bool:
    """Whether a batch that goes on was too slow already when it was last seen, though all of it may yet succeed."""
    return row.requests < level.bound * (row.seen - row.created)
