"""The exact conditional e-process of a binary metric: evidence that may be looked at every tick.

In one stratum of one tick, n_c canary and n_s stable requests, m = x_c + x_s of them bad, x_c is Binomial(m, p) with
p = n_c / (n_c + n_s) where both arms are alike (for Bernoulli counts hypergeometric, which lies below it in convex
order: Hoeffding 1963), and Binomial(m, g p / (1 + (g - 1) p)) where the canary's rate is g times stable's. The mean of
the likelihood ratios over a grid of g is a non-negative supermartingale under "not worse", so by Ville's inequality it
ever reaches 1 / alpha with probability alpha at most, however often it is looked at and whatever the weights do.
Same family as Lindon & Malek, NeurIPS 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["CAP", "RATIOS", "START", "carried", "updated", "value"]

RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
"""The alternatives: the canary's rate of bad events over stable's."""

START = (0.0,) * len(RATIOS)
CAP = 1e300

_ALTERNATIVES = tuple((math.log(ratio), ratio - 1.0) for ratio in RATIOS)
_LN_CAP = math.log(CAP)


def updated(logs: Sequence[float], canary: tuple[int, int], stable: tuple[int, int]) -> Sequence[float]:
    """Log-likelihood ratios, one a ratio, after a stratum with (requests, bad events) of each arm.

    A stratum without bad events or with requests of one arm only says nothing and leaves `logs` as they are.
    """
    (n_canary, x_canary), (n_stable, x_stable) = canary, stable
    bad = x_canary + x_stable
    if not (n_canary and n_stable and bad):
        return logs
    share = n_canary / (n_canary + n_stable)
    return [
        log + x_canary * ln_ratio - bad * math.log1p(excess * share)
        for log, (ln_ratio, excess) in zip(logs, _ALTERNATIVES, strict=True)
    ]


def value(logs: Sequence[float]) -> float:
    """The evidence: the mean likelihood ratio, at most 1e300."""
    top = max(logs)
    mean = math.fsum(math.exp(log - top) for log in logs) / len(logs)
    return math.exp(min(top + math.log(mean), _LN_CAP))


def carried(logs: Sequence[float], evidence: float) -> Sequence[float]:
    """`logs` as stored, or ones of the same evidence where they were stored under another grid: still an e-process."""
    if len(logs) == len(RATIOS):
        return logs
    return START if not logs else (math.log(max(evidence, 1.0 / CAP)),) * len(RATIOS)
