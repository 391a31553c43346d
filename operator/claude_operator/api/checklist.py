"""The rollout checklist: `spec.checklist`, `status.checklist`, and the kinds ClaudeSignature and ClaudeChecklist."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from claude_operator.api.base import ApiModel, Duration, ObjectName, StatusModel, list_map
from claude_operator.api.moments import Moment

__all__ = [
    "BUILT_IN",
    "HASH_PATTERN",
    "ITEM_PATTERN",
    "Checklist",
    "ChecklistItem",
    "ChecklistSpec",
    "ChecklistStatus",
    "Mode",
    "NoStatus",
    "OwnItem",
    "Result",
    "SignatureCheck",
    "SignatureSpec",
]

ITEM_PATTERN = r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"
HASH_PATTERN = r"^sha256:[0-9a-f]{64}$"
BUILT_IN = (
    "primitive",
    "plumbing",
    "model-by-eval",
    "tools",
    "caching",
    "agent-loop",
    "workflow",
    "skills",
    "workloads",
    "telemetry",
    "latency-budgets",
    "eval-gate",
    "rollback",
    "model-pinned",
)
"""Ids of the fourteen items, in their order. Signatures and scripts name them: they never change."""

Mode = Literal["Enforce", "Warn", "Off"]
Result = Literal["Passed", "Failed", "Unknown", "Signed", "NotApplicable"]
ItemName = Annotated[str, StringConstraints(pattern=ITEM_PATTERN, max_length=63)]


class Checklist(ApiModel):
    """How strictly the rollout checklist is kept."""

    mode: Mode | None = Field(
        default=None,
        description="Enforce: a canary gets its first weight once every item has passed, is signed or does not apply."
        " Warn: open items are reported and hold nothing. Off: nothing is checked. Left out: as the cluster's"
        " ClaudeChecklists say, else Warn.",
    )
    drill_max_age: Duration | None = Field(
        default=None,
        description="How old the last rehearsed rollback may be, for the item rollback. Left out: 2160h (90 days).",
    )


class ChecklistItem(StatusModel):
    """One item of the checklist."""

    id: str = Field(description="The item.")
    result: Result = Field(description="Passed, Failed, Unknown, Signed or NotApplicable.")
    message: str = Field(description="Why, and what to do where it is open.")
    checklist: str | None = Field(default=None, description="The ClaudeChecklist that asks for it.")
    title: str | None = Field(default=None, description="What it asks for, of an item of a ClaudeChecklist.")
    by: str | None = Field(default=None, description="Who signed it.")
    until: Moment | None = Field(default=None, description="When the signature ends.")


class ChecklistStatus(StatusModel):
    """The rollout checklist for one revision."""

    mode: Mode = Field(description="Enforce, Warn or Off, as it is in force.")
    revision: str | None = Field(default=None, description="The revision that it is about.")
    open: int = Field(default=0, description="Items that have failed or are not known.")
    items: list[ChecklistItem] = Field(default=[], description="Every item, in order.")


class SignatureSpec(ApiModel):
    """A person's word on one item of the checklist, for one revision. Immutable."""

    deployment: ObjectName = Field(description="The ClaudeDeployment.")
    item: ItemName = Field(description="The item: one of the fourteen, or the name of a ClaudeChecklist's.")
    revision: ObjectName = Field(description="The ClaudeRevision that was looked at.")
    content_hash: Annotated[str, StringConstraints(pattern=HASH_PATTERN, max_length=71)] = Field(
        description="sha256 of that revision's content, as `kubectl claude checklist NAME sign ITEM` writes it."
    )
    decision: Literal["Passed", "NotApplicable"] = Field(
        description="Passed: the item is fulfilled; for items that are signed alone. NotApplicable: it does not apply."
    )
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(
        description="Why, for those who read it later."
    )
    signed_by: Annotated[str, StringConstraints(min_length=1, max_length=256)] = Field(
        description="Your own user name, as `kubectl auth whoami` tells it: another one is refused."
    )
    expires_at: Moment = Field(description="When it ends, for example 2027-03-01T00:00:00Z; a year is the most.")


class SignatureCheck(ApiModel):
    """A person signs it."""

    max_age: Duration | None = Field(
        default=None, description="How long a signature counts at most, for example 720h. Left out: until it ends."
    )


class OwnItem(ApiModel):
    """An item of the organisation's own, which a person signs."""

    name: ItemName = Field(description="Its id, which signatures name.")
    title: Annotated[str, StringConstraints(min_length=1, max_length=256)] = Field(description="What it asks for.")
    help: Annotated[str, StringConstraints(max_length=1024)] | None = Field(
        default=None, description="How to fulfil it; shown while the item is open."
    )
    signature: SignatureCheck = Field(description=SignatureCheck.__doc__)


class ChecklistSpec(ApiModel):
    """The cluster's default mode, and items of the organisation's own. Of several the strictest mode holds."""

    mode: Mode | None = Field(
        default=None, description="The mode of ClaudeDeployments that name none: Enforce, Warn or Off."
    )
    namespaces: Annotated[list[ObjectName], Field(max_length=256)] | None = Field(
        default=None, description="Where it holds. Left out: in all namespaces.", json_schema_extra={"maxItems": 256}
    )
    items: Annotated[list[OwnItem], Field(max_length=32)] | None = Field(
        default=None,
        description="Items beside the fourteen.",
        json_schema_extra={"maxItems": 32, **list_map("name")},
    )


class NoStatus(StatusModel):
    """Nothing is reported here."""
