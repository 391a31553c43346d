"""What somebody without a key can use up: time, memory, places, descriptors. The others are served all the same."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from tests.gateway.harness import CLIENT_KEY, Gateway, make_arm, make_config, running_gateway
from tests.gateway.test_process import gateway_process
from tests.gateway.upstream import Playback, Recorded, json_answer, recording_upstream
from tests.waiting import HANGS, until

from claude_operator.api.gateway import MIB, Auth, dump_config
from claude_operator.gateway import connections, listener, proxy, server
from claude_operator.gateway.ports import ClientReply, ClientRequest

HEAD = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: " + CLIENT_KEY.encode() + b"\r\n"
CALL = HEAD + b'content-length: 15\r\n\r\n{"messages":[]}'
Socket = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(port: int, peer: str = "127.0.0.1") -> Socket:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(peer, 0))


@asynccontextmanager
async def held(port: int, count: int, sent: bytes = b"", peer: str = "127.0.0.1") -> AsyncIterator[list[Socket]]:
    """Connections that have sent so much and no more."""
    made = [await connect(port, peer) for _ in range(count)]
    for _, writer in made:
        writer.write(sent)
    try:
        yield made
    finally:
        for _, writer in made:
            writer.transport.abort()


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the other end closes."""
    got = b""
    with suppress(ConnectionError):
        while piece := await asyncio.wait_for(reader.read(1 << 16), HANGS):
            got += piece
    return got


def error_of(answer: bytes) -> tuple[int, str]:
    """Status and `error.type` of an answer in the API's envelope."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)["error"]["type"]


async def ask(port: int, peer: str = "127.0.0.1") -> bytes:
    """The first line of the answer to a whole call."""
    reader, writer = await connect(port, peer)
    writer.write(CALL)
    line = await asyncio.wait_for(reader.readline(), HANGS)
    writer.close()
    return line


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(server, "_BODY_SECONDS", 0.3)
    monkeypatch.setattr(server, "_MIN_BYTES_PER_SECOND", float(1 << 30))
    monkeypatch.setattr(server, "_LINGER", 0.2)


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway with 64 places, 48 of them for one peer, and 1 MiB for heads."""
    async with recording_upstream(json_answer()) as upstream, running_gateway(upstream, tmp_path, memory=MIB) as made:
        made.serve()
        yield made


# ---------------------------------------------------------------------------------------------------- time


@pytest.mark.usefixtures("impatient")
async def test_who_says_nothing_is_let_go(gateway: Gateway) -> None:
    reader, writer = await connect(gateway.service.port)
    assert await rest_of(reader) == b""
    writer.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("before", [b"", CALL])
async def test_half_a_head_is_answered_in_the_envelope(gateway: Gateway, before: bytes) -> None:
    reader, writer = await connect(gateway.service.port)
    if before:
        writer.write(before)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANGS)
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(size)
    writer.write(b"POST /v1/mess")
    assert error_of(await rest_of(reader)) == (408, "timeout_error")
    writer.close()


CHUNKED = b"transfer-encoding: chunked\r\n\r\n" + b'f\r\n{"messages":[]}\r\n'
BLANK = b'{"messages":[\r\n\r\n]}\r\n\r\n'
WHOLE = {
    "no body": b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n",
    "a body": CALL,
    "a body with empty lines": HEAD + b"content-length: %d\r\n\r\n" % len(BLANK) + BLANK,
    "a body in chunks": HEAD + CHUNKED + b"0\r\n\r\n",
    "a body in chunks with a trailer": HEAD + CHUNKED + b"0\r\nx: y\r\n\r\n",
    "several": CALL + HEAD + CHUNKED + b"0\r\n\r\n" + CALL + b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n",
    "more than are queued": CALL * 40,
    "a large body": HEAD + b"content-length: 600015\r\n\r\n" + b'{"messages":[]}' + b" " * 600_000,
}
"""Requests as they are sent."""


