"""Every rule of a request, by a row that passes and one that does not."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from tests.core.catalogue.check_examples import FINDS, asked

from claude_operator.core.catalogue.checks.check import (
    CHECKS,
    Check,
    Severity,
    check_asked,
    check_request,
    request_problems,
)
from claude_operator.core.catalogue.table import Model, all_models, find

TODAY = dt.date(2026, 11, 24)
OPUS, OPUS_5, SONNET, HAIKU, OLD = (
    "claude-opus-5-5",
    "claude-opus-5",
    "claude-sonnet-5-5",
    "claude-haiku-5-5",
    "claude-haiku-4-5-20251001",
)
NEW = "claude-opus-9"  # not in the catalogue


def found(model: str, today: dt.date = TODAY, **fields: Any) -> list[str]:
    return request_problems(find(model), {"model": model, "max_tokens": 2048, **fields}, today=today)


def block(ttl: str | None = None, text: str = "x", **fields: Any) -> dict[str, Any]:
    control = {"type": "ephemeral"} | ({"ttl": ttl} if ttl else {})
    return {"type": "text", "text": text, "cache_control": control, **fields}


def tool(name: str = "a", **fields: Any) -> dict[str, Any]:
    return {"name": name, "input_schema": {"type": "object"}, **fields}


SERVER = {"type": "url", "name": "docs", "url": "https://mcp.example.com"}
TOOLSET = {"type": "mcp_toolset", "mcp_server_name": "docs"}
MCP = {"mcp_servers": [SERVER], "tools": [TOOLSET], "betas": ["mcp-client-2025-11-20"]}
ENABLED = {"type": "enabled", "budget_tokens": 1024}


def compaction(value: Any) -> dict[str, Any]:
    return {"edits": [{"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": value}}]}


def effort(level: str, **thinking: Any) -> dict[str, Any]:
    return {"output_config": {"effort": level}} | ({"thinking": thinking} if thinking else {})


PASSES = [
    (OPUS, {}),
    (OPUS, {"max_tokens": 128_000}),
    (OLD, {"max_tokens": 64_000}),
    (OPUS, {"max_tokens": 300_000, "betas": ["output-300k-2026-03-24"]}),
    (NEW, {"max_tokens": 10_000_000}),
    (OPUS, effort("max")),
    (NEW, effort("ultra")),
    ("claude-mythos-preview", effort("ultra", type="new")),
    (OPUS, {"thinking": {"type": "adaptive", "display": "omitted"}}),
    (OPUS_5, effort("high", type="disabled")),
    ("claude-opus-4-8", effort("max", type="disabled")),
    ("claude-opus-4-6", {"thinking": ENABLED}),
    (SONNET, effort("high", type="between_tools")),
    (NEW, {"thinking": {"type": "between_lines"}}),
    (OLD, {"thinking": {"type": "enabled", "budget_tokens": 2047}}),
    (OLD, {"thinking": {"type": "enabled", "budget_tokens": 4096}, "betas": ["interleaved-thinking-2025-05-14"]}),
    (OPUS, {"tool_choice": {"type": "auto"}}),
    (OPUS_5, {"tool_choice": {"type": "any"}, "tools": [tool()]}),
    (NEW, {"tool_choice": {"type": "tool", "name": "a"}, "tools": [tool()]}),
    (OLD, {"temperature": 0, "top_k": 4}),
    (OLD, {"top_p": 0.9, "top_k": 4}),
    (OPUS, {"temperature": 1.0}),
    (OPUS, {"inference_geo": "us"}),
    (OPUS, {"speed": "fast"}),
    (OLD, {"speed": "standard"}),
    (OPUS_5, {"speed": "fast", "betas": ["fast-mode-2026-02-01"]}),
    (NEW, {"speed": "fast"}),
    (OPUS, {"service_tier": "standard_only"}),
    (OPUS, {"system": [block("1h"), block("1h"), block("5m")], "cache_control": {"type": "ephemeral"}}),
    (OPUS, {"tools": [tool(cache_control={"type": "ephemeral", "ttl": "1h"})], "system": [block()]}),
    (OPUS, {"tools": [tool("a"), tool("b"), {"type": "web_search_20260318", "name": "web_search"}]}),
    (OPUS, {"tools": [{"type": "new_tool_20270101", "name": "whatever"}]}),
    (OPUS, {"tools": [tool(strict=True) | {"input_schema": {"type": "object", "additionalProperties": False}}]}),
    (OPUS, MCP),
    (OPUS, {"context_management": compaction(50_000), "betas": ["compact-2026-01-12"]}),
    (
        OPUS,
        {
            "output_config": {"task_budget": {"type": "tokens", "total": 20_000}},
            "betas": ["task-budgets-2026-03-13"],
        },
    ),
    (OPUS, {"max_tokens": 0}),
    (OPUS, {"a_field_of_tomorrow": {"anything": [1]}, "metadata": {"user_id": "u"}}),
    ("claude-opus-4-1", {}),  # an alias of a Retired model: pinning it would not help
    ("claude-opus-9-20270101", {}),
]

FAILS = [
    (
        "claude-opus-5-5-20260922",
        {},
        "model: claude-opus-5-5-20260922 does not exist, from Claude 4.6 on an id has no date: write claude-opus-5-5",
    ),
    (OPUS, {"max_tokens": 128_001}, "max_tokens: 128001 is more than claude-opus-5-5 gives: write 128000 or less"),
    (OLD, {"max_tokens": 64_001}, f"max_tokens: 64001 is more than {OLD} gives: write 64000 or less"),
    (
        OPUS,
        effort("ultra"),
        "output_config.effort: claude-opus-5-5 does not take 'ultra': write low or medium or high or xhigh or max",
    ),
    (
        "claude-opus-4-6",
        effort("xhigh"),
        "output_config.effort: claude-opus-4-6 does not take 'xhigh': write low or medium or high or max",
    ),
    (OLD, effort("low"), f"output_config.effort: {OLD} does not take it: remove it"),
    (
        OPUS,
        {"thinking": ENABLED},
        "thinking.type: claude-opus-5-5 does not take 'enabled': write adaptive, or remove thinking",
    ),
    (
        OPUS_5,
        effort("xhigh", type="disabled"),
        "thinking.type: claude-opus-5 takes 'disabled' up to effort high, not with xhigh: lower output_config.effort to"
        " high, or remove thinking",
    ),
    (
        SONNET,
        effort("max", type="between_tools"),
        "thinking.type: claude-sonnet-5-5 takes 'between_tools' up to effort high, not with max: lower"
        " output_config.effort to high, or remove thinking",
    ),
    (
        SONNET,
        {"thinking": {"type": "between_tools", "display": "omitted"}},
        "thinking: between_tools takes no other fields: remove all but type",
    ),
    (
        OLD,
        {"thinking": {"type": "enabled", "budget_tokens": 1023}},
        "thinking.budget_tokens: 1023 is too small: write 1024 or more",
    ),
    (OLD, {"thinking": {"type": "enabled"}}, "thinking.budget_tokens: None is too small: write 1024 or more"),
    (
        OLD,
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        "thinking.budget_tokens: 2048 is not below max_tokens 2048: lower it or raise max_tokens",
    ),
    (
        SONNET,
        {"tool_choice": {"type": "any"}},
        "tool_choice.type: claude-sonnet-5-5 does not take 'any': write auto, and ask for the tool in system",
    ),
    (
        OPUS,
        {"temperature": 0.5},
        "temperature: claude-opus-5-5 refuses it: remove it, and steer with system or output_config.effort",
    ),
    (OPUS, {"top_p": 0.9}, "top_p: claude-opus-5-5 refuses it: remove it"),
    (NEW, {"top_k": 4}, "top_k: claude-opus-9 refuses it: remove it"),
    (OLD, {"temperature": 1.5}, "temperature: 1.5 is out of range: write a number from 0 to 1"),
    (
        OLD,
        {"inference_geo": "us"},
        f"inference_geo: {OLD} refuses it: remove it, or use a model from Claude 4.6 on",
    ),
    (OPUS, {"inference_geo": "mars"}, "inference_geo: 'mars' is not one of its values: write us or global"),
    (SONNET, {"speed": "fast"}, "speed: claude-sonnet-5-5 has no fast mode: remove it"),
    (OPUS_5, {"speed": "fast"}, "betas: speed fast is a beta on claude-opus-5: add fast-mode-2026-02-01"),
    (OPUS, {"speed": "warp"}, "speed: 'warp' is not one of its values: write standard or fast"),
    (
        OPUS,
        {"service_tier": "priority"},
        "service_tier: 'priority' is not one of its values: write auto or standard_only",
    ),
    (
        OPUS,
        {"tools": [tool(cache_control={"type": "ephemeral"})], "system": [block()] * 4},
        "cache_control: 5 breakpoints over tools, promptFrom, system and the top level, the API takes 4: keep those at"
        " the end of the longest prefixes that stay the same",
    ),
    (
        OPUS,
        {"system": [block("1h"), block()], "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        "cache_control: ttl 1h comes after 5m, in the order tools, promptFrom, system, top level: give the earlier"
        " ones 1h or the later ones 5m",
    ),
    (OPUS, {"tools": [tool("a"), tool("a")]}, "tools: 2 tools are named 'a': rename or remove all but one"),
    (OPUS, {"tools": [tool("a b")]}, "tools: 'a b' is not a tool name: write 1 to 64 letters, digits, _ or -"),
    (
        OPUS,
        {"tools": [{"type": "text_editor_20250728", "name": "editor"}]},
        "tools: a tool of type text_editor_20250728 has one name only: write name: str_replace_based_edit_tool",
    ),
    (OPUS, {"tools": [{"name": "a"}]}, "tools: a has no name or no input_schema: write both, or a type"),
    (
        OPUS,
        {"tools": [{"name": "a", "input_schema": {"type": "array"}}]},
        "tools: input_schema of a is not the schema of an object: write type: object",
    ),
    (
        OPUS,
        {"tools": [tool(strict=True)]},
        "tools: a is strict: write additionalProperties: false into its input_schema, or remove strict",
    ),
    (
        OPUS,
        MCP | {"tools": []},
        "tools: MCP server 'docs' has 0 toolsets: write {type: mcp_toolset, mcp_server_name: docs} exactly once",
    ),
    (
        OPUS,
        MCP | {"tools": [TOOLSET, TOOLSET]},
        "tools: MCP server 'docs' has 2 toolsets: write {type: mcp_toolset, mcp_server_name: docs} exactly once",
    ),
    (
        OPUS,
        {"tools": [TOOLSET]},
        "tools: a toolset names the unknown MCP server 'docs': add it to mcp_servers, or remove the toolset",
    ),
    (
        OPUS,
        MCP | {"mcp_servers": [SERVER, SERVER]},
        "mcp_servers: 2 servers are named 'docs': rename or remove all but one",
    ),
    (
        OPUS,
        MCP | {"mcp_servers": [SERVER | {"url": "http://mcp.example.com"}]},
        "mcp_servers: the url of 'docs' does not start with https://: write one that does",
    ),
    (OPUS, MCP | {"betas": ["a-1"]}, "betas: mcp_servers is a beta of the API: add mcp-client-2025-11-20"),
    (
        OPUS,
        {"betas": ["a-1,b-2"]},
        "betas: 'a-1,b-2' is not a single beta: write each as an entry of its own, without spaces or commas",
    ),
    (
        OPUS,
        {"context_management": compaction(49_999)},
        "context_management.edits: a compaction trigger of 49999 is too small: write 50000 or more",
    ),
    (
        OPUS,
        {"context_management": {"edits": []}, "compaction": {"type": "summarize"}},
        "compaction: the API does not take it together with context_management: remove one of them",
    ),
    (
        OPUS,
        {"output_config": {"task_budget": {"total": 100}}, "betas": ["task-budgets-2026-03-13"]},
        "output_config.task_budget: a total of 100 is too small: write 20000 or more",
    ),
    (
        OPUS,
        {"output_config": {"task_budget": {"total": 20_000}}},
        "betas: output_config.task_budget is a beta of the API: add task-budgets-2026-03-13",
    ),
    (
        OPUS_5,
        {"max_tokens": 0, "tool_choice": {"type": "any"}},
        "max_tokens: 0 cannot be combined with tool_choice: write 1 or more, or remove tool_choice",
    ),
]


@pytest.mark.parametrize(("model", "fields"), PASSES)
def test_passes(model: str, fields: dict) -> None:
    assert found(model, **fields) == []


@pytest.mark.parametrize(("model", "fields", "problem"), FAILS)
def test_fails(model: str, fields: dict, problem: str) -> None:
    assert problem in found(model, **fields)


def test_a_fast_mode_ends_on_its_day() -> None:
    fields = {"speed": "fast", "betas": ["fast-mode-2026-02-01"]}
    assert found("claude-opus-4-8", dt.date(2026, 11, 30), **fields) == []
    assert found("claude-opus-4-8", dt.date(2026, 12, 1), **fields) == [
        "speed: claude-opus-4-8 had a fast mode until 2026-11-30: remove it"
    ]


def aliases(today: dt.date) -> list[str]:
    request = {"model": "claude-sonnet-4-5", "max_tokens": 10}
    found = check_request(find("claude-sonnet-4-5"), request, today=today)
    return [finding.message for finding in found if finding.check_id == "model-alias"]


def test_an_alias_is_let_be_once_its_model_is_retired() -> None:
    assert aliases(dt.date(2026, 11, 29)) == [
        "model: claude-sonnet-4-5 is an alias, whose model can change under a revision: write"
        " claude-sonnet-4-5-20250929"
    ]
    assert aliases(dt.date(2026, 11, 30)) == []


def test_every_check_has_an_id_of_its_own_and_an_example() -> None:
    ids = [check.id for check in CHECKS]
    assert len(set(ids)) == len(ids)
    assert set(ids) == set(FINDS)


def test_every_number_of_the_list_has_a_check() -> None:
    assert {check.number for check in CHECKS} == {None, *range(1, 35)}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_check_finds_its_example_and_passes_the_nearest(check: Check) -> None:
    example = FINDS[check.id]
    faults = list(check.find(asked(example.model, example.finds, **example.known)))
    assert [(one.message, one.api, one.path) for one in faults] == [(example.message, example.api, example.path)]
    known = example.known if example.passes_known is None else example.passes_known
    assert not list(check.find(asked(example.model, example.passes, **known)))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_an_error_is_alone_in_its_example_and_has_the_apis_words(check: Check) -> None:
    """So a check that falls out of the table is noticed, and the nearest request is one that the API takes."""
    example = FINDS[check.id]
    found = check_asked(asked(example.model, example.finds, **example.known))
    errors = {finding.check_id for finding in found if finding.severity is Severity.ERROR}
    assert errors == ({check.id} if check.severity is Severity.ERROR else set())
    assert (example.api is not None) or check.severity is Severity.WARNING
    known = example.known if example.passes_known is None else example.passes_known
    passes = check_asked(asked(example.model, example.passes, **known))
    assert [finding.message for finding in passes if finding.severity is Severity.ERROR] == []


def test_a_plain_request_passes_on_every_model() -> None:
    for model in all_models():
        assert request_problems(model, {"model": model.id, "max_tokens": 4096}, today=TODAY) == [], model.id


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It is 2026-11-24T09:30 now", "a time, '2026-11-24T09:30',"),
        ("Order 123e4567-e89b-12d3-a456-426614174000.", "a UUID, '123e4567-e89b-12d3-a456-426614174000',"),
        ("Today is Tuesday, 24.11.2026.", "a date, 'Today is Tuesday, 24.11.2026.',"),
        ("today's date is 24th November", 'a date, "today\'s date is 24th Nov",'),
        ("Current date: 2026-11-24", "a date, 'Current date: 2026-11-24',"),
        ("Date: November 24", "a date, 'Date: November 24',"),
        ("Help {{ user.name }}.", "a placeholder, '{{ user.name }}',"),
        ("date: 3 things", None),
        ("An update: 1/2 of it", None),
        ("Released on 2026-11-24.", None),
        ("Answer as {json: {}}", None),
        ("", None),
    ],
)
def test_what_changes_before_a_breakpoint(text: str, found: str | None) -> None:
    fields = {"system": [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]}
    faults = [one.message for one in check_asked(asked(NEW, fields)) if one.check_id == "volatile-prefix"]
    assert [message.partition("text: ")[2].partition(" before a cache")[0] for message in faults] == (
        [found] if found else []
    )


@pytest.mark.parametrize("text", ["date:" * 20_000, "-" * 100_000, "{{" * 50_000, "date: " + "1" * 100_000])
def test_a_long_text_is_looked_through_once(text: str) -> None:
    """Work that grows with the square of a text would take minutes here, and the time limit of a test ends it."""
    found = check_asked(asked(NEW, {"system": [block(text=text * 5)]}))
    assert [one for one in found if one.check_id == "volatile-prefix"] == []


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "x",
        [],
        {},
        [7, None],
        {"type": 7, "edits": [7], "effort": []},
        {"type": [], "edits": {}},
        [{"role": [], "content": [7, {"type": [], "text": 7}]}],
        [{"type": {}, "name": [], "text": [], "url": 7}],
        float("nan"),
        {"type": "enabled", "budget_tokens": float("inf"), "skills": 7, "task_budget": 7},
        {"type": "tool", "name": {}},
        True,
    ],
)
def test_no_shape_makes_a_check_fall_over(value: Any) -> None:
    names = (
        "model max_tokens system tools tool_choice mcp_servers betas cache_control thinking output_config speed"
        " context_management temperature top_p top_k service_tier inference_geo compaction container messages stream"
        " stop_sequences"
    )
    known = [None, {"version": "2026-10-21", "key": "admin"}]
    for name in names.split():
        for model in (OPUS, OLD, NEW):
            for one in known:
                fields = {"model": model, name: value}
                before = asked(OPUS, {name: value})
                check_asked(asked(model, fields, **(one or {}), before=before, prompts=1))
    everything = dict.fromkeys(names.split(), value)
    check_asked(asked(OPUS, everything, before=asked(OPUS, {})))
    check_asked(asked(OPUS, {}, before=asked(OPUS, everything)))


def test_a_model_of_which_only_the_id_is_known_has_no_rules_of_its_own() -> None:
    bare = Model(id=NEW, thinking_types=("odd<=", "words (x"), fast_mode="beta-until-?")
    fields = {"max_tokens": 10**9, "speed": "standard", **effort("ultra"), "inference_geo": "us"}
    assert request_problems(bare, {"model": NEW, **fields}, today=TODAY) == []


def test_fast_mode_of_a_model_of_which_only_the_id_is_known_is_the_apis_matter() -> None:
    request = {"model": NEW, "max_tokens": 10, "speed": "fast"}
    assert request_problems(Model(id=NEW), request, today=TODAY) == []
    assert request_problems(Model(id=NEW, inference_geo_ok=True), request, today=TODAY) != []


def test_an_effort_that_is_left_out_is_the_models_default() -> None:
    request = {"model": NEW, "max_tokens": 10, "thinking": {"type": "disabled"}}
    for default, refused in (("high", False), ("xhigh", True)):
        model = Model(id=NEW, thinking_types=("disabled<=high",), default_effort=default)
        assert bool(request_problems(model, request, today=TODAY)) is refused
