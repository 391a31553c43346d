"""What a ClaudeEvalSet says of itself: its items, and what the newest run that has ended found out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from claude_operator.api.conditions import Condition
from claude_operator.api.evals import EvalRunStatus, EvalSetStatus
from claude_operator.core.evals.calibration import standing, status_sentence
from claude_operator.core.evals.runs import FINAL
from claude_operator.core.text import cut

__all__ = ["AGREES", "set_status"]

AGREES = "GradersAgree"

Object = Mapping[str, Any]


def set_status(eval_set: Object, items: int | None, runs: Iterable[tuple[Object, EvalRunStatus]]) -> dict[str, Any]:
    """The fields of its status that have to be written, `items` None where only a run's Job can read them.

    Several ClaudeDeployments may use a set; each knows its own `runs`, and the newest of all stands.
    """
    stored = _stored(eval_set)
    wanted: dict[str, Any] = {}
    name, before = eval_set["metadata"]["name"], stored.run_at
    ended = [
        (status.finished_at, run, status)
        for run, status in runs
        if status.phase in FINAL and status.finished_at and run["spec"].get("setRef") == name
    ]
    if ended:
        at, run, status = max(ended, key=lambda one: one[0])
        if before is None or at > before:
            wanted |= {"run": run["metadata"]["name"], "runAt": at.isoformat(), "setHash": status.set_hash}
            wanted |= _calibration(eval_set, stored, status, at)
            if items is None and status.candidate is not None:
                wanted["items"] = status.candidate.items
    if items is not None and (eval_set.get("status") or {}).get("items") != items:
        wanted["items"] = items
    return wanted


def _calibration(eval_set: Object, stored: EvalSetStatus, status: EvalRunStatus, now: dt.datetime) -> dict[str, Any]:
    """What the run found of the graders, and whether a gate may rest on them."""
    found = status.calibration
    if found is None:
        return {"calibration": None, "conditions": None} if stored.calibration or stored.conditions else {}
    value, reason = standing(found)
    before = next((one for one in stored.conditions if one.type == AGREES), None)
    condition = Condition(
        type=AGREES,
        status=value,
        reason=reason,
        message=cut(status_sentence(found)),
        observed_generation=int(eval_set["metadata"].get("generation") or 0),
        last_transition_time=before.last_transition_time if before and before.status == value else now,
    )
    fields = found.model_dump(by_alias=True, mode="json")
    return {"calibration": fields, "conditions": [condition.model_dump(by_alias=True, mode="json")]}


def _stored(eval_set: Object) -> EvalSetStatus:
    """Its status; one that cannot be read is written anew."""
    try:
        return EvalSetStatus.model_validate(eval_set.get("status") or {})
    except ValidationError:
        return EvalSetStatus()
