"""Differences between revisions as a person reads them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.cli.test_views import check

from claude_operator.cli.view.diff import diff_facts, diff_view
from claude_operator.cli.view.paint import to_text
from claude_operator.cli.view.text_diff import diff_lines

PROMPT = """You answer customers of a shop for bicycle parts.

Be kind, and answer in the customer's language.
Never promise a date of delivery.
If you do not know, say so.

Prices are in euros.
Shipping takes three days.
"""
OLD: dict[str, Any] = {
    "request": {
        "model": "claude-opus-5-5",
        "max_tokens": 2048,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "stop_sequences": ["END"],
        "system": [{"type": "text", "text": PROMPT, "cache_control": {"type": "ephemeral"}}],
        "tools": [
            {
                "name": "find_part",
                "description": "Find a part by its number.",
                "input_schema": {"type": "object", "properties": {"number": {"type": "string"}}},
            },
            {"name": "old_tool", "input_schema": {"type": "object"}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        ],
    },
    "subagents": {"sorter": {"request": {"model": "claude-haiku-5-5", "max_tokens": 10}}},
}


def edited() -> dict[str, Any]:
    new = copy.deepcopy(OLD)
    request = new["request"]
    request |= {"model": "claude-sonnet-5-5", "thinking": {"type": "adaptive"}, "temperature": 0.5}
    text = PROMPT.replace("customers of a shop", "buyers in a shop").replace("Never promise a date of delivery.\n", "")
    request["system"] = [
        {"type": "text", "text": text + "Say goodbye.\n", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ]
    found, _, search = request["tools"]
    found["description"] = "Find a part by its number or name."
    found["input_schema"]["properties"]["name"] = {"type": "string"}
    request["tools"] = [search, found, {"name": "order", "input_schema": {"type": "object"}}]
    new["subagents"] = {
        "sorter": {"request": {"model": "claude-haiku-5-5", "max_tokens": 20}},
        "writer": {"request": {"model": "claude-opus-5-5"}},
    }
    new["overrides"] = {"system": "Append", "tools": "Replace"}
    return new


def test_a_change_of_everything() -> None:
    facts = diff_facts("support-1111111111", OLD, "support-2222222222", edited())
    check(diff_view(facts), facts, "diff")


def test_what_is_the_same_has_no_sections() -> None:
    facts = diff_facts("a", OLD, "b", copy.deepcopy(OLD))
    assert facts["sections"] == []
    assert "no difference" in to_text(diff_view(facts))


def test_a_prompt_of_one_long_line_shows_the_words_that_changed() -> None:
    words = " ".join(f"word{n}" for n in range(200))
    old, new = ({"request": {"system": f"{words} {end} and more."}} for end in ("a cat", "two cats"))
    text = to_text(diff_view(diff_facts("a", old, "b", new)))
    assert "word199 [-a cat-]{+two cats+} and more." in text
    assert "word100 " not in text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([], ["a"]),
        (["a"], []),
        (["a b c", "d e f"], ["d e f g", "a b c"]),
        (["x"] * 5, ["x"] * 4),
        (["one two three four", "", "five"], ["one two 3 four", "", "", "five six"]),
        ([f"line {n} of many lines" for n in range(100)], [f"line {n} of more lines" for n in range(99)]),
    ],
)
def test_both_texts_can_be_read_out_of_a_diff(old: list[str], new: list[str]) -> None:
    lines = diff_lines(old, new)
    sides = [
        [
            "".join(text for kind, text in line if kind in kinds)
            for line in lines
            if any(kind in kinds for kind, _ in line)
        ]
        for kinds in ("=-", "=+")
    ]
    assert sides == [old, new]
