"""Each rule of a request, with what breaks it and what keeps it."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

import pytest
from tests.core.catalogue.check_examples import FINDS, Example
from tests.core.catalogue.check_examples import request as request_of
from tests.simulator.harness import Running, message

from claude_operator.core.catalogue.checks.check import CHECKS, Check, Severity
from claude_operator.core.catalogue.checks.row import Asked
from claude_operator.simulator import rules, shape
from claude_operator.simulator.errors import ApiError
from claude_operator.simulator.lives import Lives
from claude_operator.simulator.models import find_served
from claude_operator.simulator.request import OLD_VERSION, VERSION, Request, read

TODAY = datetime.date(2026, 11, 24)
CATALOGUE = Lives([], 0.0).at(0.0)
MCP = ("mcp-client-2025-11-20",)
SERVER = {"type": "url", "name": "shop", "url": "https://shop.example/mcp"}
TOOLSET = {"type": "mcp_toolset", "mcp_server_name": "shop"}
TOOL = {"name": "look", "input_schema": {"type": "object"}}
SHORT = {"type": "ephemeral"}
LONG = {"type": "ephemeral", "ttl": "1h"}
OLD = {"model": "claude-haiku-4-5"}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "another's"}
PREFILLED = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "He"}]

SHAPE = {rule.__name__: rule for rule in shape.SHAPE_RULES}
CHECK = {check.id: check for check in CHECKS}


def text(control: Any = None, words: str = "x") -> dict[str, Any]:
    return {"type": "text", "text": words} | ({"cache_control": control} if control else {})


def violation(body: dict[str, Any], version: str, betas: tuple[str, ...], *, counting: bool = False) -> str | None:
    request = Request(body, version, betas, counting)
    if wrong := rules.shape_violation(request):
        return wrong
    return rules.violation(request, find_served(body["model"], CATALOGUE, TODAY), TODAY)


# rule, fields over a plain request, what the message says, and then: version, betas
REFUSED: list[tuple[Any, ...]] = [
    ("no_extra_field", {"foo": 1}, "foo: Extra inputs are not permitted"),
    ("sampling-version", {"temperature": 1}, "temperature: Extra inputs are not permitted"),
    ("sampling-version", {"top_k": 5, **OLD}, "top_k: Extra inputs are not permitted"),
    ("mcp-beta", {"mcp_servers": [SERVER], "tools": [TOOLSET]}, "mcp_servers: Extra inputs are not permitted"),
    ("no_extra_field", {"thread": {}}, "thread: Extra inputs are not permitted", VERSION, MCP),
    ("no_extra_field", {"context_management": {}}, "context_management: Extra inputs", VERSION, MCP),
    ("has_required_fields", {"max_tokens": None}, "max_tokens: Field required"),
    ("has_required_fields", {"messages": None}, "messages: Field required"),
    ("has_required_fields", {"model": None}, "model: Field required"),
    ("fields_have_their_types", {"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
    ("fields_have_their_types", {"max_tokens": True}, "max_tokens: Input should be a valid integer"),
    ("fields_have_their_types", {"stream": 1}, "stream: Input should be a valid boolean"),
    ("messages_are_messages", {"messages": []}, "messages: at least one message is required"),
    ("messages_are_messages", {"messages": ["x"]}, "messages.0: Input should be a valid dictionary"),
    ("messages_are_messages", {"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role: Input should be"),
    ("messages_are_messages", {"messages": [{"role": "user", "content": ""}]}, "must have non-empty content"),
    ("empty-text", {"messages": [{"role": "user", "content": [text(words="")]}]}, "must be non-empty"),
    ("messages_are_messages", {"messages": [{"role": "user", "content": [{}]}]}, "messages.0.content.0.type: Field"),
    ("first-message-role", {"messages": [{"role": "system", "content": "x"}]}, 'must use the "user" role'),
    ("system_is_text", {"system": [{"type": "image"}]}, "system.0: Input should be a text block"),
    ("tool-schema", {"tools": [{"name": "a"}]}, "tools.0.input_schema: Field required"),
    ("tool-schema", {"tools": [{"name": "a", "input_schema": {}}]}, "input_schema.type: Input should be 'object'"),
    ("tools_are_tools", {"tools": [{"input_schema": {"type": "object"}}]}, "tools.0.name: Field required"),
    ("mcp_servers_are_objects", {"mcp_servers": [{"name": "a"}]}, "mcp_servers.0.url: Field required", VERSION, MCP),
    ("stop-sequence-blank", {"stop_sequences": [" "]}, "stop_sequences.0: each stop sequence"),
    ("max-tokens", {"max_tokens": 128_001}, "max_tokens: 128001 > 128000, which is the maximum"),
    ("max-tokens", {"max_tokens": 64_001, **OLD}, "max_tokens: 64001 > 64000"),
    ("max-tokens", {"max_tokens": -1}, "greater than or equal to 0"),
    ("max-tokens-zero", {"max_tokens": 0, "stream": True}, "stream: not supported with max_tokens: 0"),
    ("sampling-model", {"temperature": 0.5}, "`temperature` is not supported for this model", OLD_VERSION),
    ("sampling-model", {"top_p": 0.9}, "`top_p` is not supported for this model", OLD_VERSION),
    ("temperature-range", {"temperature": 1.5, **OLD}, "temperature: Input should be between", OLD_VERSION),
    ("breakpoints-limit", {"system": [text(SHORT)] * 5}, "A maximum of 4 blocks .* Found 5"),
    ("breakpoints-limit", {"system": [text(SHORT)] * 4, "cache_control": SHORT}, "Found 5"),
    ("cache-control-shape", {"system": [text({"type": "x"})]}, "system.0.cache_control.type: Input"),
    ("cache-control-shape", {"cache_control": {"type": "ephemeral", "ttl": "2h"}}, "^cache_control.ttl"),
    ("breakpoints-order", {"system": [text(SHORT), text(LONG)]}, "system.1.cache_control.ttl: a ttl='1h'"),
    ("breakpoints-order", {"tools": [{**TOOL, "cache_control": SHORT}], "cache_control": LONG}, "must not come"),
    (
        "breakpoint-ttl-differs",
        {"messages": [{"role": "user", "content": [text(LONG)]}], "cache_control": SHORT},
        "another ttl",
    ),
    ("tool-duplicate", {"tools": [TOOL, TOOL]}, "Tool names must be unique"),
    ("tool-name", {"tools": [{**TOOL, "name": "a b"}]}, "tool names have to match"),
    ("tools-deferred", {"tools": [{**TOOL, "defer_loading": True}]}, "All tools have defer_loading set"),
    ("mcp-toolset", {"mcp_servers": [SERVER]}, "exactly one mcp_toolset", VERSION, MCP),
    ("mcp-server-unknown", {"tools": [TOOLSET]}, "which is not in mcp_servers"),
    (
        "mcp-duplicate",
        {"mcp_servers": [SERVER, SERVER], "tools": [TOOLSET]},
        "names must be unique",
        VERSION,
        MCP,
    ),
    (
        "mcp-url",
        {"mcp_servers": [{**SERVER, "url": "http://shop.example"}], "tools": [TOOLSET]},
        "must start with https",
        VERSION,
        MCP,
    ),
    ("thinking-type", {"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking.type.enabled.* not supp"),
    (
        "thinking-effort",
        {"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}},
        "not supported with effort max",
    ),
    (
        "thinking-fields",
        {"model": "claude-sonnet-5-5", "thinking": {"type": "between_tools", "budget_tokens": 1}},
        "thinking.between_tools: Extra",
    ),
    (
        "thinking-budget",
        {"thinking": {"type": "enabled", "budget_tokens": 9}, **OLD},
        "greater than or equal to 1024",
    ),
    ("thinking-budget", {"thinking": {"type": "enabled", "budget_tokens": 2048}, **OLD}, "must be greater than"),
    (
        "thoughts_are_its_own",
        {"messages": [*PREFILLED[:1], {"role": "assistant", "content": [THOUGHT]}, *PREFILLED[:1]]},
        "messages.1.content.0: Invalid `signature` in `thinking` block",
    ),
    ("effort", {"output_config": {"effort": "low"}, **OLD}, "does not support the effort parameter"),
    ("effort", {"output_config": {"effort": "huge"}}, "output_config.effort: Input should be 'low'"),
    ("effort", {"output_config": {"effort": "xhigh"}, "model": "claude-opus-4-6"}, "effort level 'xhigh'"),
    (
        "forced-tool-model",
        {"model": "claude-opus-5-5", "tools": [TOOL], "tool_choice": {"type": "any"}},
        'type "tool" and "any" are not supported for this model',
    ),
    ("forced-tool-without-tools", {"tool_choice": {"type": "any"}}, "only be specified while providing tools"),
    ("tool-choice-type", {"tool_choice": {"type": "must"}}, "tool_choice.type: Input should be"),
    ("forced-tool-undeclared", {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "b"}}, "not in `tools`"),
    ("prefill", {"messages": PREFILLED}, "does not support assistant message prefill"),
    (
        "user-citations",
        {"messages": [{"role": "user", "content": [text() | {"citations": [1]}]}]},
        "messages.0.content.0.citations: Extra",
    ),
    (
        "assistant-document",
        {"messages": [*PREFILLED[:1], {"role": "assistant", "content": [{"type": "document"}]}], **OLD},
        "document blocks are not permitted",
    ),
    ("geo-model", {"inference_geo": "us", **OLD}, "inference_geo: not supported"),
    ("geo-value", {"inference_geo": "moon"}, "inference_geo: Input should be 'us' or 'global'"),
    ("service-tier", {"service_tier": "gold"}, "service_tier: Input should be"),
    ("speed-model", {"speed": "fast"}, "fast mode is not supported"),
    ("speed-beta", {"speed": "fast", "model": "claude-opus-5"}, "speed: Extra inputs"),
]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: f"{row[0]}-{json.dumps(row[1])[:40]}")
def test_refused(row: tuple[Any, ...]) -> None:
    name, fields, expected, version, betas, *_ = *row, *(VERSION, ())[len(row) - 3 :]
    body = message(**fields)
    said = violation(body, version, betas)
    assert said is not None
    assert re.search(expected, said), said
    if name in SHAPE:
        assert said == SHAPE[name](Request(body, version, betas))
    elif name in CHECK:
        asked = Asked(
            find_served(body["model"], CATALOGUE, TODAY), body | {"betas": list(betas)}, TODAY, version=version
        )
        assert said in [fault.api for fault in CHECK[name].find(asked)]


def test_every_rule_of_shape_has_a_row() -> None:
    assert {row[0] for row in REFUSED} >= set(SHAPE)


def live(example: Example, fields: dict[str, Any], known: dict[str, Any]) -> tuple[dict[str, Any], str, list[str]]:
    """A client's body with an example, its version and betas. Sampling is taken by the older version alone."""
    body = message() | request_of(example.model, fields)
    return body, known.get("version", OLD_VERSION), body.pop("betas", [])


