"""Texts of any kind: lint reports them, and never breaks."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest
from tests.core.lint.cases import TODAY, config_map, deployment, eval_set, text_of

from claude_operator.core.lint.against import Side, edits_of
from claude_operator.core.lint.lint import lint
from claude_operator.core.lint.sources import Source

_SIGNS = "{}[]:,-&*!|>'\"%@`#?~ \t\n\x00\x07\x85\u2028\ud800\U0001f600é0aA.<="
_TEXTS, _OBJECTS = 300, 400
_VALUES: tuple[Any, ...] = (None, True, 0, -1, 1.5, 10**30, "", "x" * 300, [], {}, [{}], [None], {"a": None}, {"": 1})
FULL = deployment(
    {
        "promptFrom": [{"configMapKeyRef": {"name": "p", "key": "k"}, "cache_control": {"type": "ephemeral"}}],
        "subagents": {"scout": {"request": {"model": "claude-haiku-5-5", "system": [{"type": "text", "text": "x"}]}}},
        "evals": {"setRef": {"name": "support-set"}},
        "overrides": {"system": "Append"},
        "assignment": {"unit": "User"},
        "lifecycle": {"onLegacy": "Reject"},
    },
    tools=[{"name": "a", "input_schema": {"type": "object"}}, {"type": "mcp_toolset", "mcp_server_name": "m"}],
    mcp_servers=[{"type": "url", "name": "m", "url": "https://e.com"}],
    betas=["mcp-client-2025-11-20"],
    thinking={"type": "adaptive"},
    tool_choice={"type": "auto"},
    output_config={"effort": "low"},
    context_management={"edits": [{"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 1}}]},
    cache_control={"type": "ephemeral"},
    stop_sequences=["x"],
)
SET = eval_set(
    tests=[{"id": "a", "messages": [{"role": "user", "content": "Hi"}], "assert": [{"type": "equals", "value": "x"}]}]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(one, (*path, key))


def test_a_text_with_any_character_changed_is_reported() -> None:
    draw, text = random.Random(15), text_of(FULL, SET, config_map("p", k="Be kind."))
    for _ in range(_TEXTS):
        changed = list(text)
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(changed))
            changed[place : place + draw.randint(0, 2)] = draw.choice(_SIGNS)
        found = "".join(changed)
        lines = len(found.splitlines()) + 2
        report = lint([Source("a.yaml", found)], TODAY)
        assert all(1 <= one.place.line <= lines for one in report.findings), found


@pytest.mark.parametrize(
    "spec",
    [
        {"aliases": [{}]},
        {"generation": {"x": 1}},
        {"effortLevels": [1]},
        {"maxOutputTokens": "many"},
        {"cacheMinTokens": []},
        {"cacheMinTokens": 0},
        {"fastMode": 1},
        {"platforms": [1]},
        {"pricesUSDPerMTok": 1},
        {"extra": {"pricesUSDPerMTokAbove100kPromptTokens": "x"}, "pricesUSDPerMTok": {"input": 1, "output": 2}},
    ],
)
def test_a_model_of_any_shape_is_reported(spec: dict[str, Any]) -> None:
    model = {"apiVersion": FULL["apiVersion"], "kind": "ClaudeModel", "metadata": {"name": "own"}}
    system = [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]
    user = deployment(model="own", system=system, speed="fast", output_config={"effort": "low"})
    report = lint([Source("a.yaml", text_of({**model, "spec": {"id": "own", **spec}}, user))], TODAY)
    assert all(one.message for one in report.findings)


def test_an_object_with_any_value_changed_is_reported_and_compared() -> None:
    draw = random.Random(16)
    for _ in range(_OBJECTS):
        objects = [copy.deepcopy(one) for one in (FULL, SET, config_map("p", k="Be kind."))]
        *path, last = draw.choice(list(places(objects)))
        holder: Any = objects
        for step in path:
            holder = holder[step]
        holder[last] = copy.deepcopy(draw.choice(_VALUES))
        report = lint([Source("a.yaml", text_of(*objects))], TODAY)
        assert all(one.message for one in report.findings)
        if not any(one.check.startswith("schema-") for one in report.findings) and isinstance(objects[0], dict):
            edits_of(Side(FULL["spec"]), Side(objects[0].get("spec") or {}))


@pytest.mark.parametrize("text", ["\ufeff", "---", "...", "%YAML 9.9\n---\na: 1", "a" * 100_000, "- " * 5_000, "\x00"])
def test_texts_that_are_no_manifests(text: str) -> None:
    for one in lint([Source("a.yaml", text)], TODAY).findings:
        assert one.message
