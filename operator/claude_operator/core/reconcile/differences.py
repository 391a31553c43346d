"""What is to be known of a canary beside stable before they are compared: other tokens, a cold cache."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from claude_operator.core.catalogue.checks.check import CHECKS
from claude_operator.core.catalogue.checks.row import Asked
from claude_operator.core.catalogue.lifecycle import model_of
from claude_operator.core.catalogue.table import Model
from claude_operator.core.lint.against import Side, edits_of
from claude_operator.core.lint.price import measured
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.prices import book_in_force

__all__ = ["explain_differences", "explain_rewrite"]

_CHECKS = tuple(check for check in CHECKS if check.where == "rollout")

Object = Mapping[str, Any]


def explain_differences(stable: Object, canary: Object, today: dt.date, models: Mapping[str, Model]) -> str:
    """What the checks find in a canary's ClaudeRevision beside stable's, each as its field says it; empty for nothing.

    A subagent that only one of them has is compared with nothing.
    """
    before, after = dict(_requests(stable["spec"])), dict(_requests(canary["spec"]))
    own: list[str] = []
    found: list[str] = []
    for name, request in after.items():
        if name not in before:
            continue
        asked = _asked(request, today, models, _asked(before[name], today, models))
        told = [fault.message for check in _CHECKS for fault in check.find(asked)]
        own = own if name else told
        found += [f"subagents.{name}.request.{text}" if name else text for text in told if not name or text not in own]
    return "; ".join(found)


def explain_rewrite(obs: Observation, stable: Object, canary: Object) -> str:
    """What live sessions write again to the prompt cache once the canary has them all, and what that costs.

    By what stable's calls of the last hour had in the cache; empty where nothing is measured, or nothing is lost.
    """
    if obs.usage is None:
        return ""
    sessions = measured(obs.usage.cache, stable["metadata"]["name"], obs.usage.read_at)
    if not sessions.number or not sessions.cached:
        return ""
    sides = Side(stable["spec"]), Side(canary["spec"])
    edits = edits_of(*sides, sessions, models=obs.models, book=book_in_force(obs))
    return "; ".join(edit.sentence for edit in edits if edit.bill.is_whole)


def _requests(spec: Object) -> Iterator[tuple[str, Object]]:
    """The request, whose name is empty, and that of each subagent, as they are served."""
    yield "", spec["request"]
    for name, one in (spec.get("subagents") or {}).items():
        yield name, {**spec["request"], **one["request"]}


def _asked(request: Object, today: dt.date, models: Mapping[str, Model], before: Asked | None = None) -> Asked:
    return Asked(model_of(str(request.get("model") or ""), models), request, today, before=before)
