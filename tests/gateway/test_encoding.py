"""Streams that come compressed though nobody asked: handed on byte by byte, counted for what they say."""

from __future__ import annotations

import gzip
import json
import zlib

import aiohttp
import pytest
from tests.gateway.harness import CLIENT_KEY, Gateway
from tests.gateway.test_stream import STREAM
from tests.gateway.upstream import MESSAGE, json_answer, sse_answer, stream_events

EVENTS = stream_events("Hel", "lo")


def pieces_of(coding: str, events: list[bytes]) -> list[bytes]:
    """Each event compressed so that it can be read when it comes."""
    if coding == "members":
        return [gzip.compress(event) for event in events]
    stream = zlib.compressobj(wbits=zlib.MAX_WBITS | (0 if coding == "deflate" else 16))
    return [stream.compress(event) + stream.flush(zlib.Z_SYNC_FLUSH) for event in events] + [stream.flush()]


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "members"])
@pytest.mark.parametrize("step", [1, 1000])
async def test_a_compressed_stream_is_passed_on_and_counted(gateway: Gateway, coding: str, step: int) -> None:
    whole = b"".join(pieces_of(coding, EVENTS))
    named = "gzip" if coding == "members" else coding
    pieces = [whole[at : at + step] for at in range(0, len(whole), step)]
    gateway.upstream.script = sse_answer(*pieces, content_encoding=named)
    response, body = await gateway.post(STREAM)
    assert (response.headers["content-encoding"], body) == (named, whole)
    (stratum,) = (await gateway.evidence()).generations[-1].strata
    assert (stratum.counters.outcomes, stratum.cache) == ({"ok": 1}, "read")
    assert (stratum.counters.tokens["output"], stratum.counters.ttft.count) == (7, 1)


async def test_a_stream_in_an_unknown_coding_is_what_its_status_says(gateway: Gateway) -> None:
    gateway.upstream.script = sse_answer(b"\x28\xb5\x2f\xfd", b"whatever", content_encoding="zstd")
    response, body = await gateway.post(STREAM)
    assert (response.headers["content-encoding"], body) == ("zstd", b"\x28\xb5\x2f\xfdwhatever")
    assert await gateway.outcomes() == {"ok": 1}


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("cut", [True, False])
async def test_nothing_of_ours_follows_compressed_bytes(gateway: Gateway, coding: str, cut: bool) -> None:
    pieces = pieces_of("gzip", EVENTS[:4])[:-1]
    gateway.upstream.script = sse_answer(*pieces, content_encoding=coding, cut=cut, pause=0.01)
    async with gateway.http.post(gateway.url + "/v1/messages", json=STREAM, headers={"x-api-key": CLIENT_KEY}) as got:
        if coding == "zstd" and not cut:  # it may be whole
            assert await got.read() == b"".join(pieces)
        else:
            assert await got.content.readexactly(len(b"".join(pieces))) == b"".join(pieces)
            with pytest.raises(aiohttp.ClientPayloadError):
                await got.read()
    assert await gateway.outcomes() == {"ok" if coding == "zstd" and not cut else "error": 1}


async def test_an_error_within_a_compressed_stream_is_what_it_says(gateway: Gateway) -> None:
    error = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    pieces = pieces_of("gzip", [EVENTS[0], error])
    gateway.upstream.script = sse_answer(*pieces, content_encoding="gzip")
    _, body = await gateway.post(STREAM)
    assert body == b"".join(pieces)
    assert await gateway.outcomes() == {"overload": 1}


async def test_what_only_claims_to_be_compressed_is_an_error(gateway: Gateway) -> None:
    gateway.upstream.script = sse_answer(*EVENTS, content_encoding="gzip")
    with pytest.raises(aiohttp.ClientPayloadError):
        await gateway.post(STREAM)
    assert await gateway.outcomes() == {"error": 1}


async def test_a_whole_answer_of_several_members_is_read_to_its_end(gateway: Gateway) -> None:
    data = json.dumps(MESSAGE).encode()
    body = gzip.compress(data[:40]) + gzip.compress(data[40:])
    gateway.upstream.script = json_answer(body, content_encoding="gzip")
    assert (await gateway.post())[1] == body
    assert await gateway.outcomes() == {"ok": 1}
