"""Input that no SDK sends: it must neither break the gateway nor count against an arm."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.gateway.harness import CLIENT_KEY, Gateway, make_arm
from tests.gateway.upstream import Playback, Recorded
from tests.waiting import HANGS

DEEP = b"[" * 200_000 + b"]" * 200_000


async def raw(gateway: Gateway, head: bytes, body: bytes = b'{"messages":[]}') -> bytes:
    """A request with header bytes of one's choice; returns the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.service.port)
    writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + head)
    writer.write(b"x-api-key: %s\r\ncontent-length: %d\r\n\r\n" % (CLIENT_KEY.encode(), len(body)) + body)
    answer = await asyncio.wait_for(reader.read(), HANGS)
    writer.close()
    return answer


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":' + DEEP + b"}",
        b'{"messages":[{"role":"assistant"},{"role":"user","content":' + DEEP + b"}]}",
        b'{"messages":[{"role":"user","content":[{"cache_control":' + DEEP + b"}]}]}",
        b'{"metadata":' + DEEP + b',"messages":[]}',
        b'{"system":' + DEEP + b',"tools":' + DEEP + b',"messages":[]}',
    ],
)
async def test_deep_json_is_the_clients_fault(gateway: Gateway, body: bytes) -> None:
    gateway.serve(make_arm(request={"system": [{"type": "text", "text": "s"}]}), generation=2)
    response, answer = await gateway.post(body)
    assert (response.status, json.loads(answer)["error"]["type"]) == (400, "invalid_request_error")
    assert await gateway.outcomes() == {}


@pytest.mark.parametrize("name", [b"x-claude-session-id", b"x-claude-user-id", b"x-claude-subagent", b"x-other"])
async def test_header_bytes_that_are_no_text(gateway: Gateway, name: bytes) -> None:
    answer = await raw(gateway, name + b": caf\xe9 \xff\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert await gateway.outcomes() == {"ok": 1}
    assert len(await gateway.lines()) == 1


async def test_the_same_from_the_upstream(gateway: Gateway) -> None:
    async def script(_: Recorded, play: Playback) -> None:
        await play.raw(b"HTTP/1.1 200 OK\r\nx-odd: caf\xe9\r\ncontent-length: 2\r\n\r\n{}")

    gateway.upstream.script = script
    answer = await raw(gateway, b"")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nx-odd: caf" in answer


async def test_two_requests_in_one_packet_are_both_answered(gateway: Gateway) -> None:
    one = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: " + CLIENT_KEY.encode()
    one += b"\r\ncontent-length: 15\r\n\r\n" + b'{"messages":[]}'
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.service.port)
    writer.write(one + one)
    for _ in range(2):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANGS)
        assert head.startswith(b"HTTP/1.1 200 ")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
    writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
        b"content-length: 3\r\n",
    ],
)
async def test_ambiguous_lengths_are_refused(gateway: Gateway, head: bytes) -> None:
    answer = await raw(gateway, head)
    assert answer.split(b" ")[1] == b"400"
    assert gateway.upstream.requests == []


async def test_a_client_that_does_not_finish_its_body_is_let_go(gateway: Gateway) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.service.port)
    head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {CLIENT_KEY}\r\ncontent-length: 99\r\n\r\n"
    writer.write(head.encode() + b'{"messages"')
    await asyncio.sleep(0.05)
    writer.close()
    assert (await gateway.lines())[0]["outcome"] == "canceled"
    assert await gateway.outcomes() == {}


@pytest.mark.parametrize(
    "head",
    [
        b"connection: upgrade\r\nupgrade: websocket\r\n",
        b"connection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
        b"upgrade: tcp\r\nconnection: upgrade\r\n",
    ],
)
async def test_an_upgrade_changes_nothing(gateway: Gateway, head: bytes) -> None:
    """The body is the body, and what follows it is no tunnel to the upstream."""
    answer = await raw(gateway, head)
    assert answer.startswith(b"HTTP/1.1 ")
    assert b" 101 " not in answer.split(b"\r\n")[0]
    assert all(not request.header("upgrade") for request in gateway.upstream.requests)
