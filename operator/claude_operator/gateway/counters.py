"""The counters of one arm and stratum while they are being filled."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

from claude_operator.api.evidence import LN_WIDTH, Counters, Histogram

__all__ = ["CounterSet"]


class HistogramBuilder:
    """A histogram being filled."""

    __slots__ = ("_snapshots", "buckets", "count", "ln_sum", "ln_sum_sq", "sum", "sum_sq")

    def __init__(self) -> None:
        self.count = 0
        self.sum = self.sum_sq = self.ln_sum = self.ln_sum_sq = 0.0
        self.buckets: Counter[int] = Counter()
        self._snapshots: Histogram | None = None

    def add(self, value: float | None) -> None:
        """Take in a positive quantity; others have no logarithm and are ignored."""
        if value is None or value <= 0.0:
            return
        self._snapshots = None
        logarithm = math.log(value)
        self.count += 1
        self.sum += value
        self.sum_sq += value * value
        self.ln_sum += logarithm
        self.ln_sum_sq += logarithm * logarithm
        self.buckets[math.floor(logarithm / LN_WIDTH)] += 1

    def snapshot(self) -> Histogram:
        """The histogram of the API: the same object until a value is added."""
        if self._snapshots is None:
            buckets = {_bucket_key(index): self.buckets[index] for index in sorted(self.buckets)}
            self._snapshots = Histogram(self.count, self.sum, self.sum_sq, self.ln_sum, self.ln_sum_sq, buckets)
        return self._snapshots


@lru_cache(maxsize=1024)
def _bucket_key(index: int) -> str:
    """A bucket's key; all readings share the string."""
    return str(index)


class CounterSet:
    """The counters of one arm and stratum. `add` counts a logical request; callers count the rest."""

    __slots__ = (
        "bad_conversations",
        "budget",
        "conversations",
        "cost",
        "duration",
        "grades",
        "normalised_cost",
        "outcomes",
        "output_tokens",
        "retries",
        "stop_reasons",
        "tokens",
        "ttft",
        "unnamed",
    )

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.stop_reasons: Counter[str] = Counter()
        self.tokens: dict[str, int] = {}
        self.ttft = HistogramBuilder()
        self.duration = HistogramBuilder()
        self.cost = HistogramBuilder()
        self.normalised_cost = HistogramBuilder()
        self.output_tokens = HistogramBuilder()
        self.retries = 0
        self.conversations = 0
        self.bad_conversations: Counter[str] = Counter()
        self.grades: Counter[str] = Counter()
        self.unnamed = 0
        self.budget: Counter[str] = Counter()

    def add(
        self,
        outcome: str,
        *,
        stop_reason: str,
        tokens: Mapping[str, int],
        ttft: float | None,
        duration: float,
        cost: float | None,
        normalised_cost: float | None = None,
    ) -> None:
        """Count one ended request. Durations, costs, output and stop reasons are those of complete answers only."""
        self.outcomes[outcome] += 1
        sums = self.tokens
        for kind, number in tokens.items():
            sums[kind] = sums.get(kind, 0) + number
        self.ttft.add(ttft)
        if outcome == "ok":
            self.duration.add(duration)
            self.cost.add(cost)
            self.normalised_cost.add(normalised_cost)
            self.output_tokens.add(tokens.get("output"))
            if stop_reason:
                self.stop_reasons[stop_reason] += 1

    def snapshot(self) -> Counters:
        """The counters of the API."""
        return Counters(
            requests=self.outcomes.total(),
            outcomes=dict(self.outcomes),
            stop_reasons=dict(self.stop_reasons),
            ttft=self.ttft.snapshot(),
            duration=self.duration.snapshot(),
            cost=self.cost.snapshot(),
            tokens=dict(self.tokens),
            retries=self.retries,
            conversations=self.conversations,
            bad_conversations=dict(self.bad_conversations),
            normalised_cost=self.normalised_cost.snapshot(),
            output_tokens=self.output_tokens.snapshot(),
            grades=dict(self.grades),
            unnamed=self.unnamed,
            budget=dict(self.budget),
        )