@pytest.mark.parametrize("whole", WHOLE.values(), ids=WHOLE)
async def test_half_a_head_in_one_burst_with_whole_requests_has_its_time_and_counts(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, whole: bytes
) -> None:
    table = gateway.service.tables[1]
    half = b"GET / HTTP/1.1\r\nx: " + b"y" * 40_000
    async with held(gateway.service.port, 1, whole + half) as [(reader, _)]:
        await until(lambda: len(table._lines["partial"]) == 1)
        assert table.heads >= len(half) - 3
        monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
        assert b" 408 X\r\n" in await rest_of(reader)


@pytest.mark.parametrize("piece", [1, 7, 1 << 20], ids=["byte by byte", "in pieces", "at once"])
@pytest.mark.parametrize("whole", WHOLE.values(), ids=WHOLE)
async def test_who_sends_whole_requests_is_idle_afterwards(gateway: Gateway, whole: bytes, piece: int) -> None:
    if piece < 10 and len(whole) > 100_000:
        whole = whole[:-600_000].replace(b"600015", b"15")
    table, calls = gateway.service.tables[1], whole.count(HEAD)
    async with held(gateway.service.port, 1) as [(reader, writer)]:
        for begin in range(0, len(whole), piece):
            writer.write(whole[begin : begin + piece])
            await asyncio.sleep(0)
        got = b""
        while got.count(b"HTTP/1.1 200 OK") < calls:
            got += await asyncio.wait_for(reader.read(1 << 16), HANGS)
        await until(lambda: len(table._lines["idle"]) == 1)
        assert (table.heads, len(gateway.upstream.requests)) == (0, calls)


@pytest.mark.usefixtures("impatient")
async def test_a_byte_now_and_then_gives_a_head_no_more_time(gateway: Gateway) -> None:
    reader, writer = await connect(gateway.service.port)
    ended = asyncio.create_task(rest_of(reader))
    writer.write(b"GET / HTTP/1.1\r\nx: ")
    while not ended.done():
        with suppress(ConnectionError):
            writer.write(b"y")
        await asyncio.sleep(0.05)
    assert error_of(await ended) == (408, "timeout_error")
    writer.close()


@pytest.mark.usefixtures("impatient")
async def test_an_idle_connection_stays(gateway: Gateway) -> None:
    reader, writer = await connect(gateway.service.port)
    for _ in range(2):
        writer.write(CALL)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANGS)
        assert head.startswith(b"HTTP/1.1 200 ")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        await asyncio.sleep(1.5)  # longer than heads have, and than the pause between two looks
    writer.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("path", [b"/v1/messages", b"/v1/files"])
@pytest.mark.parametrize("length", [b"content-length: 99999", b"transfer-encoding: chunked"])
async def test_half_a_body_is_answered_in_the_envelope(gateway: Gateway, path: bytes, length: bytes) -> None:
    reader, writer = await connect(gateway.service.port)
    writer.write(HEAD.replace(b"/v1/messages", path) + length + b"\r\n\r\n5\r\nabcde\r\n")
    assert error_of(await rest_of(reader)) == (408, "timeout_error")
    writer.close()
    await until(lambda: gateway.service.memory.used == 0)


@pytest.mark.usefixtures("impatient")
async def test_a_body_in_drops_is_not_passed_through_for_ever(gateway: Gateway) -> None:
    reader, writer = await connect(gateway.service.port)
    ended = asyncio.create_task(rest_of(reader))
    writer.write(HEAD.replace(b"/v1/messages", b"/v1/files") + b"content-length: 9999999\r\n\r\n")
    while not ended.done():
        with suppress(ConnectionError):
            writer.write(b"drop")
        await asyncio.sleep(0.02)
    assert error_of(await ended) == (408, "timeout_error")
    writer.close()


