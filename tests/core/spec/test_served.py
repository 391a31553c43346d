"""A spec held against the checks: where each finding is, what is known of promptFrom, what clients add."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.core.catalogue.checks import caching
from claude_operator.core.spec.served import check_spec
from claude_operator.core.spec.validate import problems, warning

TODAY = dt.date(2026, 11, 24)
PROMPT = {"configMapKeyRef": {"name": "prompts", "key": "house"}}
MARK = {"type": "ephemeral"}
TOOL = {"name": "book", "description": "Book a table.", "input_schema": {"type": "object"}}
THINKING = {"type": "enabled", "budget_tokens": 1500}
SYSTEM = [{"type": "text", "text": "x"}]


def spec(request: dict[str, Any], model: str = "claude-sonnet-4-6", **fields: Any) -> DeploymentSpec:
    upstream = {"apiKeySecretRef": {"name": "anthropic", "key": "api-key"}}
    whole = {"model": model, "max_tokens": 4096, "system": SYSTEM} | request
    return DeploymentSpec.model_validate({"request": whole, "upstream": upstream, **fields})


# Requests that contradict themselves, as users wrote them.
CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    (
        {"thinking": THINKING, "tools": [TOOL], "tool_choice": {"type": "tool", "name": "book"}},
        "spec.request.tool_choice.type: 'tool' forces a tool, which the API does not take together with thinking: write"
        " auto, or remove thinking",
    ),
    (
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "reserve"}},
        "spec.request.tool_choice.name: no tool is named 'reserve': write book, or add the tool",
    ),
    (
        {"tool_choice": {"type": "any"}},
        "spec.request.tool_choice: 'any' forces a tool, and there are no tools: write tools, or remove tool_choice",
    ),
    (
        {"temperature": 0.3, "top_p": 0.9},
        "spec.request.top_p: the API does not take it together with temperature: remove one of them",
    ),
    (
        {"model": "claude-sonnet-4-5-20250929", "temperature": 0.2, "thinking": THINKING},
        "spec.request.temperature: the API does not take 0.2 together with thinking: remove temperature, or remove"
        " thinking",
    ),
    (
        {"stop_sequences": ["  "]},
        "spec.request.stop_sequences[0]: '  ' is blank: write a text with more than white space, or remove it",
    ),
]


@pytest.mark.parametrize(("request_", "message"), CONTRADICTIONS)
def test_what_contradicts_itself_is_refused(request_: dict[str, Any], message: str) -> None:
    found = problems(spec(request_), today=TODAY)
    assert [(one.reason, one.message) for one in found] == [(Reason.INVALID_REQUEST, message)]


@pytest.mark.parametrize("mode", ["Append", "Prepend"])
def test_a_tool_that_the_client_brings_may_be_forced(mode: str) -> None:
    forced = {"tool_choice": {"type": "tool", "name": "reserve"}}
    assert problems(spec(forced, overrides={"tools": mode}), today=TODAY) == []
    assert problems(spec(forced, overrides={"system": mode}), today=TODAY) != []


def test_a_finding_has_the_path_of_what_was_written() -> None:
    written = spec(
        {"system": [{"type": "text", "text": "x", "cache_control": {**MARK, "ttl": "1h"}}], "tools": [TOOL, TOOL]},
        promptFrom=[{**PROMPT, "cache_control": MARK}],
        subagents={"helper": {"request": {"service_tier": "gold"}}},
    )
    found = {one.finding.check_id: one for one in check_spec(written, today=TODAY) if one.finding.api}
    assert {check: one.path for check, one in found.items()} == {
        "tool-duplicate": ("request", "tools", 1, "name"),
        "breakpoints-order": ("request", "system", 0, "cache_control", "ttl"),
        "service-tier": ("subagents", "helper", "request", "service_tier"),
    }
    assert found["service-tier"].message.startswith("spec.subagents.helper.request.service_tier: 'gold'")
    api = "system.1.cache_control.ttl: a ttl='1h'"
    assert str(found["breakpoints-order"].finding.api).startswith(api)


def paths(written: DeploymentSpec, **known: Any) -> dict[str, tuple[str | int, ...]]:
    return {one.finding.check_id: one.path for one in check_spec(written, today=TODAY, **known)}


def test_a_prompt_is_measured_and_read_where_its_text_is_known() -> None:
    written = spec({}, "claude-haiku-5-5", promptFrom=[{**PROMPT, "cache_control": MARK}])
    assert paths(written) == {}
    short = {("prompts", "house"): "Be brief, {{ name }}."}
    where = ("promptFrom", 0, "cache_control")
    assert paths(written, prompts=short) == {
        "prefix-too-short": where,
        "volatile-prefix": ("promptFrom", 0, "text"),
    }
    assert paths(written, prompts={("prompts", "house"): "Be brief. " * 400}) == {}


def test_a_subagent_with_a_system_of_its_own_has_no_prompt_before_it() -> None:
    own = {"system": [{"type": "text", "text": "x", "cache_control": {**MARK, "ttl": "2h"}}]}
    written = spec({}, promptFrom=[PROMPT], subagents={"helper": {"request": own}})
    assert paths(written)["cache-control-shape"][:5] == ("subagents", "helper", "request", "system", 0)


def test_warnings_are_told_at_most_three_at_a_time() -> None:
    obsolete = [
        "pdfs-2024-09-25",
        "token-counting-2024-11-01",
        "message-batches-2024-09-24",
        "cache-diagnosis-2026-04-07",
    ]
    assert warning(spec({}), today=TODAY) is None
    found = warning(spec({"betas": obsolete}), today=TODAY)
    assert found is not None
    assert found.reason is Reason.REQUEST_DOUBTFUL
    assert found.message == (
        "spec.request.betas: pdfs-2024-09-25 is obsolete: remove it: PDFs need no beta;"
        " spec.request.betas: token-counting-2024-11-01 is obsolete: remove it: counting tokens needs no beta;"
        " spec.request.betas: message-batches-2024-09-24 is obsolete: remove it: batches need no beta;"
        " and 1 more: kubectl claude lint"
    )


@pytest.mark.parametrize("model", ["claude-opus-5", "claude-opus-9", "claude-opus-4-1-20250805"])
def test_what_the_lifecycle_decides_about_is_not_told_here(model: str) -> None:
    assert warning(spec({}, model), today=TODAY) is None
    assert problems(spec({}, model), today=TODAY) == []


class _Counted:
    """A pattern that finds nothing and counts how often it looked."""

    looked = 0

    def search(self, _: str) -> None:
        self.looked += 1


def test_a_long_prompt_that_subagents_share_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = _Counted()
    monkeypatch.setattr(caching, "_VOLATILE", ((pattern, 0, "nothing"),))
    subagents = {f"s{number}": {"request": {"max_tokens": 100 + number}} for number in range(32)}
    one = spec({}, promptFrom=[PROMPT | {"cache_control": MARK}], subagents=subagents)
    check_spec(one, today=TODAY, prompts={("prompts", "house"): "A long prompt. " * 20_000})
    assert pattern.looked == 1
