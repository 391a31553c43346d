"""Room for bodies: who gets it, who waits, who is told to come again; and that a process stays within its limit."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.gateway.flood import HOSTILE, LARGE, Flood, Peak, Unread, large_body, measure
from tests.gateway.harness import CLIENT_KEY, STABLE, Gateway, make_arm, running_gateway
from tests.gateway.upstream import MESSAGE, Playback, Recorded, json_answer, recording_upstream
from tests.waiting import HANGS, until

from claude_operator.api.gateway import BODY_LIMIT, MEMORY, MIB
from claude_operator.gateway import proxy
from claude_operator.gateway.errors import Refused
from claude_operator.gateway.memory import SMALL, UNCOUNTED, Lease, Memory, MemoryBudget, Pool


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_waits_is_served_in_order() -> None:
    pool, order = Pool(10, max_wait=5.0), []

    async def one(name: str, amount: int) -> None:
        await pool.acquire(amount)
        order.append(name)

    await pool.acquire(8)
    tasks = [asyncio.create_task(one(name, amount)) for name, amount in (("a", 9), ("b", 1), ("c", 1))]
    await settle()
    assert (order, pool.used) == ([], 8)  # b and c would fit, but a came first
    pool.release(8)
    await settle()
    assert (order, pool.used) == (["a", "b"], 10)
    pool.release(9)
    await asyncio.gather(*tasks)
    assert (order, pool.used) == (["a", "b", "c"], 2)


async def test_who_leaves_or_loses_patience_takes_nothing_and_holds_up_nobody() -> None:
    pool = Pool(10, max_wait=0.05)
    await pool.acquire(8)
    leaving, impatient = asyncio.create_task(pool.acquire(9)), asyncio.create_task(pool.acquire(10))
    behind = asyncio.create_task(pool.acquire(2))
    await settle()
    leaving.cancel()
    with pytest.raises(Refused) as refused:
        await impatient
    assert (refused.value.status, refused.value.kind, refused.value.retry_after) == (529, "overloaded_error", 5)
    with contextlib.suppress(Refused):  # its max_wait ran out in the same moment
        await behind
        pool.release(2)
    pool.release(8)
    assert pool.used == 0


async def test_a_turn_that_comes_with_the_end_of_patience_is_given_back() -> None:
    pool = Pool(1, max_wait=5.0)
    await pool.acquire(1)
    waiting = asyncio.create_task(pool.acquire(1))
    await settle()
    pool.release(1)  # the turn is granted, and its owner canceled before it runs
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert pool.used == 0


async def test_too_many_waiters_are_told_at_once() -> None:
    pool = Pool(1, max_wait=5.0)
    await pool.acquire(1)
    tasks = [asyncio.create_task(pool.acquire(1)) for _ in range(129)]
    await settle()
    assert sum(task.done() for task in tasks) == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert pool.used == 1


async def test_a_body_takes_what_it_says_and_one_of_unknown_length_all_that_may_come() -> None:
    memory = Memory(MEMORY)
    known, unknown = memory.request(), memory.request()
    await known.reserve(UNCOUNTED, known=True)
    assert memory.used == 0
    await known.reserve(3 * MIB, known=True)
    assert (memory.large.used, memory.small.used) == (3 * MIB, 0)
    await unknown.reserve(UNCOUNTED + 1, known=False)
    assert memory.small.used == SMALL
    await unknown.reserve(SMALL, known=False)
    await unknown.reserve(SMALL + 1, known=False)
    assert (memory.large.used, memory.small.used) == (3 * MIB + BODY_LIMIT, 0)
    unknown.shrink(SMALL + 7)
    known.shrink(4 * MIB)
    assert memory.large.used == 4 * MIB + 7
    known.release()
    known.release()
    unknown.release()
    assert memory.used == 0


async def test_what_never_fits_is_told_so() -> None:
    with pytest.raises(Refused, match=r"raise spec\.gateway\.resources\.limits\.memory") as refused:
        await Memory(64 * MIB).request().reserve(BODY_LIMIT, known=True)
    assert (refused.value.status, refused.value.kind, refused.value.retry_after) == (413, "request_too_large", 0)
    lease = Lease(pool := Pool(3 * MIB), pool, 2 * MIB)
    for size, used in ((UNCOUNTED + 1, MIB), (SMALL + 1, 2 * MIB), (2 * MIB + 1, 3 * MIB)):
        await lease.reserve(size, known=False)
        assert pool.used == used
    with pytest.raises(Refused):
        await lease.reserve(3 * MIB + 1, known=False)
    lease.release()
    assert pool.used == 0


@pytest.mark.parametrize("limit", [1, 32 * MIB, 128 * MIB, 256 * MIB, MEMORY, 1024 * MIB, 16384 * MIB])
def test_the_shares_of_a_limit(limit: int) -> None:
    budget = MemoryBudget.of(limit)
    if limit >= 256 * MIB:
        assert budget.large >= BODY_LIMIT
        assert budget.large + budget.small + budget.answers + budget.pass_through + 128 * MIB <= limit * 0.9
    assert min(budget.small, budget.answers) >= SMALL
    assert budget.calls >= 16
    assert budget.connections >= 64


@pytest.fixture
async def narrow(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway with room for one large body."""
    async with recording_upstream(json_answer()) as upstream, running_gateway(upstream, tmp_path) as running:
        running.serve()
        running.service.memory.large.size = 3 * MIB
        yield running


