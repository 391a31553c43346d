"""What ends a stream: the upstream's silence does and blames it, what the gateway does for its own reasons does not."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
from tests.gateway.harness import CLIENT_KEY, STABLE, Gateway
from tests.gateway.test_stream import STREAM, events
from tests.gateway.upstream import Playback, Recorded, json_answer, sse_answer, stream_events

from claude_operator.api.evidence import Evidence, InFlight
from claude_operator.api.gateway import Timeouts

START, BLOCK, PING, *TEXT, BLOCK_END, DELTA, STOP = stream_events(*["word "] * 12)
WHOLE = b"".join([START, BLOCK, PING, *TEXT, BLOCK_END, DELTA, STOP])
COMMENT = b": keep-alive\n\n"


async def in_flight(gateway: Gateway) -> list[InFlight]:
    return msgspec.json.decode(await gateway.read("/-/evidence?since="), type=Evidence).in_flight


async def test_a_stream_that_flows_outlives_the_total(gateway: Gateway) -> None:
    gateway.serve(timeouts=Timeouts(idle=10, total=2), generation=2)
    gateway.upstream.script = sse_answer(START, BLOCK, *TEXT, BLOCK_END, DELTA, STOP, pause=0.2)
    _, body = await gateway.post(STREAM)
    assert events(body)[-1][0] == "message_stop"
    assert await gateway.outcomes() == {"ok": 1}


@pytest.mark.parametrize(
    ("before", "sign"),
    [
        ([], PING),
        ([START, BLOCK], COMMENT),
        ([START, BLOCK], b'data: {"type":"ping"}\n\n'),
        ([START, BLOCK], PING.replace(b"\n", b"\r\n")),
        ([START, BLOCK, TEXT[0]], PING),
    ],
    ids=["nothing", "comments", "bare", "crlf", "text"],
)
async def test_a_stream_that_only_pings_ends_at_its_total(gateway: Gateway, before: list[bytes], sign: bytes) -> None:
    gateway.serve(timeouts=Timeouts(idle=10, total=1.5), generation=2)
    gateway.upstream.script = sse_answer(*before, *[sign] * 100, pause=0.05)
    _, body = await gateway.post(STREAM)
    assert sign in body  # idle cuts nothing that pings, and each ping goes on
    assert b"timeout_error" in body[body.rindex(b"event: error") :]
    assert await gateway.outcomes() == {"error": 1}
    (stratum,) = (await gateway.evidence()).generations[-1].strata
    assert stratum.counters.ttft.count == bool(before[2:])


async def test_pings_are_silence_for_whoever_judges(gateway: Gateway) -> None:
    gateway.upstream.script = sse_answer(START, BLOCK, *[PING, COMMENT] * 200, pause=0.01)
    async with gateway.http.post(gateway.url + "/v1/messages", json=STREAM, headers={"x-api-key": CLIENT_KEY}) as got:
        await got.content.readuntil(COMMENT)
        (first,) = await in_flight(gateway)
        await got.content.readuntil(COMMENT)
        (later,) = await in_flight(gateway)
        got.close()
    assert (later.revision, later.requests, later.waiting) == (STABLE, 1, 1)
    assert later.oldest >= first.oldest
    (line,) = await gateway.lines()
    assert (line["outcome"], line["ttft_ms"]) == ("canceled", None)


async def test_an_answer_in_one_piece_past_its_total_is_an_error(gateway: Gateway) -> None:
    gateway.serve(timeouts=Timeouts(idle=0.1, total=0.4), generation=2)

    async def slow(_: Recorded, play: Playback) -> None:
        await play.head(content_type="application/json", content_length="100")
        while True:
            await play.raw(b" ")
            await asyncio.sleep(0.05)

    gateway.upstream.script = slow
    response, body = await gateway.post()
    assert (response.status, b"timeout_error" in body) == (504, True)
    assert await gateway.outcomes() == {"error": 1}


@pytest.fixture
async def deaf() -> AsyncIterator[str]:
    """An address that neither takes nor refuses connections."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for one in waiting:
            one.close()


async def test_a_connection_that_does_not_come_is_an_error(gateway: Gateway, deaf: str) -> None:
    gateway.serve(url=deaf, timeouts=Timeouts(connect=0.2), generation=2)
    response, body = await gateway.post(STREAM)
    assert (response.status, b"no connection to the upstream within 0.2 s" in body) == (504, True)
    assert await gateway.outcomes() == {"error": 1}


BIG = stream_events("x" * 30_000)[3]


@pytest.mark.parametrize("stream", [True, False])
async def test_the_time_of_a_slow_reader_is_not_the_upstreams(gateway: Gateway, stream: bool) -> None:
    gateway.serve(timeouts=Timeouts(idle=3, total=3), generation=2)
    answer = (
        b'{"type":"message","content":[{"type":"text","text":"' + b"x" * 8_000_000 + b'"}],"stop_reason":"end_turn"}'
    )
    gateway.upstream.script = sse_answer(START, *[BIG] * 260, DELTA, STOP) if stream else json_answer(answer)
    body = {**STREAM, "stream": stream}
    async with gateway.http.post(gateway.url + "/v1/messages", json=body, headers={"x-api-key": CLIENT_KEY}) as got:
        await asyncio.sleep(3.5)  # reads nothing for longer than any limit
        read = await got.read()
    assert read.endswith(STOP if stream else b'"end_turn"}')
    assert await gateway.outcomes() == {"ok": 1}


async def test_a_reader_that_is_cut_for_others_is_no_evidence(gateway: Gateway) -> None:
    memory = gateway.service.memory
    memory.budget = dataclasses.replace(memory.budget, stalled=0)
    gateway.upstream.script = sse_answer(START, *[BIG] * 260)
    with pytest.raises(aiohttp.ClientError):
        await gateway.post(STREAM)
    assert (await gateway.lines())[0]["outcome"] == "canceled"
    assert await gateway.outcomes() == {"canceled": 1}


@pytest.mark.parametrize("begun", [True, False])
async def test_what_a_shutdown_ends_is_no_evidence(gateway: Gateway, begun: bool) -> None:
    async def script(_: Recorded, play: Playback) -> None:
        if begun:
            await play.head(content_type="text/event-stream", transfer_encoding="chunked")
            await play.chunk(START)
        await asyncio.sleep(30)

    gateway.upstream.script = script
    gateway.service.settings = dataclasses.replace(gateway.service.settings, drain_seconds=0.1)
    call = asyncio.create_task(gateway.post(STREAM))
    await asyncio.wait_for(gateway.upstream.arrived.wait(), 5)
    gateway.service.stop()
    response, body = await call
    assert (response.status, b"the gateway is shutting down" in body) == (200 if begun else 503, True)
    assert (await gateway.lines())[0]["outcome"] == "canceled"
