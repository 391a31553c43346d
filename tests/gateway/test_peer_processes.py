"""Several gateway processes of one deployment, which are killed and replaced while conversations go on."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.gateway.harness import CANARY, OPERATOR_KEY, STABLE, make_arm, make_config
from tests.gateway.test_process import Process, gateway_process
from tests.gateway.upstream import MESSAGE, Playback, Recorded, recording_upstream
from tests.waiting import until
from yarl import URL

from claude_operator.api.conversations import PeerAddress, name_peers
from claude_operator.api.gateway import Arm, Auth, dump_config
from claude_operator.core.operator_key import ask

pytestmark = pytest.mark.slow  # each starts an interpreter

KEY = OPERATOR_KEY.encode()
TALKS = 40


@dataclass
class Talk:
    """A conversation without a name: what was said, and the revisions that answered."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    revisions: list[str] = field(default_factory=list)

    @property
    def stayed(self) -> bool:
        return len(set(self.revisions)) == 1


@dataclass
class Pod:
    name: str
    process: Process
    port: int
    admin_port: int

    @property
    def address(self) -> PeerAddress:
        return PeerAddress(self.name, "127.0.0.1", self.admin_port)


class Fleet:
    """The processes, and what the operator does with them: it writes one config and tells each of the others."""

    def __init__(self, folder: Path, url: str, stack: AsyncExitStack, http: aiohttp.ClientSession) -> None:
        self.folder, self.url, self._stack, self.http = folder, url, stack, http
        (folder / "operator").mkdir()
        (folder / "operator" / "operator-key").write_bytes(KEY)
        self.generation = 0

    def write(self, *arms: Arm) -> None:
        self.generation += 1
        config = make_config(self.url, *arms, generation=self.generation, auth=Auth("None"))
        new = self.folder / "config.new"
        new.write_text(dump_config(config))
        new.replace(self.folder / "config.json")

    def weigh(self, canary: int) -> None:
        self.write(make_arm(weight=10_000 - canary), make_arm(CANARY, "canary", canary))

    async def start(self, name: str) -> Pod:
        options = ("--config", str(self.folder / "config.json"), "--operator-dir", str(self.folder / "operator"))
        running = gateway_process(*options, "--settle-seconds", "0", POD_NAME=name, ANTHROPIC_API_KEY="k")
        process = await self._stack.enter_async_context(running)
        ports = await process.line("listening")
        await process.line("config applied")
        return Pod(name, process, ports["port"], ports["admin_port"])

    async def introduce(self, *pods: Pod) -> None:
        for pod in pods:
            others = name_peers(one.address for one in pods if one is not pod)
            target = f"/-/evidence?since=&peers={others}"
            headers = ask(KEY, pod=pod.name, method="GET", target=target, nonce=secrets.token_hex(16))
            url = URL(f"http://127.0.0.1:{pod.admin_port}{target}", encoded=True)
            async with self.http.get(url, headers=headers) as response:
                assert response.status == 200

    async def say(self, talk: Talk, pod: Pod) -> None:
        """The next turn, of equal words in all conversations."""
        talk.messages.append({"role": "user", "content": "Go on."})
        async with self.http.post(f"http://127.0.0.1:{pod.port}/v1/messages", json={"messages": talk.messages}) as one:
            assert one.status == 200
            talk.revisions.append(one.headers["x-claude-revision"])
            talk.messages.append({"role": "assistant", "content": (await one.json())["content"]})

    async def say_all(self, talks: Sequence[Talk], pods: Sequence[Pod]) -> None:
        for number, talk in enumerate(talks):
            await self.say(talk, pods[number % len(pods)])

    async def gauge(self, pod: Pod, name: str) -> float:
        async with self.http.get(f"http://127.0.0.1:{pod.admin_port}/metrics") as response:
            [line] = [one for one in (await response.text()).splitlines() if one.startswith(f"claude_gateway_{name} ")]
        return float(line.split()[1])

    async def know(self, pods: Sequence[Pod], count: int) -> None:
        """Wait until each knows so many conversations, and that these are all."""
        for pod in pods:

            async def knows(pod: Pod = pod) -> bool:
                complete = await self.gauge(pod, "conversations_complete_timestamp_seconds")
                return bool(complete) and await self.gauge(pod, "known_conversations") >= count

            await until(knows)

    async def heard(self, pods: Sequence[Pod], talks: Sequence[Talk]) -> None:
        """Wait until nothing that was said is on its way any more."""

        async def quiet() -> bool:
            seen = [await self.known_quotes(pod) for pod in pods]
            return all(one == seen[0] for one in seen) and len(seen[0]) >= sum(len(one.revisions) for one in talks)

        await until(quiet)

    async def known_quotes(self, pod: Pod) -> set[str]:
        target = "/-/conversations"
        headers = ask(KEY, pod=pod.name, method="GET", target=target, nonce=secrets.token_hex(16))
        async with self.http.get(f"http://127.0.0.1:{pod.admin_port}{target}", headers=headers) as response:
            return {quote for known in (await response.json()).get("known", []) for quote in known[7]}


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    answers = iter(range(10**6))

    async def script(_: Recorded, play: Playback) -> None:
        """No two answers are alike."""
        said = {**MESSAGE, "content": [{"type": "text", "text": f"Answer {next(answers)}"}]}
        data = json.dumps(said).encode()
        await play.head(content_type="application/json", content_length=str(len(data)))
        await play.raw(data)

    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(recording_upstream(script))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Fleet(tmp_path, upstream.url, stack, http)


