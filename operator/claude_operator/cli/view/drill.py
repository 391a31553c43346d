"""A drill for people and for programs: what came of it, how long each part took, and what it cost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from claude_operator.api.drill import DrillStatus
from claude_operator.cli.deployment import status_of
from claude_operator.cli.view.paint import ago, fields, visible
from claude_operator.core.text import count, duration

__all__ = ["drill_facts", "drill_view"]

Facts = dict[str, Any]

_STYLES = {"Passed": "green", "Failed": "bold red", "Aborted": "yellow", "Running": "cyan", "Never": "yellow"}


def drill_facts(obj: Mapping[str, Any], number: int | None = None) -> Facts:
    """The last drill of a ClaudeDeployment, or the one of this number.

    `result` is Passed, Failed, Aborted, Running or Never. An aborted one says nothing of the rollback: `lastResult` is
    then that of the last one which did.
    """
    found = status_of(obj).drill or DrillStatus()
    name = str(obj["metadata"]["name"])
    wanted = f"{name}-drill-{number or found.number}"
    facts: Facts = {"name": name, "namespace": obj["metadata"]["namespace"]}
    if found.running is not None and found.running.id == wanted:
        now = found.running
        return facts | {"result": "Running", "id": now.id, "mode": now.mode, "phase": now.phase, "by": now.by}
    last = _result(found)
    if found.aborted is not None and found.aborted.id == wanted:
        ended = found.aborted
        told = {"id": ended.id, "at": _text(ended.at), "requestsHurt": ended.requests_hurt, "message": ended.message}
        return facts | {"result": "Aborted"} | told | ({"lastResult": last} if last else {})
    return facts | (last or {"result": "Never"})


def _result(found: DrillStatus) -> Facts | None:
    if found.outcome is None:
        return None
    return {
        "result": found.outcome,
        "id": found.id,
        "mode": found.mode,
        "revision": found.revision,
        "by": found.by,
        "at": _text(found.at),
        "detectionSeconds": found.detection_seconds,
        "rollbackSeconds": found.rollback_seconds,
        "requests": found.requests,
        "requestsHurt": found.requests_hurt,
        "message": found.message,
    }


def drill_view(facts: Facts, now: dt.datetime) -> RenderableType:
    """The facts for a person."""
    facts = visible(facts)
    result = facts["result"]
    head = Text(f"{facts['namespace']}/{facts['name']}  ") + Text(result, style=_STYLES.get(result, ""))
    if result == "Never":
        return Text.assemble(head, f"\nno drill has ended yet: kubectl claude drill {facts['name']} begins one")
    if result == "Running":
        return Text.assemble(head, f"\n{facts['id']}, {facts['mode']}, {facts['phase']}")
    rows: dict[str, RenderableType | None] = {"Drill": facts["id"], **_rows(facts, now)}
    if result == "Aborted":
        last = facts.get("lastResult")
        rows["Last result"] = f"{last['result']}, {ago(last['at'], now)} ago" if last else "none"
    return _under(head, facts["message"], rows)


def _rows(facts: Facts, now: dt.datetime) -> dict[str, RenderableType | None]:
    hurt = facts.get("requestsHurt")
    made_up = facts.get("requests") if facts.get("mode") == "Rehearsal" else None
    return {
        "Mode": facts.get("mode"),
        "Ended": f"{ago(facts['at'], now)} ago" if facts.get("at") else None,
        "Asked": facts.get("by"),
        "Revision": facts.get("revision"),
        "Noticed": _after(facts.get("detectionSeconds"), "after the first failed request"),
        "Weight 0": _after(facts.get("rollbackSeconds"), "later, at every gateway"),
        "Cost": None if hurt is None else f"{count(hurt, 'request')} of users failed",
        "Made up": None if made_up is None else f"{count(made_up, 'request')} failed",
    }


def _after(seconds: float | None, what: str) -> str | None:
    return None if seconds is None else f"{duration(seconds)} {what}"


def _under(head: Text, message: str, rows: dict[str, RenderableType | None]) -> RenderableType:
    return Group(head, Text(message), Text(), fields(rows))


def _text(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
