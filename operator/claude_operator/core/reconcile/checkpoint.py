"""What an operator's process remembers of a ClaudeDeployment besides the status that it wrote.

A status says up to which readings of the gateways, and up to when, everything is counted. What belongs to it and is
too large for it, or makes sense in this process only, is kept here under these. So a write whose answer was lost, a
status that somebody else wrote and another leader are told apart, and nothing is used with a status that it is not of.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from claude_operator.api.base import seconds
from claude_operator.api.status import DeploymentStatus, Reading, to_millisecond
from claude_operator.core.judge.evidence.increments import Increments, Memory, PodReading, advance
from claude_operator.core.judge.metrics import quantities
from claude_operator.core.reconcile.grading import undecided
from claude_operator.core.reconcile.progress import drilling, reading_due, watched_by
from claude_operator.core.reconcile.rollout_clock import rollout_time

__all__ = ["Checkpoint", "Look", "StatusKey", "announced", "due", "find", "look", "preliminary"]

_KEPT = 8  # statuses that may still turn out to have been stored
_UNTIMED = 5.0  # seconds that count at most where no clock shows how long it was, and no analysis has an interval

StatusKey = tuple[dt.datetime | None, dt.datetime | None, tuple[Reading, ...]]
"""`seenAt`, the last tick and the readings of a status."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A status that was written, the evidence that it has, and when its `seenAt` was, in monotonic seconds."""

    key: StatusKey
    memory: Memory
    at: float


@dataclass(frozen=True, slots=True)
class Look:
    """What one pass sees: its time, and what is new. `increments` is None while no reading is due."""

    now: dt.datetime
    increments: Increments | None
    memory: Memory
    undecided: Mapping[str, int] = field(default_factory=dict)
    """By revision: sampled answers that graders could not decide."""


def find(known: Sequence[Checkpoint], status: DeploymentStatus) -> Checkpoint | None:
    """What goes with the status as it is stored, None where this process did not write it."""
    key = _key(status)
    return next((one for one in reversed(known) if one.key == key), None)


def preliminary(status: DeploymentStatus, last: Checkpoint | None, *, wall: dt.datetime, at: float) -> dt.datetime:
    """The rollout's time before the gateways were asked."""
    return rollout_time(status.seen_at, wall, at - last.at if last else None, unknown=_unknown(status))


def due(status: DeploymentStatus, last: Checkpoint | None, now: dt.datetime) -> float | None:
    """Seconds until the next reading; at once where another process made the last one. None while nobody asks."""
    if last is None:
        return None if watched_by(status) is None else 0.0
    return reading_due(status, now)


def look(
    status: DeploymentStatus,
    last: Checkpoint | None,
    readings: Sequence[PodReading],
    *,
    wait: float | None,
    wall: dt.datetime,
    at: float,
) -> Look:
    """What `readings` add, where `wait` says that they are due. Between ticks of a canary nothing is taken in."""
    analysis = watched_by(status)
    wanted = quantities(analysis) if analysis and wait == 0 else ()
    before = last.memory if last else None
    increments, memory = advance(before, readings, wanted, now=at, stored=status.readings)
    lived = at - last.at if last else increments.seconds
    now = rollout_time(status.seen_at, wall, lived, unknown=_unknown(status))
    if wait == 0:
        return Look(now, increments, memory, undecided(before, memory))
    return Look(now, None, last.memory if last and wait is not None else memory)


def announced(
    known: Sequence[Checkpoint], after: DeploymentStatus, *, memory: Memory, now: dt.datetime, at: float
) -> list[Checkpoint]:
    """Before the writes of a pass: `after` goes with `memory`, should it be stored whatever else fails."""
    since = (to_millisecond(now) - after.seen_at).total_seconds() if after.seen_at else 0.0
    key = _key(after)
    return [*(one for one in known if one.key != key), Checkpoint(key, memory, at - since)][-_KEPT:]


def _key(status: DeploymentStatus) -> StatusKey:
    soaks = status.soak.judgement if status.soak else None
    drill = drilling(status)
    judgement = soaks or (drill.judgement if drill else status.judgement)
    return status.seen_at, judgement.last_tick if judgement else None, tuple(status.readings)


def _unknown(status: DeploymentStatus) -> float:
    analysis = watched_by(status)
    return seconds(analysis.interval) if analysis else _UNTIMED
