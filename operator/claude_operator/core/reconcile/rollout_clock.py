"""The time of a rollout: time that was lived through, whatever the wall clocks of operators say.

Steps, bakes, soaks and drains last as long as somebody was there to see it. A pass knows up to when that was counted
(`status.seenAt`) and how long ago it was, by a clock that only runs forward: this process's own, or the gateways' where
another leader wrote it. The wall clock is taken where it agrees; where it was set, the rollout's time runs on by itself
until nothing is timed any more.
"""

from __future__ import annotations

import datetime as dt

from claude_operator.api.status import DeploymentStatus, to_millisecond
from claude_operator.core.reconcile.progress import active, drilling, soaking

__all__ = ["counted", "rollout_time", "told_every"]

_STEP, _DRAIN = 15.0, 60.0  # seconds
_AGREES = 2.0  # seconds between two clocks that are set alike


def rollout_time(seen_at: dt.datetime | None, wall: dt.datetime, lived: float | None, *, unknown: float) -> dt.datetime:
    """Now. `lived`: seconds since `seen_at`, None where no clock was there at both moments.

    Then no more than `unknown` seconds count, and none that the wall clock does not show.
    """
    if seen_at is None:
        return wall
    if lived is None:
        lived = min(max((wall - seen_at).total_seconds(), 0.0), unknown)
    now = seen_at + dt.timedelta(seconds=max(lived, 0.0))
    return max(wall, seen_at) if abs((wall - now).total_seconds()) <= _AGREES else now


def told_every(status: DeploymentStatus) -> float | None:
    """Seconds after which time without readings is written down: a new leader counts from there.

    None where nothing lasts: no step, no soak, no drill, no drain.
    """
    if (active(status) and status.step) or soaking(status) or drilling(status):
        return _STEP
    return _DRAIN if status.draining else None


def counted(
    before: DeploymentStatus, after: DeploymentStatus, now: dt.datetime, *, read: bool, watched: bool
) -> dt.datetime | None:
    """`seenAt` of the status that a pass writes. `read`: it has new readings. `watched`: readings are made.

    It goes with the readings, whose age shows another leader how long ago it was; without them it moves now and then.
    """
    often = told_every(after)
    if often is None:
        return None
    if before.seen_at is None or read:
        return to_millisecond(now)
    if watched:
        return before.seen_at
    old = (now - before.seen_at).total_seconds() >= often
    return to_millisecond(now) if old or before.step != after.step else before.seen_at
