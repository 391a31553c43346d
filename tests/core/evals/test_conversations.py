"""Conversations of a set that the API would refuse on the revisions that are asked."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest

from claude_operator.api.gateway import Arm, Overrides
from claude_operator.core.evals.conversations import explain_refused
from claude_operator.core.evals.items import Item

TODAY = dt.date(2026, 11, 24)
OPUS, OLD = "claude-opus-5-5", "claude-haiku-4-5-20251001"


def arm(model: str, overrides: Overrides | None = None, **request: Any) -> Arm:
    subagents = {"helper": {"model": OLD}}
    return Arm("a-1", "canary", 0, {"model": model, **request}, subagents=subagents, overrides=overrides or Overrides())


def item(*contents: Any, first: str = "user", **fields: Any) -> Item:
    roles = [first, *("assistant" if n % 2 else "user" for n in range(1, len(contents)))]
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]
    return Item("greets", msgspec.json.encode(messages), (), **fields)


PREFILLED = item("hi", "The answer is")
WHY = f"messages[1]: {OPUS} does not continue from an assistant's message: end with a user's"


@pytest.mark.parametrize(
    ("asked", "arms", "said"),
    [
        (PREFILLED, [arm(OPUS)], f"item greets: {WHY}"),
        (PREFILLED, [arm(OLD)], ""),
        (PREFILLED, [arm(OLD), arm(OPUS)], f"item greets: {WHY}"),
        (PREFILLED, [arm(OPUS, Overrides(unsupported="Drop"))], ""),
        (item("hi", "The answer is", subagent="helper"), [arm(OPUS)], ""),
        (item("hi", "The answer is", subagent="another"), [arm(OPUS)], f"item greets: {WHY}"),
        (item("hi", "The answer is", held_out=True), [arm(OPUS)], f"a held-out item: {WHY}"),
        (item("hi", "Hello.", "go on"), [arm(OPUS)], ""),
        (item('say "assistant"'), [arm(OPUS)], ""),
        (
            item("Be brief.", first="system"),
            [arm(OLD)],
            "item greets: messages[0]: the first message has role system: put its text into system",
        ),
        (
            item([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]),
            [arm(OPUS, cache_control={"type": "ephemeral"})],
            "item greets: cache_control.ttl: 5m, while the last block of messages has one of 1h: write the same ttl, or"
            " remove one of them",
        ),
    ],
)
def test_a_conversation_is_held_against_every_arm(asked: Item, arms: list[Arm], said: str) -> None:
    assert explain_refused([item("hi"), asked], arms, TODAY) == said


def test_the_first_item_of_many_is_named() -> None:
    other = item("hi", "Well,")
    assert explain_refused([item("hi")] * 3, [arm(OPUS)], TODAY) == ""
    assert explain_refused([PREFILLED, other], [arm(OPUS)], TODAY).startswith("item greets: messages[1]")
