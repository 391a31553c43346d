"""A spec with some of its models replaced by another one: what a migration rolls out in place of what is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from claude_operator.api.deployment import DeploymentSpec, Subagent

__all__ = ["replace_models", "replace_stored"]

Object = Mapping[str, Any]


def replace_stored(raw: Object, models: Collection[str], to: str) -> dict[str, Any]:
    """`ClaudeDeployment.spec` as stored, with `to` wherever the request or a subagent names one of `models`.

    All else is left as it is, so that its content has the same hash as if a person had written the model.
    """
    changed = {**raw, "request": _replaced(raw["request"], models, to)}
    if raw.get("subagents"):
        changed["subagents"] = {
            name: {**one, "request": _replaced(one["request"], models, to)} for name, one in raw["subagents"].items()
        }
    return changed


def replace_models(spec: DeploymentSpec, models: Collection[str], to: str) -> DeploymentSpec:
    """The same of a spec as read."""
    request = spec.request.model_copy(update={"model": to}) if spec.request.model in models else spec.request
    subagents = spec.subagents and {
        name: Subagent(request=_replaced(one.request, models, to)) for name, one in spec.subagents.items()
    }
    return spec.model_copy(update={"request": request, "subagents": subagents})


def _replaced(request: Object, models: Collection[str], to: str) -> dict[str, Any]:
    return {**request, "model": to} if request.get("model") in models else dict(request)
