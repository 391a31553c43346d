"""By how much the canary's conversations differed from the others before it saw any of them.

Users keep their arm and differ from one another, so a canary of a few of them is better or worse than the rest by the
luck of the draw. What their cohorts did before the rollout tells by how much: each cohort's mean is shrunk towards the
mean of all as far as the history shows that cohorts differ at all (method of moments; gamma rates for counts, normal
means of logarithms), so where they do not differ the estimate is exactly neutral.

One client of many must not decide what all are like: a loop, a giant. So of latency and cost no cohort counts for more
than three times what the median cohort does, nor with a mean further out than nearly all others are.

The history has to end before the canary's first request: afterwards it would explain away the harm it should reveal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from claude_operator.core.request.assignment import rank

__all__ = ["CAUTION", "LIMIT", "NEUTRAL", "CohortHistory", "HasColumns", "Imbalance", "estimate", "owned_by"]

CAUTION = 1.5
"""Standard errors of the offset that are given to the canary before its harm counts."""

LIMIT = 100.0
"""The most that the canary's users are held to be as unlucky as the rest, or the rest as they.

Where nearly all errors of the history are one client's, the ratio goes to infinity, and nothing that the canary does
would be harm any more.
"""

_MOST = 3.0  # times the median cohort's count, that one counts for
_FAR = 5.0  # standard deviations from the median of all means
_MAD = 1.4826  # standard deviations of a normal law in its median absolute deviation
_RESTLESS = 0.5  # coefficient of variation of a cohort's share of the traffic from the history to the rollout


class HasColumns(Protocol):
    """One gateway pod's table, a row a cohort seen; every column has the same length.

    `assignment` tells the secret that the cohorts are drawn with.
    """

    @property
    def assignment(self) -> str: ...
    @property
    def cohort(self) -> Sequence[int]: ...
    @property
    def requests(self) -> Sequence[int]: ...
    @property
    def errors(self) -> Sequence[int]: ...
    @property
    def ttft_count(self) -> Sequence[int]: ...
    @property
    def ttft_ln_sum(self) -> Sequence[float]: ...
    @property
    def cost_count(self) -> Sequence[int]: ...
    @property
    def cost_ln_sum(self) -> Sequence[float]: ...


Row = tuple[float, float, float, float, float, float]
"""Requests, errors, count and sum of ln of the time to first token, count and sum of ln of the cost."""


@dataclass(frozen=True, slots=True)
class CohortHistory:
    """What each cohort did, all pods together. `assignment` as in `HasColumns`."""

    rows: Mapping[int, Row]
    assignment: str = ""

    @classmethod
    def merged(cls, documents: Iterable[HasColumns]) -> CohortHistory:
        """The sum of several pods' tables; raises `ValueError` where the columns of one have unequal lengths.

        Nothing while the pods draw cohorts with several secrets: a number then stands for other people in each.
        """
        tables = list(documents)
        assignments = {one.assignment for one in tables}
        rows: dict[int, Row] = {}
        for one in tables if len(assignments) == 1 else ():
            columns = (one.requests, one.errors, one.ttft_count, one.ttft_ln_sum, one.cost_count, one.cost_ln_sum)
            if any(len(column) != len(one.cohort) for column in columns):
                raise ValueError("cohort history: write one value a cohort in every column")
            for cohort, *new in zip(one.cohort, *columns, strict=True):
                a, b, c, d, e, f = rows.get(cohort, (0.0,) * 6)
                rows[cohort] = (a + new[0], b + new[1], c + new[2], d + new[3], e + new[4], f + new[5])
        return cls(rows, min(assignments) if rows else "")


@dataclass(frozen=True, slots=True)
class Imbalance:
    """What the canary's cohorts show where nothing is wrong: a rate ratio, and differences of the mean of ln.

    The judge multiplies the canary's requests by `errors` and takes the other two from the canary's mean of ln.
    """

    errors: float = 1.0
    time_to_first_token: float = 0.0
    cost: float = 0.0


NEUTRAL = Imbalance()

Owned = Callable[[int], bool]


def owned_by(canary: str, weight: int) -> Owned:
    """Whether a cohort is the canary's at `weight` basis points; `canary` is a revision name."""
    ranks = rank(canary)
    return lambda cohort: ranks[cohort] < weight


def estimate(
    history: CohortHistory, owned: Owned, *, ttft_within: float, cost_within: float, caution: float = 0.0
) -> Imbalance:
    """The offsets of the cohorts in `owned` against all others, neutral where one side has no history.

    `ttft_within`, `cost_within`: variance of ln among stable's requests. `caution`: standard errors to add: `CAUTION`
    where harm is looked for, `-CAUTION` where promotion needs its absence, 0 for the expected offset. `errors` is
    `LIMIT` at most and 1 / `LIMIT` at least. Numbers that no traffic has give none: they must not stop a rollback.
    """
    sides: tuple[list[Row], list[Row]] = ([], [])
    for cohort, row in history.rows.items():
        sides[not owned(cohort)].append(row)
    ours, theirs = sides
    try:
        ratio = _ratio([row[:2] for row in ours], [row[:2] for row in theirs], caution)
        ttft = _difference([row[2:4] for row in ours], [row[2:4] for row in theirs], ttft_within, caution)
        cost = _difference([row[4:6] for row in ours], [row[4:6] for row in theirs], cost_within, caution)
    except ArithmeticError:
        return NEUTRAL
    if not all(map(math.isfinite, (ratio, ttft, cost))):
        return NEUTRAL
    return Imbalance(min(max(ratio, 1.0 / LIMIT), LIMIT), ttft, cost)


