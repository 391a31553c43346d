"""What an eval really calls is named with how often, and can be left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claude_operator.api.evals import EvalSetSpec
from claude_operator.api.gateway import Arm
from claude_operator.core.catalogue.checks.check import takes
from claude_operator.core.evals.checks import Check
from claude_operator.core.evals.items import Item
from claude_operator.core.evals.kept import first_request
from claude_operator.core.evals.outside import (
    Called,
    asked_at_most,
    called,
    calls_sentence,
    left_out_sentence,
    without_calls,
)
from claude_operator.core.request.compose import prepare

DOCS = {"type": "url", "name": "docs", "url": "https://docs.example"}
TOOLSET = {"type": "mcp_toolset", "mcp_server_name": "docs"}
SEARCH = {"type": "web_search_20260318", "name": "web_search", "max_uses": 3}
CODE = {"type": "code_execution_20260521", "name": "code_execution"}
OURS: dict[str, Any] = {"name": "refund", "input_schema": {"type": "object"}}


def arm(subagents: dict[str, Any] | None = None, **request: Any) -> Arm:
    fields = {"model": "claude-haiku-5-5", "max_tokens": 16, **request}
    return Arm(revision="r", role="canary", weight=0, request=fields, subagents=subagents or {})


def item(name: str, subagent: str | None = None, turns: int = 1) -> Item:
    messages = json.dumps([{"role": "user", "content": name}]).encode()
    return Item(name, messages, (Check("is-json"),), subagent=subagent, max_turns=turns)


def test_how_many_requests_may_call_what() -> None:
    small = {"small": {"tools": [SEARCH]}}
    arms = [arm(small, mcp_servers=[DOCS], tools=[TOOLSET, OURS]), arm(tools=[CODE])]
    spec = EvalSetSpec.model_validate({"tests": [], "execution": {"epochs": 3}})
    asked = asked_at_most(spec, [item("a"), item("b", turns=5), item("c", "small")])
    assert asked == {"": 4 * 3 * 6, "small": 4 * 3}, "AddEpochs asks four times as often at most"
    assert called(arms, asked) == (
        Called("MCP server", "docs", 84),
        Called("server tool", "web_search", 12, 3),
        Called("server tool", "code_execution", 84),  # the baseline has no subagent of this name
    )


def test_an_item_asks_less_where_no_epochs_are_added() -> None:
    spec = EvalSetSpec.model_validate({"tests": [], "gate": {"onInconclusive": "Block"}, "execution": {"epochs": 2}})
    assert asked_at_most(spec, [item("a")]) == {"": 2}


@pytest.mark.parametrize(
    ("tool", "outside"),
    [
        (OURS, False),
        ({**OURS, "type": "custom"}, False),
        ({"type": "bash_20250124", "name": "bash"}, False),
        ({"type": "memory_20250818", "name": "memory"}, False),
        ({"type": "computer_toolset_20260801"}, False),
        ({"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}, False),
        (SEARCH, True),
        (CODE, True),
        ({"type": "web_fetch_20260318", "name": "web_fetch"}, True),
        ({"type": "of_tomorrow_20290101"}, True),
    ],
)
def test_which_tools_are_called(tool: dict[str, Any], outside: bool) -> None:
    bare, left_out = without_calls(arm(tools=[tool]))
    assert bool(called([arm(tools=[tool])], {"": 1})) == outside == bool(left_out)
    assert bare.request["tools"] == ([] if outside else [tool])


def test_a_subagent_without_tools_inherits_no_choice_of_one() -> None:
    bare, _ = without_calls(arm({"small": {"tools": [SEARCH]}, "own": {}}, tools=[OURS], tool_choice={"type": "any"}))
    assert bare.request["tool_choice"] == {"type": "any"}
    assert bare.subagents == {"small": {"tools": [], "tool_choice": None}, "own": {}}


def test_what_goes_with_what_is_left_out() -> None:
    search = {"type": "tool", "name": "web_search"}
    bare, left_out = without_calls(
        arm(
            {"small": {"tools": [SEARCH], "tool_choice": {"type": "any"}}, "same": {"max_tokens": 5}},
            mcp_servers=[DOCS],
            tools=[TOOLSET, CODE, {**OURS, "allowed_callers": ["direct", "code_execution_20260521"]}],
            container={"skills": []},
            tool_choice=search,
        )
    )
    assert left_out == ("MCP server docs", "server tool code_execution", "server tool web_search")
    assert bare.request == {
        "model": "claude-haiku-5-5",
        "max_tokens": 16,
        "tools": [{**OURS, "allowed_callers": ["direct"]}],
    }
    assert bare.subagents == {"small": {"tools": []}, "same": {"max_tokens": 5}}


def test_without_calls_the_rest_is_sent_as_it_is() -> None:
    plain = arm(tools=[OURS], tool_choice={"type": "tool", "name": "refund"}, system=[{"type": "text", "text": "x"}])
    assert without_calls(plain) == (plain, ())
    bare, _ = without_calls(arm(tools=[OURS, TOOLSET], mcp_servers=[{**DOCS, "authorization_token": "$(DOCS)"}]))
    sent = first_request(prepare(bare, {}, takes), item("a"))
    assert json.loads(sent.body)["tools"] == [OURS]
    assert b"docs" not in sent.body, "nor is a value for its token needed"
    assert sent.betas == ()


def test_sentences() -> None:
    assert calls_sentence(()) == left_out_sentence(()) == ""
    said = calls_sentence([Called("MCP server", "docs", 1200), Called("server tool", "web_search", 1, 3)])
    assert said.startswith("this run really calls the MCP server docs in at most 1,200 requests, the server tool")
    assert "web_search in at most 1 request, 3 times in each (one request may call a server several times)" in said
    assert said.endswith("; evals.mcp: Off leaves them out")
    assert "without the MCP server docs (evals.mcp: Off)" in left_out_sentence(["MCP server docs"])
