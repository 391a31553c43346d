"""Message threads of the simulated API."""

from __future__ import annotations

from typing import Any

import pytest
from tests.simulator.harness import Running, message

BETA = {"anthropic_beta": "message-threads-2026-08-12"}
CREATE = {"type": "create"}


def after(answer: dict[str, Any]) -> dict[str, Any]:
    return {"type": "continue", "previous_message_id": answer["id"]}


async def begun(api: Running, **more: Any) -> dict[str, Any]:
    status, answer = await api.ask(message(thread=CREATE, system="Be brief.", **more), **BETA)
    assert status == 200, answer
    return answer


async def test_a_turn_brings_its_new_messages_only(api: Running) -> None:
    first = await begun(api)
    status, second = await api.ask(message(thread=after(first)), **BETA)
    assert status == 200
    assert second["usage"]["input_tokens"] > first["usage"]["input_tokens"]
    assert api.lines()[-1]["system_hash"] == api.lines()[-2]["system_hash"]


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"system": "Be brief."}, 400, None),
        ({"tools": []}, 400, None),
        ({"model": "claude-sonnet-5-5"}, 400, "thread_fingerprint_mismatch"),
        ({"output_config": {"effort": "low"}}, 400, "thread_fingerprint_mismatch"),
        ({"context_management": {"edits": []}}, 400, "thread_unsupported_request"),
        ({"thread": {"type": "continue"}}, 404, "thread_not_found"),
        ({"thread": {"type": "continue", "previous_message_id": "msg_other"}}, 404, "thread_not_found"),
        ({"thread": {"type": "fork"}}, 400, None),
    ],
)
async def test_what_a_thread_is_refused_for(api: Running, more: dict[str, Any], status: int, code: str | None) -> None:
    first = await begun(api)
    betas = {"anthropic_beta": "message-threads-2026-08-12,context-management-2025-06-27"}
    got, answer = await api.ask(message(**{"thread": after(first), **more}), **betas)
    assert (got, answer["error"].get("details", {}).get("error_code")) == (status, code)


async def test_an_answer_is_continued_once_and_held_for_five_minutes(api: Running) -> None:
    first = await begun(api)
    _, second = await api.ask(message(thread=after(first)), **BETA)
    status, answer = await api.ask(message(thread=after(first)), **BETA)
    assert (status, answer["error"]["details"]["error_code"]) == (400, "thread_already_continued")
    api.clock.now += 301
    status, answer = await api.ask(message(thread=after(second)), **BETA)
    assert (status, answer["error"]["details"]["error_code"]) == (404, "thread_not_found")


async def test_a_thread_needs_its_beta(api: Running) -> None:
    status, answer = await api.ask(message(thread=CREATE))
    assert (status, answer["error"]["message"]) == (400, "thread: Extra inputs are not permitted")
