"""Probes and metrics over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
import pytest

from claude_operator.shell.metrics import Metrics
from claude_operator.shell.server import HealthServer


def make(check: Callable[[], str | None] = lambda: None, unready: str | None = None, port: int = 0) -> HealthServer:
    return HealthServer(check=check, unready=lambda: unready, page=Metrics().page, host="127.0.0.1", port=port)


async def get(server: HealthServer, path: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{server.port}{path}") as answer:
        return answer.status, await answer.text(), answer.headers["content-type"]


async def test_probes_and_metrics() -> None:
    async with make() as server:
        assert (await get(server, "/healthz"))[:2] == (200, "ok\n")
        assert (await get(server, "/readyz"))[:2] == (200, "ok\n")
        status, text, kind = await get(server, "/metrics")
        assert (status, kind.partition(";")[0]) == (200, "text/plain")
        assert "claude_operator_leader 0.0" in text
        assert (await get(server, "/else"))[0] == 404


async def test_what_is_stuck_is_said_in_words() -> None:
    async with make(check=lambda: "the queue has not run for 93 s", unready="blind: no") as server:
        assert (await get(server, "/healthz"))[:2] == (500, "the queue has not run for 93 s\n")
        assert (await get(server, "/readyz"))[:2] == (503, "blind: no\n")


async def test_a_check_that_breaks_is_no_good_health() -> None:
    async with make(check=lambda: str(1 / 0)) as server:
        assert (await get(server, "/healthz"))[:2] == (500, "the check itself failed: ZeroDivisionError\n")


async def test_a_port_that_is_taken() -> None:
    async with make() as server:
        with pytest.raises(OSError, match=f"port {server.port} for probes and metrics cannot be opened"):
            async with make(port=server.port):
                pass
    async with make(port=server.port) as again:  # free again once the first has left
        assert (await get(again, "/healthz"))[0] == 200
