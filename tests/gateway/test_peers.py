"""What gateway processes of a deployment tell one another of conversations, each a real server on loopback."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import io
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from tests.gateway.harness import CANARY, OPERATOR_KEY, Gateway, make_arm, running_gateway
from tests.gateway.upstream import json_answer, recording_upstream
from tests.waiting import HANGS, until

from claude_operator.api.conversations import (
    Conversations,
    KnownConversation,
    PeerAddress,
    name_peers,
    parse_conversations,
    parse_peers,
)
from claude_operator.core.operator_key import NONCE, admit, ask, prove
from claude_operator.gateway import admin, peer_link
from claude_operator.gateway.conversation_memory import ConversationMemory, Drawn
from claude_operator.gateway.peer_client import LIMIT, PATH
from claude_operator.gateway.peer_link import News, cut
from claude_operator.gateway.peers import Peers
from claude_operator.shell import scrape
from claude_operator.shell.metrics import Metrics
from claude_operator.shell.scrape import AdminPorts, Peer, Scraper

KEY = OPERATOR_KEY.encode()
ERA = Drawn(2, CANARY, 1000)


class Pods:
    """Gateways of one deployment, by name, and what the operator says to them."""

    def __init__(self, folder: Path, upstream: Any, stack: AsyncExitStack) -> None:
        self.folder, self.upstream, self._stack = folder, upstream, stack
        self.by_name: dict[str, Gateway] = {}

    async def start(self, name: str, *, late: bool = False, serves: bool = True, **settings: Any) -> Gateway:
        """`late`: it begins when there is a canary already, so it does not know what began before."""
        folder = self.folder / f"{name}-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        running = running_gateway(self.upstream, folder, **{"pod": name, "drain_seconds": 0.5} | settings)
        gateway = self.by_name[name] = await self._stack.enter_async_context(running)
        if not late:
            gateway.serve()
        if serves:
            gateway.serve(make_arm(weight=9000), make_arm(CANARY, "canary", 1000), generation=2)
        return gateway

    def addresses(self, *names: str) -> list[PeerAddress]:
        return [address_of(self.by_name[name]) for name in names]

    async def introduce(self, *more: PeerAddress) -> None:
        """The operator reads, and names to each pod all others."""
        everybody = [*self.addresses(*self.by_name), *more]
        for name, gateway in self.by_name.items():
            await name_to(gateway, [one for one in everybody if one.pod != name])


async def name_to(gateway: Gateway, peers: list[PeerAddress]) -> None:
    await gateway.read(f"/-/evidence?since=&peers={name_peers(peers)}")


def address_of(gateway: Gateway) -> PeerAddress:
    return PeerAddress(gateway.service.settings.pod, "127.0.0.1", gateway.service.admin_port)


def memory_of(gateway: Gateway) -> ConversationMemory:
    return gateway.service.control.store.memory


def begin(gateway: Gateway, *digests: int) -> None:
    memory = memory_of(gateway)
    for digest in digests:
        made = memory.make(digest, CANARY, ERA)
        made.shared = True
        memory.keep(made)


def knows(gateway: Gateway, *digests: int) -> bool:
    return all(memory_of(gateway).find(digest) is not None for digest in digests)


def lines(gateway: Gateway, message: str) -> list[dict[str, Any]]:
    found = map(json.loads, gateway.output.getvalue().splitlines())
    return [line for line in found if line["message"].startswith(message)]


async def gauge(gateway: Gateway, name: str) -> float:
    async with gateway.http.get(gateway.admin + "/metrics") as response:
        [line] = [line for line in (await response.text()).splitlines() if line.startswith(f"claude_gateway_{name} ")]
    return float(line.split()[1])


@pytest.fixture
async def pods(tmp_path: Path) -> AsyncIterator[Pods]:
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(recording_upstream(json_answer()))
        yield Pods(tmp_path, upstream, stack)


class FakePeer:
    """A peer whose answers the test holds back or forges; it notes what it is told."""

    def __init__(self, pod: str = "gw-fake") -> None:
        self.pod, self.key, self.status, self.boot = pod, KEY, 200, "boot-fake"
        self.told: list[Conversations] = []
        self.asked: list[str] = []
        self.says = Conversations(self.boot)
        self.answers = asyncio.Event()
        self.answers.set()
        self.port = 0
        self.answers_as = pod

    @property
    def address(self) -> PeerAddress:
        return PeerAddress(self.pod, "127.0.0.1", self.port)

    def digests(self) -> list[int]:
        return [int(one.digest, 16) for document in self.told for one in document.known]

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        admit(KEY, pod=self.pod, method=request.method, target=request.raw_path, headers=request.headers)
        self.asked.append(request.method)
        if request.method == "POST":
            body = await request.read()
            assert request.query["sha256"] == hashlib.sha256(body).hexdigest()
            self.told.append(parse_conversations(body))
        await self.answers.wait()
        body = msgspec.json.encode(self.says)
        proof = prove(self.key, pod=self.answers_as, nonce=request.headers[NONCE], body=body)
        return web.Response(status=self.status, body=body, headers=proof)


@asynccontextmanager
async def fake_peer() -> AsyncIterator[FakePeer]:
    peer = FakePeer()
    runner = web.ServerRunner(web.Server(peer.serve, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        peer.port = runner.addresses[0][1]
        yield peer
    finally:
        peer.answers.set()
        await runner.cleanup()


# ------------------------------------------------------------------------------------------------ what is told


async def test_what_begins_in_one_process_is_known_in_all_others(pods: Pods) -> None:
    one, two, three = [await pods.start(f"gw-{n}") for n in range(3)]
    await pods.introduce()
    begin(one, 1, 2)
    begin(three, 3)
    for gateway in (one, two, three):
        await until(lambda gateway=gateway: knows(gateway, 1, 2, 3))
    found = memory_of(two).find(1)
    assert found is not None
    assert (found.revision, found.drawn, found.moved) == (CANARY, ERA, False)


async def test_what_was_learnt_is_not_told_on(pods: Pods) -> None:
    one, two = [await pods.start(f"gw-{n}") for n in range(2)]
    async with fake_peer() as third:
        await name_to(one, [address_of(two)])
        await name_to(two, [third.address])
        begin(one, 1)
        await until(lambda: knows(two, 1))
        begin(two, 2)
        await until(lambda: 2 in third.digests())
        assert third.digests() == [2]


async def test_a_process_that_begins_with_a_canary_asks_the_first_peer_that_answers_for_all(pods: Pods) -> None:
    old = await pods.start("gw-old")
    begin(old, *range(1, 1501))
    new = await pods.start("gw-new", late=True)
    gone = PeerAddress("gw-gone", "127.0.0.1", 1)
    await name_to(new, [gone, *pods.addresses("gw-old")])
    await until(lambda: memory_of(new).is_complete)
    assert knows(new, *range(1, 1501))
    [line] = lines(new, "all conversations are known from a peer")
    assert (line["pod"], line["known"]) == ("gw-old", 1500)
    await until(lambda: gauge_is(new, "conversations_complete_timestamp_seconds", least=1.0))
    assert await gauge(new, "known_conversations") == 1500
    await until(lambda: gauge_is(new, "silent_peers", least=1.0))  # that one does not answer may be found out later
    assert (await gauge(new, "peers"), await gauge(new, "silent_peers")) == (2, 1)


async def gauge_is(gateway: Gateway, name: str, *, least: float) -> bool:
    return await gauge(gateway, name) >= least


async def test_a_peer_that_does_not_know_all_makes_nobody_complete_until_it_does(pods: Pods) -> None:
    one, two = [await pods.start(f"gw-{n}", late=True) for n in range(2)]
    begin(one, 1)
    await pods.introduce()
    await until(lambda: knows(two, 1))  # what is known is known, whether or not it is all
    assert await gauge(two, "conversations_complete_timestamp_seconds") == 0
    assert not memory_of(two).is_complete
    memory_of(one).complete()
    begin(one, 2)
    await until(lambda: memory_of(two).is_complete)


async def test_a_process_that_has_read_no_config_knows_nothing_of_what_it_does_not_know(pods: Pods) -> None:
    empty = await pods.start("gw-empty", late=True, serves=False)
    new = await pods.start("gw-new", late=True)
    await name_to(new, pods.addresses("gw-empty"))
    await until(lambda: new.service.peers.links[address_of(empty)].asked_of)
    assert not memory_of(new).is_complete
    assert not parse_conversations(await empty.read(PATH)).complete


async def readiness(gateway: Gateway) -> int:
    async with gateway.http.get(gateway.admin + "/-/ready") as response:
        return response.status


async def test_clients_come_when_what_the_others_know_is_known(pods: Pods) -> None:
    old = await pods.start("gw-old")
    assert await readiness(old) == 200
    async with fake_peer() as slow:
        slow.answers.clear()
        new = await pods.start("gw-new", late=True)
        assert await readiness(new) == 503  # it does not know whom to ask
        await name_to(new, [slow.address])
        assert await readiness(new) == 503
        response, _ = await new.post()  # who comes is served
        assert response.status == 200
        slow.says = Conversations("boot", complete=True)
        slow.answers.set()
        await until(lambda: readiness_is(new, 200))
        assert memory_of(new).is_complete


async def readiness_is(gateway: Gateway, status: int) -> bool:
    return await readiness(gateway) == status


async def test_where_there_is_nobody_to_learn_from_nobody_is_waited_for(
    pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claude_operator.gateway.peers._LEARN", 1e6)
    alone, one, two = [await pods.start(f"gw-{n}", late=True) for n in range(3)]
    assert [await readiness(gateway) for gateway in (alone, one, two)] == [503] * 3
    await name_to(alone, [])
    gone = PeerAddress("gw-gone", "127.0.0.1", 1)
    await name_to(one, [address_of(two), gone])  # all began at one moment
    await name_to(two, [address_of(one), gone])
    for gateway in (alone, one, two):
        await until(lambda gateway=gateway: readiness_is(gateway, 200))
        assert not memory_of(gateway).is_complete


async def test_without_the_operator_it_is_ready_in_a_moment(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_operator.gateway.peers._LEARN", 0.05)
    one = await pods.start("gw-1", late=True)
    assert await readiness(one) == 503
    await until(lambda: readiness_is(one, 200))


async def test_what_began_a_moment_before_a_peer_is_named_is_told_too(pods: Pods) -> None:
    """The one that it asks for all may not have heard of it yet."""
    one = await pods.start("gw-1")
    begin(one, 1)
    await until(lambda: one.service.peers.own.news.end == 1)
    async with fake_peer() as late:
        await name_to(one, [late.address])
        await until(lambda: late.digests() == [1])


# ---------------------------------------------------------------------------------------- slow, gone, restarted


async def test_a_slow_peer_has_one_request_and_the_others_wait_for_nothing(pods: Pods) -> None:
    one, two = [await pods.start(f"gw-{n}") for n in range(2)]
    async with fake_peer() as slow:
        slow.answers.clear()
        begin(one, 1)
        await name_to(one, [slow.address, address_of(two)])
        await until(lambda: slow.digests() == [1])
        begin(one, *range(2, 400))
        await until(lambda: knows(two, *range(1, 400)))
        assert slow.digests() == [1]  # that one has no answer yet
        response, _ = await one.post()
        assert response.status == 200
        slow.answers.set()
        await until(lambda: set(slow.digests()) >= set(range(1, 400)))
        assert len(slow.told) == 2  # all that came meanwhile at once


async def test_a_peer_that_was_away_for_too_long_is_told_everything(
    pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_link, "_KEPT", 100)
    one = await pods.start("gw-1")
    async with fake_peer() as slow:
        slow.answers.clear()
        await name_to(one, [slow.address])
        await until(lambda: len(slow.told) == 1)
        for digest in range(1, 3001):
            begin(one, digest)
            if digest % 50 == 0:
                await asyncio.sleep(0)
        await until(lambda: one.service.peers.own.news.end == 3000)
        assert len(one.service.peers.own.news._kept) == 100
        slow.answers.set()
        await until(lambda: set(slow.digests()) == set(range(1, 3001)))
        begin(one, 3001)
        await until(lambda: 3001 in slow.digests())
        assert len(slow.told) <= 10  # six pages, and not each by itself


async def test_a_peer_that_does_not_answer_is_told_once(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_link, "_TROUBLE", 0.0)
    monkeypatch.setattr(peer_link, "_LONGEST_BACKOFF", 0.01)
    one = await pods.start("gw-1")
    async with fake_peer() as broken:
        broken.status = 404
        await name_to(one, [broken.address])
        await until(lambda: len(broken.told) >= 5)
        [line] = lines(one, "a peer does not answer")
        assert (line["pod"], line["reason"]) == ("gw-fake", "it is of a version that tells nothing of conversations")
        assert await gauge(one, "silent_peers") == 1
        broken.status = 200
        await until(lambda: len(lines(one, "a peer answers again")) == 1)
        assert await gauge(one, "silent_peers") == 0


async def test_a_peer_that_was_restarted_is_told_what_it_may_have_lost(pods: Pods) -> None:
    one = await pods.start("gw-1")
    async with fake_peer() as peer:
        await name_to(one, [peer.address])
        begin(one, 1)
        await until(lambda: peer.digests() == [1])
        peer.says = Conversations("boot-after")
        begin(one, 2)
        await until(lambda: peer.digests() == [1, 2, 1, 2])


async def test_a_peer_that_is_no_longer_named_is_told_nothing_more(pods: Pods) -> None:
    one, two = [await pods.start(f"gw-{n}") for n in range(2)]
    async with fake_peer() as gone:
        await name_to(one, [gone.address, address_of(two)])
        begin(one, 1)
        await until(lambda: gone.digests() == [1])
        await name_to(one, [address_of(two)])
        begin(one, 2)
        await until(lambda: knows(two, 2))
        assert gone.digests() == [1]
        assert await gauge(one, "peers") == 1
        await one.read("/-/evidence?since=")  # an operator of before names nobody, and drops nobody
        assert await gauge(one, "peers") == 1
        assert [line["pods"] for line in lines(one, "peers")] == [["gw-fake", "gw-1"], ["gw-1"]]


async def test_fifty_thousand_conversations_take_few_documents_and_little_memory(
    pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = await pods.start("gw-old"), await pods.start("gw-new", late=True)
    sizes: list[int] = []
    page = Peers.page

    def measured(self: Peers, after: str) -> bytes:
        sizes.append(len(found := page(self, after)))
        return found

    monkeypatch.setattr(Peers, "page", measured)
    begin(old, *range(1, 50_001))
    await until(lambda: old.service.peers.own.news.end == 50_000)
    await pods.introduce()
    await until(lambda: memory_of(new).is_complete)
    assert len(memory_of(new)) == 50_000
    assert len(sizes) == 100
    assert max(sizes) < LIMIT / 4
    await until(lambda: old.service.peers.links[address_of(new)].is_up_to_date)
    gc.collect()
    documents = sum(isinstance(one, KnownConversation) for one in gc.get_objects())
    assert documents <= 5000  # beside the memory itself only what a slow peer may still be told


# -------------------------------------------------------------------------------------------------- who may


def known(digest: int) -> KnownConversation:
    return KnownConversation(f"{digest:032x}", CANARY, *ERA)


async def post(gateway: Gateway, body: bytes, headers: dict[str, str], *, sha256: str = "") -> tuple[int, str]:
    target = f"{PATH}?sha256={sha256 or hashlib.sha256(body).hexdigest()}"
    if not headers:
        headers = ask(KEY, pod=gateway.service.settings.pod, method="POST", target=target, nonce="n1")
    async with gateway.http.post(gateway.admin + target, data=io.BytesIO(body), headers=headers) as response:
        return response.status, await response.text()


async def test_nothing_is_learnt_from_who_does_not_know_the_key(pods: Pods) -> None:
    one = await pods.start("gw-1")
    body = msgspec.json.encode(Conversations("boot", [known(1)]))
    target = f"{PATH}?sha256={hashlib.sha256(body).hexdigest()}"
    right: dict[str, Any] = {"pod": "gw-1", "method": "POST", "target": target, "nonce": "n1"}
    wrong = [
        {"authorization": f"Bearer {OPERATOR_KEY}"},
        ask(b"op-other", **right),
        ask(KEY, **{**right, "pod": "gw-2"}),
        ask(KEY, **{**right, "method": "GET"}),
        ask(KEY, **{**right, "target": PATH}),
    ]
    for headers in wrong:
        assert await post(one, body, headers) == (401, "only gateways of this deployment may write this\n")
    other = msgspec.json.encode(Conversations("boot", [known(2)]))
    status, text = await post(one, other, ask(KEY, **right), sha256=hashlib.sha256(body).hexdigest())
    assert (status, text) == (400, "the body is not the one that was proven\n")
    assert len(memory_of(one)) == 0
    for _ in range(2):  # a replay unites what is united already
        assert (await post(one, body, ask(KEY, **right)))[0] == 200
    assert len(memory_of(one)) == 1


async def test_all_are_shown_only_to_who_knows_the_key(pods: Pods) -> None:
    one = await pods.start("gw-1")
    begin(one, 1)
    async with one.http.get(one.admin + PATH) as response:
        assert response.status == 401
    wrong = ask(KEY, pod="gw-1", method="GET", target=f"{PATH}?after=no-digest", nonce="n1")
    async with one.http.get(f"{one.admin}{PATH}?after=no-digest", headers=wrong) as response:
        assert response.status == 400
    page = parse_conversations(await one.read(PATH))
    assert (page.known, page.complete, page.more) == ([known(1)], True, False)


@pytest.mark.parametrize("wrong", ["key", "pod", "document"])
async def test_what_a_peer_cannot_prove_is_not_learnt(pods: Pods, wrong: str) -> None:
    one = await pods.start("gw-1", late=True)
    async with fake_peer() as peer:
        peer.says = Conversations("boot", [known(1)], complete=True)
        if wrong == "key":
            peer.key = b"op-other"
        elif wrong == "pod":
            peer.answers_as = "gw-2"  # it passes on what another has said
        else:
            peer.says = Conversations("boot", [KnownConversation("short", CANARY), known(1)], complete=True)
        await name_to(one, [peer.address])
        await until(lambda: peer.asked.count("GET") >= 2)
        assert not knows(one, 1)
        assert not memory_of(one).is_complete


async def test_a_deployment_with_another_key_neither_teaches_nor_learns(pods: Pods) -> None:
    one, other = [await pods.start(f"gw-{n}", late=True) for n in range(2)]
    (other.files.operator / "operator-key").write_text("op-other")
    other.service.control.reload_credentials()
    begin(one, 1)
    begin(other, 2)
    one.service.peers.name(name_peers([address_of(other)]))
    other.service.peers.name(name_peers([address_of(one)]))
    for gateway in (one, other):
        await until(lambda gateway=gateway: gauge_is(gateway, "silent_peers", least=1.0))
    assert (knows(one, 2), knows(other, 1), memory_of(one).is_complete) == (False, False, False)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{}", "boot"),
        (b"no json", "conversations"),
        (b'{"bootId":"b","known":[["short","support-1"]]}', "hex digits"),
        (b" " * (LIMIT + 1), f"a document of more than {LIMIT} bytes"),
    ],
)
async def test_what_is_no_document_is_refused_whole(pods: Pods, body: bytes, why: str) -> None:
    one = await pods.start("gw-1")
    status, text = await post(one, body, {})
    assert status == 400
    assert why in text
    assert len(memory_of(one)) == 0


async def test_a_document_that_does_not_come_is_not_waited_for(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "_BODY_SECONDS", 0.05)
    one = await pods.start("gw-1")
    target = f"{PATH}?sha256=0"
    headers = ask(KEY, pod="gw-1", method="POST", target=target, nonce="n1") | {"content-length": "100"}
    reader, writer = await asyncio.open_connection("127.0.0.1", one.service.admin_port)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"POST {target} HTTP/1.1\r\nhost: x\r\n{head}\r\n".encode())
    status = await asyncio.wait_for(reader.readline(), HANGS)
    assert status.startswith(b"HTTP/1.1 408")
    writer.close()


async def test_on_a_laptop_nobody_names_peers_and_nobody_teaches(tmp_path: Path) -> None:
    async with (
        recording_upstream(json_answer()) as upstream,
        running_gateway(upstream, tmp_path, on_a_laptop=True, keys=False) as gateway,
    ):
        async with gateway.http.get(gateway.admin + "/-/evidence?peers=gw-2@127.0.0.1:1") as response:
            assert response.status == 200
        assert gateway.service.peers.links == {}
        async with gateway.http.post(gateway.admin + PATH, data=b"{}") as response:
            assert response.status == 401


async def test_the_operator_introduces_pods_to_one_another_and_drops_those_that_go(
    pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own reader, and gateways on one port of several addresses."""
    one = await pods.start("gw-1", host="127.0.0.1")
    port = one.service.admin_port
    two = await pods.start("gw-2", host="127.0.0.2", admin_port=port)
    three = await pods.start("gw-3", host="127.0.0.3", admin_port=port, late=True)
    monkeypatch.setattr(scrape, "ADMIN_PORT", port)
    listed = [Peer(f"gw-{n}", f"127.0.0.{n}", ready=n < 3, key=KEY) for n in (1, 2, 3)]
    async with AdminPorts(patience=HANGS) as ports:
        scraper = Scraper(Metrics(), ports.fetch)
        assert all(reading.evidence for reading in await scraper.read(listed))
        begin(one, 1)
        for gateway in (two, three):
            await until(lambda gateway=gateway: knows(gateway, 1))
        await until(lambda: memory_of(three).is_complete)
        await scraper.read(listed[:2])
    assert [link.pod for link in one.service.peers.links] == ["gw-2"]
    assert [link.pod for link in two.service.peers.links] == ["gw-1"]
    begin(one, 2)  # without the operator, those that it named last stay
    await until(lambda: knows(two, 2))
    assert not knows(three, 2)