def text(size: int) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": "x" * size}]}).encode()


async def raw_post(gateway: Gateway, head: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.service.port)
    writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\n" % CLIENT_KEY.encode() + head + b"\r\n")
    return reader, writer


async def test_a_large_body_that_finds_no_room_waits_and_is_told_to_come_again(narrow: Gateway) -> None:
    _, holder = await raw_post(narrow, b"content-length: 2000000\r\n")
    await until(lambda: narrow.service.memory.large.used)
    assert narrow.service.memory.large.used == 2_000_000  # before a byte of it has come
    narrow.service.memory.large._max_wait = 0.2
    response, body = await narrow.post(text(2_000_000))
    assert (response.status, response.headers["retry-after"]) == (529, "5")
    assert json.loads(body)["error"]["type"] == "overloaded_error"
    assert (await narrow.post(text(500_000)))[0].status == 200  # small ones have room of their own
    narrow.service.memory.large._max_wait = HANGS
    holder.close()
    response, _ = await narrow.post(text(2_000_000))
    assert response.status == 200
    assert len(narrow.upstream.last.body) > 2_000_000
    assert narrow.service.memory.used == 0
    assert await narrow.outcomes() == {"ok": 2}
    assert json.loads(await narrow.read("/-/recent"))["recent"]["causes"] == {"unserved": 1}
    async with narrow.http.get(narrow.admin + "/metrics") as page:
        assert 'claude_gateway_refused_total{status="529"} 1.0' in await page.text()


async def test_room_is_given_back_before_the_answer_comes(narrow: Gateway) -> None:
    go_on = asyncio.Event()

    async def script(recorded: Recorded, play: Playback) -> None:
        await go_on.wait()
        await json_answer()(recorded, play)

    narrow.upstream.script = script
    calls = [asyncio.create_task(narrow.post(text(2_000_000))) for _ in range(3)]
    await until(lambda: len(narrow.upstream.requests) == 3)
    assert narrow.service.memory.used == 0
    go_on.set()
    assert [response.status for response, _ in await asyncio.gather(*calls)] == [200] * 3


async def test_chunked_bodies_are_bounded_as_they_grow(narrow: Gateway) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(60):
            yield b"x" * 100_000

    url, headers = narrow.url + "/v1/messages", {"x-api-key": CLIENT_KEY}
    async with narrow.http.post(url, data=pieces(), headers=headers) as response:
        assert response.status == 413
    assert narrow.service.memory.used == 0
    assert narrow.upstream.requests == []


