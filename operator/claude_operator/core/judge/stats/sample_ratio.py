"""Does the canary get its share? Evidence that conversations are split otherwise than the weight says.

A Bayes factor of the binomial split: the weight itself against a beta distribution around it. It is a martingale where
the split is right, so whatever the prior it ever reaches 1,000 with probability 1 in 1,000 at most, looked at as often
as one likes (Ville). A split that is wrong says nothing of the canary, so it holds a rollout and never ends it.
"""

from __future__ import annotations

import math

__all__ = ["LIMIT", "log_bayes_factor", "mismatched"]

LIMIT = math.log(1000.0)

_LEAST = 1e-6  # a weight nearer to 0 or 1 is none: a basis point is 1e-4
_STRENGTH = 2.0  # conversations of the smaller arm that the prior is worth
"""Weak enough that an arm without any conversation is found in the time that its absence takes to be odd, strong
enough that at 1 % a split of twice the weight is not much later found than by a prior that knows of it."""


def log_bayes_factor(canary: float, stable: float, weight: float, pods: int = 1) -> float:
    """Natural logarithm of the evidence against the split, 0 where `weight` is 0 or 1.

    `canary`, `stable`: conversations counted once in each of `pods` gateway pods, which divides them: taking each as
    new as many times as there are pods would find chance splits certain. `weight`: the canary's share.
    """
    if not _LEAST < weight < 1.0 - _LEAST or pods < 1:
        return 0.0
    ours, theirs = max(canary, 0.0) / pods, max(stable, 0.0) / pods
    strength = _STRENGTH / min(weight, 1.0 - weight)
    a, b = strength * weight, strength * (1.0 - weight)
    mixed = _ln_beta(a + ours, b + theirs) - _ln_beta(a, b)
    return mixed - ours * math.log(weight) - theirs * math.log1p(-weight)


def mismatched(canary: float, stable: float, weight: float, pods: int = 1) -> bool:
    """Whether the split contradicts the weight: evidence of 1,000 to 1. Arguments as for `log_bayes_factor`."""
    return log_bayes_factor(canary, stable, weight, pods) >= LIMIT


def _ln_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