async def test_a_slow_upstream_does_not_count_against_the_client(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_BODY_SECONDS", 1.5)
    body = b"x" * 300_000

    async def slow(_: Recorded, play: Playback) -> None:
        await asyncio.sleep(2.5)  # the answer takes longer than a body may
        await play.head("200 OK", content_length="2")
        await play.raw(b"{}")

    gateway.upstream.script = slow
    response, answer = await gateway.post(body, path="/v1/files")
    assert (response.status, answer) == (200, b"{}")
    assert gateway.upstream.last.body == body


@pytest.mark.usefixtures("impatient")
async def test_the_rest_of_a_refused_body_is_not_read_for_long(gateway: Gateway) -> None:
    reader, writer = await connect(gateway.service.port)
    writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999\r\n\r\n{")
    answer = await rest_of(reader)
    assert error_of(answer) == (401, "authentication_error")
    writer.close()


def deaf_client(port: int) -> socket.socket:
    """A connection whose end reads nothing, and has room for little."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    return client


@pytest.mark.parametrize("line", [b"GET /api/hello", b"GET /none", b"GET /v1/models"])
async def test_who_asks_and_does_not_read_is_let_go(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    """Answers that need no key: their sender could otherwise stay for ever, as one who is being answered."""
    monkeypatch.setattr(proxy, "_REPORT_SECONDS", 0.3)
    table = gateway.service.tables[1]
    client = deaf_client(gateway.service.port)
    asking = line + b" HTTP/1.1\r\nhost: x\r\n\r\n" if line else b""

    async def ended() -> bool:
        with suppress(BlockingIOError, ConnectionError):
            client.send(asking * 100)
        return table.count == 0

    await until(lambda: table.count == 1)
    await until(ended)
    client.close()


@pytest.mark.parametrize("path", [b"/-/live", b"/none"])
async def test_who_probes_and_does_not_read_is_let_go(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, path: bytes
) -> None:
    """64 such clients would take all places of the kubelet's probes."""
    monkeypatch.setattr(server, "_SEND_SECONDS", 0.3)
    table = gateway.service.tables[0]
    client = deaf_client(gateway.service.admin_port)

    async def ended() -> bool:
        with suppress(BlockingIOError, ConnectionError):
            client.send((b"GET " + path + b" HTTP/1.1\r\nhost: x\r\n\r\n") * 100)
        return table.count == 0

    await until(lambda: table.count == 1)
    await until(ended)
    client.close()


async def test_who_has_to_go_and_does_not_read_is_gone(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing alone would wait until the last answer is read, and its place would be taken for as long."""
    monkeypatch.setattr(server, "_LINGER", 0.2)
    table = gateway.service.tables[1]
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", gateway.service.port))
    await until(lambda: table.count == 1)
    [tracked] = table._lines["silent"]
    while True:  # until some of the answers are left in the process
        client.sendall(b"GET /none HTTP/1.1\r\nhost: x\r\n\r\n" * 10)
        await asyncio.sleep(0.02)
        await until(lambda: tracked.phase == "idle")
        if tracked.close.__self__._wire.get_write_buffer_size():  # type: ignore[attr-defined]
            break
    table.close(tracked, None)
    await until(lambda: table.count == 0)
    client.close()


# -------------------------------------------------------------------------------------------------- places


async def test_silent_connections_of_a_peer_make_room(small: Gateway) -> None:
    port = small.service.port
    async with held(port, 200):
        assert await ask(port) == b"HTTP/1.1 200 OK\r\n"
        assert await ask(port, "127.0.0.2") == b"HTTP/1.1 200 OK\r\n"


async def test_who_has_to_go_before_its_handshake_begins_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HEAD_SECONDS", 10 * HANGS)

    async def answer(request: ClientRequest, reply: ClientReply) -> None:
        await reply.send(200, (), b"")

    table = connections.ConnectionTable(1, MIB, asyncio.get_running_loop().time)
    runner = web.ServerRunner(made := server.make_server(answer, lambda: False, table))
    await runner.setup()
    port = listener.Listener(runner, "127.0.0.1", 0, made, lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    await port.start()
    clients = [socket.create_connection(("127.0.0.1", port.port)) for _ in range(3)]
    await until(lambda: sum(len(line) for line in table._lines.values()) == 1)
    await until(lambda: table.count == 1)
    for client in clients:
        client.close()
    await until(lambda: table.count == 0)
    await runner.cleanup()


async def test_half_heads_of_many_peers_make_room(small: Gateway) -> None:
    port = small.service.port
    async with held(port, 60, HEAD), held(port, 60, HEAD, "127.0.0.3"), held(port, 60, HEAD, "127.0.0.4"):
        for _ in range(5):
            assert await ask(port, "127.0.0.2") == b"HTTP/1.1 200 OK\r\n"


async def test_who_is_being_answered_is_not_cut_off_and_the_last_quarter_is_for_others(small: Gateway) -> None:
    go_on = asyncio.Event()

    async def wait(request: Recorded, play: Playback) -> None:
        await go_on.wait()
        await json_answer()(request, play)

    port, (table, *_) = small.service.port, small.service.tables[1:]
    small.service.memory.budget = small.service.memory.budget.__class__.of(64 * MIB)  # calls enough
    small.upstream.script = wait
    async with held(port, 48, CALL) as busy:
        await until(lambda: len(small.upstream.requests) == 48)
        reader, writer = await connect(port)
        assert error_of(await rest_of(reader)) == (529, "overloaded_error")
        writer.close()
        other = asyncio.create_task(ask(port, "127.0.0.2"))
        await until(lambda: len(small.upstream.requests) == 49)
        go_on.set()
        assert await other == b"HTTP/1.1 200 OK\r\n"
        for reader, _ in busy:
            assert await asyncio.wait_for(reader.readline(), HANGS) == b"HTTP/1.1 200 OK\r\n"
        assert table.per_peer == 48


async def test_the_heads_of_all_share_their_memory(small: Gateway) -> None:
    port, table = small.service.port, small.service.tables[1]
    async with held(port, 40, b"GET / HTTP/1.1\r\nx: " + b"y" * 60_000) as all_of_them:
        answers = [asyncio.create_task(rest_of(reader)) for reader, _ in all_of_them]
        await until(lambda: sum(answer.done() for answer in answers) >= 40 - MIB // 60_000 - 1)
        assert table.heads <= MIB
        assert {error_of(answer.result()) for answer in answers if answer.done()} == {(529, "overloaded_error")}
        assert await ask(port) == b"HTTP/1.1 200 OK\r\n"
        for answer in answers:
            answer.cancel()
        await asyncio.wait(answers)


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip,chunked", b"x, chunked", b"identity, chunked"])
@pytest.mark.parametrize("path", [b"/v1/messages", b"/v1/files"])
async def test_a_coding_that_would_get_lost_is_refused(gateway: Gateway, coding: bytes, path: bytes) -> None:
    reader, writer = await connect(gateway.service.port)
    head = HEAD.replace(b"/v1/messages", path)
    writer.write(
        head + b"connection: close\r\ntransfer-encoding: " + coding + b'\r\n\r\nf\r\n{"messages":[]}\r\n0\r\n\r\n'
    )
    status, kind = error_of(await rest_of(reader))
    assert (status, kind) in {(501, "invalid_request_error"), (400, "invalid_request_error")}
    assert gateway.upstream.requests == []
    writer.close()


# ---------------------------------------------------------------------------------------------- descriptors


@pytest.mark.slow
async def test_few_descriptors_are_enough_for_probes_and_for_others(tmp_path: Path) -> None:
    """260 half-open connections at 256 descriptors once stopped both ports."""
    async with recording_upstream(json_answer()) as upstream:
        path = tmp_path / "config.json"
        path.write_text(dump_config(make_config(upstream.url, make_arm(), auth=Auth("None"))))
        async with gateway_process("--config", str(path), files=256, ANTHROPIC_API_KEY="k") as gateway:
            ports = await gateway.line("listening")
            await gateway.line("config applied")
            assert ports["connections"] == 64
            async with held(ports["port"], 150), held(ports["port"], 150, HEAD), aiohttp.ClientSession() as http:
                for _ in range(45):
                    async with http.get(f"http://127.0.0.1:{ports['admin_port']}/-/live") as response:
                        assert response.status == 200
                for peer in ("127.0.0.2", "127.0.0.1"):

                    async def served(peer: str = peer) -> bool:
                        return await ask(ports["port"], peer) == b"HTTP/1.1 200 OK\r\n"

                    await until(served)  # 529 as long as those that were closed for newcomers have not left
            async with held(ports["admin_port"], 300), aiohttp.ClientSession() as http:

                async def alive() -> bool:
                    async with http.get(f"http://127.0.0.1:{ports['admin_port']}/-/live") as response:
                        return response.status == 200

                await until(alive)  # 529 as long as those that were closed for newcomers have not left
                assert await ask(ports["port"]) == b"HTTP/1.1 200 OK\r\n"
