"""The exact conditional e-process of a binary metric: evidence that may be looked at every tick.

In one stratum of one tick, n_c canary and n_s stable requests, m = x_c + x_s of them bad, x_c is Binomial(m, q(1)) with
q(g) = g n_c / (g n_c + n_s) where both arms are alike (for Bernoulli counts hypergeometric, which lies below it in
convex order: Hoeffding 1963), and Binomial(m, q(g)) where the canary's rate is g times stable's. The mean of the
likelihood ratios over a grid of g is a non-negative supermartingale under "not worse", so by Ville's inequality it
ever reaches 1 / alpha with probability alpha at most, however often it is looked at and whatever the weights do.
Same family as Lindon & Malek, NeurIPS 2022.

What a long good run costs an alternative would have to be earned back by a fault that comes late. So none falls below
6e-3 / t^2 of its start at the t-th tick: over all ticks that adds at most 0.01 to the expectation of the process, so
the chance of a false alarm is at most 1.01 alpha.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["CAP", "EDGES", "RISE", "SIDES", "Grid", "resized", "stored", "updated", "value"]

CAP = 1e300
LN_CAP = math.log(CAP)
_WHOLE = 1.5 * 2.0**52  # added and taken off again, it leaves the nearest whole number; ten times as fast as round()
_ADDED = 6e-3  # sum over t of 1 / t^2 is 1.645


class Grid:
    """Alternatives: the canary's rate of bad events over the most that is tolerated."""

    __slots__ = ("alternatives", "size", "start")

    def __init__(self, *ratios: float) -> None:
        self.alternatives = tuple((math.log(ratio), ratio) for ratio in ratios)
        self.size = len(ratios)
        self.start = (0.0,) * len(ratios)


RISE = Grid(1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
SIDES = Grid(0.2, 0.5, 0.67, 0.8, 0.9, 1.1, 1.25, 1.5, 2.0, 5.0)
"""For what should neither rise nor fall."""
EDGES = Grid(1.25, 1.6, 2.5, 5.0, 20.0)
"""For values above an edge of a distribution."""


def updated(
    logs: Sequence[float],
    canary: tuple[int, int],
    stable: tuple[int, int],
    *,
    grid: Grid = RISE,
    margin: float = 1.0,
    exposure: float = 1.0,
) -> Sequence[float]:
    """Log-likelihood ratios, one an alternative, after a stratum with (requests, bad events) of each arm.

    `margin`: ratio of rates that is tolerated. `exposure`: how many times as likely as stable's the canary's users
    were to meet a bad event before there was a canary. A stratum without bad events or with requests of one arm only
    says nothing and leaves `logs` as they are.
    """
    (n_canary, x_canary), (n_stable, x_stable) = canary, stable
    bad = x_canary + x_stable
    if not (n_canary and n_stable and bad):
        return logs
    weighed = n_canary * exposure
    share = weighed / (weighed + n_stable)
    base = math.log1p((margin - 1.0) * share)
    return [
        log + x_canary * ln_ratio - bad * (math.log1p((margin * ratio - 1.0) * share) - base)
        for log, (ln_ratio, ratio) in zip(logs, grid.alternatives, strict=True)
    ]


def stored(logs: Sequence[float], ticks: int | None = None) -> list[float]:
    """`logs` as status holds them after the tick of that number, counted from 1.

    None is below what an alternative may fall to by then, where a number is given. Rounded to five decimals, to the
    nearest: at a weight of 0.01 % a bad event of stable takes 2.5e-5 from the smallest alternative.
    """
    floor = round(math.log(_ADDED / (ticks * ticks)), 5) if ticks else -math.inf
    return [(log * 1e5 + _WHOLE - _WHOLE) / 1e5 if log > floor else floor for log in logs]


def value(logs: Sequence[float]) -> float:
    """The evidence: the mean likelihood ratio, at most 1e300."""
    top = max(logs)
    mean = math.fsum([math.exp(log - top) for log in logs]) / len(logs)
    return math.exp(min(top + math.log(mean), LN_CAP))


def resized(logs: Sequence[float], size: int, evidence: float) -> Sequence[float]:
    """`logs` as stored, or so many of the same evidence where they were stored under another grid."""
    if len(logs) == size:
        return logs
    return ((math.log(max(evidence, 1.0 / CAP)) if logs else 0.0),) * size
