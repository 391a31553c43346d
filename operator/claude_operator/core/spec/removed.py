"""Fields that a ClaudeDeployment of an earlier version may still set, and what does their work now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["explain_removed"]

_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_UNIT = ("strategy", "canary", "analysis", "unit")


def explain_removed(owner: Mapping[str, Any]) -> str | None:
    """What is set, has no effect any more and was not the default, and what to write; None for nothing.

    The API server shows such a field only until the new CustomResourceDefinitions are applied; what was applied with
    kubectl shows it until it is applied again.
    """
    if owner["spec"].get("assignment"):
        return None
    applied = (owner["metadata"].get("annotations") or {}).get(_APPLIED, "")
    if "Request" not in (_at(owner["spec"]), _at(_spec_of(applied))):
        return None
    return (
        "spec.strategy.canary.analysis.unit: Request is no longer read, and conversations are counted: remove it, and"
        " where your requests do not belong together write spec.assignment.unit: Request"
    )


def _spec_of(applied: str) -> Any:
    try:
        document = json.loads(applied)
    except ValueError:
        return None
    return document.get("spec") if isinstance(document, dict) else None


def _at(spec: Any) -> Any:
    for name in _UNIT:
        spec = spec.get(name) if isinstance(spec, Mapping) else None
    return spec
