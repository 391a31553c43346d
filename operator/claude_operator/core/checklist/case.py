"""What the checklist is decided from, as plain values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from claude_operator.api.budgets import BudgetStatus
from claude_operator.api.checklist import Mode, OwnItem, Result
from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.evals import EvalRunStatus
from claude_operator.core.catalogue.lifecycle import LifecycleState
from claude_operator.core.catalogue.table import Model
from claude_operator.core.usage.state import UsageState

__all__ = ["UNSEEN", "Case", "Finding", "Question", "Rehearsal", "Rules", "Sight", "Signature", "requests_of"]

Request = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Signature:
    """A ClaudeSignature as stored."""

    name: str
    deployment: str
    item: str
    revision: str
    content_hash: str
    decision: str
    reason: str
    signed_by: str
    expires_at: dt.datetime
    created_at: dt.datetime
    """By the API server's clock."""


@dataclass(frozen=True, slots=True)
class Rules:
    """A ClaudeChecklist that holds for a namespace."""

    name: str
    mode: Mode | None = None
    items: tuple[OwnItem, ...] = ()


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known of signatures and ClaudeChecklists, of one namespace."""

    known: bool = True
    """They have been read. Until then nobody knows which mode holds."""
    signatures: tuple[Signature, ...] = ()
    rules: tuple[Rules, ...] = ()
    authors_held: bool = True
    """Admission holds everybody who signs to their own name."""
    fault: str = ""
    """Why they cannot be read, empty where they can."""


UNSEEN = Sight()


@dataclass(frozen=True, slots=True)
class Question:
    """An item of the organisation's own, and the ClaudeChecklist that asks for it."""

    checklist: str
    item: OwnItem


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A rollback that worked: `how` as in `a drill` or `a rollback of support-0123456789`."""

    at: dt.datetime
    how: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one item."""

    id: str
    result: Result
    message: str
    by: str = ""
    until: dt.datetime | None = None
    checklist: str = ""
    title: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it still is to be fulfilled: what is not known is not fulfilled."""
        return self.result in ("Failed", "Unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One revision of one ClaudeDeployment, and all that is known of it."""

    now: dt.datetime
    namespace: str
    name: str
    revision: str
    content: Mapping[str, Any]
    """`ClaudeRevision.spec`."""
    content_hash: str
    spec: DeploymentSpec
    serves: bool = False
    """It is stable."""
    stable: Mapping[str, Any] | None = None
    """`ClaudeRevision.spec` of stable, where that is another one."""
    run_name: str = ""
    run: EvalRunStatus | None = None
    """Its eval run."""
    asked: Mapping[str, int] | None = None
    """Requests of the eval set by subagent; None where they are not known."""
    usage: UsageState | None = None
    cache: tuple[Reason, str] = (Reason.NO_TRAFFIC, "")
    """CacheEffective, of stable: reason and message."""
    budgets: Sequence[BudgetStatus] = ()
    unpriced: Sequence[str] = ()
    models: Mapping[str, Model] = field(default_factory=dict)
    lifecycles: Sequence[tuple[str, LifecycleState]] = ()
    """Of the revision's models."""
    rehearsals: Sequence[Rehearsal] = ()
    failed_drill: tuple[dt.datetime, str] | None = None
    """When the last drill failed, and what it said; None where it did not."""
    sight: Sight = UNSEEN

    @property
    def command(self) -> str:
        """`kubectl claude checklist support -n demo`."""
        return f"kubectl claude checklist {self.name} -n {self.namespace}"


def requests_of(content: Mapping[str, Any]) -> dict[str, Request]:
    """What is sent: the main request under the empty name, and those of subagents, which replace fields of it."""
    main = content.get("request") or {}
    overlays = {name: one.get("request") or {} for name, one in (content.get("subagents") or {}).items()}
    return {"": main, **{name: {**main, **overlay} for name, overlay in overlays.items()}}
