"""One look at each gateway pod, whatever it answers."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import msgspec
import pytest
from aiohttp import web

from claude_operator.api.evidence import (
    BAD_KINDS,
    OUTCOMES,
    TURNS,
    BadConversation,
    Before,
    Counters,
    Evidence,
    GenerationEvidence,
    Histogram,
    Stratum,
    UnitCounters,
    UnitStratum,
)
from claude_operator.api.packing import TooLarge, pack, unpack
from claude_operator.api.status import Reading
from claude_operator.api.usage import Usage, UsageRow
from claude_operator.core.operator_key import NONCE, admit, prove
from claude_operator.core.usage.reading import PodUsage
from claude_operator.shell import scrape
from claude_operator.shell.metrics import Metrics
from claude_operator.shell.scrape import AdminPorts, Peer, Scraper, is_ready

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
SMALL = Evidence("boot", 3, 12.5)
LARGE = Evidence(
    "boot",
    3,
    12.5,
    [
        GenerationEvidence(
            n, [Stratum(f"support-{i:010}", "stable", f"surface-{i}", "none", Counters(requests=i)) for i in range(800)]
        )
        for n in range(4)
    ],
)


KEY = b"op-key"


def peer(name: str = "gw-1", ip: str | None = "127.0.0.1", ready: bool = True, key: bytes | None = None) -> Peer:
    """Without a key a pod of an earlier version."""
    return Peer(name, ip, ready, key)


def pod(name: str = "gw-1", ip: str | None = "127.0.0.1", ready: bool = True, **metadata: Any) -> dict[str, Any]:
    status = {"podIP": ip, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return {"metadata": {"name": name, **metadata}, "status": status}


class Gateway:
    """A pod's admin port on loopback that answers as told."""

    def __init__(self) -> None:
        self.answer: Answer = self.whole(SMALL)
        self.asked: list[str] = []
        self.peers: list[str] = []
        self.packed: list[str] = []

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path)
        self.peers += request.query.getall("peers", [])
        self.packed += request.query.getall("gzip", [])
        return await self.answer(request)  # type: ignore[arg-type]

    @staticmethod
    def whole(evidence: Evidence) -> Answer:
        async def answer(request: web.Request) -> web.StreamResponse:
            return web.Response(body=msgspec.json.encode(evidence))

        return answer

    @staticmethod
    def proven(
        evidence: Evidence = SMALL, *, key: bytes = KEY, pod: str = "gw-1", body: bytes = b"", packed: bytes = b""
    ) -> Answer:
        """As a pod of this name and key answers; `body` is sent in place of what is proven. `packed`: in gzip."""

        async def answer(request: web.Request) -> web.StreamResponse:
            whole = packed or msgspec.json.encode(evidence)
            coding = {"content-encoding": "gzip"} if packed else {}
            nonce = admit(KEY, pod="gw-1", method="GET", target=request.raw_path, headers=request.headers)
            proof = prove(key, pod=pod, nonce=nonce, body=whole)
            return web.Response(body=body or whole, headers=proof | coding)

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
    readings = await scraper.read([peer("b"), peer("a", ready=False)])
    assert [(one.pod, one.ready, one.evidence) for one in readings] == [("b", True, SMALL), ("a", False, SMALL)]
    assert gateway.asked == ["/-/evidence"] * 2
    assert failures(scraper) == 0


async def test_it_asks_as_the_operator_and_takes_what_is_proven(gateway: Gateway, scraper: Scraper) -> None:
    gateway.answer = gateway.proven()
    for _ in range(2):
        [reading] = await scraper.read([peer(key=KEY)], since=[Reading(pod="gw-1", boot_id="ü&", reading=3)], keep=True)
        assert reading.evidence == SMALL


async def test_each_pod_is_told_of_all_others_ready_or_not(gateway: Gateway, scraper: Scraper) -> None:
    """Those that end are told of as long as they have an address, so that new ones can ask them."""
    gateway.answer = gateway.proven()
    port = scrape.ADMIN_PORT
    pods = [
        peer(key=KEY),
        peer("gw-2", "127.0.0.2", ready=False, key=KEY),
        peer("gw-3", "::1", key=KEY),
        peer("gw-4", ip=None, key=KEY),  # has no address yet
        peer("gw-5", "127.0.0.5"),  # of a version that proves nothing
    ]
    for known, named in [
        (pods, [f"gw-2@127.0.0.2:{port},gw-3@[::1]:{port}"]),
        (pods[:2], [f"gw-2@127.0.0.2:{port}"]),
        (pods[:1], [""]),
        ([peer()], []),  # nor is one of those told
    ]:
        gateway.peers.clear()
        await scraper.read(known)
        assert gateway.peers == named


