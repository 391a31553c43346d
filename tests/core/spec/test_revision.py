"""The names of revisions never change: another name would make every upgrade of the operator a rollout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from claude_operator.api import gateway as wire
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.core.spec.revision import (
    arm,
    content,
    is_made_of,
    is_of,
    name,
    prompt_keys,
    revision_spec,
    spec_of,
)

Object = dict[str, Any]

REQUEST: Object = {"model": "claude-opus-5-5", "max_tokens": 1024}
CACHE = {"type": "ephemeral", "ttl": "1h"}
PROMPT = {"configMapKeyRef": {"name": "prompts", "key": "system.md"}, "cache_control": CACHE}
TEXTS = {("prompts", "system.md"): "You are kind.\n"}

# Frozen for ever. A failure here means that an upgrade would begin a rollout in every cluster.
GOLDEN: dict[str, tuple[Object, str]] = {
    "the least": ({"request": REQUEST}, "support-ef27ddbaa6"),
    "unicode": (
        {"request": REQUEST | {"system": [{"type": "text", "text": 'Grüße, 你好 🦉 "\\ \u2028 \x7f'}]}},
        "support-f1e0078934",
    ),
    "numbers": (
        {"request": REQUEST | {"temperature": 1.0, "top_p": 0.95, "thinking": {"budget_tokens": 2048}}},
        "support-2457ee870f",
    ),
    "promptFrom": ({"request": REQUEST, "promptFrom": [PROMPT]}, "support-173c3f2b7b"),
    "promptFrom and system": (
        {"request": REQUEST | {"system": [{"type": "text", "text": "Be brief."}]}, "promptFrom": [PROMPT]},
        "support-5e5337a276",
    ),
    "overrides": ({"request": REQUEST, "overrides": {"system": "Prepend", "tools": "Append"}}, "support-59655a8bb1"),
    "subagents": (
        {"request": REQUEST, "subagents": {"researcher": {"request": {"model": "claude-haiku-5-5"}}}},
        "support-1b35a4464f",
    ),
    "betas, tools and servers": (
        {
            "request": REQUEST
            | {
                "betas": ["mcp-client-2025-11-20"],
                "tools": [
                    {"name": "look", "input_schema": {"type": "object", "properties": {"b": {}, "a": {}}}},
                    {"type": "mcp_toolset", "mcp_server_name": "docs"},
                ],
                "mcp_servers": [{"type": "url", "name": "docs", "url": "https://mcp.example.com"}],
            }
        },
        "support-71234fdc58",
    ),
    "what nobody knows yet": (
        {"request": REQUEST | {"from_2031": {"nested": [None, True, {"x": []}]}}},
        "support-9ec3ddaf3e",
    ),
}


def named(raw: Object) -> str:
    return name("support", content(raw, TEXTS))


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_names(case: str) -> None:
    raw, expected = GOLDEN[case]
    assert named(raw) == expected


def shuffled(value: Any) -> Any:
    """The same JSON with the keys of every object the other way round."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("case", GOLDEN)
def test_the_order_of_keys_does_not_matter(case: str) -> None:
    raw, expected = GOLDEN[case]
    again = json.loads(json.dumps(shuffled(raw)))
    assert named(again) == expected


def test_what_is_not_part_of_it_changes_nothing() -> None:
    raw, expected = GOLDEN["the least"]
    other = {
        "upstream": {"baseURL": "https://claude.example.com"},
        "env": [],
        "gateway": {"replicas": 9},
        "evals": {"setRef": {"name": "e"}},
        "strategy": {"canary": {"steps": []}},
        "budgets": [],
        "lifecycle": {"onRetired": "Warn"},
        "paused": True,
        "revisionHistoryLimit": 1,
        "promptFrom": [],
    }
    assert named(raw | other) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"request": REQUEST | {"max_tokens": 1025}},
        {"request": REQUEST | {"max_tokens": "1024"}},
        {"request": REQUEST | {"betas": []}},
        {"request": REQUEST | {"system": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}},
        {"request": REQUEST | {"system": [{"type": "text", "text": "b"}, {"type": "text", "text": "a"}]}},
        {"subagents": {"researcher": {"request": {}}}},
        {"overrides": {"system": "Prepend"}},
        {"promptFrom": [PROMPT]},
    ],
)
def test_a_change_of_what_shapes_a_request_is_another_revision(change: Object) -> None:
    base = {"request": REQUEST}
    assert named(base | change) != named(base)


def test_every_change_has_a_name_of_its_own() -> None:
    names = [expected for _, expected in GOLDEN.values()]
    assert len(set(names)) == len(names)


