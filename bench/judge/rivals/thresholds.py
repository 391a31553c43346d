"""Fixed limits, as Argo Rollouts and Flagger count them."""

from __future__ import annotations

import math
from collections.abc import Callable

from bench.judge.rules import Context, EveryMinute, Minute, histogram
from bench.judge.ticks import LOWEST, RATIO

__all__ = ["ConsecutiveFailures", "FailedChecks", "FailureLimit", "error_rate", "p95", "p95_ratio", "quantile"]

Measure = Callable[[Minute], float | None]
"""What is measured each minute, None where there is nothing to measure."""


class ConsecutiveFailures(EveryMinute):
    """Rolls back when `times` minutes one after the other are above the limit; an empty minute is not."""

    def __init__(self, context: Context, measure: Measure, limit: float, times: int = 3) -> None:
        super().__init__(context)
        self._measure, self._limit, self._times, self._failed = measure, limit, times, 0

    def look(self, minute: Minute) -> bool:
        value = self._measure(minute)
        self._failed = self._failed + 1 if value is not None and value > self._limit else 0
        return self._failed >= self._times


class FailureLimit(EveryMinute):
    """Argo Rollouts, analysis.go: fails when `failed > failureLimit` over the whole analysis, one measurement a minute.

    An empty minute passes, as with a condition that is guarded against NaN.
    """

    def __init__(self, context: Context, measure: Measure, limit: float, failure_limit: int = 3) -> None:
        super().__init__(context)
        self._measure, self._limit, self._failure_limit, self._failed = measure, limit, failure_limit, 0

    def look(self, minute: Minute) -> bool:
        value = self._measure(minute)
        self._failed += value is not None and value > self._limit
        return self._failed > self._failure_limit


class FailedChecks(EveryMinute):
    """Flagger, scheduler.go: failed checks add up and are never reset, and an empty minute is a failed check.

    The count is compared with the threshold before the next check, so traffic goes back one interval later. Flagger
    also keeps the weight after a failed check; here the weight goes on, as for every rule.
    """

    def __init__(self, context: Context, measure: Measure, limit: float, threshold: int = 5) -> None:
        super().__init__(context)
        self._measure, self._limit, self._threshold, self._failed = measure, limit, threshold, 0

    def look(self, minute: Minute) -> bool:
        if self._failed >= self._threshold:
            return True
        value = self._measure(minute)
        self._failed += value is None or value > self._limit
        return False


def error_rate(minute: Minute) -> float | None:
    """Share of the canary's requests that failed."""
    return minute.canary.error_rate


def p95(quantity: str) -> Measure:
    """The canary's 95th percentile of `ttft` (seconds) or `cost` (US dollars)."""
    return lambda minute: quantile(minute, "canary", quantity)


def p95_ratio(quantity: str) -> Measure:
    """The canary's 95th percentile over stable's."""

    def measure(minute: Minute) -> float | None:
        canary, stable = (quantile(minute, arm, quantity) for arm in ("canary", "stable"))
        return canary / stable if canary is not None and stable is not None else None

    return measure


def quantile(minute: Minute, arm: str, quantity: str, q: float = 0.95) -> float | None:
    """Interpolated within its bucket, as Prometheus's histogram_quantile does; None without requests."""
    counts = histogram(minute.ticks, arm, quantity)
    if counts is None:
        return None
    cumulative = counts.cumsum()
    rank = q * float(cumulative[-1])
    bucket = int(cumulative.searchsorted(rank))
    inside = float(counts[bucket])
    share = (rank - (float(cumulative[bucket]) - inside)) / inside
    lower = math.exp((bucket + LOWEST) * math.log(RATIO))
    return lower * (1.0 + (RATIO - 1.0) * share)
