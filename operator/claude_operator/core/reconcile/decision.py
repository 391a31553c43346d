"""What one pass wants done. All of it is absolute: doing it again is harmless."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from claude_operator.api.conditions import Reason
from claude_operator.api.gateway import GatewayConfig
from claude_operator.api.status import DeploymentStatus, Outcome

__all__ = ["Decision", "Ended", "Event", "RevisionState"]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One Event about a ClaudeDeployment."""

    reason: Reason
    note: str
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(frozen=True, slots=True)
class Ended:
    """A rollout that ended in this pass. `latency` in seconds from the first bad tick to the end of a rollback."""

    outcome: Outcome
    latency: float | None = None


@dataclass(frozen=True, slots=True)
class RevisionState:
    """What the status of a ClaudeRevision should say."""

    name: str
    state: str
    eval: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome of a pass.

    Order: `children` and `creations`, then status and config: forward the status first, `backward` the config first,
    so that what takes traffic away is done before it is reported, and what gives traffic is reported before it is done.
    """

    status: DeploymentStatus
    config: GatewayConfig | None
    """The document that should be live, None to leave what there is."""
    backward: bool = False
    ledger: Object | None = None
    """The ledger's ConfigMap, written before the status that has its tick; what becomes of it decides nothing."""
    children: tuple[Object, ...] = ()
    creations: tuple[Object, ...] = ()
    """Revisions and eval runs; what exists already is as wanted."""
    deletions: tuple[Object, ...] = ()
    revision_states: tuple[RevisionState, ...] = ()
    events: tuple[Event, ...] = ()
    ended: tuple[Ended, ...] = ()
    requeue: float | None = None
    """Seconds until the next pass, None until something changes."""
    error: str = ""
    """What went wrong besides, where only the traffic was taken back."""
