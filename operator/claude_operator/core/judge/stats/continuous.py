"""Evidence that a positive quantity (latency, cost, tokens) has grown, from sums and buckets alone.

Two e-processes, averaged, which is one again whatever they have to do with each other. A normal mixture on the
stratified difference of mean logarithms sees a shift of everything: per stratum D = mean_c - mean_s with variance
v = s^2 (1/n_c + 1/n_s), U = sum D/v, V = sum 1/v, and the mixture of exp(theta U - theta^2 V / 2) over a half normal
prior with variance t has the closed form below (Robbins 1970; Howard et al. 2021). The exact test of binary metrics, at
up to twelve edges of the distribution, sees a tail that grows. Means of raw values follow a normal law only slowly
where they are skewed, so they count from 1,000 canary requests on, and only up to a limit beyond which they are alike.

A margin of 10 % asks whether the canary is more than 1.1 times stable: D - ln 1.1, and at the edges the canary's values
above an edge against stable's above one so many buckets lower, which needs no model of the distribution.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import add

from claude_operator.api.sums import Moments, Score
from claude_operator.core.judge.evidence.sample import LN_WIDTH, Values
from claude_operator.core.judge.stats.eprocess import EDGES, LN_CAP

__all__ = [
    "EDGE_COUNT",
    "but_not_early",
    "cap_of",
    "choose_edges",
    "edge_logs",
    "mixture",
    "moments",
    "scored",
    "shift",
]

EDGE_COUNT = 12
ENOUGH_HISTORY = 100  # of stable's values, for edges that are near its quantiles

_QUANTILES = (0.25, 0.5, 0.65, 0.8, 0.9, 0.95, 0.975, 0.99, 0.997)
_BEYOND = (3, 6, 9)  # buckets above the last quantile, where a new tail would be
_FIRST = 30  # canary values before which the mixture may not speak for harm, and stable's for a variance
_RAW_FIRST = 1000
_LEAST_VARIANCE = 1e-4  # of ln, or of raw values over their mean: where all are alike one per cent is not harm
_TINY, _HUGE = 1e-200, 1e200  # of a raw variance; beyond, its products are not numbers
_FAR = -30.0  # standard deviations


def choose_edges(buckets: Mapping[int, int]) -> list[int]:
    """At most twelve edges, as bucket indices, from stable's distribution; none from fewer than 100 values."""
    total = sum(buckets.values())
    if total < ENOUGH_HISTORY:
        return []
    found: list[int] = []
    seen = 0
    ordered = sorted(buckets.items())
    wanted = iter(_QUANTILES)
    quantile = next(wanted)
    for index, count in ordered:
        seen += count
        while seen >= quantile * total:
            if not found or found[-1] != index + 1:
                found.append(index + 1)
            quantile = next(wanted, 2.0)
    last = found[-1]
    return [*found, *(last + more for more in _BEYOND)][:EDGE_COUNT]


def shift(margin: float, offset: float = 0.0) -> int:
    """Buckets that hold the margin and the offset, both of ln: above an edge against above one so many lower."""
    known = offset if offset > LN_WIDTH / 4.0 else 0.0  # a trifle is not worth a whole bucket
    return math.ceil((margin + known) / LN_WIDTH - 1e-9)


def edge_logs(
    logs: Sequence[float], edges: Sequence[int], strata: Iterable[tuple[Values, Values]], lower: int
) -> list[float]:
    """`logs`, one an alternative and edge, after strata with values of both arms, canary and stable."""
    above = [0] * len(edges)
    expected = [[0.0] * len(edges) for _ in EDGES.alternatives]
    lowered = [edge - lower for edge in edges]
    for canary, stable in strata:
        share = canary.count / (canary.count + stable.count)
        ours = _above(edges, canary.buckets)
        bad = list(map(add, ours, _above(lowered, stable.buckets)))
        above = list(map(add, above, ours))
        for number, (_, ratio) in enumerate(EDGES.alternatives):
            ln_mean = math.log1p((ratio - 1.0) * share)
            expected[number] = [known + count * ln_mean for known, count in zip(expected[number], bad, strict=True)]
    after = list(logs)
    for number, (ln_ratio, _) in enumerate(EDGES.alternatives):
        after[number :: EDGES.size] = [
            log + count * ln_ratio - mean
            for log, count, mean in zip(logs[number :: EDGES.size], above, expected[number], strict=True)
        ]
    return after


