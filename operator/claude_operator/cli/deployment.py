"""What a ClaudeDeployment says of its newest rollout: its phase, and how a command that follows it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from claude_operator.api.status import DeploymentStatus, Rollout, RolloutRecord
from claude_operator.cli.failure import Exit

__all__ = ["Phase", "code_of", "ended", "paused", "phase_of", "status_of", "trial_of"]

Object = Mapping[str, Any]

_OUTCOMES = {
    "Promoted": Exit.DONE,
    "RolledBack": Exit.ROLLED_BACK,
    "Aborted": Exit.ABORTED,
    "EvalFailed": Exit.EVAL_FAILED,
    "Superseded": Exit.SUPERSEDED,
}


@dataclass(frozen=True, slots=True)
class Phase:
    """Where the newest spec is: `name` is an outcome, Rejected, InProgress or Unknown."""

    name: str
    message: str
    code: Exit | None = None
    """The exit code of what has ended; None while it has not."""


def status_of(obj: Object) -> DeploymentStatus:
    """The status, empty where the operator has written none."""
    return DeploymentStatus.model_validate(obj.get("status") or {})


def paused(obj: Object) -> bool:
    """Whether spec.paused holds the rollout."""
    return bool((obj.get("spec") or {}).get("paused"))


def trial_of(status: DeploymentStatus) -> str | None:
    """`<revision>/<attempt>` of the rollout under way."""
    return status.rollout.trial if status.rollout and status.rollout.outcome is None else None


def ended(status: DeploymentStatus, trial: str) -> Rollout | RolloutRecord | None:
    """How this trial ended, None while it has not, or where nothing is known of it."""
    known = [one for one in status.rollouts if one.trial == trial]
    now = status.rollout
    if now is not None and now.trial == trial:
        return now if now.outcome else None
    return known[-1] if known else None


def phase_of(obj: Object) -> Phase:
    """Where the newest spec is. What the operator has not seen yet is unknown, never good."""
    status, generation = status_of(obj), int(obj["metadata"].get("generation") or 0)
    known = {one.type: one for one in status.conditions if one.observed_generation == generation}
    accepted, promoted = known.get("Accepted"), known.get("Promoted")
    if accepted is None or promoted is None:
        return Phase("Unknown", "the operator has not looked at the newest spec yet")
    if accepted.status == "False":
        return Phase("Rejected", accepted.message, Exit.REJECTED)
    if promoted.status == "True":
        return Phase("Promoted", promoted.message, Exit.DONE)
    if promoted.status == "False":
        return Phase(promoted.reason, promoted.message, _OUTCOMES.get(promoted.reason, Exit.FAILED))
    return Phase("Paused" if promoted.reason == "Paused" else "InProgress", promoted.message)


def code_of(outcome: str) -> Exit:
    """The exit code of a rollout that ended so."""
    return _OUTCOMES.get(outcome, Exit.FAILED)