# Answered before the body is looked at: with 404, 401, or for the header; no request shows the others.
ELSEWHERE = {"model-retired": 404, "model-dated": 404, "beta-malformed": 400, "key-kind": 401}


@pytest.mark.parametrize("check", [one for one in CHECKS if one.severity is Severity.ERROR], ids=lambda one: one.id)
def test_every_error_of_the_checks_is_refused_in_the_words_of_its_row(check: Check) -> None:
    if check.id in ELSEWHERE:
        return
    example = FINDS[check.id]
    version_of = {"assistant-document": VERSION, "user-citations": VERSION}
    known = {"version": version_of.get(check.id, OLD_VERSION)} | example.known
    body, version, betas = live(example, example.finds, known)
    assert violation(body, version, tuple(betas)) == example.api
    body, version, betas = live(example, example.passes, example.passes_known or known)
    assert violation(body, version, tuple(betas)) is None


@pytest.mark.parametrize(("name", "status"), ELSEWHERE.items())
async def test_what_is_answered_elsewhere_is_refused_too(api: Running, name: str, status: int) -> None:
    body, version, betas = live(FINDS[name], FINDS[name].finds, {})
    headers = {"anthropic_version": version} | ({"anthropic_beta": ",".join(betas)} if betas else {})
    if name == "key-kind":
        headers["x_api_key"] = "sk-ant-admin01-x"
    got, answer = await api.ask(body, **headers)
    assert (got, answer["error"]["message"]) == (status, FINDS[name].api)


