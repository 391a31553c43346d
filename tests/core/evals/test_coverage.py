"""What a revision changes and no item exercises is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claude_operator.api.gateway import Arm
from claude_operator.core.evals.checks import Check
from claude_operator.core.evals.coverage import unexercised
from claude_operator.core.evals.sets import Item

FIND: dict[str, Any] = {"name": "find", "input_schema": {"type": "object"}}
SERVER = {"type": "url", "name": "docs", "url": "https://docs.example"}


def arm(subagents: dict[str, Any] | None = None, **request: Any) -> Arm:
    return Arm(revision="r", role="canary", weight=0, request=request, subagents=subagents or {})


def item(messages: Any = (), **fields: Any) -> Item:
    encoded = json.dumps(list(messages), separators=(",", ":")).encode()
    return Item("a", encoded, fields.pop("checks", (Check("is-json"),)), **fields)


def call(**fields: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "input": {}, **fields}]}]


STABLE = arm({"small": {"max_tokens": 8}}, tools=[FIND], mcp_servers=[SERVER])


@pytest.mark.parametrize(
    ("candidate", "told"),
    [
        (STABLE, ""),
        (arm({"small": {"max_tokens": 9}}, tools=[FIND], mcp_servers=[SERVER]), "the subagent small"),
        (arm({}, tools=[FIND], mcp_servers=[SERVER]), "the subagent small"),
        (arm(STABLE.subagents, tools=[{**FIND, "description": "x"}], mcp_servers=[SERVER]), "the tool find"),
        (arm(STABLE.subagents, tools=[FIND, {"name": "pay"}], mcp_servers=[SERVER]), "the tool pay"),
        (arm(STABLE.subagents, mcp_servers=[]), "the tool find and the MCP server docs"),
        (
            arm(STABLE.subagents, tools=[FIND, *({"name": f"t{n}"} for n in range(7))], mcp_servers=[SERVER]),
            "the tools t0, t1, t2, t3, t4 and 2 more",
        ),
    ],
)
def test_what_is_edited_is_named(candidate: Arm, told: str) -> None:
    found = unexercised([item()], candidate, STABLE)
    assert found == (f"no item exercises {told}, which this revision changes" if told else "")
    assert unexercised([item()], candidate, None) == "", "a first revision edits nothing"


EDITED = arm(
    {"small": {}}, tools=[{**FIND, "description": "x"}], mcp_servers=[{**SERVER, "url": "https://new.example"}]
)


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"subagent": "small"}, "the tool find and the MCP server docs"),
        ({"tool_results": {"find": ("x",)}}, "the subagent small and the MCP server docs"),
        ({"checks": (Check("tool-call", '[{"name":"find"}]'),)}, "the subagent small and the MCP server docs"),
        ({"messages": call(name="find", server_name="docs")}, "the subagent small"),
        ({"metadata": {"exercises": "docs, find"}}, "the subagent small"),
        ({"metadata": {"exercises": "docs find small"}}, ""),
        ({"checks": (Check("contains", "find"),)}, "the subagent small and the tool find and the MCP server docs"),
    ],
)
def test_an_item_exercises_what_it_asks_answers_expects_or_names(fields: dict[str, Any], left: str) -> None:
    found = unexercised([item(**fields)], EDITED, STABLE)
    assert found == (f"no item exercises {left}, which this revision changes" if left else "")
