"""Who else writes a spec: programs that would undo by their next sync what a person changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["warn_of"]

Object = Mapping[str, Any]

_MARKS = (
    ("labels", "argocd.argoproj.io/instance", "Argo CD"),
    ("annotations", "argocd.argoproj.io/tracking-id", "Argo CD"),
    ("labels", "kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("labels", "helm.toolkit.fluxcd.io/name", "Flux"),
    ("annotations", "meta.helm.sh/release-name", "Helm"),
)
_MANAGERS = (
    (re.compile(r"argo-?cd"), "Argo CD"),
    (re.compile(r"^(kustomize|helm)-controller$|^flux"), "Flux"),
    (re.compile(r"^helm$"), "Helm"),
)
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def warn_of(obj: Object) -> str | None:
    """That a change of the spec does not last, and what to do; None where nobody is known to write it."""
    found = _writers(obj)
    if found:
        who = " and ".join(dict.fromkeys(found))
        return f"{who} keeps this ClaudeDeployment and may write its own spec again: make the same change in its source"
    if _is_applied(obj):
        return "this spec was applied from a file: make the same change there, or the next `kubectl apply` undoes it"
    return None


def _writers(obj: Object) -> list[str]:
    metadata = obj["metadata"]
    found = [program for where, key, program in _MARKS if key in (metadata.get(where) or {})]
    for entry in metadata.get("managedFields") or ():
        if "f:spec" in (entry.get("fieldsV1") or {}):
            manager = str(entry.get("manager") or "").lower()
            found += [program for pattern, program in _MANAGERS if pattern.search(manager)]
    return found


def _is_applied(obj: Object) -> bool:
    metadata = obj["metadata"]
    by_server = any(
        one.get("operation") == "Apply" and "f:spec" in (one.get("fieldsV1") or {})
        for one in metadata.get("managedFields") or ()
    )
    return by_server or _APPLIED in (metadata.get("annotations") or {})