@pytest.mark.parametrize(
    "row",
    [
        ({},),
        ({"temperature": 1}, OLD_VERSION),
        ({"temperature": 0.2, "top_k": 5, **OLD}, OLD_VERSION),
        ({"messages": PREFILLED, **OLD},),
        ({"max_tokens": 0},),
        ({"max_tokens": 128_000},),
        ({"system": [text(LONG), text(SHORT)], "cache_control": SHORT},),
        ({"tools": [TOOL], "tool_choice": {"type": "any"}},),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000, "model": "claude-opus-4-6"},),
        ({"mcp_servers": [SERVER], "tools": [TOOLSET, TOOL]}, VERSION, MCP),
        ({"tools": [{"type": "web_search_20260318", "name": "web_search"}]},),
        ({"speed": "fast", "model": "claude-opus-5-5"},),
        ({"speed": "fast", "model": "claude-opus-5"}, VERSION, ("fast-mode-2026-02-01",)),
        ({"inference_geo": "us", "service_tier": "standard_only", "metadata": {"user_id": "u"}},),
    ],
    ids=str,
)
def test_taken(row: tuple[Any, ...]) -> None:
    fields, version, betas = *row, *(VERSION, ())[len(row) - 1 :]
    assert violation(message(**fields), version, betas) is None


