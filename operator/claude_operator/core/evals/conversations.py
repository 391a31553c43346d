"""Whether the API would take the conversations of a set with the revisions that are asked."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from claude_operator.api.gateway import Arm
from claude_operator.core.catalogue.checks.check import CHECKS
from claude_operator.core.catalogue.checks.row import LATEST_VERSION, Asked
from claude_operator.core.catalogue.table import find
from claude_operator.core.evals.items import Item

__all__ = ["explain_refused"]

_CHECKS = tuple(check for check in CHECKS if check.where == "messages")
_MARKERS = (b'"assistant"', b'"system"', b'"citations"', b'"cache_control"')
"""At least one of them is in every conversation in which a check finds something."""


def explain_refused(items: Iterable[Item], arms: Sequence[Arm], today: datetime.date) -> str:
    """The first item that the API would refuse to answer on one of the arms, and why; empty where it takes all."""
    for item in items:
        if not any(marker in item.messages for marker in _MARKERS):
            continue
        messages = msgspec.json.decode(item.messages)
        for arm in arms:
            why = _refusal(_request(arm, item.subagent), messages, today, arm.overrides.unsupported == "Drop")
            if why:
                return f"{item.shown}: {why}"
    return ""


def _request(arm: Arm, subagent: str | None) -> Mapping[str, Any]:
    """The arm's request, or that of its subagent where it has it."""
    return {**arm.request, **arm.subagents.get(subagent or "", {})}


def _refusal(request: Mapping[str, Any], messages: Any, today: datetime.date, drops: bool) -> str:
    """What the first check finds; `drops`: an assistant's message at the end is left out where it would be refused."""
    asked = Asked(find(str(request.get("model"))), {**request, "messages": messages}, today, version=LATEST_VERSION)
    found = (fault for check in _CHECKS if not (drops and check.id == "prefill") for fault in check.find(asked))
    fault = next(iter(found), None)
    return fault.message if fault else ""
