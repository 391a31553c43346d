"""The last requests of both arms: whether the upstream itself is in trouble, and whose trouble it is.

About twenty requests an arm are remembered, and none for much longer than a minute: so a busy service is known by its
last second, and a quiet one by its last minute. What is said here holds a rollout and never ends it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from claude_operator.api.sums import AnsweredRequests, ArmRequests, RecentRequests
from claude_operator.core.judge.evidence.sample import Counts

__all__ = ["is_cured", "is_failing", "is_limited", "is_out_of_credit", "is_outage", "update"]

_FADE = 60.0  # seconds in which a sum falls to 1/e
_REQUESTS = 20.0  # of an arm that are remembered
_TOGETHER = 15.0  # the same as _FADE, of what both arms did at the same time
_DIGITS = 4

_FEWEST = 5.0  # requests from which on a share is one
_LEAST = 2.5  # the same of a canary with few requests
_NEARLY_ALL = 0.8  # share of failures that needs no past to be called an outage
_MANY = 0.1  # share of overloads or account errors that holds
_CURED = 0.25  # a canary that fails less than this part of stable's failures is not in stable's trouble
_SOME, _EXCESS = 2.0, 0.08  # failures of a canary, and their share beyond stable's, that are to be cleared up first


def is_cured(recent: RecentRequests) -> bool:
    """Stable fails half of its requests or more, and the canary hardly any: its promotion ends the trouble."""
    ours, theirs = recent.canary_meanwhile, recent.stable_meanwhile
    if theirs.answered < _FEWEST or theirs.failed < 0.5 or ours.answered < _LEAST:
        return False
    return max(ours.failed, recent.canary.failed) <= _CURED * theirs.failed


def is_outage(recent: RecentRequests) -> bool:
    """Stable fails nearly everything, and nothing says that the canary does not. No past is needed to say so."""
    return recent.stable.answered >= _FEWEST and recent.stable.failed >= _NEARLY_ALL and not is_cured(recent)


def is_failing(recent: RecentRequests) -> bool:
    """The canary's last requests failed too often to proceed, be it by chance."""
    canary = recent.canary
    return canary.errors >= _SOME and (canary.failed >= 0.5 or canary.failed >= recent.stable.failed + _EXCESS)


def is_out_of_credit(recent: RecentRequests) -> bool:
    """The account is empty or at a limit for one arm or for both."""
    return any(arm.accounts >= 0.5 and arm.share(arm.accounts) >= _MANY for arm in (recent.canary, recent.stable))


def is_limited(recent: RecentRequests) -> bool:
    """The canary alone is answered 429 or 529: its model has a rate limit of its own."""
    canary, stable = recent.canary, recent.stable
    if canary.overloads < 1.0 or canary.share(canary.overloads) < _MANY or stable.all < _FEWEST:
        return False
    return stable.share(stable.overloads) <= canary.share(canary.overloads) / 4.0


def update(before: RecentRequests, *, seconds: float, canary: Counts, stable: Counts) -> RecentRequests:
    """After a look, `seconds` after the one before."""
    seconds = max(seconds, 0.0)
    keep = math.exp(-seconds / _TOGETHER)
    return RecentRequests(
        _faded(before.canary, canary, seconds),
        _faded(before.stable, stable, seconds),
        AnsweredRequests(*_sums(keep, before.canary_meanwhile, (canary.judged, canary.errors))),
        AnsweredRequests(*_sums(keep, before.stable_meanwhile, (stable.judged, stable.errors))),
    )


def _faded(old: ArmRequests, counts: Counts, seconds: float) -> ArmRequests:
    new = ArmRequests(counts.judged, counts.errors, counts.overloads, counts.accounts)
    room = max(_REQUESTS - new.all, 0.0)
    keep = min(math.exp(-seconds / _FADE), room / old.all) if old.all > 0.0 else 0.0
    return ArmRequests(*_sums(keep, old, new))


def _sums(keep: float, old: Iterable[float], new: Iterable[float]) -> list[float]:
    return [round(keep * earlier + more, _DIGITS) for earlier, more in zip(old, new, strict=True)]
