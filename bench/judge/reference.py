"""The method that the judge implements, written down once more as plainly as possible, to compare with.

Evidence is a weighted mean of e-processes, one a metric, so by Ville's inequality it ever reaches 1 / alpha on a
canary that is no worse with probability alpha at most. Binary metrics: conditional binomial likelihood ratios in each
tick, mixed over a grid of rate ratios. Times and costs: normal mixture on the stratified score of their logarithms.
Promotion: the same binary e-process the other way round, against "the excess is at least what may be tolerated".
Sticky units differ, so both arms are compared with what their units were like in the hour before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bench.judge.ticks import PrePeriod, Sums, Tick

__all__ = ["Reference"]

_NORMAL = NormalDist()
_RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
_BETTER = (1.0, 0.7, 0.4)
_WEIGHTS = {"errors": 0.5, "ttft": 0.15, "cost": 0.15, "refusals": 0.1, "max_tokens": 0.1}
_FIRST = 30  # canary requests before times and costs count
_RISE = 0.005  # tolerable rise of all users' error rate
_PROMOTE = 20.0


class _Ratio:
    """E-process of a binary metric for rate ratios of canary over stable: `alternatives` against `null`."""

    def __init__(self, alternatives: Sequence[float]) -> None:
        self._alternatives = alternatives
        self._logs = [0.0] * len(alternatives)

    @property
    def value(self) -> float:
        return sum(math.exp(min(log, 600.0)) for log in self._logs) / len(self._logs)

    def add(self, n: float, x: int, m: int, y: int, null: float = 1.0) -> None:
        """`x` bad of `n` canary requests, `y` bad of `m` stable ones, in one tick."""
        if not (n and m and x + y):
            return
        for i, ratio in enumerate(self._alternatives):
            likelihood = x * math.log(ratio / null) - (x + y) * math.log((ratio * n + m) / (null * n + m))
            self._logs[i] += likelihood


class _Shift:
    """E-process of a larger mean logarithm, from sums; the variance is that of stable before the tick."""

    def __init__(self) -> None:
        self._score = self._information = 0.0
        self._count, self._squares = 0, 0.0
        self._canary = 0

    @property
    def value(self) -> float:
        if not self._information or self._canary < _FIRST:
            return 1.0
        prior = (0.5 * self._variance / 2.0) or 1.0
        scale = 1.0 + prior * self._information
        z = self._score * math.sqrt(prior / scale)
        return 2.0 / math.sqrt(scale) * math.exp(min(z * z / 2.0, 600.0)) * _NORMAL.cdf(z)

    @property
    def _variance(self) -> float:
        return self._squares / self._count

    def add(self, canary: Sums, stable: Sums, before: float) -> None:
        """One stratum of one tick; `before` is how much larger the logarithms of the canary's units were before."""
        if self._count and canary.count and stable.count:
            variance = self._variance * (1.0 / canary.count + 1.0 / stable.count)
            self._score += (canary.ln_sum / canary.count - stable.ln_sum / stable.count - before) / variance
            self._information += 1.0 / variance
            self._canary += canary.count
        if stable.count > 1:
            self._squares += stable.ln_sum_sq - stable.ln_sum**2 / stable.count
            self._count += stable.count - 1


class _Offsets:
    """What the canary's units were like before the rollout, against stable's: ratio of error rates, two differences."""

    def __init__(self, pre_period: PrePeriod | None) -> None:
        self._pre_period = pre_period
        self._known: dict[float, tuple[float, float, float]] = {}

    def at(self, weight: float) -> tuple[float, float, float]:
        if self._pre_period is None:
            return 1.0, 0.0, 0.0
        if weight not in self._known:
            self._known[weight] = self._found(self._pre_period, self._pre_period.on_canary(weight))
        return self._known[weight]

    @staticmethod
    def _found(before: PrePeriod, canary: NDArray[np.bool_]) -> tuple[float, float, float]:
        overall = max(float(before.errors.sum()), 1.0) / float(before.requests.sum())

        def rate(arm: NDArray[np.bool_]) -> float:
            return (float(before.errors[arm].sum()) + 5.0) / (float(before.requests[arm].sum()) + 5.0 / overall)

        def difference(count: NDArray[np.int64], ln_sum: NDArray[np.float64]) -> float:
            if not count[canary].sum() or not count[~canary].sum():
                return 0.0
            return float(ln_sum[canary].sum() / count[canary].sum() - ln_sum[~canary].sum() / count[~canary].sum())

        return (
            rate(canary) / rate(~canary),
            difference(before.ttft_count, before.ttft_ln_sum),
            difference(before.cost_count, before.cost_ln_sum),
        )


class Reference:
    """Evidence against a canary, tick by tick, and whether it may have more traffic."""

    def __init__(self, pre_period: PrePeriod | None = None) -> None:
        self._offsets = _Offsets(pre_period)
        self._binary = {name: _Ratio(_RATIOS) for name in ("errors", "refusals", "max_tokens")}
        self._shifts = {"ttft": _Shift(), "cost": _Shift()}
        self._tolerable: dict[float, _Ratio] = {}
        self._stable = [0, 0]

    def observe(self, tick: Tick, next_weights: Sequence[float]) -> None:
        """Take in a tick; `next_weights` are those that `ready` will be asked for."""
        canary, stable = tick.canary, tick.stable
        n, m = canary.requests - canary.overloads, stable.requests - stable.overloads
        errors, ttft, cost = self._offsets.at(tick.weight)
        self._binary["errors"].add(n * errors, canary.bad_conversations, m, stable.bad_conversations)
        self._binary["refusals"].add(canary.ok, canary.refusals, stable.ok, stable.refusals)
        self._binary["max_tokens"].add(canary.ok, canary.max_tokens, stable.ok, stable.max_tokens)
        for cache in canary.ttft.keys() & stable.ttft.keys():
            self._shifts["ttft"].add(canary.ttft[cache], stable.ttft[cache], ttft)
        self._shifts["cost"].add(canary.normalized_cost, stable.normalized_cost, cost)
        if self._stable[1]:
            rate = self._stable[1] / self._stable[0]
            for weight in next_weights:
                promotion = self._tolerable.setdefault(weight, _Ratio(_BETTER))
                null = 1.0 + _RISE / weight / rate
                promotion.add(n * errors, canary.bad_conversations, m, stable.bad_conversations, null)
        self._stable = [self._stable[0] + m, self._stable[1] + stable.bad_conversations]

    def evidence(self) -> tuple[float, str]:
        """The weighted evidence, and the metric that has most of it."""
        values = {name: one.value for name, one in (*self._binary.items(), *self._shifts.items())}
        parts = {name: _WEIGHTS[name] * value for name, value in values.items()}
        return sum(parts.values()), max(parts, key=parts.__getitem__)

    def ready(self, weight: float) -> bool:
        """Whether the canary is shown to be good enough for this weight."""
        return weight in self._tolerable and self._tolerable[weight].value >= _PROMOTE
