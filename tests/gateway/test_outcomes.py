"""What became of a call: the outcome that counts, and bytes that reach the client as they came."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import aiohttp
import pytest
from tests.gateway.harness import CLIENT_KEY, Gateway
from tests.gateway.upstream import MESSAGE, Playback, Recorded, json_answer, sse_answer, stream_events
from tests.waiting import HANGS

from claude_operator.core.catalogue.cost import cost_usd

STREAM = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
START, *MIDDLE, DELTA, STOP = stream_events("Four ", "letters")


def error(kind: str, message: str = "m", code: str | None = None) -> bytes:
    details = {"error_code": code} if code else None
    return json.dumps({"type": "error", "error": {"details": details, "type": kind, "message": message}}).encode()


BROKE = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
CAPPED = "You have reached your specified API usage limits. You will regain access on 2027-01-01 at 00:00 UTC."


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("status", "body", "content_type", "outcome", "named"),
    [
        ("400 X", error("invalid_request_error", BROKE), "application/json", "account", "invalid_request_error"),
        ("403 Forbidden", error("permission_error", CAPPED), "application/json", "account", "permission_error"),
        ("402 Payment Required", error("billing_error"), "application/json", "account", "billing_error"),
        ("429 X", error("rate_limit_error", "m", "enforced_spend_limit_reached"), "a/b", "account", "rate_limit_error"),
        ("429 X", error("rate_limit_error"), "application/json", "overload", "rate_limit_error"),
        ("529 X", b"<html>", "text/html", "overload", ""),
        ("500 X", error("api_error", "Overloaded"), "application/json", "overload", "api_error"),
        ("500 X", error("api_error"), "application/json", "error", "api_error"),
        ("502 X", b"bad gateway", "text/plain", "error", ""),
        ("200 OK", b"", "application/json", "error", "not_a_message"),
        ("200 OK", b"<!doctype html><title>Log in</title>", "text/html; charset=utf-8", "error", "not_a_message"),
        ("200 OK", b"null", "application/json", "error", "not_a_message"),
        ("200 OK", b'{"ok": true}', "application/json", "error", "not_a_message"),
        ("200 OK", error("api_error", "nothing came"), "application/json", "error", "api_error"),
        ("200 OK", error("overloaded_error"), "application/json", "overload", "overloaded_error"),
        ("200 OK", error("invalid_request_error", BROKE), "application/json", "account", "invalid_request_error"),
        ("302 Found", b"", "text/html", "error", "not_a_message"),
    ],
)  # fmt: skip
async def test_answers_in_one_piece(
    gateway: Gateway, status: str, body: bytes, content_type: str, outcome: str, named: str, stream: bool
) -> None:
    gateway.upstream.script = json_answer(body, status, content_type=content_type)
    async with gateway.http.post(
        gateway.url + "/v1/messages",
        json={**STREAM, "stream": stream},
        headers={"x-api-key": CLIENT_KEY},
        allow_redirects=False,
    ) as response:
        assert (response.status, await response.read()) == (int(status[:3]), body)
        assert response.headers["content-type"] == content_type
    assert await gateway.outcomes() == {outcome: 1}
    (line,) = await gateway.lines()
    assert (line["outcome"], line["error"]) == (outcome, named)
    assert f'outcome="{outcome}"' in await (await gateway.http.get(gateway.admin + "/metrics")).text()


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (error("overloaded_error", "Overloaded"), "overload"),
        (error("rate_limit_error"), "overload"),
        (error("api_error", "Overloaded, please try again"), "overload"),
        (error("api_error", "Internal server error"), "error"),
        (error("invalid_request_error", BROKE), "account"),
        (b'{"type":"error","error":null}', "error"),
        (b"no json at all", "error"),
    ],
)
@pytest.mark.parametrize("before", [[START], [START, *MIDDLE], [START, *MIDDLE, DELTA]], ids=["start", "text", "delta"])
async def test_errors_within_a_stream(gateway: Gateway, before: list[bytes], event: bytes, outcome: str) -> None:
    pieces = [*before, b"event: error\ndata: " + event + b"\n\n"]
    gateway.upstream.script = sse_answer(*pieces)
    response, body = await gateway.post(STREAM)
    assert (response.status, body) == (200, b"".join(pieces))
    assert await gateway.outcomes() == {outcome: 1}


async def test_an_overload_makes_no_conversation_bad(gateway: Gateway) -> None:
    for answer in (
        sse_answer(START, b"event: error\ndata: " + error("overloaded_error") + b"\n\n"),
        json_answer(error("invalid_request_error", BROKE), "400 Bad Request"),
    ):
        gateway.upstream.script = answer
        await gateway.post(STREAM, {"x-claude-session-id": "one"})
    evidence = await gateway.evidence()
    assert await gateway.outcomes() == {"overload": 1, "account": 1}
    assert not evidence.bad
    assert not any(stratum.counters.bad_conversations for stratum in evidence.generations[-1].strata)


@pytest.mark.parametrize("encoding", ["gzip", "x-odd"])
async def test_a_compressed_answer_is_counted_for_what_it_is(gateway: Gateway, encoding: str) -> None:
    body = gzip.compress(json.dumps(MESSAGE).encode())
    gateway.upstream.script = json_answer(body, content_encoding=encoding)
    response, got = await gateway.post()
    assert (response.headers["content-encoding"], got) == (encoding, body)
    assert await gateway.outcomes() == {"ok": 1}
    (stratum,) = (await gateway.evidence()).generations[-1].strata
    assert stratum.counters.tokens["cacheRead"] == (100 if encoding == "gzip" else 0)


async def test_a_compressed_error_is_one_too(gateway: Gateway) -> None:
    gateway.upstream.script = json_answer(gzip.compress(error("overloaded_error")), content_encoding="gzip")
    await gateway.post()
    gateway.upstream.script = json_answer(b"no gzip", content_encoding="gzip")
    await gateway.post()
    assert await gateway.outcomes() == {"overload": 1, "error": 1}


async def leave_after(gateway: Gateway, pieces: list[bytes], body: Any = STREAM) -> None:
    """Read what the upstream sends before it falls silent, and go."""
    whole = b"".join(pieces)

    async def script(_: Recorded, play: Playback) -> None:
        await play.head(content_type="text/event-stream", transfer_encoding="chunked")
        await play.chunk(whole)
        await asyncio.sleep(30)

    gateway.upstream.script = script
    async with aiohttp.ClientSession() as client:
        response = await client.post(gateway.url + "/v1/messages", json=body, headers={"x-api-key": CLIENT_KEY})
        assert await response.content.readexactly(len(whole)) == whole
        response.close()
    await asyncio.wait_for(gateway.upstream.closed.wait(), HANGS)
    await gateway.lines()


async def test_a_client_that_leaves_after_the_stop_reason_has_its_answer(gateway: Gateway) -> None:
    await leave_after(gateway, [START, *MIDDLE, DELTA])
    (stratum,) = (await gateway.evidence()).generations[-1].strata
    counters = stratum.counters
    assert (counters.outcomes, counters.stop_reasons, stratum.cache) == ({"ok": 1}, {"end_turn": 1}, "read")
    assert (counters.tokens["output"], counters.duration.count, counters.output_tokens.sum) == (7, 1, 7.0)
    assert counters.cost.sum == pytest.approx(cost_usd("claude-opus-5-5", {**MESSAGE["usage"], "output_tokens": 7}))


async def test_a_client_that_leaves_before_it_has_not(gateway: Gateway) -> None:
    await leave_after(gateway, [START, *MIDDLE])
    assert await gateway.outcomes() == {"canceled": 1}


async def test_a_client_that_leaves_after_an_error_was_told_of_it(gateway: Gateway) -> None:
    await leave_after(gateway, [START, b"event: error\ndata: " + error("overloaded_error") + b"\n\n"])
    assert await gateway.outcomes() == {"overload": 1}
    assert (await gateway.lines())[0]["error"] == "overloaded_error"


@pytest.mark.parametrize("cut", [True, False])
async def test_an_upstream_that_ends_between_stop_reason_and_message_stop_failed(gateway: Gateway, cut: bool) -> None:
    gateway.upstream.script = sse_answer(START, *MIDDLE, DELTA, cut=cut, pause=0.02)
    _, body = await gateway.post(STREAM)
    before, _, end = body.partition(b"event: error\n")
    assert before == b"".join([START, *MIDDLE, DELTA])
    assert json.loads(end.partition(b"data: ")[2])["error"]["type"] == "api_error"
    assert await gateway.outcomes() == {"error": 1}


async def test_count_tokens_and_other_paths_need_no_message(gateway: Gateway) -> None:
    gateway.upstream.script = json_answer(b'{"input_tokens": 7}')
    await gateway.post(path="/v1/messages/count_tokens")
    await gateway.post(path="/v1/files")
    assert [line["outcome"] for line in await gateway.lines(2)] == ["ok", "ok"]
    assert await gateway.outcomes() == {}
