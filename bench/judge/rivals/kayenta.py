"""Kayenta's judge: the interval of its Mann-Whitney test against a tolerance, on one value a minute and arm.

After MannWhitney.scala, BrentSolver.java, MannWhitneyClassifier.scala and NetflixACAJudge.scala: tolerance 0.25 of the
Hodges-Lehmann estimate, confidence 0.98, missing values replaced by zero. Kayenta compares with a baseline of the same
size as the canary; here, as for every rule, the baseline is all that stable serves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bench.judge.rivals.thresholds import quantile
from bench.judge.rules import Context, EveryMinute, Minute

__all__ = ["Kayenta", "error_percent", "interval", "is_high", "p95s"]

CONFIDENCE = 0.98
TOLERANCE = 0.25

Floats = NDArray[np.float64]
Pair = Callable[[Minute], tuple[float | None, float | None]]
"""What is measured each minute of canary and stable."""

_ROOT_TOLERANCE = 1e-4
_EPSILON = 2.220446049250313e-16


class Kayenta(EveryMinute):
    """Judges the minutes so far, each minute or only at the end of a step."""

    def __init__(self, context: Context, pair: Pair, *, each_minute: bool) -> None:
        super().__init__(context)
        self._pair, self._each_minute = pair, each_minute
        self._canary: list[float] = []
        self._stable: list[float] = []

    def look(self, minute: Minute) -> bool:
        canary, stable = self._pair(minute)
        self._canary.append(canary or 0.0)
        self._stable.append(stable or 0.0)
        if not (self._each_minute or minute.last_of_step):
            return False
        return is_high(np.array(self._canary), np.array(self._stable))


def error_percent(minute: Minute) -> tuple[float | None, float | None]:
    """Failed requests in percent: the interval is found to 1e-4, which is coarse for shares."""
    rates = minute.canary.error_rate, minute.stable.error_rate
    return rates[0] and 100.0 * rates[0], rates[1] and 100.0 * rates[1]


def p95s(quantity: str) -> Pair:
    """The 95th percentiles of `ttft` or `cost`."""
    return lambda minute: (quantile(minute, "canary", quantity), quantile(minute, "stable", quantity))


def is_high(canary: Floats, stable: Floats) -> bool:
    """The classification `High` of a metric whose increase is bad."""
    if np.array_equal(np.sort(canary), np.sort(stable)):
        return False
    if len(set(canary.tolist())) == 1 and len(set(stable.tolist())) == 1:
        random = np.random.default_rng(len(canary))
        canary, stable = (each + random.normal(0.0, abs(each[0]) * 1e-5, len(each)) for each in (canary, stable))
    z = NormalDist().inv_cdf((1.0 + CONFIDENCE) / 2.0)
    canary, stable = np.sort(canary), np.sort(stable)
    # The statistic falls with the shift: where it is too small below zero, the interval's lower end is not above it.
    if _statistic(-_ROOT_TOLERANCE, canary, stable) <= z:
        return False
    lower, _, estimate = interval(canary, stable)
    means = canary.mean(), stable.mean()
    ratio = means[0] / means[1] if means[0] and means[1] else math.nan
    return lower > TOLERANCE * abs(estimate) and not ratio < 1.0


def interval(x: Floats, y: Floats, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Lower and upper end and estimate of the shift of `x` against `y`."""
    x, y = np.sort(x), np.sort(y)
    low, high = float(x[0] - y[-1]), float(x[-1] - y[0])
    at_low, at_high = _statistic(low, x, y), _statistic(high, x, y)
    z = NormalDist().inv_cdf((1.0 + confidence) / 2.0)

    def end(quantile: float) -> float:
        if at_low - quantile <= 0:
            return low
        if at_high - quantile >= 0:
            return high
        return _root(lambda shift: _statistic(shift, x, y) - quantile, low, high, at_low - quantile, at_high - quantile)

    return end(z), end(-z), _root(lambda shift: _statistic(shift, x, y), low, high, at_low, at_high)


def _statistic(shift: float, x: Floats, y: Floats) -> float:
    """The standardised rank sum of `x - shift` among `y`, with corrections for continuity and ties; both sorted."""
    n, m = len(x), len(y)
    moved = x - shift
    below = y.searchsorted(moved, "left")
    upto = y.searchsorted(moved, "right")
    excess = float(below.sum() + upto.sum()) / 2.0 - n * m / 2.0
    together = np.concatenate([moved, y])
    together.sort()
    edges = np.flatnonzero(together[1:] != together[:-1])
    sizes = np.diff(edges, prepend=-1, append=n + m - 1).astype(np.float64)
    ties = float((sizes**3 - sizes).sum())
    variance = n * m / 12.0 * ((n + m + 1) - ties / ((n + m) * (n + m - 1)))
    if variance <= 0:
        return 0.0  # Kayenta gives up where all values are tied
    return (excess - math.copysign(0.5, excess) * (excess != 0)) / math.sqrt(variance)


def _root(function: Callable[[float], float], a: float, b: float, fa: float, fb: float) -> float:
    """Brent's method with Kayenta's tolerance: on a step function the answer depends on the way that it takes."""
    if fa == 0:
        return a
    if fb == 0:
        return b
    c, fc = a, fa
    for _ in range(1001):
        previous = b - a
        if abs(fc) < abs(fb):
            a, b, c = b, c, b
            fa, fb, fc = fb, fc, fb
        tolerance = 2.0 * _EPSILON * abs(b) + _ROOT_TOLERANCE / 2.0
        step = (c - b) / 2.0
        if abs(step) <= tolerance or fb == 0:
            return b
        if abs(previous) >= tolerance and abs(fa) > abs(fb):
            p, q = _interpolated(a, b, c, fa, fb, fc)
            if p < 0.75 * (c - b) * q - abs(tolerance * q) / 2.0 and p < abs(previous * q / 2.0):
                step = p / q
        if abs(step) < tolerance:
            step = tolerance if step > 0 else -tolerance
        a, fa = b, fb
        b += step
        fb = function(b)
        if (fb > 0) == (fc > 0) and fb != 0 and fc != 0:
            c, fc = a, fa
    return b


def _interpolated(a: float, b: float, c: float, fa: float, fb: float, fc: float) -> tuple[float, float]:
    """Numerator, not negative, and denominator of the step of a secant or of inverse quadratic interpolation."""
    if a == c:
        t1 = fb / fa
        p, q = (c - b) * t1, 1.0 - t1
    else:
        q, t1, t2 = fa / fc, fb / fc, fb / fa
        p = t2 * ((c - b) * q * (q - t1) - (b - a) * (t1 - 1.0))
        q = (q - 1.0) * (t1 - 1.0) * (t2 - 1.0)
    return (p, -q) if p > 0 else (-p, q)
