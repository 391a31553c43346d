"""What a tool loop has cost: each turn by its own price."""

from __future__ import annotations

from typing import Any

import pytest

from claude_operator.core.evals.outcomes import Answer
from claude_operator.core.evals.sets import Item
from claude_operator.core.evals.turns import Turns
from claude_operator.evals.costs import cost_of, input_tokens, output_tokens

CALL = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
ITEM = Item("one", b'[{"role":"user","content":"q"}]', (), tool_results={"look": ["found"]}, max_turns=3)


def answer(*turns: tuple[str, dict[str, Any]]) -> Answer:
    """An answer of turns, each of a model with a usage."""
    loop = Turns(ITEM)
    for number, (model, usage) in enumerate(turns, 1):
        goes_on = number < len(turns)
        assert loop.add([CALL] if goes_on else [], "tool_use" if goes_on else "end_turn", usage, model) == goes_on
    return loop.answer("done", "end_turn", turns[-1][0])


HAIKU, OPUS = "claude-haiku-5-5", "claude-opus-5-5"
LONG = {"input_tokens": 60_000, "output_tokens": 1000}


@pytest.mark.parametrize(
    ("turns", "usd"),
    [
        ([(HAIKU, LONG)], 0.006 + 0.0005),
        # Two prompts of 60,000 tokens are not one of 120,000: 2 x (60,000 x 0.1 + 1,000 x 0.5).
        ([(HAIKU, LONG), (HAIKU, LONG)], 0.012 + 0.001),
        ([(HAIKU, LONG), (HAIKU, {"input_tokens": 120_000})], 0.006 + 0.0005 + 0.06),
        # A compaction in the first turn, none in the second: 100,000 x 4 + 1,000 x 4 + 2,000 x 4.
        (
            [
                (OPUS, {"input_tokens": 1000, "iterations": [{"input_tokens": 100_000}, {"input_tokens": 1000}]}),
                (OPUS, {"input_tokens": 2000}),
            ],
            0.4 + 0.004 + 0.008,
        ),
        ([(OPUS, {"input_tokens": 1000}), ("claude-sonnet-5-5", {"input_tokens": 1000})], 0.004 + 0.002),
        ([(OPUS, {"input_tokens": 1000, "speed": "fast"}), (OPUS, {"input_tokens": 1000})], 0.008 + 0.004),
        # Searches of both turns: 3 x 0.01.
        (
            [
                (OPUS, {"input_tokens": 0, "server_tool_use": {"web_search_requests": 1}}),
                (OPUS, {"input_tokens": 0, "server_tool_use": {"web_search_requests": 2}}),
            ],
            0.03,
        ),
        ([(OPUS, {"input_tokens": 1000, "service_tier": "priority"})], 0.004),  # as if no commitment covered it
        ([(OPUS, {"iterations": [7]}), (OPUS, {"input_tokens": 1})], None),
        ([(OPUS, {"iterations": 7}), (OPUS, {"input_tokens": 1})], None),
    ],
)
def test_cost_of_a_tool_loop(turns: list[tuple[str, dict[str, Any]]], usd: float | None) -> None:
    assert cost_of(answer(*turns)) == (usd if usd is None else pytest.approx(usd))


def test_tokens_are_summed_over_the_turns() -> None:
    both = answer((HAIKU, LONG), (HAIKU, LONG))
    assert (input_tokens(both), output_tokens(both)) == (120_000, 2000)