def test_a_prompt_counts_by_its_text_and_not_by_where_it_is_kept() -> None:
    moved = {"configMapKeyRef": {"name": "elsewhere", "key": "x"}, "cache_control": CACHE}
    texts = {("elsewhere", "x"): TEXTS["prompts", "system.md"]}
    raw = {"request": REQUEST, "promptFrom": [moved]}
    assert name("support", content(raw, texts)) == GOLDEN["promptFrom"][1]
    assert name("support", content(raw, {("elsewhere", "x"): "Other."})) != GOLDEN["promptFrom"][1]


def test_the_name_begins_with_the_deployment() -> None:
    parts = content({"request": REQUEST}, {})
    assert name("shop", parts).removeprefix("shop-") == name("support", parts).removeprefix("support-")
    assert len(name("shop", parts)) == len("shop-") + 10


def test_a_lone_surrogate_has_a_name_too() -> None:
    """JSON may hold one, UTF-8 may not."""
    assert name("support", {"request": {"x": "\ud800"}}).startswith("support-")


def test_blocks_of_prompts_stand_before_those_of_system() -> None:
    raw = {"request": REQUEST | {"system": [{"type": "text", "text": "Be brief."}]}, "promptFrom": [PROMPT]}
    spec = revision_spec(content(raw, TEXTS))
    first, second = spec["request"]["system"]
    assert first == {"type": "text", "text": "You are kind.\n", "cache_control": CACHE}
    assert second == {"type": "text", "text": "Be brief."}
    assert raw["request"]["system"] == [{"type": "text", "text": "Be brief."}]
    assert "promptFrom" not in spec
    assert set(revision_spec({"request": REQUEST})) == {"request"}


def test_prompt_keys() -> None:
    spec = DeploymentSpec.model_validate({"request": REQUEST, "promptFrom": [PROMPT]})
    assert prompt_keys(spec) == [("prompts", "system.md")]
    assert prompt_keys(DeploymentSpec.model_validate({"request": REQUEST})) == []


def test_an_arm() -> None:
    spec = {
        "request": REQUEST | {"betas": ["a-1"]},
        "subagents": {"researcher": {"request": {"model": "claude-haiku-5-5", "betas": ["b-1"]}}},
        "overrides": {"tools": "Append"},
    }
    made = arm({"metadata": {"name": "support-1"}, "spec": spec}, "canary", 100)
    assert made == wire.Arm(
        revision="support-1",
        role="canary",
        weight=100,
        request=REQUEST,
        betas=["a-1"],
        subagents={"researcher": {"model": "claude-haiku-5-5", "betas": ["b-1"]}},
        overrides=wire.Overrides(tools="Append"),
    )
    assert arm({"metadata": {"name": "s"}, "spec": {"request": REQUEST}}, "stable", 10_000).subagents == {}


@pytest.mark.parametrize("modes", [{}, {"system": "Append"}, {"system": "Append", "tools": "Replace"}])
@pytest.mark.parametrize("unsupported", [{}, {"unsupported": "Pass"}, {"unsupported": "Drop"}])
def test_an_arm_says_what_becomes_of_unsupported_fields_only_where_the_spec_does(
    modes: dict[str, str], unsupported: dict[str, str]
) -> None:
    parts = {"request": REQUEST, "overrides": {**modes, **unsupported}}
    made = arm({"metadata": {"name": name("support", parts)}, "spec": revision_spec(parts)}, "stable", 10_000)
    assert ("unsupported" in json.loads(msgspec.json.encode(made))["overrides"]) == bool(unsupported)
    assert spec_of(made, "support") == revision_spec(parts)


@pytest.mark.parametrize("kind", ["claudedeployments", "clauderevisions"])
def test_what_is_stored_gets_no_default_for_unsupported(kind: str) -> None:
    """The API server would put it into every stored spec with overrides, and each would be another revision."""
    crd = yaml.safe_load((Path(__file__).parents[3] / "crds" / f"{kind}.yaml").read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert "default" not in spec["overrides"]["properties"]["unsupported"]


BLOCKS = [{"type": "text", "text": "Be kind."}]
CONTENTS: list[dict[str, Any]] = [
    {"request": {"model": "m"}},
    {"request": {"model": "m", "system": []}},
    {"request": {"model": "m", "system": "Be kind."}},
    {"request": {"model": "m", "system": BLOCKS}, "overrides": {}},
    {"request": {"model": "m"}, "promptFrom": BLOCKS, "subagents": {}},
    {"request": {"model": "m", "system": BLOCKS}, "promptFrom": BLOCKS},
]


@pytest.mark.parametrize("parts", CONTENTS, ids=str)
def test_what_was_made_of_a_content_and_nothing_else_is_made_of_it(parts: dict[str, Any]) -> None:
    stored = {"metadata": {"name": name("a", parts)}, "spec": revision_spec(parts)}
    assert is_of(stored, "a")
    assert is_made_of(stored, parts)
    assert not is_made_of({**stored, "spec": {"request": {"model": "n"}}}, parts)