@pytest.mark.parametrize("framed", [True, False])
async def test_answers_in_one_piece_are_bounded_too(gateway: Gateway, framed: bool) -> None:
    answer = json.dumps({**MESSAGE, "content": [{"type": "text", "text": "x" * 1_500_000}]}).encode()

    async def chunked(_: Recorded, play: Playback) -> None:
        await play.head(content_type="application/json", transfer_encoding="chunked")
        for start in range(0, len(answer), 100_000):
            await play.chunk(answer[start : start + 100_000])
        await play.raw(b"0\r\n\r\n")

    gateway.upstream.script = json_answer(answer) if framed else chunked
    pool = gateway.service.memory.answers
    pool._max_wait = 0.1
    assert (await gateway.post())[1] == answer
    assert pool.used == 0
    await pool.acquire(pool.size - 1_000_000)
    response, _ = await gateway.post()
    assert response.status == 529
    pool.release(pool.size - 1_000_000)
    pool.size = 1_000_000
    response, body = await gateway.post()
    assert (response.status, json.loads(body)["error"]["type"]) == (502, "api_error")
    assert await gateway.outcomes() == {"ok": 1, "refused": 2}


async def test_calls_that_pass_through_are_bounded_in_number(gateway: Gateway) -> None:
    pool = gateway.service.memory.pass_through
    pool.size, pool._max_wait = 512 * 1024, 0.1
    await pool.acquire(pool.size)
    assert (await gateway.post(path="/v1/files"))[0].status == 529
    pool.release(pool.size)
    assert (await gateway.post(path="/v1/files"))[0].status == 200
    assert pool.used == 0


