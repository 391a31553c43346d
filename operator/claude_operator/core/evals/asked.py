"""What makes a ClaudeEvalRun count: it asks exactly what the status of a living ClaudeDeployment says was asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from pydantic import ValidationError

from claude_operator.api.base import GROUP
from claude_operator.api.evals import EvalRunSpec

__all__ = ["ONLY_THE_OPERATOR", "Standing", "deployment_of", "spec_hash", "standing"]

ONLY_THE_OPERATOR = (
    "no ClaudeDeployment asks for this run: only the operator makes ClaudeEvalRuns. Name the set in spec.evals of a"
    " ClaudeDeployment, or run `claude-operator eval run -f` on a laptop"
)

Object = Mapping[str, Any]


class Standing(Enum):
    """Whether a run was asked for."""

    ASKED = auto()
    NOT_YET = auto()  # the status is written a moment after the run
    NAMED = auto()  # the status names the run and not yet its spec: one from before specs were compared
    NOBODY = auto()


def spec_hash(stored: Object) -> str:
    """sha256 in hex over canonical JSON of a run's spec. What the API server fills in or leaves out does not matter."""
    try:
        parsed = EvalRunSpec.model_validate(stored)
    except ValidationError:  # of another version: only the same counts as the same
        content: Object = stored
    else:
        content = parsed.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True, mode="json")
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def deployment_of(run: Object) -> tuple[str, str] | None:
    """Name and UID of the ClaudeDeployment that controls a run, None where none does."""
    for one in run["metadata"].get("ownerReferences") or ():
        ours = one.get("kind") == "ClaudeDeployment" and str(one.get("apiVersion", "")).startswith(f"{GROUP}/")
        if one.get("controller") and ours:
            return str(one.get("name")), str(one.get("uid"))
    return None


def standing(run: Object, owner: Object | None) -> Standing:
    """Whether `owner`, the ClaudeDeployment as stored that `deployment_of` names, asks for exactly this run."""
    controller, spec = deployment_of(run), run.get("spec") or {}
    if owner is None or controller is None or owner["metadata"].get("deletionTimestamp"):
        return Standing.NOBODY
    name, uid = owner["metadata"]["name"], owner["metadata"]["uid"]
    if controller != (name, uid) or spec.get("deployment") != name:
        return Standing.NOBODY
    rollout = (owner.get("status") or {}).get("rollout") or {}
    if rollout.get("evalRun") != run["metadata"]["name"]:
        return Standing.NOT_YET
    asked = rollout.get("evalRunSpec")
    if asked is None:
        return Standing.NAMED
    return Standing.ASKED if asked == spec_hash(spec) else Standing.NOBODY
