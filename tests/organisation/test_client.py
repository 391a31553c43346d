"""Whatever goes wrong with a request is an answer, and the key goes nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from claude_operator.core.organisation.polling import ORGANIZATION
from claude_operator.core.spec.networks import AddressRules
from claude_operator.organisation import client as module
from claude_operator.organisation.client import Client


@asynccontextmanager
async def upstream(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_the_key_follows_no_redirect() -> None:
    asked = []

    async def redirect(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=302, headers={"location": "/elsewhere"})

    async with upstream(redirect) as url, Client(url) as client:
        assert (await client.get(ORGANIZATION, [], "key")).status == 302
    assert asked == [ORGANIZATION.path]


async def test_an_address_that_is_refused_gets_no_request() -> None:
    async def never(request: web.Request) -> web.Response:
        raise AssertionError

    async with upstream(never) as url, Client(url, AddressRules()) as client:
        answer = await client.get(ORGANIZATION, [], "key")
    assert (answer.status, "allow it with --allowed-address" in answer.problem) == (0, True)


async def test_a_large_answer_and_a_slow_one_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGEST", 1000)
    monkeypatch.setattr(module, "_TIMEOUT", 0.2)

    async def large(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 1001)

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        while True:
            await asyncio.sleep(0.05)  # until the client leaves
            await response.write(b" ")

    async with upstream(large) as url, Client(url) as client:
        assert "larger than" in (await client.get(ORGANIZATION, [], "key")).problem
    async with upstream(slow) as url, Client(url) as client:
        assert "no answer in" in (await client.get(ORGANIZATION, [], "key")).problem


async def test_nobody_listens() -> None:
    async with Client("http://127.0.0.1:1") as client:
        answer = await client.get(ORGANIZATION, [], "key")
    assert (answer.status, answer.problem) == (0, "the connection failed: ClientConnectorError")


@pytest.mark.parametrize(("header", "expected"), [("30", 30.0), ("-1", None), ("soon", None), ("inf", None)])
async def test_how_long_to_wait_is_read(header: str, expected: float | None) -> None:
    async def busy(request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"retry-after": header})

    async with upstream(busy) as url, Client(url) as client:
        assert (await client.get(ORGANIZATION, [], "key")).retry_after == expected
