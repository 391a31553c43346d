"""Cache diagnostics: a request is told what differs from the one whose answer it names."""

from __future__ import annotations

from typing import Any

import pytest
from tests.simulator.harness import running_simulator

Body = dict[str, Any]
LONG = "Answer with care. " * 20
TOOL: Body = {"name": "search", "input_schema": {"type": "object"}}


def body(**fields: Any) -> Body:
    first = {"role": "user", "content": LONG}
    return {
        "model": "claude-opus-5-5",
        "max_tokens": 10,
        "system": LONG,
        "tools": [TOOL],
        "messages": [first],
        "diagnostics": {"previous_message_id": None},
        **fields,
    }


def later(*turns: str) -> list[Body]:
    return [{"role": "user" if number % 2 == 0 else "assistant", "content": text} for number, text in enumerate(turns)]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"messages": later(LONG, "Yes.", "And then?")}, None),
        ({"system": [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]}, None),
        ({"model": "claude-haiku-5-5"}, "model_changed"),
        ({"tools": [TOOL, {**TOOL, "name": "find"}]}, "tools_changed"),
        ({"system": f"{LONG} Today."}, "system_changed"),
        ({"messages": later("Other", "Yes.", "And then?")}, "messages_changed"),
    ],
)
async def test_what_differs_is_told(fields: Body, kind: str | None) -> None:
    async with running_simulator() as simulator:
        status, first = await simulator.ask(body())
        assert (status, first.get("diagnostics")) == (200, None)
        status, second = await simulator.ask(body(diagnostics={"previous_message_id": first["id"]}, **fields))
    assert status == 200
    reason = (second.get("diagnostics") or {}).get("cache_miss_reason") or {}
    assert reason.get("type") == kind
    assert (reason.get("cache_missed_input_tokens", 0) > 0) == (kind is not None)


async def test_a_message_that_is_not_known_is_told_and_who_does_not_ask_hears_nothing() -> None:
    async with running_simulator() as simulator:
        _, answer = await simulator.ask(body(diagnostics={"previous_message_id": "msg_of_somebody"}))
        assert answer["diagnostics"] == {"cache_miss_reason": {"type": "previous_message_not_found"}}
        plain = body()
        del plain["diagnostics"]
        _, answer = await simulator.ask(plain)
        assert "diagnostics" not in answer
