"""What a revision changes and no item of its set exercises: subagents, tools, MCP servers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from claude_operator.api.gateway import Arm
from claude_operator.core.evals.sets import Item

__all__ = ["EXERCISES", "unexercised"]

EXERCISES = "exercises"
"""The label in which an item says what it exercises, where that cannot be seen in it."""

_LISTED = 5
_USED = re.compile(rb'"(?:name|server_name)":"((?:[^"\\]|\\.)*)"')
_NAMES = re.compile(r"[\w.-]+")


def unexercised(items: Sequence[Item], candidate: Arm, baseline: Arm | None) -> str:
    """A sentence that names what was edited and no item exercises; empty where there is none, or nothing before it.

    An item exercises the subagent that it asks as, and a tool or server that it answers, calls, expects a call of, or
    names in its label `exercises`.
    """
    if baseline is None:
        return ""
    edited = {
        "subagent": _edited(candidate.subagents, baseline.subagents),
        "tool": _edited(_named(candidate.request, "tools"), _named(baseline.request, "tools")),
        "MCP server": _edited(_named(candidate.request, "mcp_servers"), _named(baseline.request, "mcp_servers")),
    }
    if not any(edited.values()):
        return ""
    said = set().union(*(_said(item) for item in items))
    asked = {item.subagent for item in items} | said
    missing = {
        kind: [name for name in names if name not in (asked if kind == "subagent" else said)]
        for kind, names in edited.items()
    }
    parts = [_listed(kind, names) for kind, names in missing.items() if names]
    return f"no item exercises {' and '.join(parts)}, which this revision changes" if parts else ""


def _edited(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))


def _named(request: Mapping[str, Any], field: str) -> dict[str, Any]:
    found = request.get(field)
    listed = found if isinstance(found, list) else []
    return {one["name"]: one for one in listed if isinstance(one, dict) and isinstance(one.get("name"), str)}


def _said(item: Item) -> set[str]:
    """Names of tools and servers in an item."""
    names = {*item.tool_results, *_NAMES.findall(item.metadata.get(EXERCISES, ""))}
    names.update(found.decode("utf-8", "replace") for found in _USED.findall(item.messages))
    for check in item.checks:
        if "tool-call" in check.type:
            for text in _texts(check.value):
                names.update(_NAMES.findall(text))
    return names


def _texts(value: Any) -> Iterable[str]:
    return (value,) if isinstance(value, str) else [one for one in value or () if isinstance(one, str)]


def _listed(kind: str, names: Sequence[str]) -> str:
    shown = ", ".join(name[:64] for name in names[:_LISTED])
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"the {kind}{'s' if len(names) > 1 else ''} {shown}{more}"
