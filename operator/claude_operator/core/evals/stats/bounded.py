"""Tests and bounds of a mean of bounded values, for any number of values and however skewed they are.

N. Gaffke, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative variable"
(2005): weight the values and one more, the lowest that is possible, with weights that are uniform on the simplex. The
p-value of "the mean is at most m" is the chance that the weighted mean is at most m. With values of two kinds, of
which one is the lowest, it is the exact binomial test. In a sample without values below m it is the reciprocal of a
product of bets. For distributions of more than two values its validity is a conjecture that nobody has refuted
(Learned-Miller and Thomas, arXiv 1905.06208); `bench/evals` looks for what would refute it.

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
_STEP = 0.125  # of the integral; with half of it the result is the same in seven digits
_FURTHEST = 40.0
_SMALL = -26.0  # logarithm of a part of the integral that no longer counts
_TRIES = 60
_CLOSE = 1e-6
_TINY = 1e-300
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Sample:
    """How often each sum of a cluster's values comes up with each size; without clusters each value is one."""

    groups: tuple[tuple[float, int, int], ...]
    """Sum, size, number of clusters."""
    lowest: float
    highest: float

    @classmethod
    def of(
        cls, values: Sequence[float], lowest: float, highest: float, clusters: Sequence[str] | None = None
    ) -> Sample:
        """A sample of values between `lowest` and `highest`, in clusters by name."""
        if clusters is None:
            pairs = Counter((round(value, _DIGITS), 1) for value in values)
        else:
            found: defaultdict[str, list[float]] = defaultdict(list)
            for value, name in zip(values, clusters, strict=True):
                found[name].append(value)
            pairs = Counter((round(math.fsum(group), _DIGITS), len(group)) for group in found.values())
        return cls(tuple((total, size, number) for (total, size), number in pairs.items()), lowest, highest)

    @property
    def clusters(self) -> int:
        """Their number: that of the values, where there are no clusters."""
        return sum(number for _, _, number in self.groups)

    @property
    def values(self) -> int:
        """The number of values."""
        return sum(size * number for _, size, number in self.groups)

    @property
    def mean(self) -> float:
        """Of the values, whatever their cluster."""
        return math.fsum(total * number for total, _, number in self.groups) / self.values

    @property
    def spread(self) -> float:
        """The sum of the squared distances of the clusters' sums from what their size would make them."""
        mean = self.mean
        return math.fsum(number * (total - mean * size) ** 2 for total, size, number in self.groups)

    @property
    def mirrored(self) -> Sample:
        """The values with their signs turned."""
        groups = tuple((-total, size, number) for total, size, number in self.groups)
        return Sample(groups, -self.highest, -self.lowest)

    def moved(self, mean: float, narrowed: float = 1.0) -> Sample:
        """The values around this mean, their distances from it multiplied, within the limits."""
        before = self.mean
        groups = tuple(
            (
                min(
                    max(narrowed * (total - before * size) + mean * size, self.lowest * size),
                    self.highest * size,
                ),
                size,
                number,
            )
            for total, size, number in self.groups
        )
        return Sample(groups, self.lowest, self.highest)

    def repeated(self, times: int) -> Sample:
        """The same values so many times over."""
        groups = tuple((total, size, number * times) for total, size, number in self.groups)
        return Sample(groups, self.lowest, self.highest)

    def p_at_most(self, mean: float) -> float:
        """The p-value of "the mean is at most this"."""
        extra = max(size for _, size, _ in self.groups) * (self.lowest - mean)
        if extra >= 0:
            return 0.0
        return _chance_below_zero((*((total - mean * size, number) for total, size, number in self.groups), (extra, 1)))

    def p_at_least(self, mean: float) -> float:
        """The p-value of "the mean is at least this"."""
        return self.mirrored.p_at_most(-mean)

    def lower(self, alpha: float) -> float:
        """What the mean is at least, with an error of `alpha`."""
        below, above = self.lowest, self.mean
        over = self._excess(above, alpha)
        if over <= 0:
            return above
        under = self._excess((below := (below + above) / 2), alpha)
        while under > 0 and above - self.lowest > _CLOSE:
            above, over = below, under
            under = self._excess((below := (self.lowest + above) / 2), alpha)
        stayed = 0  # which end has stayed: -1 the lower, 1 the upper
        for _ in range(_TRIES):  # false position, as Illinois has it: an end that stays twice counts for half
            middle = above - (above - below) * over / (over - under)
            found = self._excess(middle, alpha)
            if found > 0:
                above, over, under, stayed = middle, found, under / 2 if stayed < 0 else under, -1
            else:
                below, under, over, stayed = middle, found, over / 2 if stayed > 0 else over, 1
            if -_CLOSE < found <= 0 or above - below < _CLOSE:
                break
        return below

    def _excess(self, mean: float, alpha: float) -> float:
        """How far the p-value is above alpha, in logarithms."""
        return math.log(max(self.p_at_most(mean), _TINY) / alpha)

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
        exponent = -sum([n * cmath.log(1 - x * s) for x, n in values], cmath.log(-s)) - height
        scale = width * math.cosh(at)
        total += cmath.exp(exponent).real * scale
        if exponent.real < _SMALL and exponent.real + at < _SMALL:
            break
    return min(1.0, max(0.0, math.exp(height) * total * _STEP / math.pi))


def _saddle(values: Weighted) -> float:
    """Where the logarithm of the integrand is lowest, between the pole of the lowest value and 0."""
    below, above = 1 / min(x for x, _ in values), 0.0
    at = below / 2
    for _ in range(_TRIES):  # of Newton's method, halved where it leaves the interval
        parts = [(n, x / (1 - x * at)) for x, n in values]
        slope = sum(n * part for n, part in parts) - 1 / at
        below, above = (below, at) if slope > 0 else (at, above)
        step = slope / (sum(n * part * part for n, part in parts) + 1 / at**2)
        closer = at - step if below < at - step < above else (below + above) / 2
        if abs(closer - at) <= _CLOSE * -at:
            return closer
        at = closer
    return at


def _exponent(values: Weighted, s: float) -> float:
    return -sum(n * math.log(1 - x * s) for x, n in values) - math.log(-s)
