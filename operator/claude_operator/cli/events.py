"""Events about a ClaudeDeployment, in the order of time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Event", "events_of"]


@dataclass(frozen=True, slots=True)
class Event:
    """One Event about a ClaudeDeployment."""

    time: str
    type: str
    reason: str
    note: str


def events_of(items: Iterable[Mapping[str, Any]], name: str) -> list[Event]:
    """Those about the ClaudeDeployment of this name, the newest last."""
    found = [
        Event(_time(one), str(one.get("type") or ""), str(one.get("reason") or ""), str(one.get("message") or ""))
        for one in items
        if _is_about(one.get("involvedObject") or {}, name)
    ]
    return sorted(found, key=lambda event: event.time)


def _is_about(involved: Mapping[str, Any], name: str) -> bool:
    return involved.get("kind") == "ClaudeDeployment" and involved.get("name") == name


def _time(event: Mapping[str, Any]) -> str:
    series = event.get("series") or {}
    known = (series.get("lastObservedTime"), event.get("eventTime"), event.get("lastTimestamp"))
    return str(next((one for one in known if one), "") or (event.get("metadata") or {}).get("creationTimestamp") or "")