_Cohorts = Sequence[tuple[float, float]]
"""A cohort each: (count, events or sum)."""


def _ratio(ours: _Cohorts, theirs: _Cohorts, caution: float) -> float:
    """Posterior rate of `ours` over that of `theirs`, gamma rates with the dispersion that the counts show."""
    both = [*ours, *theirs]
    rate = _mean(both)
    if not (rate > 0.0 and _total(ours) > 0.0 and _total(theirs) > 0.0):
        return 1.0
    # Of the excess of squares over Poisson one standard error is left aside: chance alone seldom looks like people.
    expected = [count * rate for count, _ in both]
    squares = math.fsum(mean * mean for mean in expected)
    excess = math.fsum((x - mean) ** 2 - mean for (_, x), mean in zip(both, expected, strict=True))
    dispersion = (excess - math.sqrt(2.0 * squares + math.fsum(expected))) / squares
    if dispersion <= 0.0:
        return 1.0
    (mine, my_shape), (other, other_shape) = (_gamma(side, rate, 1.0 / dispersion) for side in (ours, theirs))
    doubt = math.hypot(math.log(_quantile(my_shape, caution)), math.log(_quantile(other_shape, -caution)))
    return mine / other * math.exp(math.copysign(doubt, caution))


def _gamma(side: _Cohorts, rate: float, prior: float) -> tuple[float, float]:
    """Mean, over the rate of all, and shape of what an arm's rate may be; `prior` is a cohort's shape before data."""
    total = _total(side)
    cohorts = []
    for count, x in side:
        shape, scale = x + prior, count * rate + prior
        cohorts.append((count / total, shape / scale, shape / (scale * scale)))
    mean, variance = _arm(cohorts)
    return mean, mean * mean / variance


def _quantile(shape: float, z: float) -> float:
    """The quantile of a gamma variable over its mean where a normal one lies `z` from its own (Wilson-Hilferty)."""
    return max(1.0 - 1.0 / (9.0 * shape) + z / (3.0 * math.sqrt(shape)), 0.05) ** 3 if z else 1.0


def _difference(ours: _Cohorts, theirs: _Cohorts, within: float, caution: float) -> float:
    """Posterior mean of `ours` minus that of `theirs`, normal cohort means, `within` the variance inside a cohort."""
    ours, theirs = _capped(ours, theirs, within)
    both = [cohort for cohort in (*ours, *theirs) if cohort[0] > 0.0]
    total, cohorts = _total(both), len(both)
    if not (_total(ours) > 0.0 and _total(theirs) > 0.0 and within > 0.0):
        return 0.0
    mean = _mean(both)
    spread = math.fsum(count * (value / count - mean) ** 2 for count, value in both) / within
    freedom = cohorts - 1.0
    between = (spread - freedom - math.sqrt(2.0 * freedom)) * within
    between /= total - math.fsum(count * count for count, _ in both) / total
    if between <= 0.0:
        return 0.0
    (mine, my_variance), (other, other_variance) = (_normal(side, mean, between, within) for side in (ours, theirs))
    return mine - other + caution * math.sqrt(my_variance + other_variance)


def _capped(ours: _Cohorts, theirs: _Cohorts, within: float) -> tuple[_Cohorts, _Cohorts]:
    """With counts and means that no single cohort can have far beyond all others'."""
    seen = [cohort for cohort in (*ours, *theirs) if cohort[0] > 0.0]
    if not seen:
        return ours, theirs
    usual = median(count for count, _ in seen)
    middle = median(value / count for count, value in seen)
    spread = _MAD * median(abs(value / count - middle) for count, value in seen)
    most = _FAR * math.sqrt(spread * spread + within / usual)

    def cap(cohort: tuple[float, float]) -> tuple[float, float]:
        count, value = cohort
        if count <= 0.0:
            return cohort
        held = min(count, _MOST * usual)
        return held, held * min(max(value / count, middle - most), middle + most)

    return [cap(one) for one in ours], [cap(one) for one in theirs]


def _normal(side: _Cohorts, mean: float, between: float, within: float) -> tuple[float, float]:
    """Mean, less `mean`, and variance of what an arm's mean may be."""
    total = _total(side)
    cohorts = []
    for count, value in side:
        certain = between * count / (between * count + within)
        shift = certain * (value / count - mean) if count > 0.0 else 0.0
        cohorts.append((count / total, shift, (1.0 - certain) * between))
    return _arm(cohorts)


def _arm(cohorts: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Mean of an arm and its variance, from share of the traffic, mean and variance of each cohort.

    Users that differ make the arm's mean uncertain in two ways: how bad each is, and how often each will come.
    """
    mean = math.fsum(share * value for share, value, _ in cohorts)
    restless = _RESTLESS * _RESTLESS
    variance = math.fsum(
        share * share * (doubt * (1.0 + restless) + restless * (value - mean) ** 2) for share, value, doubt in cohorts
    )
    return mean, variance


def _total(cohorts: _Cohorts) -> float:
    return math.fsum(count for count, _ in cohorts)


def _mean(cohorts: _Cohorts) -> float:
    total = _total(cohorts)
    return math.fsum(value for _, value in cohorts) / total if total else 0.0