async def test_who_does_not_read_an_answer_in_one_piece_gives_its_memory_back(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "_READ_SECONDS", 0.1)
    monkeypatch.setattr(proxy, "_READ_RATE", 1e7)
    large = json.dumps(MESSAGE | {"content": [{"type": "text", "text": "x" * 2_000_000}]}).encode()

    async def answer(_: Recorded, play: Playback) -> None:
        await play.raw(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(large) + large)

    gateway.upstream.script = answer
    _, writer = await raw_post(gateway, b"content-length: 15\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(b'{"messages":[]}')
    (line,) = await gateway.lines(1)
    assert line["outcome"] == "ok"  # the answer is complete, and paid for
    assert gateway.service.memory.used == 0
    await until(lambda: gateway.service.tables[1].count == 0)
    writer.transport.abort()


async def test_of_too_many_clients_that_do_not_read_the_first_is_cut(tmp_path: Path) -> None:
    event = b"event: ping\ndata: " + b"x" * 60_000 + b"\n\n"

    async def endless(_: Recorded, play: Playback) -> None:
        await play.head(content_type="text/event-stream", transfer_encoding="chunked")
        while True:
            await play.chunk(event)

    body = b'{"messages":[],"stream":true}'
    async with recording_upstream(endless) as upstream, running_gateway(upstream, tmp_path, memory=MIB) as gateway:
        gateway.serve()
        writers = []
        for number in range(5):  # four may stall
            _, writer = await raw_post(gateway, b"content-length: %d\r\n" % len(body))
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(body)
            writers.append(writer)
            await until(lambda number=number: len(upstream.requests) > number)
            await asyncio.sleep(0.2)
        (line,) = await gateway.lines(1)
        assert line["outcome"] == "canceled"
        assert len(await gateway.lines(1)) == 1
        upstream.script = json_answer()
        assert (await gateway.post())[0].status == 200  # who reads is let be
        for writer in writers:
            writer.transport.abort()


async def test_open_calls_are_bounded_in_number(tmp_path: Path) -> None:
    async def never(_: Recorded, __: Playback) -> None:
        await asyncio.sleep(30)

    async with recording_upstream(never) as upstream, running_gateway(upstream, tmp_path, memory=4 * MIB) as gateway:
        gateway.serve()
        calls = [asyncio.create_task(gateway.post()) for _ in range(17)]
        done, pending = await asyncio.wait(calls, timeout=HANGS, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result()[0].status for task in done] == [529]
        for task in pending:
            task.cancel()
        await asyncio.wait(pending)


@pytest.mark.parametrize("answered", [True, False])
async def test_the_headers_of_a_request_are_bounded_as_a_whole(gateway: Gateway, answered: bool) -> None:
    async def never(_: Recorded, __: Playback) -> None:
        await asyncio.sleep(30)

    if not answered:
        gateway.upstream.script = never
    reader, writer = await raw_post(gateway, b"content-length: 200000\r\n")
    writer.write(text(200_000 - len(text(0))))  # this one is whole; the next one never is
    if answered:
        await asyncio.wait_for(reader.readuntil(b"HTTP/1.1 200 "), HANGS)
    else:
        await asyncio.wait_for(gateway.upstream.arrived.wait(), HANGS)
    reading = asyncio.create_task(reader.readuntil(b"HTTP/1.1 431 "))
    writer.write(b"GET / HTTP/1.1\r\n")
    for number in range(17):
        await asyncio.wait([reading], timeout=0.05)
        assert not reading.done(), f"refused after {number} lines"
        writer.write(b"x-%d: " % number + b"y" * 4000 + b"\r\n")
    await asyncio.wait_for(reading, HANGS)
    writer.close()


async def test_headers_in_time_are_none_too_many(gateway: Gateway) -> None:
    for _ in range(3):
        response, _ = await gateway.post(text(300_000), {f"x-{number}": "y" * 4000 for number in range(10)})
        assert response.status == 200


async def test_a_body_with_too_many_values_is_refused(gateway: Gateway) -> None:
    response, body = await gateway.post(b'{"messages":[],"tools":[' + b"0," * 1_000_000 + b"0]}")
    assert (response.status, json.loads(body)["error"]["type"]) == (413, "request_too_large")
    assert (await gateway.post(text(3_000_000).replace(b"xxxxxxxxxx", b"xxxxxxxx, ")))[0].status == 200
    assert await gateway.outcomes() == {"ok": 1}


async def test_a_request_that_its_revision_makes_too_large_is_told_by_how_much(gateway: Gateway) -> None:
    gateway.serve(make_arm(request={"system": [{"type": "text", "text": "s" * 5000}]}), generation=2)
    response, body = await gateway.post(large_body(BODY_LIMIT - 1000))
    error = json.loads(body)["error"]
    assert (response.status, error["type"]) == (413, "request_too_large")
    assert f"the request has {BODY_LIMIT - 1000} bytes and revision {STABLE} adds 50" in error["message"]
    assert "since the API accepts 33554432" in error["message"]
    assert gateway.upstream.requests == []
    assert await gateway.outcomes() == {"refused": 1}
    assert (await gateway.post(large_body(BODY_LIMIT - 6000)))[0].status == 200


async def test_a_body_that_trickles_in_does_not_hold_its_room(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claude_operator.gateway.server._BODY_SECONDS", 0.2)
    reader, writer = await raw_post(gateway, b"content-length: 100000\r\n")
    writer.write(b'{"messages":')
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANGS)
    assert head.startswith(b"HTTP/1.1 408 ")
    assert gateway.service.memory.used == 0
    writer.close()


LIMIT_MIB = MEMORY // MIB


@pytest.mark.slow
@pytest.mark.parametrize("chunked", [False, True])
async def test_fifty_large_bodies_of_one_client_harm_no_other(tmp_path: Path, chunked: bool) -> None:
    peak = Peak()
    await measure(tmp_path, lambda url: Flood(url, 50, chunked=chunked).run(peak), peak)
    assert set(peak.statuses) <= {200, 529}
    assert peak.statuses[200] >= 3
    assert sum(peak.statuses.values()) == 50
    assert not peak.broken_streams
    assert peak.whole_streams >= 4
    assert peak.peak // MIB < LIMIT_MIB * 3 // 4


@pytest.mark.slow
async def test_a_client_that_reads_nothing_of_many_streams_harms_no_other(tmp_path: Path) -> None:
    peak = Peak()
    await measure(tmp_path, lambda url: Unread(url, 500).run(8.0, lambda: peak.whole_streams >= 4), peak)
    assert not peak.broken_streams
    assert peak.peak // MIB < LIMIT_MIB // 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
async def test_no_body_costs_more_than_there_is(tmp_path: Path, kind: str) -> None:
    assert len(HOSTILE[kind]) > LARGE - 1000
    peak = Peak()
    await measure(tmp_path, lambda url: Flood(url, 6, body=HOSTILE[kind]).run(peak), peak)
    assert set(peak.statuses) <= {200, 413, 529}
    assert not peak.broken_streams
    assert peak.peak // MIB < LIMIT_MIB * 3 // 4
