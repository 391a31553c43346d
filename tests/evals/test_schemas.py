"""Users' JSON Schemas on answers: whatever they are, each gets an answer, and no process is left."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_operator.api.graders import Assert
from claude_operator.core.evals.checks import Check, read_check
from claude_operator.core.evals.graders.schemas import DRAFTS, FORMATS
from claude_operator.core.evals.outcomes import Answer, ToolCall
from claude_operator.core.evals.sets import Item
from claude_operator.evals.grading import Grading
from claude_operator.evals.patterns import InvalidPattern, Patterns

COUNTRY = {
    "type": "object",
    "required": ["color", "countries"],
    "properties": {"color": {"type": "string"}, "countries": {"type": "array", "items": {"type": "string"}}},
}
LISTED = {"type": "array", "items": {"$ref": "#/$defs/one"}, "$defs": {"one": {"type": "integer"}}}


def item(kind: str, schema: Any = None) -> Item:
    return Item("a", b"[]", (read_check("test 1 (a)", Assert(type=kind, value=schema)),), place="test 1 (a)")


async def failed(kind: str, schema: Any, text: str, patterns: Patterns) -> str:
    outcome = await Grading(patterns).grade(item(kind, schema), Answer(text, "end_turn", "", {}))
    return outcome.failed.partition(" (")[2].removesuffix(")") if outcome.failed else ""


@pytest.mark.parametrize(
    ("kind", "schema", "text", "why"),
    [
        ("is-json", COUNTRY, '{"color": "red", "countries": ["fr"]}', ""),
        ("is-json", json.dumps(COUNTRY), '{"colour": 5}', '$ does not hold required ["color", "countries"]'),
        ("is-json", COUNTRY, '{"color": 5, "countries": []}', '$.color does not hold type "string"'),
        ("is-json", COUNTRY, '{"color": "", "countries": [1]}', '$.countries[0] does not hold type "string"'),
        ("is-json", COUNTRY, "```json\n{}\n```", "a code fence is around it"),
        ("is-json", {"additionalProperties": {"type": "null"}}, '{"SECRET": 5}', '$.* does not hold type "null"'),
        ("is-json", LISTED, "[1, 2]", ""),
        ("is-json", LISTED, '[1, "SECRET"]', '$[1] does not hold type "integer"'),
        ("is-json", {"pattern": "^a+$"}, '"aaa"', ""),
        ("is-json", {"pattern": "^a+$"}, '"SECRET"', '$ does not hold pattern "^a+$"'),
        ("is-json", {"const": "café"}, '"cafe\u0301"', ""),
        ("is-json", {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "null"}]}, "[null]", ""),
        ("contains-json", None, 'So: {"a": 1}.', ""),
        ("contains-json", None, "```json\n[1]\n```", ""),
        ("contains-json", None, "7 and {x}", "no object or list of JSON is in it"),
        ("contains-json", COUNTRY, 'First {"a": 1}, then {"color": "red", "countries": []}', ""),
        ("contains-json", COUNTRY, '{ {"color": "red", "countries": []}', ""),
        ("contains-json", COUNTRY, '{"color": "red"}', '$ does not hold required ["countries"]'),
    ],
)  # fmt: skip
async def test_a_schema_is_checked(kind: str, schema: Any, text: str, why: str) -> None:
    async with Patterns() as patterns:
        await patterns.check([item(kind, schema)])
        assert await failed(kind, schema, text, patterns) == why


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("date", "2026-11-30", "30.11.2026"),
        ("date-time", "2026-11-30T10:00:00Z", "2026-11-30T10:00:00"),
        ("time", "10:00:00Z", "10 o'clock"),
        ("email", "a@example.com", "a"),
        ("hostname", "a.example.com", "-a"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "::1", ":::1"),
        ("regex", "a+", "(a"),
        ("uri", "https://example.com/a", "example"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
    ],
)
async def test_formats_are_checked(name: str, right: str, wrong: str) -> None:
    async with Patterns() as patterns:
        assert await failed("is-json", {"format": name}, json.dumps(right), patterns) == ""
        assert "does not hold format" in await failed("is-json", {"format": name}, json.dumps(wrong), patterns)
    assert name in FORMATS


async def test_each_draft_has_its_rules() -> None:
    assert len(DRAFTS) == 4
    async with Patterns() as patterns:
        for draft in DRAFTS:
            schema = {"$schema": draft, "type": "object", "properties": {"a": {"const": 1}}}
            await patterns.check([item("is-json", schema)])
            assert await failed("is-json", schema, '{"a": 1}', patterns) == ""
            assert await failed("is-json", schema, '{"a": 2}', patterns) == "$.a does not hold const 1"


async def test_a_pattern_in_a_schema_is_compiled_before_anything_is_asked() -> None:
    async with Patterns() as patterns:
        with pytest.raises(InvalidPattern, match=r"test 1 \(a\): .* is not a JSON Schema: .*regex"):
            await patterns.check([item("is-json", {"properties": {"a": {"pattern": "(a"}}})])


@pytest.mark.parametrize("schema", [{"enum": ["a"], "minLength": 2}, {"const": 5, "multipleOf": 2}])
async def test_a_list_of_values_that_all_fail_is_told(schema: Any) -> None:
    async with Patterns() as patterns:
        with pytest.raises(InvalidPattern, match="is a schema that no JSON holds: its other rules exclude each value"):
            await patterns.check([item("is-json", schema)])


def doubling(levels: int) -> dict[str, Any]:
    """A schema of which each level is tried twice: 2 to the power of `levels`."""
    names = [f"#/$defs/s{level}" for level in range(levels)]
    inner = {f"s{level}": {"allOf": [{"$ref": names[level + 1]}] * 2} for level in range(levels - 1)}
    return {"$ref": names[0], "$defs": {**inner, f"s{levels - 1}": {"type": "null"}}}


@pytest.mark.parametrize(
    ("kind", "schema", "text"),
    [
        ("is-json", {"pattern": "(a+)+$"}, '"' + "a" * 60 + 'b"'),
        ("is-json", doubling(40), "null"),
        ("is-json", {"type": "array", "uniqueItems": True}, "[" + ",".join(f'{{"a":{n}}}' for n in range(8000)) + "]"),
        ("contains-json", {"required": ["a"]}, "[" * 99_000),
        ("contains-json", {"required": ["a"]}, '{"a":' * 19_000),
    ],
)
async def test_a_hostile_one_is_broken_off_and_the_others_are_tried(kind: str, schema: Any, text: str) -> None:
    async with Patterns(limit=0.3) as patterns:
        why = await failed(kind, schema, text, patterns)
        assert why.startswith(("was broken off", "no object or list"))
        turned = await failed(f"not-{kind}", schema, text, patterns)
        assert turned == why or not turned
        assert await failed("is-json", {"type": "null"}, "null", patterns) == ""


TOOLS = {"get_order": json.dumps({"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}})}


@pytest.mark.parametrize(
    ("calls", "why"),
    [
        ([ToolCall("get_order", {"id": "A17"})], ""),
        ([ToolCall("get_order", {"id": 17})], '$.id does not hold type "string"'),
        ([ToolCall("get_order", {"id": "A17"}), ToolCall("get_order", {})], '$ does not hold required ["id"]'),
        ([ToolCall("get_order", {"id": "x" * 200_000})], "the input of get_order is too large, or is not JSON"),
        ([ToolCall("refund", {})], "calls a tool that the request does not declare"),
    ],
)
async def test_calls_are_checked_against_the_declared_tools(calls: list[ToolCall], why: str) -> None:
    async with Patterns() as patterns:
        grading = Grading(patterns, tools=lambda _subagent: TOOLS)
        outcome = await grading.grade(item("is-valid-tool-call"), Answer("", "tool_use", "", {}, tuple(calls)))
        assert outcome.failed == (f"is-valid-tool-call ({why})" if why else "")


async def test_a_declared_schema_that_leads_elsewhere_is_not_fetched() -> None:
    tools = {"f": '{"$ref": "http://127.0.0.1:9/schema"}'}
    async with Patterns() as patterns:
        grading = Grading(patterns, tools=lambda _subagent: tools)
        outcome = await grading.grade(item("is-valid-tool-call"), Answer("", "", "", {}, (ToolCall("f", {}),)))
        assert outcome.failed == "is-valid-tool-call (is not a JSON Schema: a $ref leads to no schema in it)"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=15, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=5), VALUES)
async def test_const_and_enum_are_what_they_say(wanted: list[Any], value: Any) -> None:
    async with Patterns() as patterns:
        trials = Check("is-json", json.dumps({"enum": wanted}))
        outcome = await Grading(patterns).grade(Item("a", b"[]", (trials,)), Answer(json.dumps(value), "", "", {}))
    same = [one for one in wanted if json.dumps(one, sort_keys=True) == json.dumps(value, sort_keys=True)]
    assert outcome.passed is bool(same)


# ------------------------------------------------- no accepted schema holds for every answer, or for none

UNIVERSE: list[Any] = [None, True, False, *range(-3, 5), 0.5, *("a" * size for size in range(5)), "b", [], [1], ["a"]]
UNIVERSE += [{}, *({name: value} for name in "ab" for value in (None, True, 1, "a", "aaa", [], {}))]
UNIVERSE += [{"a": one, "b": other} for one in (True, 1, "a", "aaa") for other in (True, 1, "a")]
LIMITS = st.integers(-1, 3)
RULES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["object", "array", "string", "integer", "number", "null", "boolean"]),
        "enum": st.lists(st.sampled_from([None, True, 1, 2, "a", "aa", []]), min_size=1, max_size=2),
        "const": st.sampled_from([1, "a", None, {}]),
        "minLength": st.integers(0, 3),
        "maxLength": st.integers(0, 3),
        "minimum": LIMITS,
        "maximum": LIMITS,
        "exclusiveMinimum": LIMITS,
        "exclusiveMaximum": LIMITS,
    },
)
OBJECTS = st.fixed_dictionaries(
    {"type": st.just("object")},
    optional={
        "required": st.lists(st.sampled_from("ab"), max_size=2, unique=True),
        "properties": st.fixed_dictionaries({"a": st.booleans() | st.just({"type": "string"})}),
        "additionalProperties": st.booleans(),
    },
)


@settings(max_examples=60, deadline=None)
@given(st.lists(RULES | OBJECTS, min_size=10, max_size=10))
async def test_no_accepted_schema_holds_for_none(schemas: list[dict[str, Any]]) -> None:
    """That it does not hold for every answer is plain: prose is not JSON."""
    async with Patterns() as patterns:
        for schema in schemas:
            try:
                await patterns.check([item("is-json", schema)])
            except ValueError:
                continue
            kind = jsonschema.Draft202012Validator(schema)
            assert any(kind.is_valid(value) for value in UNIVERSE), schema