# ------------------------------------------------------------------------------------------------ the end


async def test_the_last_one_waits_until_its_successor_knows_what_it_knows(pods: Pods) -> None:
    """A single replica is replaced: the new pod is named before it answers, and asks while the old one drains."""
    old = await pods.start("gw-old", drain_seconds=HANGS)
    begin(old, 1, 2)
    async with fake_peer() as booting:
        booting.status = 503
        await name_to(old, [booting.address])
        old.service.stop()
        await until(lambda: old.service.draining)
        new = await pods.start("gw-new", late=True)
        await pods.introduce()  # it still answers the operator
        await until(lambda: memory_of(new).is_complete)
        assert knows(new, 1, 2)
        await until(lambda: lines(old, "stopped"))
        assert lines(old, "no peer has taken over") == []


async def test_it_does_not_wait_without_end_nor_without_cause(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_operator.gateway.peers._HAND_OVER", 0.2)
    empty, never_told, alone = [await pods.start(f"gw-{n}") for n in range(3)]
    plain = await pods.start("gw-plain", serves=False)  # one arm, and so nothing to hand over
    for gateway in (never_told, alone, plain):
        begin(gateway, 1)
    for gateway in (empty, alone, plain):
        await name_to(gateway, [])
    for gateway in (empty, never_told, alone, plain):
        gateway.service.stop()
        await until(lambda gateway=gateway: lines(gateway, "stopped"))
    told = [bool(lines(gateway, "no peer has taken over")) for gateway in (empty, never_told, alone, plain)]
    assert told == [False, False, True, False]


async def test_where_nobody_knows_all_one_that_stays_is_told_what_is_known(
    pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the first version that tells of conversations comes in the midst of a rollout."""
    monkeypatch.setattr("claude_operator.gateway.peers._HAND_OVER", 1e6)
    monkeypatch.setattr(peer_link, "_RECENT", 0.0)
    one = await pods.start("gw-1", late=True, drain_seconds=1e6)
    begin(one, *range(1, 1201))
    await until(lambda: one.service.peers.own.news.end == 1200)
    async with fake_peer() as peer:
        await name_to(one, [peer.address])
        await until(lambda: peer.told)
        assert not peer.digests()
        peer.says = Conversations(peer.boot, draining=True)
        one.service.stop()
        await until(lambda: set(peer.digests()) == set(range(1, 1201)))
        assert not lines(one, "stopped")
        peer.says = Conversations(peer.boot)
        await until(lambda: lines(one, "stopped"))
    assert not lines(one, "no peer has taken over")


async def test_a_successor_that_is_named_while_the_last_one_ends_is_told_what_is_known(
    pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single replica that does not know all, on a node that is drained: what it knows is old, and new to the next."""
    monkeypatch.setattr("claude_operator.gateway.peers._HAND_OVER", 1e6)
    monkeypatch.setattr(peer_link, "_RECENT", 0.0)
    old = await pods.start("gw-old", late=True, drain_seconds=1e6)
    begin(old, *range(1, 1201))
    await until(lambda: old.service.peers.own.news.end == 1200)
    await name_to(old, [])
    old.service.stop()
    await until(lambda: old.service.draining)
    async with fake_peer() as successor:
        await name_to(old, [successor.address])
        await until(lambda: lines(old, "stopped"))
        assert set(successor.digests()) == set(range(1, 1201))
    assert not lines(old, "no peer has taken over")


async def test_of_two_that_end_neither_is_the_others_successor(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_operator.gateway.peers._HAND_OVER", 0.5)
    one, two = [await pods.start(f"gw-{n}") for n in range(2)]
    begin(one, 1)
    await pods.introduce()
    await until(lambda: knows(two, 1))
    one.service.stop()
    two.service.stop()
    await until(lambda: lines(one, "stopped") and lines(two, "stopped"))
    assert lines(one, "no peer has taken over") or lines(two, "no peer has taken over")


# ----------------------------------------------------------------------------------------------- the words


def test_peers_are_named_by_pod_address_and_port() -> None:
    peers = [PeerAddress("gw-1", "10.0.0.5", 9090), PeerAddress("gw-2.x", "fd00::1", 9091)]
    assert name_peers(peers) == "gw-1@10.0.0.5:9090,gw-2.x@[fd00::1]:9091"
    assert parse_peers(name_peers(peers)) == peers
    assert parse_peers("") == []


@pytest.mark.parametrize(
    "text", ["gw-1", "gw-1@host:1", "gw-1@10.0.0.5", "gw-1@10.0.0.999:1", "gw-1@10.0.0.5:0", "gw-1@10.0.0.5:70000", ","]
)
def test_what_names_no_peer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|port|address"):
        parse_peers(text)


async def test_peers_that_cannot_be_read_change_nothing(pods: Pods) -> None:
    one = await pods.start("gw-1")
    await name_to(one, [PeerAddress("gw-2", "127.0.0.1", 1)])
    await one.read("/-/evidence?since=&peers=nobody")
    assert [link.pod for link in one.service.peers.links] == ["gw-2"]
    assert len(lines(one, "peers refused")) == 1


def test_a_document_is_never_larger_than_is_read() -> None:
    long = [KnownConversation(f"{n:032x}", "r" * 63, 1, quotes=["q" * 16] * 256) for n in range(1000)]
    part = cut(long)
    assert 0 < len(part) < 1000
    assert LIMIT * 0.9 < len(msgspec.json.encode(Conversations("boot", part))) < LIMIT


def test_of_the_news_only_the_newest_are_kept() -> None:
    now = 0.0
    news = News(lambda: now)
    news.add([known(n) for n in range(10)])
    now = 100.0
    assert news.recent() == 10  # older than a minute
    news.add([known(n) for n in range(10, 6000)])
    assert news.recent() == 1000
    assert news.since(999) is None
    assert news.since(5999) == [known(5999)]
    assert news.since(6000) == []
