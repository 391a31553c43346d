"""What the queue works on, and how an object leads to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from claude_operator.api.base import GROUP

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
    """The key of the object that controls this one, None where it is none of ours."""
    metadata = body["metadata"]
    for owner in metadata.get("ownerReferences") or ():
        ours = owner.get("kind") in (DEPLOYMENT, RUN) and str(owner.get("apiVersion", "")).startswith(f"{GROUP}/")
        if owner.get("controller") and ours:
            return Key(owner["kind"], metadata["namespace"], owner["name"])
    return None
