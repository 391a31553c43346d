"""Streams: every byte as it comes, and a well-formed end whatever happens."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.harness import CLIENT_KEY, STABLE, Gateway, make_arm
from tests.gateway.upstream import Playback, Recorded, sse_answer, stream_events
from tests.waiting import HANGS

from claude_operator.api.gateway import Timeouts
from claude_operator.gateway.sse import AnswerSummary, SseRelay

STREAM = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
WHOLE = b"".join(stream_events("Hel", "lo"))


def events(body: bytes) -> list[tuple[str, Any]]:
    """The events as a client reads them; fails on a malformed one."""
    assert body.endswith(b"\n\n")
    read = []
    for block in body.decode().replace("\r\n", "\n").split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        read.append((fields["event"], json.loads(fields["data"])))
    return read


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
async def test_the_bytes_of_a_stream_are_those_of_the_upstream(gateway: Gateway, size: int) -> None:
    pieces = [WHOLE[start : start + size] for start in range(0, len(WHOLE), size)]
    gateway.upstream.script = sse_answer(*pieces, anthropic_ratelimit_requests_limit="5")
    response, body = await gateway.post(STREAM)
    assert body == WHOLE
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["request-id"] == "req_up"
    assert response.headers["x-claude-revision"] == STABLE
    assert response.headers["anthropic-ratelimit-requests-limit"] == "5"
    (line,) = await gateway.lines()
    assert (line["outcome"], line["stop_reason"], line["stream"]) == ("ok", "end_turn", True)
    assert line["usage"]["output_tokens"] == 7
    assert line["usage"]["cache_read_input_tokens"] == 100
    assert 0 < line["ttft_ms"] < line["latency_ms"]


@pytest.mark.parametrize(
    "whole",
    [
        WHOLE.replace(b"\n", b"\r\n"),
        b": comment\n\n" + WHOLE,
        WHOLE[:-2],  # no blank line at the very end
        WHOLE + b"trailing",
        b"".join(b"data:" + event.partition(b"data:")[2] for event in stream_events("a")),
        WHOLE.replace(b'{"type": "message_delta"', b'{\ndata: "type": "message_delta"'),
    ],
)
async def test_other_spellings_of_a_stream_go_through_too(gateway: Gateway, whole: bytes) -> None:
    gateway.upstream.script = sse_answer(whole[:90], whole[90:])
    _, body = await gateway.post(STREAM)
    assert body == whole
    (line,) = await gateway.lines()
    assert (line["outcome"], line["stop_reason"], line["usage"]["output_tokens"]) == ("ok", "end_turn", 7)


async def test_each_event_is_sent_on_when_it_comes(gateway: Gateway) -> None:
    first, second, *rest = stream_events("x")
    allow = asyncio.Event()

    async def script(_: Recorded, play: Playback) -> None:
        await play.head(content_type="text/event-stream", transfer_encoding="chunked")
        await play.chunk(first)
        await allow.wait()
        await play.chunk(second)
        await allow.wait()
        await play.chunk(b"".join(rest))
        await play.raw(b"0\r\n\r\n")

    gateway.upstream.script = script
    headers = {"x-api-key": CLIENT_KEY}
    async with gateway.http.post(gateway.url + "/v1/messages", json=STREAM, headers=headers) as response:
        assert await asyncio.wait_for(response.content.readany(), HANGS) == first
        allow.set()
        assert await response.content.read() == second + b"".join(rest)


LINE_ENDS = (b"\n", b"\r\n", b"\r")
BLANK_LINES = [
    (first, second)
    for first in LINE_ENDS
    for second in LINE_ENDS
    if (first, second) != (b"\r", b"\n")  # one line end
]


@pytest.mark.parametrize(("first", "second"), BLANK_LINES)
@pytest.mark.parametrize("torn", [True, False])
def test_an_event_goes_on_when_it_is_complete(first: bytes, second: bytes, torn: bool) -> None:
    relay = SseRelay(AnswerSummary())
    for event in stream_events("Hel", "lo"):
        spelled = event.removesuffix(b"\n\n").replace(b"\n", first) + first + second
        pieces = [spelled[at : at + 1] for at in range(len(spelled))] if torn else [spelled]
        sent = b"".join(map(relay.feed, pieces))
        assert sent.lstrip(b"\n") in (
            spelled,
            spelled.removesuffix(b"\n"),
        )  # a line feed after a carriage return may wait
    assert (relay.summary.stopped, relay.summary.stop_reason, relay.summary.usage["output_tokens"]) == (
        True,
        "end_turn",
        7,
    )


@given(data=st.data())
def test_no_byte_is_lost_whatever_the_line_ends_and_pieces(data: st.DataObject) -> None:
    lines = WHOLE.split(b"\n")
    ends = data.draw(st.lists(st.sampled_from(LINE_ENDS), min_size=len(lines) - 1, max_size=len(lines) - 1))
    whole = b"".join(line + end for line, end in zip(lines, [*ends, b""], strict=True))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)))))
    relay = SseRelay(AnswerSummary())
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert b"".join(map(relay.feed, pieces)) + relay.finish() == whole


async def test_words_in_the_text_are_not_taken_for_events(gateway: Gateway) -> None:
    text = "event: message_stop\n\nevent: error message_delta"
    whole = b"".join(stream_events(text, "message_start error"))
    gateway.upstream.script = sse_answer(whole)
    _, body = await gateway.post(STREAM)
    assert body == whole
    assert await gateway.outcomes() == {"ok": 1}


PARTS = stream_events("Hello")


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("broken", [b"", PARTS[3][:9], PARTS[3][:40], PARTS[3][:-1], b"event: error\n"])
async def test_a_stream_that_breaks_off_ends_with_an_error_event(gateway: Gateway, broken: bytes, cut: bool) -> None:
    sent = b"".join(PARTS[:3])
    gateway.upstream.script = sse_answer(sent + broken, cut=cut, pause=0.02)
    _, body = await gateway.post(STREAM)
    assert body.startswith(sent)
    *before, (name, data) = events(body)
    assert [kind for kind, _ in before] == ["message_start", "content_block_start", "ping"]
    assert name == "error"
    assert data["type"] == "error"
    assert data["error"]["type"] == "api_error"
    assert data["request_id"] == "req_up"
    assert await gateway.outcomes() == {"error": 1}
    (line,) = await gateway.lines()
    assert (line["status"], line["outcome"], line["error"]) == (200, "error", "api_error")


async def test_silence_ends_a_stream_with_a_timeout(gateway: Gateway) -> None:
    gateway.serve(timeouts=Timeouts(idle=0.5), generation=2)
    gateway.upstream.script = sse_answer(PARTS[0], pause=3600)
    _, body = await gateway.post(STREAM)
    assert events(body)[-1][1]["error"]["type"] == "timeout_error"
    assert await gateway.outcomes() == {"error": 1}


async def test_an_error_event_of_the_upstream_goes_through_alone(gateway: Gateway) -> None:
    error = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    gateway.upstream.script = sse_answer(PARTS[0], error, cut=True)
    _, body = await gateway.post(STREAM)
    assert body == PARTS[0] + error
    assert await gateway.outcomes() == {"overload": 1}
    assert (await gateway.lines())[0]["error"] == "overloaded_error"


async def test_a_reset_after_message_stop_is_no_error(gateway: Gateway) -> None:
    gateway.upstream.script = sse_answer(WHOLE, cut=True, pause=0.02)
    _, body = await gateway.post(STREAM)
    assert body == WHOLE
    assert await gateway.outcomes() == {"ok": 1}


async def test_an_error_before_the_stream_is_an_ordinary_answer(gateway: Gateway) -> None:
    error = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'

    async def script(_: Recorded, play: Playback) -> None:
        await play.head("529 ", content_type="application/json", content_length=str(len(error)))
        await play.raw(error)

    gateway.upstream.script = script
    response, body = await gateway.post(STREAM)
    assert (response.status, body) == (529, error)
    assert await gateway.outcomes() == {"overload": 1}


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_closes_the_upstream(gateway: Gateway, stream: bool) -> None:
    gateway.upstream.script = sse_answer(PARTS[0], pause=30) if stream else _never
    headers = {"x-api-key": CLIENT_KEY}
    data = {**STREAM, "stream": stream}
    client = aiohttp.ClientSession()
    call = asyncio.create_task(_open(client, gateway.url, data, headers))
    await asyncio.wait_for(gateway.upstream.arrived.wait(), HANGS)
    await asyncio.sleep(0.05)
    call.cancel()
    await client.close()
    await asyncio.wait_for(gateway.upstream.closed.wait(), HANGS)
    (line,) = await gateway.lines()
    assert line["outcome"] == "canceled"
    assert await gateway.outcomes() == {"canceled": 1}


async def test_a_client_that_leaves_after_message_stop_was_answered(gateway: Gateway) -> None:
    gateway.upstream.script = sse_answer(WHOLE, b": still open\n\n", pause=1)
    async with aiohttp.ClientSession() as client:
        response = await client.post(gateway.url + "/v1/messages", json=STREAM, headers={"x-api-key": CLIENT_KEY})
        assert await response.content.readexactly(len(WHOLE)) == WHOLE
        response.close()
    assert (await gateway.lines())[0]["outcome"] == "ok"
    assert await gateway.outcomes() == {"ok": 1}


def test_a_huge_event_ends_with_its_blank_line_wherever_that_is_torn() -> None:
    huge = stream_events("x" * 2_000_000)[3]
    relay = SseRelay(AnswerSummary())
    assert relay.feed(huge[:-1]) + relay.feed(huge[-1:]) == huge


async def test_a_huge_event_goes_through_in_pieces(gateway: Gateway) -> None:
    whole = b"".join(stream_events("x" * 3_000_000))
    gateway.upstream.script = sse_answer(*[whole[start : start + 50_000] for start in range(0, len(whole), 50_000)])
    _, body = await gateway.post(STREAM)
    assert body == whole
    assert await gateway.outcomes() == {"ok": 1}


async def test_the_break_inside_a_huge_event_is_closed_first(gateway: Gateway) -> None:
    huge = stream_events("x" * 3_000_000)[3]
    gateway.upstream.script = sse_answer(PARTS[0], huge[:2_000_000], pause=0.02)
    _, body = await gateway.post(STREAM)
    _, closed, end = body.rpartition(b"\n\nevent: error\n")
    assert closed
    assert events(b"event: error\n" + end)[0][1]["error"]["type"] == "api_error"


async def test_usage_is_cumulative_and_null_changes_nothing(gateway: Gateway) -> None:
    gateway.serve(make_arm(), generation=2)
    start, *_, stop = stream_events("x")
    deltas = [
        {"type": "message_delta", "delta": {"stop_reason": None}, "usage": {"output_tokens": 3, "input_tokens": None}},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 9}},
    ]
    pieces = [b"event: message_delta\ndata: " + json.dumps(delta).encode() + b"\n\n" for delta in deltas]
    gateway.upstream.script = sse_answer(start, *pieces, stop)
    await gateway.post(STREAM)
    (stratum,) = (await gateway.evidence()).generations[-1].strata
    assert stratum.counters.tokens == {
        "input": 10, "output": 9, "cacheRead": 100, "cacheWrite5m": 10, "cacheWrite1h": 20
    }  # fmt: skip
    assert stratum.counters.stop_reasons == {"max_tokens": 1}


@pytest.mark.parametrize("zeros_in", ["delta", "start"])
async def test_zeros_take_no_tokens_back(gateway: Gateway, zeros_in: str) -> None:
    full = {
        "input_tokens": 1200,
        "cache_read_input_tokens": 50_000,
        "cache_creation_input_tokens": 7,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 7},
    }
    none = dict.fromkeys(full, 0) | {"cache_creation": dict.fromkeys(full["cache_creation"], 0)}
    before, after = (full, none) if zeros_in == "delta" else (none, full)
    _, *middle, stop = stream_events("x")
    start = {"type": "message_start", "message": {"model": "claude-opus-5-5", "usage": {**before, "output_tokens": 1}}}
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {**after, "output_tokens": 42}}
    pieces = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in (start, delta)]
    gateway.upstream.script = sse_answer(pieces[0], *middle[:-1], pieces[1], stop)
    await gateway.post(STREAM)
    (stratum,) = (await gateway.evidence()).generations[-1].strata
    counts = {"input": 1200, "output": 42, "cacheRead": 50_000, "cacheWrite5m": 0, "cacheWrite1h": 7}
    assert (stratum.cache, stratum.counters.tokens) == ("read", counts)
    assert stratum.counters.cost.sum == pytest.approx((1200 * 4 + 42 * 20 + 50_000 * 0.2 + 7 * 8) / 1e6)


async def _open(client: aiohttp.ClientSession, url: str, data: Any, headers: dict[str, str]) -> None:
    async with client.post(url + "/v1/messages", json=data, headers=headers) as response:
        await response.read()


async def _never(_: Recorded, play: Playback) -> None:
    await asyncio.sleep(30)


@pytest.mark.parametrize(
    ("diagnostics", "type_", "tokens"),
    [
        ({"cache_miss_reason": {"type": "system_changed", "cache_missed_input_tokens": 321}}, "system_changed", 321),
        ({"cache_miss_reason": {"type": "unavailable"}}, "unavailable", 0),
        ({"cache_miss_reason": None}, "", 0),
        ({"cache_miss_reason": {"type": ["x"], "cache_missed_input_tokens": -1}}, "", 0),
        ("x", "", 0),
        (None, "", 0),
    ],
)
def test_what_the_api_says_of_the_cache_is_read(diagnostics: Any, type_: str, tokens: int) -> None:
    summary = AnswerSummary()
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 1}, "diagnostics": diagnostics}}
    SseRelay(summary).feed(b"event: message_start\ndata: " + json.dumps(start).encode() + b"\n\n")
    assert (summary.usage, summary.cache_miss) == ({"input_tokens": 1}, (type_, tokens))
