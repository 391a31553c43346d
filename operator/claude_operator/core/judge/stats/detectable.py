"""What so many requests can show, and how many requests it takes: the information bound of any test.

Evidence grows on average by the Kullback-Leibler divergence a canary request, so no test expects to reach E before
ln(E) / divergence canary requests. For bad events it is that of the conditional test of `eprocess`, each canary request
coming with (1 - w) / w stable ones; for a mean of logarithms that of two normal means. A mixture of alternatives or a
weight on the metric asks for more evidence: multiply it in.
"""

from __future__ import annotations

import math

from claude_operator.core.judge.stats.drawn import EXCESSES, USUAL

__all__ = [
    "detectable",
    "fewest_bad",
    "promotion_needed",
    "ratio_needed",
    "requests_needed",
]

_NEVER = 1e-12  # a rate that is none
_LEAST = 1e-9
_MOST_BAD = 1000
_HALVINGS = 16  # of the logarithm of the excess: to 3 in 10,000 of it


def requests_needed(rate: float, excess: float, share: float, evidence_needed: float) -> float:
    """Canary requests before evidence of `excess` may be expected, infinite where none can be.

    `rate`: stable's share of bad requests, `excess`: what the canary's is above it, `share`: of the canary in all.
    """
    if not (excess > 0.0 and 0.0 < share < 1.0):
        return math.inf
    return _quotient(evidence_needed, _divergence(rate, min(rate + excess, 1.0), share))


def detectable(rate: float, requests: float, share: float, evidence_needed: float) -> float:
    """The smallest excess, an absolute share, that so many canary requests may be expected to show; else infinite."""
    wanted = math.log(evidence_needed)
    most = 1.0 - rate
    if not (requests > 0.0 and 0.0 < share < 1.0 and most > 0.0):
        return math.inf
    if requests * _divergence(rate, 1.0, share) < wanted:
        return math.inf
    low, high = math.log(_LEAST), math.log(most)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        if requests * _divergence(rate, rate + math.exp(middle), share) < wanted:
            low = middle
        else:
            high = middle
    return math.exp(high)


def fewest_bad(share: float, evidence_needed: float) -> int:
    """Conversations of a canary that fails everything until there is so much evidence, if none of stable's fails.

    `share`: that they were drawn with. One gives a factor of 1 / `share` at most.
    """
    ratios = [one.ratio(0, USUAL) for one in EXCESSES]
    logs = [math.log(ratio / (1.0 - share + share * ratio)) for ratio in ratios]
    wanted = math.log(evidence_needed * len(logs))
    for number in range(1, _MOST_BAD):
        if number * max(logs) + math.log(math.fsum(math.exp(number * (log - max(logs))) for log in logs)) >= wanted:
            return number
    return _MOST_BAD


def promotion_needed(rate: float, margin: float, share: float, evidence_needed: float) -> float:
    """Canary requests that may be expected to rule out an excess of `margin` where the canary equals stable."""
    if not (margin > 0.0 and rate > 0.0 and 0.0 < share < 1.0):
        return math.inf
    ratio = 1.0 + margin / rate
    # Of the bad events the canary has `share`; under the excess it would have ratio share / (1 + (ratio - 1) share).
    divergence = rate / share * (math.log1p((ratio - 1.0) * share) - share * math.log(ratio))
    return _quotient(evidence_needed, divergence)


def ratio_needed(variance: float, ratio: float, share: float, evidence_needed: float) -> float:
    """Canary values that may be expected to tell a mean of ln larger by ln `ratio` from an equal one.

    Also to rule out `ratio` where both arms are alike. `variance`: of ln within an arm.
    """
    if not (ratio > 0.0 and variance > 0.0 and 0.0 < share < 1.0):
        return math.inf
    return _quotient(evidence_needed, math.log(ratio) ** 2 * (1.0 - share) / (2.0 * variance))


def _divergence(stable: float, canary: float, share: float) -> float:
    """Expected log-likelihood ratio that one canary request adds, with its stable ones; `canary` is the larger rate."""
    if stable < _NEVER:
        return -canary * math.log(share)
    ratio = canary / stable
    mean = 1.0 + (ratio - 1.0) * share  # bad events of both arms over those if the arms were alike
    return stable / share * (ratio * share * math.log(ratio) - mean * math.log(mean))


def _quotient(evidence_needed: float, divergence: float) -> float:
    return math.log(evidence_needed) / divergence if divergence > 0.0 else math.inf
