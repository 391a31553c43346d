"""Items, their hash, and the checks on an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_operator.api.evals import EvalSetSpec
from claude_operator.core.evals.checks import Check
from claude_operator.core.evals.contents import Contents
from claude_operator.core.evals.sets import Item, load_items, set_hash

DATASET = {"dataset": {"configMapKeyRef": {"name": "questions", "key": "items.jsonl"}}}
EQUALS = {"type": "equals", "value": "billing"}
TEST = {"id": "a", "input": "Hi", "assert": [EQUALS]}


def load(spec: dict[str, Any], jsonl: str | None = None) -> list[Item]:
    return load_items(EvalSetSpec.model_validate(spec), questions(jsonl))


def questions(jsonl: str | None) -> Contents:
    return Contents({("questions", "items.jsonl"): jsonl} if jsonl is not None else {})


def lines(*tests: Any) -> str:
    return "\n".join(test if isinstance(test, str) else json.dumps(test) for test in tests)


# ------------------------------------------------------------------------------------------------ loading


def test_items_in_place_and_in_lines_are_the_same() -> None:
    tests = [
        {**TEST, "critical": True},
        {"id": "b", "messages": [{"role": "user", "content": "Hö"}], "subagent": "researcher"},
    ]
    common = {"defaultTest": {"assert": [{"type": "is-json"}]}}
    items = load({"tests": tests, **common})
    assert items == load({**DATASET, **common}, lines(*tests) + "\n\n")
    assert items == [
        Item("a", b'[{"role":"user","content":"Hi"}]', (Check("equals", "billing"),), critical=True),
        Item("b", '[{"role":"user","content":"Hö"}]'.encode(), (Check("is-json"),), subagent="researcher"),
    ]


def test_a_line_may_hold_a_line_separator_and_end_in_crlf() -> None:
    text = json.dumps({**TEST, "input": "a\u2028b"}, ensure_ascii=False)
    [item] = load(DATASET, text + "\r\n")
    assert "a\u2028b" in item.messages.decode()


def test_a_set_without_items_has_none() -> None:
    assert load({"tests": []}) == []
    assert load(DATASET, "\n") == []


@pytest.mark.parametrize(
    ("spec", "jsonl", "message"),
    [
        ({}, None, "exactly one of tests and dataset"),
        ({"tests": [], **DATASET}, "", "exactly one of tests and dataset"),
        (DATASET, None, "in the ConfigMap questions, key items.jsonl, which is missing: create it"),
        ({"tests": [TEST, TEST]}, None, r"test 2 \(a\): the id 'a' is already used at test 1 \(a\)"),
        (DATASET, lines(TEST, "", TEST), "line 3: the id 'a' is already used at line 1"),
        (DATASET, lines(TEST, "{'id': 1}"), "line 2 is not JSON .*: write one object a line"),
        (DATASET, "[" * 100_000, "line 1 is not JSON"),
        (DATASET, '"x"', 'line 1 is not an object: write {"id"'),
        (DATASET, '{"input": "x"}', "line 1, id: is missing; add it"),
        (DATASET, lines({**TEST, "var": {}}), "line 1, var: .*The fields of an item are id, input, messages,"),
        (
            DATASET,
            lines({**TEST, "assert": [{"type": "similar"}]}),
            r"type: unknown assert type 'similar': write one of equals,",
        ),
        (DATASET, lines({**TEST, "assert": "x"}), "line 1, assert: must be a list"),
        (DATASET, '{"id": "a", "input": "\\ud800", "assert": [{"type": "is-json"}]}', "line 1"),
        ({"tests": [{"id": "a", "input": "x"}]}, None, "nothing is checked: add assert to it, or to defaultTest"),
        ({"tests": [{"id": "a", "input": "x", "assert": []}]}, None, "nothing is checked"),
        ({"tests": [{"id": "a", "assert": [EQUALS]}]}, None, "exactly one of input and messages"),
        ({"tests": [{**TEST, "messages": [{}]}]}, None, "exactly one of input and messages"),
        ({"tests": [{"id": "a", "messages": [], "assert": [EQUALS]}]}, None, "messages is empty"),
        ({"tests": [{**TEST, "assert": [{"type": "contains"}]}]}, None, "contains: has no value: write what"),
        ({"tests": [{**TEST, "assert": [{"type": "regex", "value": "a" * 4097}]}]}, None, "of over 4,096 characters"),
        ({"tests": [TEST], "defaultTest": {"assert": []}}, None, None),
    ],
)
def test_what_is_wrong_is_named(spec: dict[str, Any], jsonl: str | None, message: str | None) -> None:
    if message is None:
        assert load(spec, jsonl)
    else:
        with pytest.raises(ValueError, match=message):
            load(spec, jsonl)


# --------------------------------------------------------------------------------------------------- hash

SPEC = {"tests": [{"id": "ö", "input": "Hi", "assert": [{"type": "is-json"}]}], "gate": {"passRate": 0.75}}


def test_the_hash_is_for_ever() -> None:
    """Another value makes an upgrade of the operator ask every question of every gate again."""
    assert set_hash(SPEC) == "a01942c7c3eccd362e61a22e508703c6f14ca110c66c8dde0388384e7fe36dfd"
    assert set_hash(DATASET, questions("{}\n")) == "af6b3af9f699fca84c8ed1a1ab6181b808583c3e1ec3cab0e99656b1552c0e46"


def test_the_hash_is_of_the_content() -> None:
    one = set_hash(SPEC)
    assert set_hash(dict(reversed(SPEC.items()))) == one
    assert set_hash({**SPEC, "execution": {"timeout": "600s"}}) == one
    assert set_hash({**SPEC, "gate": {"passRate": 0.75, "margin": 0.03}}) != one, "nothing is defaulted"
    assert set_hash(SPEC, questions("")) != one
    assert set_hash(DATASET, questions("a\n")) != set_hash(DATASET, questions("a"))


# --------------------------------------------------------------------------------------- whatever stands there

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
CHECKS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["equals", "regex", "is-json", "x"]) | JSON}, optional={"value": st.text() | JSON}
    )
)
TESTS = st.fixed_dictionaries(
    {"id": st.text(max_size=3) | JSON},
    optional={
        "input": st.text() | JSON,
        "messages": JSON,
        "assert": CHECKS | JSON,
        "critical": JSON,
        "subagent": JSON,
        "other": JSON,
    },
)


@settings(max_examples=300)
@given(st.lists(TESTS.map(json.dumps) | JSON.map(json.dumps) | st.text(max_size=20), max_size=4))
def test_whatever_stands_in_a_dataset_is_items_or_a_sentence(texts: list[str]) -> None:
    try:
        items = load(DATASET, "\n".join(texts))
    except ValueError as error:
        assert str(error).startswith("line "), error
        assert len(str(error)) < 2000
    else:
        assert len({item.id for item in items}) == len(items)
        assert all(item.checks and item.place.startswith("line ") for item in items)


@pytest.mark.parametrize(
    "line",
    [
        '{"id":"1","input":"x","assert":[' + ",".join(["1"] * 200_000) + "]}",
        '{"id":"1","input":"x","assert":[' + ",".join(['{"type":"is-json"}'] * 20_000) + "]}",
        '{"id":"1","messages":[' + ",".join(["{}"] * 200_000) + "]}",
        '{"id":"1","input":"' + "x" * 1_000_001 + '"}',
        '{"id":"1","input":"x","assert":[{"type":"equals","value":"' + "x" * 65_537 + '"}]}',
    ],
    ids=["wrong checks", "checks", "messages", "input", "value"],
)
def test_a_line_has_limits(line: str) -> None:
    """One fault is told, and found at once: a line of them takes no longer than the line."""
    with pytest.raises(ValueError, match=r"line 1, .*must have at most"):
        load(DATASET, line)


def test_of_very_many_unknown_fields_one_is_told() -> None:
    fields = {"id": "1", **{f"k{n}": 1 for n in range(50_000)}}
    with pytest.raises(ValueError, match=r"line 1, k0: is not a field here.*The fields of an item are id, input"):
        load(DATASET, json.dumps(fields))
