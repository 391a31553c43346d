"""One look at each gateway pod, whatever it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from aiohttp import web

from claude_operator.api.evidence import Counters, Evidence, GenerationEvidence, Stratum
from claude_operator.shell import scrape
from claude_operator.shell.metrics import Metrics
from claude_operator.shell.scrape import AdminPorts, Scraper, is_ready

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
SMALL = Evidence("boot", 3, 12.5)
LARGE = Evidence(
    "boot",
    3,
    12.5,
    [
        GenerationEvidence(
            n, [Stratum(f"support-{i:010}", "stable", f"surface-{i}", "none", Counters(requests=i)) for i in range(400)]
        )
        for n in range(4)
    ],
)


def pod(name: str = "gw-1", ip: str | None = "127.0.0.1", ready: bool = True, **metadata: Any) -> dict[str, Any]:
    status = {"podIP": ip, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return {"metadata": {"name": name, **metadata}, "status": status}


class Gateway:
    """A pod's admin port on loopback that answers as told."""

    def __init__(self) -> None:
        self.answer: Answer = self.whole(SMALL)
        self.asked: list[str] = []

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path)
        return await self.answer(request)  # type: ignore[arg-type]

    @staticmethod
    def whole(evidence: Evidence) -> Answer:
        async def answer(request: web.Request) -> web.StreamResponse:
            return web.Response(body=msgspec.json.encode(evidence))

        return answer


@pytest.fixture
async def gateway(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    served = Gateway()
    runner = web.ServerRunner(web.Server(served.serve, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        monkeypatch.setattr(scrape, "ADMIN_PORT", runner.addresses[0][1])
        yield served
    finally:
        await runner.cleanup()


@pytest.fixture
async def scraper() -> AsyncIterator[Scraper]:
    async with AdminPorts(patience=10.0) as ports:
        yield Scraper(Metrics(), ports.fetch)


@pytest.fixture
async def hasty() -> AsyncIterator[Scraper]:
    async with AdminPorts(patience=0.2) as ports:
        yield Scraper(Metrics(), ports.fetch)


def failures(scraper: Scraper) -> float:
    return scraper._metrics.registry.get_sample_value("claude_operator_gateway_read_failures_total") or 0.0


async def test_it_reads_what_a_pod_says(gateway: Gateway, scraper: Scraper) -> None:
    readings = await scraper.read([pod("b"), pod("a", ready=False)])
    assert [(one.pod, one.ready, one.evidence) for one in readings] == [("b", True, SMALL), ("a", False, SMALL)]
    assert gateway.asked == ["/-/evidence"] * 2
    assert failures(scraper) == 0


async def test_a_large_document_that_comes_in_pieces_is_read_whole(gateway: Gateway, scraper: Scraper) -> None:
    data = msgspec.json.encode(LARGE)
    assert len(data) > 300_000

    async def pieces(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for start in range(0, len(data), 70_000):
            await response.write(data[start : start + 70_000])
            await asyncio.sleep(0.005)
        return response

    for answer in (pieces, gateway.whole(LARGE)):
        gateway.answer = answer
        [reading] = await scraper.read([pod()])
        assert reading.evidence == LARGE


async def late(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 1000)
        await asyncio.sleep(0.05)


async def nonsense(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b'{"bootId": 1}')


async def unwell(request: web.Request) -> web.StreamResponse:
    return web.Response(status=503, body=msgspec.json.encode(SMALL))


async def elsewhere(request: web.Request) -> web.StreamResponse:
    if request.path == "/other":
        return web.Response(body=msgspec.json.encode(SMALL))
    raise web.HTTPFound("/other")


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize("answer", [late, endless, nonsense, unwell, elsewhere, cut])
async def test_a_pod_without_a_good_answer_is_silent(gateway: Gateway, hasty: Scraper, answer: Answer) -> None:
    gateway.answer, scraper = answer, hasty
    [ready, starting] = await scraper.read([pod("a"), pod("b", ready=False)])
    assert (ready.evidence, ready.ready, starting.evidence) == (None, True, None)
    assert failures(scraper) == 1  # one that is not ready need not answer
    assert "/other" not in gateway.asked


async def test_a_document_beyond_the_limit_is_not_kept(
    gateway: Gateway, scraper: Scraper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape, "_LARGEST", 1000)
    gateway.answer = gateway.whole(LARGE)
    [reading] = await scraper.read([pod()])
    assert reading.evidence is None


async def test_nobody_is_asked_where_there_is_no_address_or_the_pod_has_ended(
    gateway: Gateway, scraper: Scraper
) -> None:
    ended = pod("evicted", ready=False)
    ended["status"]["phase"] = "Failed"  # its address may be another's by now, whose counts would count twice
    readings = await scraper.read([pod(ip=None), ended, {"metadata": {"name": "new"}}])
    assert [one.evidence for one in readings] == [None, None, None]
    assert gateway.asked == []


async def test_one_slow_pod_does_not_hold_up_the_others(gateway: Gateway) -> None:
    async def first_late(request: web.Request) -> web.StreamResponse:
        return await (late(request) if len(gateway.asked) == 1 else gateway.whole(SMALL)(request))

    gateway.answer = first_late
    async with AdminPorts(patience=3.0) as ports:
        readings = await Scraper(Metrics(), ports.fetch).read([pod(f"gw-{n}") for n in range(5)])
    assert sorted(one.evidence is None for one in readings) == [False] * 4 + [True]


async def test_an_address_of_ipv6_is_written_in_brackets(gateway: Gateway, scraper: Scraper) -> None:
    [reading] = await scraper.read([pod(ip="::1")])  # nobody listens there
    assert reading.evidence is None


async def test_it_reads_only_while_entered() -> None:
    with pytest.raises(RuntimeError, match="not entered"):
        await Scraper(Metrics(), AdminPorts().fetch).read([pod()])


@pytest.mark.parametrize(
    ("one", "ready"),
    [
        (pod(), True),
        (pod(ready=False), False),
        (pod(deletionTimestamp="2026-11-24T10:00:00Z"), False),
        ({"metadata": {"name": "x"}}, False),
        ({"metadata": {"name": "x"}, "status": {"conditions": None}}, False),
    ],
)
def test_a_pod_gets_traffic_while_it_is_ready_and_not_on_its_way_out(one: dict[str, Any], ready: bool) -> None:
    assert is_ready(one) is ready
