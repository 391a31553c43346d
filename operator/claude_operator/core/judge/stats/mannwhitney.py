"""The Mann-Whitney judge on two series of per-interval values, as Kayenta's NetflixACAJudge classifies them.

A confidence interval of the shift between canary and stable is inverted from the rank sum test, exactly where both
have fewer than 50 values without ties and by the normal approximation otherwise, as R's `wilcox.test(conf.int=TRUE)`
does. The shift counts where the interval lies beyond a fraction of its estimate. Source: MannWhitneyClassifier.scala
and MannWhitney.scala of spinnaker/kayenta, R's wilcox.test.R. Limits are exact differences of two values here, which
root finding there only approaches. Unlike the sequential judge it may be looked at once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, fmean, median
from typing import Literal

__all__ = ["CONFIDENCE", "TOLERANCE", "Classification", "Comparison", "Interval", "compare", "shift"]

CONFIDENCE = 0.98
TOLERANCE = 0.25

Classification = Literal["Pass", "High", "Low", "Nodata"]
Direction = Literal["Increase", "Decrease", "Either"]

_EXACT_BELOW = 50  # values a side
_FUZZ = 1e-14


@dataclass(frozen=True, slots=True)
class Interval:
    """By how much the canary's values lie above stable's: limits and Hodges-Lehmann estimate, in their unit.

    `attained` is False where even complete separation could not have reached the confidence: too few values.
    """

    lower: float
    upper: float
    estimate: float
    exact: bool
    attained: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """`ratio` is that of the means, NaN where stable's is zero; `interval` is None where there is nothing to invert."""

    classification: Classification
    interval: Interval | None = None
    ratio: float = 1.0


def compare(
    canary: Iterable[float],
    stable: Iterable[float],
    *,
    direction: Direction = "Either",
    missing: Literal["remove", "replace"] = "remove",
    confidence: float = CONFIDENCE,
    tolerance: float = TOLERANCE,
) -> Comparison:
    """Classify the canary. `missing`: intervals without a value (NaN) are left out, or count as 0.

    `Nodata` where a side has no value, or, other than in Kayenta, too few to reach the confidence. Unlike there a
    series replaced by zeros that was empty is `Nodata` too.
    """
    ours, theirs = (_values(side, missing) for side in (canary, stable))
    if not (ours and theirs):
        return Comparison("Nodata")
    if sorted(ours) == sorted(theirs) or len({*ours, *theirs}) == 1:
        return Comparison("Pass")
    interval = shift(ours, theirs, confidence)
    mean = fmean(theirs)
    ratio = fmean(ours) / mean if mean else math.nan
    if not interval.attained:
        return Comparison("Nodata", interval, ratio)
    limit = tolerance * abs(interval.estimate)
    high, low = interval.lower > limit, interval.upper < -limit
    if not interval.estimate:
        # Where most values are equal the shift is zero, and only the test itself can tell (Kayenta's solver errs by
        # a hundred-thousandth there and decides by that).
        statistic, quantile = _statistic(ours, theirs), NormalDist().inv_cdf((1.0 + confidence) / 2.0)
        high, low = statistic > quantile, statistic < -quantile
    if high and direction != "Decrease":
        return Comparison("High", interval, ratio)
    return Comparison("Low" if low and direction != "Increase" else "Pass", interval, ratio)


def shift(canary: Sequence[float], stable: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The interval of canary minus stable; time and memory grow with the product of the lengths.

    Raises `ValueError` where a side is empty or holds a NaN.
    """
    m, n = len(canary), len(stable)
    if not (m and n) or any(map(math.isnan, (*canary, *stable))):
        raise ValueError("Mann-Whitney: give at least one value a side and leave out NaN")
    differences = sorted(x - y for x in canary for y in stable)
    exact = m < _EXACT_BELOW and n < _EXACT_BELOW and len({*canary, *stable}) == m + n
    tail = (1.0 - confidence) / 2.0
    if exact:
        first = max(_quantile(m, n, tail), 1)
        last = m * n + 1 - first
    else:
        half, reach = m * n / 2.0, NormalDist().inv_cdf(1.0 - tail) * _deviation(canary, stable)
        first, last = math.ceil(half - 0.5 - reach), math.ceil(half + 0.5 + reach)
    return Interval(
        lower=differences[max(first, 1) - 1],
        upper=differences[min(last, m * n) - 1],
        estimate=median(differences),
        exact=exact,
        attained=1.0 / math.comb(m + n, m) <= tail + _FUZZ,
    )


def _values(side: Iterable[float], missing: str) -> list[float]:
    if missing == "replace":
        return [0.0 if math.isnan(value) else value for value in side]
    return [value for value in side if not math.isnan(value)]


def _deviation(canary: Sequence[float], stable: Sequence[float]) -> float:
    """Standard deviation of the rank sum where no value of one side equals a shifted one of the other."""
    m, n = len(canary), len(stable)
    tied = math.fsum(times**3 - times for side in (canary, stable) for times in Counter(side).values())
    total = m + n
    factor = total + 1 - (tied / (total * (total - 1)) if total > 1 else 0.0)
    # Two constants: Kayenta adds noise, after which nothing is tied.
    constant = len(set(canary)) == len(set(stable)) == 1
    return math.sqrt(m * n / 12.0 * (total + 1 if constant else factor))


def _statistic(canary: Sequence[float], stable: Sequence[float]) -> float:
    """The rank sum in standard deviations with continuity correction, positive where the canary is higher."""
    m, n = len(canary), len(stable)
    ours, both = Counter(canary), Counter(canary) + Counter(stable)
    below = tied = excess = 0.0
    for value in sorted(both):
        times = both[value]
        excess += ours[value] * (below + (times - ours[value]) / 2.0)
        below += times - ours[value]
        tied += times**3 - times
    excess -= m * n / 2.0
    deviation = math.sqrt(m * n / 12.0 * (m + n + 1 - tied / ((m + n) * (m + n - 1))))
    return (excess - math.copysign(min(0.5, abs(excess)), excess)) / deviation


@lru_cache(maxsize=256)
def _quantile(m: int, n: int, probability: float) -> int:
    """The smallest rank sum statistic whose distribution function reaches `probability`, below one half."""
    most = m * n // 2 + 1
    counts = [1] + [0] * most  # coefficients of the Gaussian binomial (m + n over m)
    for part in range(1, m + 1):
        for index in range(most, n + part - 1, -1):
            counts[index] -= counts[index - n - part]
        for index in range(part, most + 1):
            counts[index] += counts[index - part]
    needed, total = (probability - _FUZZ) * math.comb(m + n, m), 0
    for index, count in enumerate(counts):
        total += count
        if total >= needed:
            return index
    return most