def _above(edges: Sequence[int], buckets: Mapping[int, int]) -> list[int]:
    """Values at or above each edge; the edges ascend."""
    found = [0] * (len(edges) + 1)
    for index, count in buckets.items():
        found[bisect_right(edges, index)] += count
    return list(accumulate(reversed(found[1:])))[::-1]


def scored(
    score: Score,
    known: Moments,
    canary: Values,
    stable: Values,
    *,
    judged: int,
    offset: float = 0.0,
    cap: int | None = None,
) -> Score:
    """The score after a stratum with values of both arms; `known` are stable's moments before it.

    `judged`: canary values before this stratum. `offset`: by how much the canary's users had a larger mean ln before
    there was a canary. `cap`: the bucket from which on raw values are all alike; without one they do not count.
    """
    if known.freedom >= _FIRST:
        variance = max(known.squares / known.freedom, _LEAST_VARIANCE)
        information = 1.0 / (variance * (1.0 / canary.count + 1.0 / stable.count))
        difference = canary.ln_sum / canary.count - stable.ln_sum / stable.count - offset
        score = score._replace(
            score=score.score + difference * information,
            information=score.information + information,
            prior=score.prior or variance / 4.0,
        )
    mean, freedom = known.raw_mean, known.raw_freedom
    raw_known = cap is not None and freedom >= _FIRST
    variance = max(known.raw_squares / freedom, _LEAST_VARIANCE * mean * mean) if raw_known else 0.0
    if cap is not None and judged >= _RAW_FIRST and _TINY < variance < _HUGE:
        information = 1.0 / (variance * (1.0 / canary.count + 1.0 / stable.count))
        ours, theirs = _capped(canary, cap)[0] / canary.count, _capped(stable, cap)[0] / stable.count
        difference = ours - theirs - mean * math.expm1(offset)
        score = score._replace(
            raw_score=score.raw_score + difference * information,
            raw_information=score.raw_information + information,
            # An effect so large that one value at the cap weighs like many says nothing of a mean.
            raw_prior=score.raw_prior or min(variance / 4.0, (variance / _middle(cap)) ** 2),
        )
    return score


def cap_of(edges: Sequence[int]) -> int | None:
    """The bucket from which on raw values are all alike: one of them must not decide what a thousand could not."""
    return edges[-len(_BEYOND)] if len(edges) > len(_BEYOND) else None


@lru_cache(maxsize=1024)
def _middle(index: int) -> float:
    """What a value of a bucket is taken for."""
    return math.exp((index + 0.5) * LN_WIDTH)


def _capped(values: Values, cap: int) -> tuple[float, float]:
    """Sum and sum of squares of values that are known by their bucket and end at `cap`."""
    total = squares = 0.0
    for index, count in values.buckets.items():
        value = _middle(min(index, cap))
        total += count * value
        squares += count * value * value
    return total, squares


def moments(known: Moments, stable: Values, cap: int | None = None) -> Moments:
    """Stable's moments with one more stratum: means over all, squares within strata; raw ones up to `cap` only."""
    n = stable.count
    count = known.values + n
    within = max(stable.ln_sum_sq - stable.ln_sum * stable.ln_sum / n, 0.0)
    raw = known[4:]
    if cap is not None:
        total, of_squares = _capped(stable, cap)
        within_raw = max(of_squares - total * total / n, 0.0)
        raw_mean = known.raw_mean + (total - n * known.raw_mean) / count
        raw = (raw_mean, known.raw_freedom + n - 1, known.raw_squares + within_raw)
    mean = known.mean + (stable.ln_sum - n * known.mean) / count
    return Moments(count, mean, known.freedom + n - 1, known.squares + within, *raw)


def mixture(u: float, v: float, prior: float, margin: float) -> float:
    """The normal mixture's evidence that the mean difference is above `margin`, at most 1e300."""
    if v <= 0.0 or prior <= 0.0:
        return 1.0
    score = u - margin * v
    spread = 1.0 + prior * v
    z = score * math.sqrt(prior / spread)
    if z < _FAR:  # there erfc is 0, but its product with exp(z^2 / 2) is not
        return (1.0 - 1.0 / (z * z)) * math.sqrt(2.0 / (math.pi * spread)) / -z
    ln = math.log(math.erfc(-z / math.sqrt(2.0))) - 0.5 * math.log(spread) + 0.5 * z * z
    return math.exp(min(ln, LN_CAP))


def but_not_early(evidence: float, canary: int, first: int = _FIRST) -> float:
    """The evidence of a normal law, which counts against harm at once, and for it only from so many values on."""
    return evidence if canary >= first else min(evidence, 1.0)
