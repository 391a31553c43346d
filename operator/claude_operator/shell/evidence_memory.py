"""What this process remembers of the gateways' evidence, by the status that has it (`core.reconcile.checkpoint`)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from claude_operator.api.status import DeploymentStatus
from claude_operator.core.judge.evidence.increments import Memory, PodReading
from claude_operator.core.reconcile import checkpoint
from claude_operator.core.reconcile.checkpoint import Checkpoint, Look
from claude_operator.core.reconcile.plausible import plausible
from claude_operator.shell.clock import Clock

__all__ = ["EvidenceMemory", "Expected"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a pass knows before it asks the gateways."""

    status: DeploymentStatus
    """As it will be decided on: without what cannot be."""
    last: Checkpoint | None
    now: dt.datetime
    """The rollout's time."""
    wait: float | None
    """Seconds until the next reading; None while nobody asks for one."""


class EvidenceMemory:
    """Of each ClaudeDeployment, by UID: the statuses that were announced recently, and what they have."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._checkpoints: dict[str, list[Checkpoint]] = {}
        """The newest last."""

    def expected(self, uid: str, stored: DeploymentStatus) -> Expected:
        """Which reading is due by the status as it is stored."""
        wall = self._clock.now()
        status, _ = plausible(stored, wall)
        last = checkpoint.find(self._checkpoints.get(uid, ()), status)
        before = checkpoint.preliminary(status, last, wall=wall, at=self._clock.monotonic())
        return Expected(status, last, before, checkpoint.due(status, last, before))

    def look(self, expected: Expected, readings: Sequence[PodReading]) -> tuple[Look, float]:
        """What the readings add, and when they were made, by the monotonic clock."""
        at = self._clock.monotonic()
        wall, wait = self._clock.now(), expected.wait
        return checkpoint.look(expected.status, expected.last, readings, wait=wait, wall=wall, at=at), at

    def announce(self, uid: str, after: DeploymentStatus, *, memory: Memory, now: dt.datetime, at: float) -> None:
        """Before the writes: `after` has what is in `memory`, should it be stored whatever else fails."""
        known = self._checkpoints.get(uid, ())
        self._checkpoints[uid] = checkpoint.announced(known, after, memory=memory, now=now, at=at)

    def remember(self, uid: str) -> None:
        """The status that was announced last is stored: those before it will not be seen again."""
        self._checkpoints[uid] = self._checkpoints[uid][-1:]

    def forget(self, live: set[str]) -> None:
        """Drop the memory of ClaudeDeployments that no longer exist; `live` are UIDs."""
        self._checkpoints = {uid: known for uid, known in self._checkpoints.items() if uid in live}
