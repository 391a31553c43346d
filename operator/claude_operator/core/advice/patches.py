"""JSON merge patches (RFC 7396) of a ClaudeDeployment, and whether its spec would be accepted after one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from claude_operator.api.deployment import DeploymentSpec
from claude_operator.core.advice.case import Case
from claude_operator.core.spec.validate import problems, warning

__all__ = ["merged", "objections"]

_MOST = {"budgets": 32, "subagents": 32}  # entries, by the schema


def merged(target: Any, patch: Any) -> Any:
    """The target after the patch."""
    if not isinstance(patch, Mapping):
        return patch
    found = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


def objections(case: Case, patch: Mapping[str, Any]) -> list[str]:
    """What would be wrong with the spec after the patch that is not wrong now; empty: it may be offered."""
    raw = merged(case.raw, patch["spec"])
    full = [f"spec.{name}: at most {most} fit" for name, most in _MOST.items() if len(raw.get(name) or ()) > most]
    try:
        spec = DeploymentSpec.model_validate(raw)
    except ValidationError as error:
        return [str(entry["msg"]) for entry in error.errors(include_input=False, include_url=False)]
    known = {one.message for one in problems(case.spec, today=case.today, models=case.models)}
    found = [one.message for one in problems(spec, today=case.today, models=case.models)]
    told = warning(spec)
    if told is not None and warning(case.spec) is None:
        found.append(told.message)
    return [*full, *(text for text in found if text not in known)]
