"""Tests and bounds of a mean of bounded values, for any number of values and however skewed they are.

N. Gaffke, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative variable"
(2005): weight the values and one more, the lowest that is possible, with weights that are uniform on the simplex. The
p-value of "the mean is at most m" is the chance that the weighted mean is at most m. With values of two kinds, of
which one is the lowest, it is the exact binomial test. Where no value lies between the lowest and m it is the
reciprocal of a product of bets, and valid by Markov's inequality. For all others its validity is a conjecture that
nobody has refuted (Learned-Miller and Thomas, arXiv 1905.06208); `bench/evals` looks for what would refute it.

Student's t is not valid here: a candidate that loses a few items altogether has values that are 0 almost everywhere,
and the variance does not show what was not drawn.

With clusters, such as questions on one document, a cluster's values are summed and the sum is one value.
"""

from __future__ import annotations

import cmath
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Sample", "fewest"]

_DIGITS = 12  # values that agree in so many are one value
_STEP = 0.05  # of the integral; with half of it the result is the same in nine digits
_FURTHEST = 40.0
_SMALL = 1e-15
_HALVINGS = 60
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Sample:
    """Sums of values by cluster with the clusters' sizes, each cluster of one value where there are none."""

    sums: tuple[float, ...]
    sizes: tuple[int, ...]
    lowest: float
    highest: float

    @classmethod
    def of(
        cls, values: Sequence[float], lowest: float, highest: float, clusters: Sequence[str] | None = None
    ) -> Sample:
        """A sample of values between `lowest` and `highest`, in clusters by name."""
        if clusters is None:
            return cls(tuple(values), (1,) * len(values), lowest, highest)
        found: defaultdict[str, list[float]] = defaultdict(list)
        for value, name in zip(values, clusters, strict=True):
            found[name].append(value)
        return cls(
            tuple(math.fsum(group) for group in found.values()),
            tuple(len(group) for group in found.values()),
            lowest,
            highest,
        )

    @property
    def mean(self) -> float:
        """Of the values, whatever their cluster."""
        return math.fsum(self.sums) / sum(self.sizes)

    @property
    def mirrored(self) -> Sample:
        """The values with their signs turned."""
        return Sample(tuple(-value for value in self.sums), self.sizes, -self.highest, -self.lowest)

    def moved(self, by: float, narrowed: float = 1.0) -> Sample:
        """The values with another mean, and with their distances from it multiplied, within the limits."""
        mean = self.mean
        sums = tuple(
            min(max(narrowed * (value - mean * size) + (mean + by) * size, self.lowest * size), self.highest * size)
            for value, size in zip(self.sums, self.sizes, strict=True)
        )
        return Sample(sums, self.sizes, self.lowest, self.highest)

    def p_at_most(self, mean: float) -> float:
        """The p-value of "the mean is at most this"."""
        extra = max(self.sizes) * (self.lowest - mean)
        found = Counter(round(value - mean * size, _DIGITS) for value, size in zip(self.sums, self.sizes, strict=True))
        found[round(extra, _DIGITS)] += 1
        return _chance_below_zero(tuple(found.items())) if extra < 0 else 0.0

    def p_at_least(self, mean: float) -> float:
        """The p-value of "the mean is at least this"."""
        return self.mirrored.p_at_most(-mean)

    def lower(self, alpha: float) -> float:
        """What the mean is at least, with an error of `alpha`."""
        below, above = self.lowest, self.mean
        for _ in range(_HALVINGS // 2):
            middle = (below + above) / 2
            below, above = (middle, above) if self.p_at_most(middle) <= alpha else (below, middle)
        return below

    def upper(self, alpha: float) -> float:
        """What the mean is at most, with an error of `alpha`."""
        return -self.mirrored.lower(alpha)


def fewest(margin: float, lowest: float, alpha: float) -> int | None:
    """How many values it takes until no difference at all shows that the mean is above -margin; None where none do."""
    if margin >= -lowest:
        return 1
    step = math.log1p(margin / lowest)
    return math.ceil(math.log(alpha) / step - _ROUNDING) if -step > _ROUNDING else None


Weighted = tuple[tuple[float, int], ...]


def _chance_below_zero(values: Weighted) -> float:
    """The chance that the sum of x * Gamma(n) over the pairs (x, n) is at most 0, all independent.

    The inverse of the moment generating function, on the vertical line through the saddle point.
    """
    if all(x <= 0 for x, _ in values):
        return 1.0
    saddle = _saddle(values)
    height = _exponent(values, saddle)
    curvature = sum(n * (x / (1 - x * saddle)) ** 2 for x, n in values) + 1 / saddle**2
    width = 1 / math.sqrt(curvature)
    total, step = 0.5 * width, 0
    while (at := (step := step + 1) * _STEP) < _FURTHEST:
        s = complex(saddle, width * math.sinh(at))
        exponent = -sum(n * cmath.log(1 - x * s) for x, n in values) - cmath.log(-s) - height
        scale = width * math.cosh(at)
        total += cmath.exp(exponent).real * scale
        if exponent.real < -30 and math.exp(exponent.real) * scale < _SMALL * width:
            break
    return min(1.0, max(0.0, math.exp(height) * total * _STEP / math.pi))


def _saddle(values: Weighted) -> float:
    """Where the logarithm of the integrand is lowest, between the pole of the lowest value and 0."""
    below, above = 1 / min(x for x, _ in values), 0.0
    for _ in range(_HALVINGS):
        middle = (below + above) / 2
        if middle in (below, above):
            break
        slope = sum(n * x / (1 - x * middle) for x, n in values) - 1 / middle
        below, above = (below, middle) if slope > 0 else (middle, above)
    return (below + above) / 2


def _exponent(values: Weighted, s: float) -> float:
    return -sum(n * math.log(1 - x * s) for x, n in values) - math.log(-s)
