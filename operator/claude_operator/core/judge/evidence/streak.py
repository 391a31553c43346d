"""A canary that answers nothing well: a rule of its own beside the test, which a few conversations cannot decide.

A conversation gives the test a factor of 1 / w at most, so at a large weight, or in a service of few and long
conversations, a canary may fail everything for long. What counts here is a time in which the canary answered nothing
well, while stable did. One conversation may fail for a reason of its own, as a client in a loop does. So it takes
several conversations, as many as make it unlikely that each was one of those that fail on stable too; or a single one
that failed on the canary as long as it was there, and has been well on stable since.
"""

from __future__ import annotations

import math

from claude_operator.api.sums import Streak
from claude_operator.core.judge.evidence.tick import Tick
from claude_operator.core.text import count, duration

__all__ = ["conversations_needed", "explain", "updated"]

_REQUESTS, _SECONDS = 6, 30.0  # failed ones, and for how long
_IN_A_ROW = 3  # after which a conversation goes back to stable
_WELL, _WELL_ALONE = (
    10,
    30,
)  # requests of stable that show that it is not everybody's trouble, or one conversation's own
_STABLE = 0.1  # share of them that may fail
_CHANCE = 1e-4  # that conversations which fail on either arm look like this, at most
_ERROR = "error"


def updated(before: Streak, tick: Tick, *, seconds: float) -> Streak:
    """After a look, `seconds` after the one before; empty while the canary answers something well."""
    ours, theirs = tick.whole.canary.counts, tick.whole.stable.counts
    if ours.ok or not (ours.errors or before.failed):
        return Streak()
    new = [tick.undrawn, *(arms.canary for arms in tick.units.values())]
    return Streak(
        round(before.seconds + seconds, 1) if before.failed else 0.0,
        before.failed + ours.errors,
        before.conversations + sum(one.bad(_ERROR) for one in new),
        before.openings + sum(one.first_bad.get((_ERROR, 0), 0) for one in new),
        before.stable + theirs.judged,
        before.stable_failed + theirs.errors,
        before.rescued + tick.rescued,
    )


def conversations_needed(conversations: int, bad: int) -> int:
    """How many of the canary's have to fail, where so many of stable's `conversations` had an error."""
    often = (bad + 1.0) / (conversations + 2.0)
    return max(2, math.ceil(math.log(_CHANCE) / math.log(min(often, 0.99))))


def explain(streak: Streak, *, conversations: int, bad: int) -> str | None:
    """That everything fails, as a sentence; None where that is not so, or may be chance.

    `conversations`: of stable so far, `bad`: those of them that had an error.
    """
    if streak.seconds < _SECONDS or streak.stable < _WELL or streak.stable_failed > _STABLE * streak.stable:
        return None
    several = streak.conversations >= conversations_needed(conversations, bad) and streak.failed >= _REQUESTS
    stable_is_well = streak.stable >= _WELL_ALONE and not streak.stable_failed
    # If more came to stable than failed, as after a restart of gateways, the failed ones may not be among them.
    are_there = 1 <= streak.conversations == streak.openings == streak.rescued
    taken_over = stable_is_well and are_there and streak.failed >= _IN_A_ROW
    if not several and not taken_over:
        return None
    failed = count(round(streak.failed), "request")
    whose = count(round(streak.conversations), "conversation")
    well = "; they are well on stable" if taken_over and streak.conversations > 1 else ""
    well = "; it is well on stable" if taken_over and streak.conversations == 1 else well
    meanwhile = f"stable failed {round(streak.stable_failed):,} of {count(round(streak.stable), 'request')} meanwhile"
    return (
        f"the canary answered nothing well for {duration(streak.seconds)}: {failed} of {whose} failed{well};"
        f" {meanwhile}"
    )
