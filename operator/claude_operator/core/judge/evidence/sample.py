"""What is new of one arm since the last look: counts of requests, and sums and buckets of latency and cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import add
from typing import NamedTuple

from claude_operator.api.evidence import LN_WIDTH, CacheState, Counters, Histogram

__all__ = [
    "BUDGET",
    "LN_WIDTH",
    "NOTHING",
    "NO_VALUES",
    "QUANTITIES",
    "Counts",
    "Sample",
    "Values",
    "counts_since",
    "flags_since",
    "significant",
    "values_since",
]

_FARTHEST, _LARGEST = 700, 1e68  # bucket and value beyond which there is nothing to measure

_DIGITS = 8

QUANTITIES = ("timeToFirstToken", "duration", "cost", "outputTokens")
BUDGET = "overBudget"
"""Stands among quantities, with a 1 for what was over a latency budget and a 0 for what kept to all."""


class Counts(NamedTuple):
    """Requests of one arm and what became of them. `bad_...`: conversations with at least one such event.

    `refusals`, `max_tokens`, `context_window` and `tool_use` are stop reasons, so among `ok`, as are `cache_reads` and
    `cache_writes`.
    """

    requests: int = 0
    ok: int = 0
    errors: int = 0
    overloads: int = 0
    refusals: int = 0
    max_tokens: int = 0
    context_window: int = 0
    tool_use: int = 0
    cache_reads: int = 0
    cache_writes: int = 0
    conversations: int = 0
    bad_errors: int = 0
    bad_refusals: int = 0
    bad_max_tokens: int = 0
    bad_context_window: int = 0
    grades: int = 0
    bad_grades: int = 0
    accounts: int = 0

    @property
    def judged(self) -> int:
        """Requests that say something of the arm: overloads are the upstream's, an empty account is nobody's."""
        return self.ok + self.errors

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts._make(map(add, self, other))


NOTHING = Counts()


@dataclass(frozen=True, slots=True)
class Values:
    """A positive quantity: sums of its natural logarithm and of itself, and counts by bucket of ×1.25."""

    count: int = 0
    ln_sum: float = 0.0
    ln_sum_sq: float = 0.0
    sum: float = 0.0
    sum_sq: float = 0.0
    buckets: Mapping[int, int] = field(default_factory=dict)

    def plus(self, other: Values) -> Values:
        """Both together."""
        if not other.count:
            return self
        if not self.count:
            return other
        buckets = dict(self.buckets)
        for index, count in other.buckets.items():
            buckets[index] = buckets.get(index, 0) + count
        return Values(
            self.count + other.count,
            self.ln_sum + other.ln_sum,
            self.ln_sum_sq + other.ln_sum_sq,
            self.sum + other.sum,
            self.sum_sq + other.sum_sq,
            buckets,
        )

    @classmethod
    def of(cls, values: Iterable[float]) -> Values:
        """From the values themselves, as a gateway counts them."""
        whole = cls()
        for value in values:
            ln = math.log(value)
            whole = whole.plus(cls(1, ln, ln * ln, value, value * value, {math.floor(ln / LN_WIDTH): 1}))
        return whole


NO_VALUES = Values()


@dataclass(frozen=True, slots=True)
class Sample:
    """One arm of one stratum: counts over all cache states, values by (quantity, cache state)."""

    counts: Counts = NOTHING
    values: Mapping[tuple[str, str], Values] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(self.counts) or bool(self.values)

    def plus(self, other: Sample) -> Sample:
        """Both together."""
        values = dict(self.values)
        for key, more in other.values.items():
            values[key] = values[key].plus(more) if key in values else more
        return Sample(self.counts.plus(other.counts), values)

    def graded(self) -> Sample:
        """Only what live grading says of it."""
        return Sample(Counts(grades=self.counts.grades, bad_grades=self.counts.bad_grades))

    def quantity(self, name: str, caches: Iterable[str]) -> Values:
        """The values of a quantity over some cache states together."""
        whole = NO_VALUES
        for cache in caches:
            whole = whole.plus(self.values.get((name, cache), NO_VALUES))
        return whole


def significant(numbers: Sequence[float]) -> list[float]:
    """Sums as status holds them: eight digits, so that a tick is not lost beside a long past."""
    return [float(f"{number:.{_DIGITS}g}") for number in numbers]


def counts_since(now: Counters, before: Counters, cache: CacheState, *, conversations: bool = True) -> Counts:
    """What came after `before`; a number that went down counts as unchanged.

    `conversations`: whether this gateway counts them. One of an older version does not: then requests have to do.
    """
    outcomes = _grown(now.outcomes, before.outcomes)
    stops = _grown(now.stop_reasons, before.stop_reasons)
    grades = _grown(now.grades, before.grades)
    ok, errors = outcomes.get("ok", 0), outcomes.get("error", 0)
    refusals, max_tokens = stops.get("refusal", 0), stops.get("max_tokens", 0)
    context_window = stops.get("model_context_window_exceeded", 0)
    bad: Mapping[str, int] = {
        "error": errors,
        "refusal": refusals,
        "max_tokens": max_tokens,
        "model_context_window_exceeded": context_window,
    }
    if conversations:
        bad = _grown(now.bad_conversations, before.bad_conversations)
    failed = grades.get("fail", 0)
    return Counts(
        max(now.requests - before.requests, 0),
        ok,
        errors,
        outcomes.get("overload", 0),
        refusals,
        max_tokens,
        context_window,
        stops.get("tool_use", 0),
        ok if cache == "read" else 0,
        ok if cache == "write" else 0,
        max(now.conversations - before.conversations, 0),
        bad.get("error", 0),
        bad.get("refusal", 0),
        bad.get("max_tokens", 0),
        bad.get("model_context_window_exceeded", 0),
        grades.get("pass", 0) + failed,
        failed,
        outcomes.get("account", 0),
    )


def flags_since(now: Mapping[str, int], before: Mapping[str, int]) -> Values:
    """What came after `before` of what kept `within` its budgets, a 0 each, or was `over` one, a 1."""
    grown = _grown(now, before)
    over = grown.get("over", 0)
    count = grown.get("within", 0) + over
    return Values(count, sum=float(over), sum_sq=float(over)) if count else NO_VALUES


def values_since(now: Histogram, before: Histogram, *, tails: bool = True) -> Values:
    """What came after `before`, nothing where the count did not grow or the numbers are those of no quantity.

    `tails`: whether buckets are wanted too.

    A gateway gone wrong must not keep the others' evidence from taking traffic back, now or by what status remembers.
    """
    count = now.count - before.count
    if count <= 0:
        return NO_VALUES
    try:
        buckets = {int(key): new for key, new in _grown(now.buckets, before.buckets).items()} if tails else {}
    except ValueError:
        return NO_VALUES
    found = Values(
        count,
        now.ln_sum - before.ln_sum,
        now.ln_sum_sq - before.ln_sum_sq,
        now.sum - before.sum,
        now.sum_sq - before.sum_sq,
        buckets,
    )
    return found if _plausible(found) else NO_VALUES


def _plausible(values: Values) -> bool:
    """Whether the values can lie between 1.25^-700 and 1.25^700, or 1e-67 and 1e67."""
    buckets, most = values.buckets, _FARTHEST * LN_WIDTH * values.count
    return (
        abs(values.ln_sum) <= most
        and abs(values.ln_sum_sq) <= most * _FARTHEST * LN_WIDTH
        and abs(values.sum) <= _LARGEST * values.count
        and (not buckets or -_FARTHEST <= min(buckets) <= max(buckets) <= _FARTHEST)
    )


def _grown(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """By how much each number is larger; those that are not are left out."""
    earlier = before.get
    return {key: new for key, number in now.items() if (new := number - earlier(key, 0)) > 0}
