"""ClaudeSignatures and ClaudeChecklists as stored, read into what the checklist is decided from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import ValidationError

from claude_operator.api.checklist import ChecklistSpec, Mode, SignatureSpec
from claude_operator.core.checklist.case import Rules, Signature

__all__ = ["read_rules", "read_signature", "rules_of"]

Object = Mapping[str, Any]


def read_signature(stored: Object) -> Signature | None:
    """A ClaudeSignature; None for one that is being deleted, or that this version cannot read: it does not count."""
    metadata = stored.get("metadata") or {}
    if metadata.get("deletionTimestamp"):
        return None
    try:
        spec = SignatureSpec.model_validate(stored.get("spec") or {})
        created = dt.datetime.fromisoformat(str(metadata.get("creationTimestamp")))
    except (ValidationError, ValueError):
        return None
    if created.tzinfo is None or spec.expires_at.tzinfo is None:
        return None
    try:
        expires = spec.expires_at.astimezone(dt.UTC)
    except OverflowError:  # the year 1 or 9999, and in UTC another
        return None
    return Signature(
        name=str(metadata.get("name")),
        deployment=spec.deployment,
        item=spec.item,
        revision=spec.revision,
        content_hash=spec.content_hash,
        decision=spec.decision,
        reason=spec.reason,
        signed_by=spec.signed_by,
        expires_at=expires,
        created_at=created,
    )


def read_rules(stored: Iterable[Object]) -> tuple[dict[str, ChecklistSpec], str]:
    """ClaudeChecklists by name, and which of them this version cannot read; empty where it can read all.

    Of those the mode holds, everywhere; one that is not known is taken for Enforce, so that nothing is let through.
    """
    found: dict[str, ChecklistSpec] = {}
    unread: list[str] = []
    for one in stored:
        name = str(one["metadata"]["name"])
        try:
            found[name] = ChecklistSpec.model_validate(one.get("spec") or {})
        except ValidationError:
            unread.append(name)
            found[name] = ChecklistSpec(mode=_mode(one.get("spec")))
    return found, f"ClaudeChecklist {', '.join(unread)} cannot be read by this operator" if unread else ""


def _mode(spec: Any) -> Mode | None:
    given = spec.get("mode") if isinstance(spec, Mapping) else None
    if given is None:
        return None
    return next((one for one in get_args(Mode) if one == given), "Enforce")


def rules_of(found: Mapping[str, ChecklistSpec], namespace: str) -> tuple[Rules, ...]:
    """Those that hold in a namespace."""
    return tuple(
        Rules(name, spec.mode, tuple(spec.items or ()))
        for name, spec in sorted(found.items())
        if spec.namespaces is None or namespace in spec.namespaces
    )
