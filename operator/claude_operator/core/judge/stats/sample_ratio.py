"""Does the canary get its share? Evidence of a sample ratio mismatch: another share of conversations than the weight.

A Bayes factor of the binomial: the weight itself against a beta distribution around it. It is a martingale where the
ratio is right, so whatever the prior it ever reaches 1,000 with probability 1 in 1,000 at most, looked at as often as
one likes (Ville). A ratio that is wrong says nothing of the canary, so it holds a rollout and never ends it.
"""

from __future__ import annotations

import math

from claude_operator.api.status import SampleRatio
from claude_operator.core.judge.evidence.increments import NO_NAMING, Naming

__all__ = ["LIMIT", "advance", "log_bayes_factor"]

LIMIT = math.log(1000.0)

_LEAST = 1e-6  # a weight nearer to 0 or 1 is none: a basis point is 1e-4
_STRENGTH = 2.0  # conversations of the smaller arm that the prior is worth
"""Weak enough that an arm without any conversation is found in the time that its absence takes to be odd, strong
enough that at 1 % a ratio of twice the weight is not much later found than by a prior that knows of it."""


def advance(
    known: SampleRatio | None, canary: float, stable: float, *, weight: int, naming: Naming = NO_NAMING
) -> SampleRatio:
    """With more conversations of each arm, counted under `weight` (basis points); another weight starts again."""
    if known is None or known.weight != weight:
        known = SampleRatio(weight=weight)
    new: dict[str, float] = {"requests": known.requests + naming.requests, "unnamed": known.unnamed + naming.unnamed}
    if canary or stable:
        ours, theirs = known.canary + canary, known.stable + stable
        evidence = round(log_bayes_factor(ours, theirs, weight / 10_000), 4)
        new |= {"canary": round(ours, 3), "stable": round(theirs, 3), "evidence": evidence}
    return known.model_copy(update=new)


def log_bayes_factor(canary: float, stable: float, weight: float) -> float:
    """Natural logarithm of the evidence against the ratio, 0 where `weight` is 0 or 1.

    `canary`, `stable`: conversations. Where each of several pods counts them, divide by the pods: taking each as new
    as many times as there are pods would find chance certain. `weight`: the canary's share.
    """
    if not _LEAST < weight < 1.0 - _LEAST:
        return 0.0
    ours, theirs = max(canary, 0.0), max(stable, 0.0)
    strength = _STRENGTH / min(weight, 1.0 - weight)
    a, b = strength * weight, strength * (1.0 - weight)
    mixed = _ln_beta(a + ours, b + theirs) - _ln_beta(a, b)
    return mixed - ours * math.log(weight) - theirs * math.log1p(-weight)


def _ln_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
