"""The last requests of both arms: whether the upstream itself is in trouble, and whose trouble it is.

About twenty requests an arm are remembered, and none for much longer than a minute: so a busy service is known by its
last second, and a quiet one by its last minute. What is said here holds a rollout and never ends it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from claude_operator.core.judge.evidence.sample import Counts

__all__ = ["Arm", "Recent", "read", "update"]

_FADE = 60.0  # seconds in which a sum falls to 1/e
_REQUESTS = 20.0  # of an arm that are remembered
_TOGETHER = 15.0  # the same as _FADE, of what both arms did at the same time
_SIZE = 12
_DIGITS = 4

_FEWEST = 5.0  # requests from which on a share is one
_LEAST = 2.5  # the same of a canary with few requests
_NEARLY_ALL = 0.8  # share of failures that needs no past to be called an outage
_MANY = 0.1  # share of overloads or account errors that holds
_CURED = 0.25  # a canary that fails less than this part of stable's failures is not in stable's trouble
_SOME, _EXCESS = 2.0, 0.08  # failures of a canary, and their share beyond stable's, that are to be cleared up first


class Arm(NamedTuple):
    """Sums over the last requests of one arm."""

    answered: float = 0.0
    """Requests with the outcome `ok` or `error`."""
    errors: float = 0.0
    overloads: float = 0.0
    accounts: float = 0.0

    @property
    def all(self) -> float:
        """Requests that came to an end upstream."""
        return self.answered + self.overloads + self.accounts

    @property
    def failed(self) -> float:
        """Share of the answered requests that failed, 0 where there is none."""
        return self.errors / self.answered if self.answered > 0.0 else 0.0

    def share(self, number: float) -> float:
        """Of all its requests."""
        return number / self.all if self.all > 0.0 else 0.0


class Recent(NamedTuple):
    """Both arms: their last requests, and what they did at the same time."""

    canary: Arm
    stable: Arm
    canary_lately: Arm = Arm()
    stable_lately: Arm = Arm()

    @property
    def cured(self) -> bool:
        """Stable fails half of its requests or more, and the canary hardly any: its promotion ends the trouble."""
        ours, theirs = self.canary_lately, self.stable_lately
        if theirs.answered < _FEWEST or theirs.failed < 0.5 or ours.answered < _LEAST:
            return False
        return max(ours.failed, self.canary.failed) <= _CURED * theirs.failed

    @property
    def outage(self) -> bool:
        """Stable fails nearly everything, and nothing says that the canary does not. No past is needed to say so."""
        return self.stable.answered >= _FEWEST and self.stable.failed >= _NEARLY_ALL and not self.cured

    @property
    def failing(self) -> bool:
        """The canary's last requests failed too often to go on, be it by chance."""
        canary = self.canary
        return canary.errors >= _SOME and (canary.failed >= 0.5 or canary.failed >= self.stable.failed + _EXCESS)

    @property
    def out_of_credit(self) -> bool:
        """The account is empty or at a limit for one arm or for both."""
        return any(arm.accounts >= 0.5 and arm.share(arm.accounts) >= _MANY for arm in (self.canary, self.stable))

    @property
    def limited(self) -> bool:
        """The canary alone is answered 429 or 529: its model has a rate limit of its own."""
        canary, stable = self.canary, self.stable
        if canary.overloads < 1.0 or canary.share(canary.overloads) < _MANY or stable.all < _FEWEST:
            return False
        return stable.share(stable.overloads) <= canary.share(canary.overloads) / 4.0


def update(state: Sequence[float], *, seconds: float, canary: Counts, stable: Counts) -> list[float]:
    """`state` after a look, `seconds` after the one before; a list of twelve numbers."""
    before = state if len(state) == _SIZE else (0.0,) * _SIZE
    seconds = max(seconds, 0.0)
    found: list[float] = []
    for counts, old in ((canary, Arm(*before[:4])), (stable, Arm(*before[4:8]))):
        new = Arm(counts.judged, counts.errors, counts.overloads, counts.accounts)
        room = max(_REQUESTS - new.all, 0.0)
        keep = min(math.exp(-seconds / _FADE), room / old.all) if old.all > 0.0 else 0.0
        found += (keep * earlier + more for earlier, more in zip(old, new, strict=True))
    keep = math.exp(-seconds / _TOGETHER)
    both = (canary.judged, canary.errors, stable.judged, stable.errors)
    found += (keep * earlier + more for earlier, more in zip(before[8:], both, strict=True))
    return [round(number, _DIGITS) for number in found]


def read(state: Sequence[float]) -> Recent:
    """What a stored state says; nothing where there is none."""
    if len(state) != _SIZE:
        return Recent(Arm(), Arm())
    return Recent(Arm(*state[:4]), Arm(*state[4:8]), Arm(*state[8:10]), Arm(*state[10:]))
