"""Thinking over HTTP: it is signed by the model, and another model's is refused."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from tests.simulator.harness import Running, message

THINKING: dict[str, Any] = {"thinking": {"type": "adaptive"}}
NEW, OTHER = "claude-opus-5-5", "claude-haiku-5-5"


def turn_after(answer: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The next request of a conversation that had this answer."""
    first = message()["messages"]
    quoted = {"role": "assistant", "content": answer["content"]}
    return message(messages=[*first, quoted, {"role": "user", "content": "Go on."}], **fields)


async def test_thinking_comes_first_and_is_signed(api: Running) -> None:
    _, plain = await api.ask()
    status, answer = await api.ask(message(**THINKING))
    assert status == 200
    thought, text = answer["content"]
    assert (thought["type"], text) == ("thinking", plain["content"][0])
    assert thought["thinking"]
    assert len(thought["signature"]) == 44
    extra = answer["usage"]["output_tokens"] - plain["usage"]["output_tokens"]
    assert answer["usage"]["output_tokens_details"] == {"thinking_tokens": extra}


async def test_a_stream_carries_the_same(api: Running) -> None:
    _, whole = await api.ask(message(**THINKING))
    client = anthropic.AsyncAnthropic(api_key="k", base_url=api.url)
    async with client, client.messages.stream(**message(**THINKING)) as stream:
        final = await stream.get_final_message()
    assert [block.model_dump(exclude_none=True) for block in final.content] == whole["content"]
    assert final.usage.output_tokens == whole["usage"]["output_tokens"]


async def test_its_own_signature_is_taken_back_and_another_models_is_not(api: Running) -> None:
    _, answer = await api.ask(message(model=NEW, **THINKING))
    assert (await api.ask(turn_after(answer, model=NEW, **THINKING)))[0] == 200
    assert (await api.ask(turn_after(answer, model=NEW)))[0] == 200
    status, refused = await api.ask(turn_after(answer, model=OTHER, **THINKING))
    assert status == 400
    assert refused["error"]["message"] == "messages.1.content.0: Invalid `signature` in `thinking` block"


@pytest.mark.parametrize("change", [{"thinking": "other"}, {"signature": ""}, {"signature": None}, {"signature": "é"}])
async def test_what_was_changed_is_refused(api: Running, change: dict[str, Any]) -> None:
    _, answer = await api.ask(message(**THINKING))
    answer["content"][0] |= change
    status, _ = await api.ask(turn_after(answer))
    assert status == 400