async def test_conversations_stay_on_their_arm_over_processes_that_come_and_go(fleet: Fleet) -> None:
    fleet.write(make_arm())
    one, two = [await fleet.start(name) for name in ("gw-1", "gw-2")]
    await fleet.introduce(one, two)
    fleet.weigh(3000)
    for pod in (one, two):
        await pod.process.line("config applied")
    talks = [Talk() for _ in range(TALKS)]
    await fleet.say_all(talks, [one, two])
    assert {talk.revisions[0] for talk in talks} == {STABLE, CANARY}
    await fleet.heard([one, two], talks)
    await fleet.say_all(talks, [two, one])  # the second turn of each comes to the other process
    assert all(talk.stayed for talk in talks)

    await fleet.heard([one, two], talks)
    one.process.process.kill()
    await one.process.process.wait()
    await fleet.say_all(talks, [two])
    assert all(talk.stayed for talk in talks)

    fleet.weigh(9000)  # most of stable's would be the canary's if they were drawn again
    await two.process.line("config applied")
    three = await fleet.start("gw-3")
    assert await fleet.gauge(three, "conversations_complete_timestamp_seconds") == 0
    await fleet.introduce(two, three)
    await fleet.know([two, three], TALKS)
    await fleet.say_all(talks, [three])
    assert all(talk.stayed for talk in talks)

    await fleet.heard([two, three], talks)
    two.process.process.terminate()  # it hands over, and three is the last one
    await two.process.line("stopped")
    assert await two.process.process.wait() == 0
    await fleet.say_all(talks, [three])
    assert all(talk.stayed for talk in talks)
    late = [Talk() for _ in range(TALKS)]
    await fleet.say_all(late, [three])
    assert sum(talk.revisions[0] == CANARY for talk in late) > TALKS / 2  # new ones are drawn by the new weight


async def test_a_process_that_hangs_holds_up_nobody_and_learns_when_it_goes_on(fleet: Fleet) -> None:
    fleet.write(make_arm())
    one, two, three = [await fleet.start(name) for name in ("gw-1", "gw-2", "gw-3")]
    await fleet.introduce(one, two, three)
    fleet.weigh(3000)
    for pod in (one, two, three):
        await pod.process.line("config applied")
    two.process.process.send_signal(signal.SIGSTOP)
    talks = [Talk() for _ in range(TALKS)]
    await fleet.say_all(talks, [one])
    await fleet.heard([one, three], talks)
    await fleet.say_all(talks, [three])
    two.process.process.send_signal(signal.SIGCONT)
    await fleet.heard([one, two, three], talks)
    await fleet.say_all(talks, [two])
    assert all(talk.stayed for talk in talks)


async def test_a_single_replica_hands_over_to_the_one_that_replaces_it(fleet: Fleet) -> None:
    fleet.write(make_arm())
    old = await fleet.start("gw-old")
    await fleet.introduce(old)
    fleet.weigh(5000)
    await old.process.line("config applied")
    talks = [Talk() for _ in range(TALKS)]
    await fleet.say_all(talks, [old])
    new = await fleet.start("gw-new")  # nobody has told either of the other
    old.process.process.terminate()  # no call is in flight, yet nobody knows what it knows
    await old.process.line("draining")
    await fleet.introduce(old, new)
    await old.process.line("stopped")
    assert not [line for line in old.process.lines if line["message"].startswith("no peer has taken over")]
    await fleet.know([new], TALKS)
    await fleet.say_all(talks, [new])
    assert all(talk.stayed for talk in talks)