@pytest.mark.parametrize("field", ["max_tokens", "stream", "metadata", "stop_sequences"])
def test_counting_takes_no_field_of_the_answer(field: str) -> None:
    body = message(max_tokens=None) | {field: 1}
    assert violation(body, VERSION, (), counting=True) == f"{field}: Extra inputs are not permitted"
    assert violation(message(max_tokens=None), VERSION, (), counting=True) is None


@pytest.mark.parametrize("model", ["gpt-9", "claude-3-haiku-20240307", "claude-opus-4-1", ""])
def test_an_unknown_or_retired_model_is_not_found(model: str) -> None:
    with pytest.raises(ApiError) as caught:
        find_served(model, CATALOGUE, TODAY)
    assert (caught.value.status, caught.value.kind) == (404, "not_found_error")
    assert caught.value.message == f"model: {model}"


def test_a_model_retires_on_its_day() -> None:
    assert find_served("claude-sonnet-4-5", CATALOGUE, datetime.date(2026, 11, 29)).id == "claude-sonnet-4-5-20250929"
    with pytest.raises(ApiError):
        find_served("claude-sonnet-4-5", CATALOGUE, datetime.date(2026, 11, 30))


@pytest.mark.parametrize(
    ("body", "version", "betas", "said"),
    [
        (b"{", VERSION, [], "not valid JSON"),
        (b"[1]", VERSION, [], "JSON object"),
        (b"[" * 100_000, VERSION, [], "not a JSON object"),
        (b"{}", None, [], "anthropic-version: header is required"),
        (b"{}", "2020-01-01", [], "not a valid version"),
        (b"{}", VERSION, ["nope"], "Unexpected value(s) `nope` for the `anthropic-beta` header."),
    ],
)
def test_unreadable(body: bytes, version: str | None, betas: list[str], said: str) -> None:
    with pytest.raises(ApiError) as caught:
        read(body, version, betas)
    assert caught.value.status == 400
    assert said in caught.value.message


async def test_breakpoints_within_other_blocks_count(api: Running) -> None:
    block = {"type": "text", "text": "a page", "cache_control": {"type": "ephemeral"}}
    document = {"type": "document", "source": {"type": "content", "content": [block] * 5}}
    status, answer = await api.ask(message(messages=[{"role": "user", "content": [document]}]))
    assert (status, "Found 5" in answer["error"]["message"]) == (400, True)
