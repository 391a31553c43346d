"""Clients that ask for long answers without streaming are told of once for each revision."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.gateway.harness import STABLE, Gateway, make_arm
from tests.gateway.upstream import Playback, Recorded, json_answer, sse_answer, stream_events

LONG = {"max_tokens": 21_334}


def told(gateway: Gateway) -> list[dict[str, Any]]:
    lines = map(json.loads, gateway.output.getvalue().splitlines())
    return [line for line in lines if line["message"] == "a long answer is not streamed"]


def body(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "model": "m", **fields}


async def either(request: Recorded, playback: Playback) -> None:
    streams = json.loads(request.body).get("stream")
    await (sse_answer(*stream_events("Hi")) if streams else json_answer())(request, playback)


@pytest.mark.parametrize(
    ("request_", "fields", "headers", "times"),
    [
        (LONG, {}, {}, 1),
        (LONG, {"stream": False}, {}, 1),
        (LONG, {"stream": True}, {}, 0),
        ({"max_tokens": 21_333}, {}, {}, 0),
        ({}, {}, {"x-claude-subagent": "writer"}, 1),
        (LONG, {}, {"x-claude-subagent": "short"}, 0),
    ],
)
async def test_it_is_said_once(
    gateway: Gateway, request_: dict[str, Any], fields: dict[str, Any], headers: dict[str, str], times: int
) -> None:
    gateway.upstream.script = either
    subagents = {"writer": LONG, "short": {"max_tokens": 10}}
    gateway.serve(make_arm(request=request_, subagents=subagents), generation=2)
    for _ in range(3):
        response, _ = await gateway.post(body(**fields), headers)
        assert response.status == 200
    found = told(gateway)
    assert len(found) == times
    for line in found:
        assert (line["level"], line["revision"]) == ("warning", STABLE)
        assert line["why"].startswith("max_tokens: 21334 without streaming may take longer than ten minutes")


async def test_another_revision_is_said_again(gateway: Gateway) -> None:
    for generation, revision in enumerate((STABLE, "support-0000000009", STABLE), 2):
        gateway.serve(make_arm(revision, request=LONG), generation=generation)
        await gateway.post(body())
    assert [line["revision"] for line in told(gateway)] == [STABLE, "support-0000000009"]
