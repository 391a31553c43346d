"""What is counted of conversations: each once a period, its first bad event of a kind, and one value of a quantity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from claude_operator.api.evidence import (
    MOVED,
    PINNED,
    TURNS,
    CacheState,
    GenerationEvidence,
    Period,
    UnitCounters,
    UnitStratum,
)
from claude_operator.api.gateway import Role
from claude_operator.gateway.counters import HistogramBuilder

__all__ = ["EraUnits", "UnitKey", "Values", "budget_key", "count_unit", "period_of", "turn_bucket"]

_PERIODS: tuple[Period, ...] = ("opening", "early", "late")
_LATE = 8  # the first late turn
_WIDTH = 6  # bits of a period: its entry, and one a quantity
_ALL = (1 << _WIDTH) - 1
_BUDGETS = 2 * len(_PERIODS) * _WIDTH
"""The first of the bits, one a period, that say whether a conversation's budgets were counted: above those that other
versions know, since replicas tell one another of them."""


class UnitKey(NamedTuple):
    """What tells a stratum of conversations from others."""

    revision: str
    role: Role
    surface: str
    period: Period
    cache: CacheState


class Values(NamedTuple):
    """The quantities of a request, None where it has none."""

    ttft: float | None = None
    duration: float | None = None
    cost: float | None = None
    output_tokens: float | None = None
    time_per_output_token: float | None = None


def period_of(turn: int) -> Period:
    """The period of a turn."""
    return _PERIODS[(turn > 0) + (turn >= _LATE)]


def turn_bucket(turn: int) -> int:
    """The lower edge of the bucket that a turn is counted in."""
    return max(edge for edge in TURNS if edge <= turn)


class _UnitSet:
    """The counters of one stratum while they are being filled."""

    __slots__ = ("budget", "entries", "first_bad", "values")

    def __init__(self) -> None:
        self.entries = 0
        self.budget: Counter[str] = Counter()
        self.first_bad: Counter[str] = Counter()
        self.values = tuple(HistogramBuilder() for _ in Values._fields)

    def snapshot(self) -> UnitCounters:
        values = (one.snapshot() for one in self.values)
        return UnitCounters(self.entries, dict(self.first_bad), dict(self.budget), *values)


class EraUnits:
    """The conversations of an era: those that began while the same weights were live."""

    def __init__(self, era: int, weights: Mapping[str, int] | None) -> None:
        self.era = era
        self.weights = None if weights is None else dict(weights)
        self._sets: dict[UnitKey, _UnitSet] = {}
        self._snapshots: dict[UnitKey, UnitStratum] = {}  # those that nobody touched since
        self._snapshot: list[UnitStratum] | None = None

    def counters(self, key: UnitKey) -> _UnitSet:
        """The counters of a stratum: count at once and do not keep the object."""
        self._snapshots.pop(key, None)
        self._snapshot = None
        found = self._sets.get(key)
        if found is None:
            found = self._sets[key] = _UnitSet()
        return found

    def snapshot(self) -> list[UnitStratum]:
        """The strata of the API. What did not change since the last time is the same object."""
        if self._snapshot is None:
            for key, counters in self._sets.items():
                if key not in self._snapshots:
                    self._snapshots[key] = UnitStratum(*key, counters.snapshot())
            self._snapshot = [self._snapshots[key] for key in self._sets]
        return self._snapshot

    def evidence(self, counted: GenerationEvidence | None) -> GenerationEvidence:
        """These conversations beside the requests that were counted under the same number."""
        return GenerationEvidence(self.era, counted.strata if counted else [], self.weights, self.snapshot())


def budget_key(kept: bool) -> str:
    """Where a request counts that came in time, or that did not."""
    return "within" if kept else "over"


def count_unit(units: EraUnits, key: UnitKey, counted: int, values: Values, kept: bool | None = None) -> int:
    """Count what a request is the first of in its period; `counted`: the bits of what was, returned with new ones.

    `kept`: whether it came in time for the budgets of its surface, None where that cannot be said.
    """
    period = _PERIODS.index(key.period)
    first = _WIDTH * (period + len(_PERIODS) * (key.surface == MOVED))
    is_compared = key.surface not in (MOVED, PINNED)
    is_first_kept = kept is not None and is_compared and not counted >> _BUDGETS + period & 1
    if counted >> first & _ALL == (_ALL if is_compared else 1) and not is_first_kept:
        return counted
    found = units.counters(key)
    if kept is not None and is_first_kept:
        found.budget[budget_key(kept)] += 1
        counted |= 1 << _BUDGETS + period
    if not counted >> first & 1:
        found.entries += 1
        counted |= 1 << first
    if not is_compared:
        return counted
    for place, (value, histogram) in enumerate(zip(values, found.values, strict=True), first + 1):
        if value is not None and value > 0.0 and not counted >> place & 1:
            histogram.add(value)
            counted |= 1 << place
    return counted
