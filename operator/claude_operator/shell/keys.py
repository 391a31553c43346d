"""What the queue works on, and how an object leads to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from claude_operator.api.base import GROUP
from claude_operator.core import names

__all__ = ["DEPLOYMENT", "RUN", "Key", "key_of", "owner_key"]

DEPLOYMENT = "ClaudeDeployment"
RUN = "ClaudeEvalRun"


class Key(NamedTuple):
    """An object that has a loop of its own: a ClaudeDeployment or a ClaudeEvalRun."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def key_of(kind: str, body: Mapping[str, Any]) -> Key:
    """The key of an object of our own."""
    metadata = body["metadata"]
    return Key(kind, metadata["namespace"], metadata["name"])


def owner_key(body: Mapping[str, Any]) -> Key | None:
    """The key of the object that controls this one, or had it made; None where it is none of ours."""
    metadata = body["metadata"]
    for owner in metadata.get("ownerReferences") or ():
        ours = owner.get("kind") in (DEPLOYMENT, RUN) and str(owner.get("apiVersion", "")).startswith(f"{GROUP}/")
        if owner.get("controller") and ours:
            return Key(owner["kind"], metadata["namespace"], owner["name"])
    labels = metadata.get("labels") or {}
    lost = not any(owner.get("controller") for owner in metadata.get("ownerReferences") or ())
    if lost and labels.get(names.LABEL_MANAGED_BY) == names.FIELD_MANAGER and labels.get(names.LABEL_DEPLOYMENT):
        return Key(DEPLOYMENT, metadata["namespace"], labels[names.LABEL_DEPLOYMENT])
    return None
