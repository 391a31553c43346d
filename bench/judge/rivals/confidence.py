"""Confidence sequences of experimentation platforms: GrowthBook's Safe Rollouts, LaunchDarkly's guarded rollouts.

GrowthBook (docs.growthbook.io/features/safe-rollouts, .../statistics/sequential): guardrails are watched by one-sided
sequential intervals of the absolute difference of means, and one that excludes zero is a failed guardrail. They are
the asymptotic confidence sequences of Waudby-Smith et al., arXiv 2103.06476v7: equation 9 two-sided, 134 one-sided,
the parameter by equation 161 so that they are tightest at 5,000 units; 5 %. A metric is looked at once either arm has
150 events of it (`Minimum Metric Total`).

LaunchDarkly (launchdarkly.com/docs/home/releases/regression-detection, .../regression-thresholds): on a regular
schedule a sequential interval of the absolute difference is computed, and it is a regression where all of it is worse
than zero; each step needs a minimum of contexts. Neither the formula nor the minimum is published; here the interval is
the two-sided confidence sequence at 5 %, and the minimum 100 units of each arm.
"""

from __future__ import annotations

import math

from bench.judge.rules import Context, EveryMinute, Minute

__all__ = ["GuardedRollout", "SafeRollout", "one_sided", "tuned", "two_sided"]

ALPHA = 0.05
TIGHTEST_AT = 5000
LEAST_EVENTS = 150
LEAST_UNITS = 100


def tuned(alpha: float, units: float) -> float:
    """The parameter with which a confidence sequence is tightest after so many units, squared."""
    depth = -2.0 * math.log(alpha)
    return (depth + math.log(depth + 1.0)) / units


def two_sided(deviation: float, units: int, alpha: float = ALPHA, at: float = TIGHTEST_AT) -> float:
    """Half the width of the confidence sequence of a mean, given the deviation of a unit."""
    rho2 = tuned(alpha, at)
    grown = units * rho2 + 1.0
    return deviation * math.sqrt(2.0 * grown / (units * units * rho2) * math.log(math.sqrt(grown) / alpha))


def one_sided(deviation: float, units: int, alpha: float = ALPHA, at: float = TIGHTEST_AT) -> float:
    """How far the lower bound is below the mean, where nobody asks for an upper one."""
    rho2 = tuned(2.0 * alpha, at)
    grown = units * rho2 + 1.0
    return deviation * math.sqrt(2.0 * grown / (units * units * rho2) * math.log1p(math.sqrt(grown) / (2.0 * alpha)))


class _Difference(EveryMinute):
    """Difference of the shares of bad units, over the whole rollout."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._canary, self._stable = [0, 0], [0, 0]

    def look(self, minute: Minute) -> bool:
        """Whether all of the interval is above zero, where there is enough to look at."""
        for total, new in ((self._canary, minute.canary), (self._stable, minute.stable)):
            total[0] += new.requests
            total[1] += new.errors
        (n, x), (m, y) = self._canary, self._stable
        if not (n and m and self._is_enough(n, x, m, y)):
            return False
        shares = min(x / n, 1.0), min(y / m, 1.0)  # of units that come back, some go bad after they were counted
        variance = shares[0] * (1.0 - shares[0]) / n + shares[1] * (1.0 - shares[1]) / m
        # Both write the difference as a mean over all units of both arms, whose deviation this is.
        deviation = math.sqrt(variance * (n + m))
        return shares[0] - shares[1] > self._below(deviation, n + m)

    def _is_enough(self, n: int, x: int, m: int, y: int) -> bool:
        raise NotImplementedError

    def _below(self, deviation: float, units: int) -> float:
        raise NotImplementedError


class SafeRollout(_Difference):
    """GrowthBook's guardrail with automatic rollback."""

    def _is_enough(self, n: int, x: int, m: int, y: int) -> bool:
        return max(x, y) >= LEAST_EVENTS

    def _below(self, deviation: float, units: int) -> float:
        return one_sided(deviation, units)


class GuardedRollout(_Difference):
    """LaunchDarkly's regression with automatic rollback."""

    def _is_enough(self, n: int, x: int, m: int, y: int) -> bool:
        return min(n, m) >= LEAST_UNITS

    def _below(self, deviation: float, units: int) -> float:
        return two_sided(deviation, units)
