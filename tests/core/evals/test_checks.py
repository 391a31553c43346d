"""The checks on an answer, each by a table made by hand, and what a set may not ask."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from claude_operator.api.graders import ASSERT_TYPES, Assert
from claude_operator.core.evals.checks import (
    LONGEST_SEARCHED,
    Check,
    Context,
    Finding,
    Subject,
    Trial,
    Tried,
    check_together,
    evaluate,
    grade,
    read_check,
)
from claude_operator.core.evals.graders.kinds import KINDS, second_trials, trials_of
from claude_operator.core.evals.graders.texts import distance_within, token_f1
from claude_operator.core.evals.outcomes import Answer, CheckResult, ToolCall


def check(kind: str, value: Any = None, **more: Any) -> Check:
    return read_check("test 1 (a)", Assert(type=kind, value=value, **more))


def answer(text: str = "", *calls: ToolCall, stop: str = "end_turn", seconds: float | None = None) -> Answer:
    return Answer(text, stop, "claude-haiku-5-5", {}, calls, seconds)


def result(kind: str, value: Any, text: str, **more: Any) -> CheckResult:
    return evaluate(check(kind, value, **more), answer(text))


# --------------------------------------------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("kind", "value", "text", "holds"),
    [
        ("equals", "billing", " billing\n", True),
        ("equals", "billing", "Billing", False),
        ("equals", "billing", "billing.", False),
        ("equals", 42, "42", True),
        ("equals", 0.5, "0.5", True),
        ("equals", "a\nb", "a\r\nb", True),
        ("contains", "42", "It is 42.", True),
        ("contains", "refund", "Refund", False),
        ("contains-any", ["a", "b"], "xb", True),
        ("contains-any", ["a", "b"], "xc", False),
        ("contains-any", "a, b", "xb", True),
        ("contains-all", ["a", "b"], "ba", True),
        ("contains-all", ["a", "b"], "b", False),
        ("icontains", "STRASSE", "straße", True),
        ("icontains", "refund", "A REFUND", True),
        ("icontains", "refund", "fund", False),
        ("icontains", "İSTANBUL", "istanbul", True),
        ("icontains-any", ["YES", "Y"], "yes", True),
        ("icontains-any", ["YES", "YEP"], "no", False),
        ("icontains-all", ["YES", "Sir"], "sir, yes", True),
        ("icontains-all", ["YES", "Sir"], "yes", False),
        ("starts-with", "Dear", " Dear Sir", True),
        ("starts-with", "Dear", "O dear", False),
        ("ends-with", "Bye.", "So. Bye.\n", True),
        ("ends-with", "Bye.", "Bye. So", False),
        ("contains", "café", "Le cafe\u0301 est ouvert", True),
        ("contains", "cafe\u0301", "Le café est ouvert", True),
        ("equals", "한국", "한국".encode().decode(), True),
        ("equals", "\u1112\u1161\u11ab", "한", True),
        ("levenshtein", "kitten", "sitting", True),
        ("token-f1", "the cat sat", "A cat sat.", True),
        ("token-f1", "the cat sat", "a dog", False),
        ("is-json", None, ' {"a": [1]} ', True),
        ("is-json", None, '{"a": 1', False),
        ("is-json", None, "", False),
        ("is-json", None, "7", True),
        ("is-json", None, '{"a": 1, "a": 2}', True),
        ("is-json", None, "[" * 100_000 + "]" * 100_000, False),
        ("is-json", None, '"\ud800"', False),
        ("is-refusal", None, "I can't help with that.", True),
        ("is-refusal", None, "I’m sorry, but I cannot help with that.", True),
        ("is-refusal", None, "I'm unable to share this.", True),
        ("is-refusal", None, "You can't return this.", False),
        ("is-refusal", None, "I cannothing", False),
        ("is-refusal", None, "", False),
    ],
)
def test_texts(kind: str, value: Any, text: str, holds: bool) -> None:
    assert result(kind, value, text).holds is holds
    assert result(f"not-{kind}", value, text).holds is not holds


@pytest.mark.parametrize(
    ("kind", "value", "text", "why"),
    [
        ("contains", "I can't", "I can\u2019t", "differs only by a typographic quote"),
        ("equals", "10 €", "10\u00a0€", "differs only by a no-break space"),
        ("equals", "10 €", "10\u2009€", "differs only by another kind of space"),
        ("equals", "billing", "bil\u200bling", "differs only by a zero-width character"),
        ("equals", "billing", "\ufeffbilling", "differs only by a zero-width character"),
        ("equals", "co-op", "co\u2011op", "differs only by another kind of dash"),
        ("icontains-all", ["I can't", "10 €"], "i CAN\u2019T pay 10 €", "differs only by a typographic quote"),
        ("equals", "it's 10 €", "it\u2019s 10\u00a0€", "differs only by characters that look alike"),
        ("equals", "billing", "other", ""),
        ("contains-all", ["a", "b", "c"], "a", "lacks b, c"),
        ("is-json", None, "```json\n{}\n```", "a code fence is around it"),
        ("is-json", None, 'Here is the JSON: {"color": "yellow"}', "other text is around it"),
        ("is-json", None, '{"price": NaN}', "NaN and Infinity are not JSON"),
        ("is-json", None, '{"a": 1,}', "JSON is malformed: trailing comma in object (byte 8)"),
        ("is-json", None, '\ufeff{"a": 1}', "a byte order mark stands before it"),
        ("is-json", None, " ", "the answer has no text"),
        ("levenshtein", "don't know", "don\u2019t  know!", "is within 2 but for a typographic quote"),
        ("token-f1", "the cat sat", "a dog", "0.00 is under 0.5"),
    ],
)
def test_why_it_fails(kind: str, value: Any, text: str, why: str) -> None:
    threshold = 2 if kind == "levenshtein" else None
    found = result(kind, value, text, threshold=threshold)
    assert (found.holds, found.why) == (False, why)


@given(st.text("abc", max_size=8), st.text("abc", max_size=8), st.integers(0, 8))
def test_the_distance_is_levenshteins(one: str, other: str, most: int) -> None:
    row = list(range(len(other) + 1))
    for index, a in enumerate(one, 1):
        last, row = row, [index]
        for j, b in enumerate(other, 1):
            row.append(min(last[j] + 1, row[-1] + 1, last[j - 1] + (a != b)))
    assert distance_within(one, other, most) == (row[-1] if row[-1] <= most else None)


@pytest.mark.parametrize(
    ("text", "wanted", "f1"),
    [
        ("cat sat", "the cat sat", 1.0),
        ("cat", "cat sat", 2 / 3),
        ("cat cat", "cat", 2 / 3),
        ("Cat! sat?", "cat sat on mat", 2 * 2 / 6),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
    ],
)
def test_token_f1(text: str, wanted: str, f1: float) -> None:
    assert token_f1(text, wanted) == pytest.approx(f1)


# --------------------------------------------------------------------------------------------------- tools

ORDER = ToolCall("get_order", {"id": "A17", "count": 1.0, "tags": ["x"]})
BOTH = [{"name": "get_order"}, {"name": "refund"}]
ELSE = "calls get_order with another input"


@pytest.mark.parametrize(
    ("kind", "value", "calls", "holds", "score", "why"),
    [
        ("tool-call", {"name": "get_order"}, [ORDER], True, 1, ""),
        ("tool-call", {"name": "get_order", "input": {"id": "A17"}}, [ORDER], True, 1, ""),
        ("tool-call", '{"name": "get_order", "input": {"id": "A17", "count": 1}}', [ORDER], True, 1, ""),
        ("tool-call", {"name": "get_order", "input": {"id": "A18"}}, [ORDER], False, 0, ELSE),
        ("tool-call", {"name": "get_order", "input": {"count": True}}, [ORDER], False, 0, ELSE),
        ("tool-call", {"name": "get_order", "input": {"none": None}}, [ORDER], False, 0, ELSE),
        ("tool-call", {"name": "refund"}, [ORDER], False, 0, "does not call refund"),
        ("tool-call", BOTH, [ORDER], False, 0.5, "does not call refund"),
        ("tool-call", {"name": "refund"}, [], False, 0, "does not call refund"),
        ("tool-call-f1", ["get_order"], [ORDER, ORDER], True, 1, ""),
        ("tool-call-f1", "get_order, refund", [ORDER], False, 2 / 3, "0.67; does not call refund"),
        ("tool-call-f1", ["refund"], [ORDER], False, 0, "0.00; does not call refund"),
        ("tool-call-f1", ["get_order"], [ORDER, ToolCall("refund", {})], False, 2 / 3, "0.67"),
        ("is-valid-tool-call", None, [], False, 0, "calls no tool"),
        ("is-valid-tool-call", None, [ToolCall("x", {})], False, 0, "calls a tool that the request does not declare"),
        ("is-valid-tool-call", None, [ToolCall("bash", {"command": "ls"})], True, 1, ""),
    ],
)  # fmt: skip
def test_calls(kind: str, value: Any, calls: list[ToolCall], holds: bool, score: float, why: str) -> None:
    context = Context(tools={"get_order": '{"type":"object"}', "bash": ""})
    found = evaluate(check(kind, value), answer("", *calls), context)
    assert (found.holds, found.score, found.why) == (holds, pytest.approx(score), why)
    turned = evaluate(check(f"not-{kind}", value), answer("", *calls), context)
    assert (turned.holds, turned.score) == (not holds, pytest.approx(1 - score))


def test_a_part_of_the_calls_is_enough_for_a_threshold() -> None:
    assert evaluate(check("tool-call-f1", ["get_order", "refund"], threshold=0.6), answer("", ORDER)).holds


# ---------------------------------------------------------------------------------------- the answer as a whole


@pytest.mark.parametrize(
    ("kind", "threshold", "context", "seconds", "holds", "why"),
    [
        ("cost", 0.01, Context(cost_usd=0.01), None, True, "$0.010000"),
        ("cost", 0.01, Context(cost_usd=0.011), None, False, "$0.011000"),
        ("cost", 0.01, Context(), None, False, "the model has no known price"),
        ("latency", 1500, Context(), 1.5, True, "1500 ms"),
        ("latency", 1500, Context(), 1.6, False, "1600 ms"),
        ("latency", 1500, Context(), None, False, "was not measured: a batch has no latency"),
    ],
)
def test_measures(kind: str, threshold: float, context: Context, seconds: float | None, holds: bool, why: str) -> None:
    found = evaluate(check(kind, threshold=threshold), answer("x", seconds=seconds), context)
    assert (found.holds, found.why) == (holds, why)


def test_a_refusal_holds_nothing_but_is_refusal() -> None:
    refusal = answer("anything", stop="refusal")
    for one in (check("contains", "any"), check("not-contains", "x"), check("cost", threshold=1)):
        assert evaluate(one, refusal, Context(cost_usd=0.0)).holds is False
    assert evaluate(check("is-refusal"), refusal).holds
    assert not evaluate(check("not-is-refusal"), refusal).holds
    assert trials_of([check("regex", "a")], Subject(refusal, Context())) == []
    assert grade([check("contains", "any")], Subject(refusal, Context()))[0] == "refusal"
    assert grade([check("is-refusal")], Subject(refusal, Context()))[0] == ""


def test_what_is_not_known_holds_neither_way() -> None:
    slow = Trial("pattern", "(a+)+$", "x")
    context = Context(tried={slow: Tried("unknown", "was broken off")})
    for kind in ("regex", "not-regex"):
        assert evaluate(check(kind, "(a+)+$"), answer("x"), context) == CheckResult(
            f"{kind}: (a+)+$", False, 0.0, "was broken off"
        )
    endless = answer("a" * (LONGEST_SEARCHED + 1))
    for kind, value in (("regex", "b"), ("not-regex", "b"), ("contains-json", None), ("not-contains-json", None)):
        assert trials_of([check(kind, value)], Subject(endless, Context())) == []
        assert "of over 100,000 characters" in evaluate(check(kind, value), endless).why


def test_a_regular_expression_is_tried_elsewhere() -> None:
    one = check("regex", "cafe\u0301$")
    subject = Subject(answer("un cafe\u0301"), Context())
    assert trials_of([one, one, check("contains", "x")], subject) == [Trial("pattern", "café$", "un café")]
    missing = {Trial("pattern", "can't", "I can\u2019t"): Tried("missing")}
    [again] = second_trials(missing)
    assert again == Trial("pattern", "can't", "I can't")
    found = evaluate(check("regex", "can't"), answer("I can\u2019t"), Context(tried={**missing, again: Tried("found")}))
    assert (found.holds, found.why[:11]) == (False, "is found bu")


def test_the_first_check_that_does_not_hold_is_named_and_cut() -> None:
    checks = [check("contains", "a"), check("is-json"), check("equals", "x" * 200)]
    assert grade(checks[:2], Subject(answer("a"), Context()))[:2] == (
        "is-json (JSON is malformed: invalid character (byte 0))",
        0.0,
    )
    assert grade(checks, Subject(answer('"a"'), Context()))[0] == "equals: " + "x" * 80


def test_a_score_of_0_reaches_no_threshold() -> None:
    """Not even one that is less than a rounding."""
    assert not result("token-f1", "yes", "no", threshold=1e-12).holds
    assert not evaluate(check("tool-call-f1", ["find"], threshold=1e-12), answer("", ToolCall("other", {}))).holds
    failed, score, _ = grade((check("equals", "yes"),), Subject(answer("no"), Context()), 1e-12)
    assert (failed, score) == ("equals: yes", 0)


def test_a_threshold_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="cost: the threshold has no end, so every answer holds it: write a number"):
        check("cost", threshold=float("inf"))


def test_with_a_threshold_the_weighted_mean_counts() -> None:
    checks = [check("contains", "a", weight=3), check("contains", "b", metric="tone")]
    subject = Subject(answer("a"), Context())
    failed, score, results = grade(checks, subject, 0.75)
    assert (failed, score, [one.metric for one in results]) == ("", 0.75, ["", "tone"])
    assert grade(checks, subject, 0.8)[:2] == ("contains: b", 0.75)
    assert grade(checks, subject)[:2] == ("contains: b", 0.0)


# ------------------------------------------------------------------------------- what could never fail or hold


@pytest.mark.parametrize(
    ("kind", "value", "more", "message"),
    [
        ("contains", "", {}, "the value is empty, and is in every answer"),
        ("icontains", "", {}, "the value is empty"),
        ("contains", None, {}, "has no value"),
        ("contains", ["a"], {}, "must be text"),
        ("contains-any", [], {}, "the list is empty"),
        ("contains-any", ["a", ""], {}, "one of the values is empty"),
        ("contains-all", "a,,b", {}, "one of the values is empty"),
        ("equals", "   ", {}, "the value is blank, and no answer is"),
        ("starts-with", "\n", {}, "the value is blank"),
        ("levenshtein", " ", {}, "the value is blank"),
        ("levenshtein", "x" * 10_001, {}, "over 10,000 characters"),
        ("levenshtein", "x", {"threshold": 1.5}, "a whole number"),
        ("levenshtein", "x", {"threshold": 1001}, "is above 1000"),
        ("token-f1", "The.", {}, "has no words"),
        ("token-f1", "cat", {"threshold": 1.5}, "is above 1"),
        ("regex", "", {}, "is empty, and is found in every answer"),
        ("regex", "/^billing$/i", {}, r"written as in JavaScript.*write '\(\?i\)\^billing\$'"),
        ("regex", "^[[:alpha:]]+$", {}, r"has \[:alpha:\], which Python does not know: write \[\^\\W\\d_\]"),
        ("regex", "a" * 4097, {}, "of over 4,096 characters"),
        ("is-refusal", "x", {}, "takes no value"),
        ("cost", None, {}, "has no threshold: write the most US dollars"),
        ("cost", 5, {"threshold": 5}, "takes no value"),
        ("latency", None, {}, "has no threshold: write the most milliseconds"),
        ("equals", "x", {"threshold": 1}, "takes no threshold"),
        ("equals", "x", {"grader": "g"}, "not graded by a model"),
        ("tool-call", None, {}, "has no value"),
        ("tool-call", [], {}, "the list of calls is empty"),
        ("tool-call", {"name": " "}, {}, "must be an object with a name"),
        ("tool-call", {"name": "x", "arguments": {}}, {}, "'arguments' is not a field of a call"),
        ("tool-call", {"name": "x", "input": []}, {}, "must be an object"),
        ("tool-call", "get_order", {}, "text that is not JSON"),
        ("tool-call-f1", [" "], {}, "one of the names is empty"),
        ("tool-call-f1", ["x"], {"threshold": 2}, "is above 1"),
        ("llm-rubric", " ", {}, "a blank criterion"),
        ("llm-rubric", ["polite", ""], {}, "a blank criterion"),
        ("factuality", "", {}, "the value is blank"),
        ("select-best", None, {}, "has no value"),
        ("is-json", "{'type': 1}", {}, "text that is not JSON"),
        ("is-json", '{"type":"objekt"}', {}, "#/type must be one of array, boolean"),
        ("is-json", {"colour": "string"}, {}, "has 'colour', which JSON Schema does not know.*under properties"),
        ("is-json", {"type": "object", "properties": {"a": {"nullable": True}}}, {}, "nullable is not JSON Schema"),
        ("is-json", False, {}, "nothing can hold #: it is false"),
        ("is-json", {"not": {}}, {}, "not excludes everything"),
        ("is-json", {"type": "string", "enum": [1]}, {}, "no value of enum or const has its type"),
        ("is-json", {"minLength": 3, "maxLength": 2}, {}, "minLength is above maxLength"),
        ("is-json", {"type": "object", "required": ["a"], "properties": {"a": False}}, {}, "/properties/a: it is"),
        ("is-json", {"type": "object", "required": ["a"], "additionalProperties": False}, {}, "lacks the required 'a'"),
        ("is-json", {"$ref": "#"}, {}, "refers to itself without end"),
        ("is-json", {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}}, {}, "without end"),
        ("is-json", {"$ref": "https://example.com/x"}, {}, "leads outside of the schema"),
        ("is-json", {"$ref": "#/$defs/b"}, {}, "leads to no schema"),
        ("is-json", {"$schema": "http://json-schema.org/draft-03/schema"}, {}, "is not known here"),
        ("is-json", {"format": "iban"}, {}, "no other format is checked"),
        ("is-json", {"pattern": "/a/i"}, {}, "#/pattern is written as in JavaScript"),
        ("is-json", {"required": ["a", "a"]}, {}, "#/required must be a list of names"),
        ("is-json", {"minimum": "1"}, {}, "#/minimum must be a number"),
        ("is-json", {"const": float("nan")}, {}, "cannot be written as JSON"),
        ("contains-json", {"type": "string"}, {}, "only objects and lists are looked for"),
    ],
)  # fmt: skip
def test_what_decides_nothing_is_refused(kind: str, value: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"^test 1 \(a\): {kind}: (?s:.*){message}"):
        check(kind, value, **more)


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [nested(100), {"anyOf": [{}] * 6000}, {"enum": ["x" * 70_000]}, json.dumps({"not": 1})[:-1] + "}" * 70],
    ids=["deep", "many", "long", "no JSON"],
)
def test_a_schema_has_limits(schema: Any) -> None:
    with pytest.raises(ValueError, match="is-json: the value"):
        check("is-json", schema)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": "similar"}, "unknown assert type 'similar': write one of equals, contains"),
        ({"type": "not-cost"}, "'not-cost' does not exist: cost cannot be turned round"),
        ({"type": "cost", "threshold": 0}, "greater than 0"),
        ({"type": "is-json", "weight": 0}, "greater than 0"),
    ],
)
def test_what_the_api_refuses(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Assert.model_validate(fields)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("equals", "a"), ("equals", "b")),
        (("equals", "billing"), ("contains", "refund")),
        (("equals", "billing"), ("not-contains", "bill")),
        (("equals", "billing"), ("not-icontains", "BILL")),
        (("equals", "billing"), ("contains-any", ["x", "y"])),
        (("equals", "billing"), ("levenshtein", "something else")),
        (("contains", "a"), ("not-contains", "a")),
        (("contains", "abc"), ("not-icontains", "B")),
        (("icontains", "ABC"), ("not-icontains-any", ["x", "b"])),
        (("contains-all", ["x", "abc"]), ("not-contains", "b")),
        (("starts-with", "Dear"), ("starts-with", "Hello")),
        (("ends-with", "Bye."), ("not-contains", "Bye")),
        (("is-json", None), ("not-is-json", None)),
        (("regex", "a"), ("not-regex", "a")),
        (("is-refusal", None), ("not-is-refusal", None)),
    ],
)
def test_pairs_that_exclude_each_other(one: tuple[str, Any], other: tuple[str, Any]) -> None:
    for pair in ((one, other), (other, one)):
        checks = [check(*pair[0]), check("regex", "z"), check(*pair[1])]
        with pytest.raises(ValueError, match=r"^test 1 \(a\): no answer can hold both .* and .*: remove one"):
            check_together("test 1 (a)", checks, None)
        check_together("test 1 (a)", checks, 0.5)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("equals", "billing"), ("contains", "bill")),
        (("icontains", "abc"), ("not-contains", "b")),
        (("contains", "a"), ("not-contains", "ab")),
        (("starts-with", "Dear"), ("starts-with", "Dear Sir")),
        (("contains", "a"), ("equals", "a")),
        (("not-equals", "a"), ("not-equals", "b")),
        (("is-json", {"type": "object"}), ("is-json", {"required": ["a"]})),
        (("equals", "a"), ("contains", "\n")),
    ],
)
def test_pairs_that_do_not(one: tuple[str, Any], other: tuple[str, Any]) -> None:
    check_together("here", [check(*one), check(*other)], None)


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.1])
def test_a_threshold_that_decides_nothing(threshold: float) -> None:
    with pytest.raises(ValueError, match="write one above 0 and up to 1"):
        check_together("here", [check("is-json")], threshold)


# ---------------------------------------------- no accepted check holds for every answer, or for none

TEXTS = st.text("ab \n\u00e9e\u0301İ'’", max_size=6)
LISTS = st.lists(TEXTS, max_size=3)
SCALARS = st.sampled_from([None, True, 0, 1, "", "a", [], {}])
SCHEMAS = st.recursive(
    st.booleans()
    | st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", "string", "integer", "null", ["string", "null"]]),
            "enum": st.lists(SCALARS, max_size=2),
            "const": SCALARS,
            "minLength": st.integers(0, 3),
            "maxLength": st.integers(0, 3),
            "required": st.lists(st.sampled_from(["a", "b"]), max_size=2),
        },
    ),
    lambda inner: st.fixed_dictionaries({}, optional={"properties": st.fixed_dictionaries({"a": inner}), "not": inner}),
    max_leaves=4,
)
CALLS = st.fixed_dictionaries({"name": st.sampled_from(["f", "g", " "])}, optional={"input": st.just({"x": 1})})
ASSERTS = st.one_of(
    st.tuples(st.sampled_from(["equals", "contains", "icontains", "starts-with", "ends-with"]), TEXTS, st.none()),
    st.tuples(st.sampled_from(["contains-any", "contains-all", "icontains-any", "icontains-all"]), LISTS, st.none()),
    st.tuples(st.just("levenshtein"), TEXTS, st.sampled_from([None, 1, 3])),
    st.tuples(st.just("token-f1"), TEXTS, st.sampled_from([None, 0.01, 1])),
    st.tuples(st.just("tool-call"), CALLS | st.lists(CALLS, max_size=2), st.none()),
    st.tuples(st.just("tool-call-f1"), st.lists(st.sampled_from(["f", " "]), max_size=2), st.sampled_from([None, 0.1])),
    st.tuples(st.sampled_from(["is-refusal", "is-valid-tool-call", "is-json"]), st.none(), st.none()),
    st.tuples(st.sampled_from(["cost", "latency"]), st.none(), st.sampled_from([0.001, 1.0])),
)  # fmt: skip


def witnesses(one: Check) -> list[tuple[Answer, Context]]:
    """Answers of which some hold a check and some do not: made of its own value, and of nothing like it."""
    texts = ["", "§§§", "I can't do that.", "{}", *one.texts, " ".join(one.texts), "§" * 20]
    calls: list[tuple[ToolCall, ...]] = [(), (ToolCall("h", {}),)]
    if one.type == "tool-call":
        calls.append(tuple(ToolCall(call["name"], call.get("input", {})) for call in json.loads(str(one.value))))
    elif one.type == "tool-call-f1":
        calls.append(tuple(ToolCall(name, {}) for name in one.texts))
    contexts = [Context(tools={"h": "", **({"f": ""} if one.negated else {})}, cost_usd=cost) for cost in (0.0, 9.0)]
    return [
        (Answer(text, "end_turn", "", {}, made, seconds), context)
        for text, made, seconds, context in itertools.product(texts, calls, (0.0, 9.0), contexts)
    ]


@settings(max_examples=400, deadline=None)
@given(ASSERTS, st.booleans())
def test_no_accepted_check_holds_for_every_answer_or_for_none(
    fields: tuple[str, Any, float | None], negated: bool
) -> None:
    kind, value, threshold = fields
    name = f"not-{kind}" if negated and f"not-{kind}" in ASSERT_TYPES else kind
    try:
        one = check(name, value, threshold=threshold)
    except ValueError as error:
        assert str(error).startswith("test 1 (a): ")
        return
    held = {evaluate(one, *pair).holds for pair in witnesses(one)}
    assert held == {True, False}


@settings(max_examples=300, deadline=None)
@given(SCHEMAS)
def test_every_schema_is_a_line_or_a_sentence(schema: Any) -> None:
    try:
        one = check("is-json", schema)
    except ValueError as error:
        assert str(error).startswith("test 1 (a): is-json: ")
    else:
        assert json.loads(str(one.value)) == schema


def test_every_type_is_a_row_and_graded_ones_wait_for_a_model() -> None:
    assert {name.removeprefix("not-") for name in ASSERT_TYPES} == set(KINDS)
    rubric = check("llm-rubric", "is polite")
    assert not evaluate(rubric, answer("x")).holds, "what was not graded is not good"
    graded = Context(graded={rubric: Finding(True, 1.0, reason="it says please")})
    assert evaluate(rubric, answer("x"), graded) == CheckResult(
        "llm-rubric: is polite", True, 1.0, reason="it says please"
    )


@pytest.mark.parametrize("size", [1_000_000])
def test_hostile_answers_cost_no_more_than_their_length(size: int) -> None:
    """What grows with the square of an answer is not done, or is bounded: this test would not end."""
    marks = answer("a" + "\u0315\u0300" * (size // 2))
    long = answer("[" * size)
    for one in (
        check("equals", "é" * 100),
        check("icontains", "é"),
        check("levenshtein", "é" * 10_000, threshold=1000),
        check("token-f1", "cat"),
        check("is-json"),
        check("is-refusal"),
        check("ends-with", "é"),
    ):
        for hostile in (marks, long):
            assert not evaluate(one, hostile).holds
