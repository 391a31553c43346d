"""A pass in the making: what the rules hand on to each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from claude_operator.api.conditions import Reason
from claude_operator.api.status import DeploymentStatus, Outcome, Rollout, RolloutRecord
from claude_operator.core.judge.judges.comparisons import Comparison
from claude_operator.core.reconcile.decision import Ended, Event
from claude_operator.core.reconcile.notice import Notice
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.spec.validate import Problem
from claude_operator.core.text import cut

__all__ = ["RECORDS", "Draft", "Hold", "Rule"]

RECORDS = 10  # ended rollouts that status keeps

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Hold:
    """Why the rollout does not move, for the condition Promoted."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Draft:
    """Status as it will be, and what goes with it. Rules return changed copies."""

    obs: Observation
    status: DeploymentStatus
    problem: Problem | None = None
    """Why the spec is not accepted."""
    wanted: str | None = None
    """The revision that the spec asks for, None while it is not accepted."""
    new_revision: Object | None = None
    """Its object, while there is none."""
    restored: tuple[Object, ...] = ()
    """Revisions that somebody deleted and that are made again."""
    new_run: Object | None = None
    stray_run: Object | None = None
    """What stands in its place and was not asked for: it is deleted first."""
    events: tuple[Event, ...] = ()
    ended: tuple[Ended, ...] = ()
    hold: Hold | None = None
    compared: tuple[Comparison, ...] = ()
    """What the judge compared in this pass."""
    ledger: Object | None = None
    """The ledger's ConfigMap with this pass's tick in it."""
    backward: bool = False
    done: bool = False
    """No later rule is asked."""
    again: float | None = field(default=None)
    """Seconds until the next pass."""

    def set(self, **fields: Any) -> Self:
        """With fields of the status changed."""
        return replace(self, status=self.status.model_copy(update=fields))

    def set_rollout(self, **fields: Any) -> Self:
        """With fields of status.rollout changed."""
        rollout = self.status.rollout or Rollout(revision="")
        return self.set(rollout=rollout.model_copy(update=fields))

    def record_event(self, reason: Reason, note: str, *, warning: bool = False) -> Self:
        """With one more Event."""
        return replace(self, events=(*self.events, Event(reason, note, "Warning" if warning else "Normal")))

    def handle(self, what: str | Notice) -> Self:
        """With a note that something a person asked for, or that is reported once, is dealt with."""
        return self.set(handled=[*self.status.handled, str(what)])

    def has_handled(self, what: str | Notice) -> bool:
        """Whether that was dealt with before."""
        return str(what) in self.status.handled

    def requeue_in(self, delay: float) -> Self:
        """Look again in at most so many seconds."""
        delay = max(delay, 0.0)
        return replace(self, again=delay if self.again is None else min(self.again, delay))

    def hold_for(self, reason: Reason, message: str) -> Self:
        """The rollout holds, and why. The first to say so is heard."""
        return self if self.hold else replace(self, hold=Hold(reason, message))

    def add_comparisons(self, compared: tuple[Comparison, ...]) -> Self:
        """With what the judge compared, for the ledger."""
        return replace(self, compared=compared)

    def write_ledger(self, ledger: Object) -> Self:
        """With the ledger as it is to be written."""
        return replace(self, ledger=ledger)

    def stop(self) -> Self:
        """No later rule is asked."""
        return replace(self, done=True)

    def end(self, outcome: Outcome, reason: str, message: str, *, latency: float | None = None) -> Self:
        """The rollout has ended: record it; without Promoted the canary has no traffic from now on."""
        rollout = self.status.rollout
        if rollout is None:
            return self
        judgement, message = self.status.judgement, cut(message)
        record = RolloutRecord(
            revision=rollout.revision,
            attempt=rollout.attempt,
            outcome=outcome,
            reason=reason,
            message=message,
            started_at=rollout.started_at,
            finished_at=self.obs.now,
            requests=judgement.requests if judgement else 0,
        )
        drains = self.status.draining
        if drains is not None and drains.revision == rollout.revision and outcome != "Superseded":
            drains = None  # it was on trial again, and serves or has failed
        ended = self.set_rollout(outcome=outcome, reason=reason, message=message).set(
            draining=drains, canary_revision=None, step=None, rollouts=[*self.status.rollouts, record][-RECORDS:]
        )
        return replace(ended, ended=(*self.ended, Ended(outcome, latency)), backward=outcome != "Promoted")


Rule = Callable[[Draft], Draft]
