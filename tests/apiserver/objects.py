"""Objects as people apply them, for an API server that checks them."""

from __future__ import annotations

import copy
from typing import Any

Object = dict[str, Any]

SPEC: Object = {
    "request": {"model": "claude-opus-5-5", "max_tokens": 100, "system": [{"type": "text", "text": "Be kind."}]},
    "upstream": {"apiKeySecretRef": {"name": "anthropic", "key": "api-key"}},
    "gateway": {"replicas": 1},
    "strategy": {
        "canary": {
            "steps": [{"setWeight": 10}, {"bake": {"minDuration": "1h", "maxDuration": "2h"}}],
            "analysis": {"interval": "5s"},
        }
    },
}


def deployment(name: str = "support", **spec: Any) -> Object:
    """A ClaudeDeployment; `spec` replaces fields of `SPEC`."""
    metadata = {"name": name}
    body = {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeDeployment", "metadata": metadata}
    return {**body, "spec": copy.deepcopy(SPEC | spec)}


def says(text: str) -> Object:
    """A request with another prompt: another revision."""
    return {**SPEC["request"], "system": [{"type": "text", "text": text}]}


def secret(name: str = "anthropic") -> Object:
    """The key for the upstream."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"api-key": "any"}}


def claim(name: str) -> Object:
    """A PersistentVolumeClaim."""
    spec = {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "1Mi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}
