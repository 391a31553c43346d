"""The revisions of a ClaudeDeployment and how their rollouts ended."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from claude_operator.cli.deployment import status_of
from claude_operator.cli.view.paint import STYLES, ago, table

__all__ = ["history_facts", "history_view"]

Object = Mapping[str, Any]
Facts = dict[str, Any]


def history_facts(obj: Object, revisions: Sequence[Object]) -> list[Facts]:
    """A revision each, the newest last, with those of its rollouts that status still knows."""
    status = status_of(obj)
    ends: dict[str, list[Facts]] = {}
    for record in status.rollouts:
        ends.setdefault(record.revision, []).append(record.model_dump(by_alias=True, exclude_none=True, mode="json"))
    roles = {status.canary_revision: "canary", status.stable_revision: "stable"}
    if status.draining is not None:
        roles.setdefault(status.draining.revision, "former")
    return [
        {
            "revision": one["metadata"]["name"],
            "createdAt": one["metadata"].get("creationTimestamp"),
            "model": (one["spec"].get("request") or {}).get("model"),
            "state": (one.get("status") or {}).get("state", "Candidate"),
            "eval": (one.get("status") or {}).get("eval", ""),
            "serves": roles.get(one["metadata"]["name"]),
            "rollouts": ends.get(one["metadata"]["name"], []),
        }
        for one in revisions
    ]


def history_view(facts: Sequence[Facts], now: dt.datetime) -> RenderableType:
    """A line for each rollout, and for each revision without one."""
    made = table("REVISION", "AGE", "MODEL", "STATE", "SERVES", "EVAL", "ATTEMPT", "HOW IT ENDED")
    for one in facts:
        head = [
            one["revision"],
            ago(one["createdAt"], now),
            one["model"] or "",
            one["state"],
            one["serves"] or "",
            one["eval"],
        ]
        for record in one["rollouts"] or [None]:
            end = ["", ""] if record is None else [str(record["attempt"]), _end(record)]
            made.add_row(*head, *end)
            head = [""] * len(head)
    return made


def _end(record: Facts) -> Text:
    return Text.assemble((record["outcome"], STYLES.get(record["outcome"], "")), f": {record['message']}")