def replayed() -> Answer:
    """It repeats what a real one has once said."""
    said: list[Mapping[str, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        body = msgspec.json.encode(SMALL)
        nonce = request.headers[NONCE] if not said else "n1"
        said.append(prove(KEY, pod="gw-1", nonce=nonce, body=body))
        return web.Response(body=body, headers=said[-1] if len(said) > 1 else {})

    return answer


async def test_of_a_pod_with_a_key_nothing_is_taken_without_its_proof(gateway: Gateway, scraper: Scraper) -> None:
    answers = [
        gateway.whole(SMALL),  # it poses as one of an earlier version
        gateway.proven(key=b"op-other"),
        gateway.proven(pod="gw-2"),  # it passes on what it was asked
        gateway.proven(body=msgspec.json.encode(LARGE)),
        replayed(),
    ]
    for number, gateway.answer in enumerate(answers, start=1):
        [reading] = await scraper.read([peer(key=KEY)])
        assert reading.evidence is None
        assert await scraper.read_serving([peer(key=KEY)]) == await scraper.read_cohorts([peer(key=KEY)]) == []
        assert failures(scraper) == number


async def test_while_there_is_no_key_nobody_is_asked(gateway: Gateway, scraper: Scraper) -> None:
    [reading] = await scraper.read([peer(key=b"")])
    assert (reading.evidence, gateway.asked) == (None, [])


async def test_nothing_is_parsed_that_is_not_proven(
    gateway: Gateway, scraper: Scraper, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[bytes] = []
    monkeypatch.setattr(scrape, "parse_evidence", parsed.append)
    gateway.answer = gateway.whole(LARGE)
    await scraper.read([peer(key=KEY)])
    assert parsed == []
    gateway.answer = gateway.proven()
    await scraper.read([peer(key=KEY)])
    assert parsed == [msgspec.json.encode(SMALL)]


async def test_what_a_pod_that_proves_nothing_has_packed_is_not_unpacked(gateway: Gateway, scraper: Scraper) -> None:
    async def packed(request: web.Request) -> web.StreamResponse:
        body = gzip.compress(b" " * 3_000_000 + msgspec.json.encode(SMALL))
        return web.Response(body=body, headers={"content-encoding": "gzip"})

    gateway.answer = packed
    [reading] = await scraper.read([peer()])
    assert reading.evidence is None


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
        [reading] = await scraper.read([peer()])
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
    [ready, starting] = await scraper.read([peer("a"), peer("b", ready=False)])
    assert (ready.evidence, ready.ready, starting.evidence) == (None, True, None)
    assert failures(scraper) == 1  # one that is not ready need not answer
    assert "/other" not in gateway.asked


async def test_a_document_beyond_the_limit_is_not_kept(
    gateway: Gateway, scraper: Scraper, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = msgspec.structs.replace(SMALL, config_error="x" * 1000)
    gateway.answer = gateway.proven(huge)
    [reading] = await scraper.read([peer(key=KEY)])
    assert reading.evidence == huge
    monkeypatch.setattr(scrape, "_LARGEST", 1000)
    [reading] = await scraper.read([peer(key=KEY)])
    assert reading.evidence is None


def full() -> Evidence:
    """Every surface that a spec may name, in every state, over four generations and in an earlier reading."""
    buckets = {str(n): 10**8 for n in range(-15, 15)}
    sums = Histogram(10**9, 1 / 3 * 1e6, 1 / 3 * 1e12, -1 / 3 * 1e6, 1 / 3 * 1e6, buckets)
    budget = {"within": 10**9, "over": 10**9}
    counters = Counters(
        requests=10**9,
        outcomes=dict.fromkeys(OUTCOMES, 10**8),
        stop_reasons={f"stop_reason_{n}": 10**8 for n in range(8)},
        ttft=sums,
        duration=sums,
        cost=sums,
        tokens=dict.fromkeys(("input", "output", "cacheRead", "cacheWrite5m", "cacheWrite1h"), 10**12),
        bad_conversations=dict.fromkeys(BAD_KINDS, 10**7),
        normalised_cost=sums,
        output_tokens=sums,
        budget=budget,
    )
    strata = [
        Stratum(f"support-{role}-{0:010}", role, f"surface-{number}", cache, counters)
        for role in ("stable", "canary")
        for number in range(34)
        for cache in ("read", "write", "none")
    ]
    first_bad = {f"{kind}:{turn}": 10**6 for kind in BAD_KINDS for turn in TURNS}
    unit = UnitCounters(10**9, first_bad, budget, sums)
    units = [
        UnitStratum(one.revision, one.role, one.surface, period, one.cache, unit)  # type: ignore[arg-type]
        for one in strata
        for period in ("opening", "early", "late")
    ]
    weights = {one.revision: 5000 for one in strata}
    generations = [GenerationEvidence(10**6 + n, strata, weights=weights, units=units) for n in range(4)]  # type: ignore[arg-type]
    bad = [BadConversation(10**6, "support-0123456789", "surface", "refusal", "d" * 22, 299.9) for _ in range(2000)]
    return Evidence("boot", 1, 1.0, generations, bad=bad, before=Before(1, 1.0, generations))


async def test_the_largest_document_that_a_gateway_can_have_is_read(gateway: Gateway, scraper: Scraper) -> None:
    assert len(msgspec.json.encode(full())) > 4 * 2**20
    gateway.answer = gateway.proven(full())
    [reading] = await scraper.read([peer(key=KEY)])
    assert reading.evidence == full()


async def test_the_largest_document_comes_packed_where_the_pod_can(gateway: Gateway, scraper: Scraper) -> None:
    packed = pack(msgspec.json.encode(full()))
    assert len(packed) < len(msgspec.json.encode(full())) / 3
    gateway.answer = gateway.proven(packed=packed)
    [reading] = await scraper.read([peer(key=KEY)])
    assert reading.evidence == full()
    assert gateway.packed == ["1"]


async def test_it_is_unpacked_within_the_limit_and_only_whole(gateway: Gateway, scraper: Scraper) -> None:
    document = msgspec.json.encode(SMALL)
    for packed in (
        pack(b" " * 2**28),  # 256 MiB of blanks in 260 KB
        pack(document)[:-4],
        pack(document) + b"more",
        pack(document) + pack(document),
        document,
        b"\x1f\x8b" + b"\0" * 100,
    ):
        gateway.answer = gateway.proven(packed=packed)
        [reading] = await scraper.read([peer(key=KEY)])
        assert reading.evidence is None
    assert failures(scraper) == 6


def test_of_a_bomb_no_more_is_made_than_is_read() -> None:
    bomb = pack(b" " * 2**26)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            unpack(bomb, 2**20)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


async def test_16_mib_are_the_limit(gateway: Gateway, scraper: Scraper) -> None:
    sent = 0

    async def endless_at_once(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)
            sent += 65_536

    gateway.answer = endless_at_once
    [reading] = await scraper.read([peer()])
    assert reading.evidence is None
    assert sent < 40 * 2**20


async def test_nobody_is_asked_where_there_is_no_address_or_the_pod_has_ended(
    gateway: Gateway, scraper: Scraper
) -> None:
    ended = pod("evicted", ready=False)
    ended["status"]["phase"] = "Failed"  # its address may be another's by now, whose counts would count twice
    others = [Peer.of(one, KEY) for one in (ended, {"metadata": {"name": "new"}})]
    readings = await scraper.read([peer(ip=None), *others])
    assert [one.evidence for one in readings] == [None, None, None]
    assert gateway.asked == []


async def test_one_slow_pod_does_not_hold_up_the_others(gateway: Gateway) -> None:
    async def first_late(request: web.Request) -> web.StreamResponse:
        return await (late(request) if len(gateway.asked) == 1 else gateway.whole(SMALL)(request))

    gateway.answer = first_late
    async with AdminPorts(patience=3.0) as ports:
        readings = await Scraper(Metrics(), ports.fetch).read([peer(f"gw-{n}") for n in range(5)])
    assert sorted(one.evidence is None for one in readings) == [False] * 4 + [True]


async def test_an_address_of_ipv6_is_written_in_brackets(gateway: Gateway, scraper: Scraper) -> None:
    [reading] = await scraper.read([peer(ip="::1")])  # nobody listens there
    assert reading.evidence is None


async def test_it_reads_only_while_entered() -> None:
    with pytest.raises(RuntimeError, match="not entered"):
        await Scraper(Metrics(), AdminPorts().fetch).read([peer()])


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


async def test_usage_is_what_the_pod_has_proven(gateway: Gateway) -> None:
    page = Usage("boot", 12.5, 3, rows=[UsageRow("r1", "stable", "chat", "", "m", 2, cost_usd=0.5)])
    gateway.answer = gateway.proven(packed=pack(msgspec.json.encode(page)))
    async with AdminPorts() as ports:
        reader = Scraper(Metrics(), ports.fetch)
        assert await reader.read_usage([peer(key=KEY)]) == [PodUsage("gw-1", page)]
        assert gateway.asked == ["/-/usage"]
        gateway.answer = gateway.proven(packed=pack(msgspec.json.encode(page)), key=b"another")
        assert await reader.read_usage([peer(key=KEY)]) == []
        gateway.answer = gateway.proven(packed=pack(b'{"bootId": "b"}'))
        assert await reader.read_usage([peer(key=KEY)]) == []
