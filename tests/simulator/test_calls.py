"""The calls of tools that a known answer begins with."""

from __future__ import annotations

from typing import Any

import pytest
from tests.simulator.harness import Running, message

STATE = {"name": "state", "input_schema": {"type": "object", "properties": {"id": {"type": "string"}}}}
REFUND = {"name": "refund", "input_schema": {"type": "object", "properties": {"id": {"type": "string"}}}}
KNOWN = """{answers: [{question: "Where is 12?", answer: on its way, calls: [{name: state, input: {id: "12"}},
  {name: refund, input: {id: "12"}}]}, {question: other, answer: other}],
  defaults: {accuracy: %s, latency: {median: 0s}, tokensPerSecond: 1e6}}"""


def turn(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages that bring a call's result."""
    (call,) = answer["content"]
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "done"}
    return [{"role": "assistant", "content": answer["content"]}, {"role": "user", "content": [result]}]


async def test_the_calls_come_in_order_and_then_the_answer(api: Running) -> None:
    await api.steer(KNOWN % 1)
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Where is 12?"}]
    for name in ("state", "refund"):
        _, answer = await api.ask(message(tools=[STATE, REFUND], messages=messages))
        assert answer["stop_reason"] == "tool_use"
        assert [(one["name"], one["input"]) for one in answer["content"]] == [(name, {"id": "12"})]
        messages += turn(answer)
    _, answer = await api.ask(message(tools=[STATE, REFUND], messages=messages))
    assert (answer["stop_reason"], answer["content"][0]["text"]) == ("end_turn", "on its way")


async def test_a_wrong_prompt_calls_another_tool_or_the_same_one_wrongly(api: Running) -> None:
    await api.steer(KNOWN % 0)
    _, answer = await api.ask(message("Where is 12?", tools=[STATE, REFUND]))
    assert answer["content"][0]["name"] == "refund"
    _, answer = await api.ask(message("Where is 12?", tools=[STATE]))
    assert (answer["content"][0]["name"], answer["content"][0]["input"]) == ("state", {"id": "text"})


@pytest.mark.parametrize("fields", [{}, {"tools": [REFUND]}, {"tools": [STATE], "tool_choice": {"type": "none"}}])
async def test_a_tool_that_is_not_offered_is_not_called(api: Running, fields: dict[str, Any]) -> None:
    await api.steer(KNOWN % 1)
    _, answer = await api.ask(message("Where is 12?", **fields))
    assert answer["content"][0]["text"] == "on its way"
