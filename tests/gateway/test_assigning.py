"""A conversation stays on the arm that it began on, whatever the weights are now."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from tests.gateway.harness import CANARY, STABLE, Gateway, make_arm
from tests.gateway.pod import Clock, Pod
from tests.gateway.transcripts import Client, Talkative, talk
from tests.simulator.harness import running_simulator

from claude_operator.api.evidence import Evidence, parse_evidence
from claude_operator.api.gateway import Arm, Assigning
from claude_operator.gateway import eras

MODEL = "claude-sonnet-5-5"
STREAMS = [{}, {"stream": True}]
KINDS: list[dict[str, Any]] = [{}, {"thinking": {"type": "enabled"}}, {"tools": [{"name": "look"}]}]


@pytest.fixture
def upstream(gateway: Gateway) -> Talkative:
    gateway.upstream.script = talkative = Talkative()
    return talkative


def two(weight: int = 5000, role: Any = "stable") -> list[Arm]:
    return [make_arm(STABLE, role, 10_000 - weight), make_arm(CANARY, "canary", weight, request={"model": MODEL})]


def promoted(former: bool = True) -> list[Arm]:
    stable = make_arm(CANARY, "stable", 10_000, request={"model": MODEL})
    return [make_arm(STABLE, "former", 0), stable] if former else [stable]


def crowd(gateway: Gateway, number: int = 40, **fields: Any) -> list[Client]:
    return [Client(gateway, fields=fields) for _ in range(number)]


@dataclass
class Units:
    """Of all cache states together."""

    entries: int = 0
    first_bad: Counter[str] = field(default_factory=Counter)


async def units(gateway: Gateway) -> dict[tuple[int, str, str, str], Units]:
    """By era, revision, surface and period."""
    found: dict[tuple[int, str, str, str], Units] = defaultdict(Units)
    for each in (await read(gateway)).generations:
        for unit in each.units:
            sums = found[each.generation, unit.revision, unit.surface, unit.period]
            sums.entries += unit.counters.entries
            sums.first_bad += Counter(unit.counters.first_bad)
    return dict(found)


async def read(gateway: Gateway) -> Evidence:
    return parse_evidence(await gateway.read("/-/evidence?since=&units=1"))


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_conversation_without_a_name_stays_while_weights_grow(
    gateway: Gateway, upstream: Talkative, stream: dict[str, Any], kind: dict[str, Any]
) -> None:
    clients = crowd(gateway, 24, **stream, **kind)
    for generation, weight in enumerate((3000, 6000, 9000), 2):
        gateway.serve(*two(weight), generation=generation)
        await talk(clients, 2)
    assert all(len(set(client.arms)) == 1 for client in clients)
    assert {client.arms[0] for client in clients} == {"stable", "canary"}
    counted = await units(gateway)
    assert sum(each.entries for (era, _, _, period), each in counted.items() if (era, period) == (2, "opening")) == 24
    assert sum(each.entries for (_, _, _, period), each in counted.items() if period == "early") == 24
    assert {(era, surface) for era, _, surface, _ in counted} == {(2, "other")}


async def test_equal_words_of_many_people_are_many_conversations(gateway: Gateway, upstream: Talkative) -> None:
    upstream.words = "How can I help?"
    gateway.serve(*two(5000), generation=2)
    shared = {"metadata": {"user_id": "tenant"}}
    clients = crowd(gateway, 40, **shared)
    await talk(clients)
    first = [client.arms[0] for client in clients]
    assert set(first) == {"stable", "canary"}
    counted = await units(gateway)
    assert sum(each.entries for each in counted.values()) == 40
    await talk(clients)  # nobody can tell whose second turn this is
    assert sum(each.entries for (_, _, surface, _), each in (await units(gateway)).items() if surface == "other") == 40


async def test_first_turns_without_a_name_are_in_no_list_of_bad_conversations(
    gateway: Gateway, upstream: Talkative
) -> None:
    gateway.serve(*two(5000), generation=2)
    clients = crowd(gateway, 10)
    upstream.failing = {MODEL, "claude-opus-5-5"}
    await talk(clients)
    assert (await read(gateway)).bad == []
    upstream.failing = set()
    await talk(clients)
    upstream.failing = {MODEL, "claude-opus-5-5"}
    await talk(clients)
    assert len((await read(gateway)).bad) == 10


async def test_one_user_id_for_everybody_is_split_by_the_weight(gateway: Gateway, upstream: Talkative) -> None:
    gateway.serve(*two(2000), generation=2)
    await talk(crowd(gateway, 300, metadata={"user_id": "tenant"}))
    entries = {revision: each.entries for (_, revision, _, _), each in (await units(gateway)).items()}
    assert entries[STABLE] + entries[CANARY] == 300
    assert 24 <= entries[CANARY] <= 100  # 60 ± 5 standard deviations


async def test_a_named_conversation_stays_while_weights_grow(gateway: Gateway, upstream: Talkative) -> None:
    clients = [Client(gateway, {"x-claude-session-id": f"s{number}"}) for number in range(24)]
    for generation, weight in enumerate((3000, 6000, 9000), 2):
        gateway.serve(*two(weight), generation=generation)
        await talk(clients, 2)
    assert all(len(set(client.arms)) == 1 for client in clients)
    assert {client.arms[0] for client in clients} == {"stable", "canary"}


@pytest.mark.parametrize("named", [False, True])
async def test_what_began_before_the_canary_stays_on_stable(gateway: Gateway, upstream: Talkative, named: bool) -> None:
    clients = [Client(gateway, {"x-claude-session-id": f"s{number}"} if named else {}) for number in range(12)]
    await talk(clients, 2)
    gateway.serve(*two(9000), generation=2)
    await talk(clients, 3)
    assert {arm for client in clients for arm in client.arms} == {"stable"}
    assert not [key for key in await units(gateway) if key[0] == 2]


async def test_regenerated_and_branched_turns_stay(gateway: Gateway, upstream: Talkative) -> None:
    gateway.serve(*two(5000), generation=2)
    for client in crowd(gateway, 12):
        arm = (await client.talk(3))[0]
        begun = client.messages
        for kept in (begun[:-1][:-1], begun[:2], begun[2:]):  # asked anew, another branch, a window that slides
            client.messages = kept
            assert await client.say("else") == arm


async def test_a_rollback_moves_the_canarys_conversations_and_blames_nobody(
    gateway: Gateway, upstream: Talkative
) -> None:
    gateway.serve(*two(5000), generation=2)
    clients = crowd(gateway, 24)
    await talk(clients, 2)
    gateway.serve(*two(0), generation=3)
    upstream.failing, upstream.status = {"claude-opus-5-5"}, "400 X"
    await talk(clients)
    assert {client.arms[-1] for client in clients} == {"stable"}
    assert {client.statuses[-1] for client in clients} == {400}
    staying = sum(client.arms[0] == "stable" for client in clients)
    assert 0 < staying < 24
    evidence = await read(gateway)
    assert evidence.recent is not None
    assert evidence.recent.failed == staying
    outcomes = [one.counters.outcomes for one in evidence.generations[-1].strata if one.revision == STABLE]
    assert sum(each.get("error", 0) for each in outcomes) == staying
    assert "moved" not in {surface for _, _, surface, _ in await units(gateway)}


@pytest.mark.parametrize("stream", STREAMS)
async def test_signed_thinking_meets_another_model_only_after_a_rollback(
    gateway: Gateway, upstream: Talkative, stream: dict[str, Any]
) -> None:
    fields = {"thinking": {"type": "enabled"}, "tools": [{"name": "look"}], **stream}
    clients = [
        Client(gateway, {"x-claude-session-id": f"s{number}"} if number % 2 else {}, fields, keeps_thinking=True)
        for number in range(24)
    ]
    await talk(clients[:4])
    served = [two(3000), two(6000), promoted(), [*promoted()[:1], *next_canary(5000)]]
    for generation, arms in enumerate(served, 2):
        gateway.serve(*arms, generation=generation)
        await talk(clients, 2)
    assert {status for client in clients for status in client.statuses} == {200}
    others = [Client(gateway, fields=fields, keeps_thinking=True) for _ in range(12)]
    await talk(others)
    gateway.serve(*promoted()[:1], *next_canary(0), generation=9)
    await talk([*clients, *others])
    assert {status for client in clients for status in client.statuses} == {200}
    assert {(client.arms[0], client.statuses[-1]) for client in others} == {("stable", 200), ("canary", 400)}
    recent = (await read(gateway)).recent
    assert recent is not None
    assert recent.failed == 0


def next_canary(weight: int) -> list[Arm]:
    """A rollout after the one that was promoted."""
    stable = make_arm(CANARY, "stable", 10_000 - weight, request={"model": MODEL})
    return [stable, make_arm("support-0000000000", "canary", weight, request={"model": "claude-haiku-5-5"})]


async def test_what_a_rollback_moved_is_told_apart(gateway: Gateway, upstream: Talkative) -> None:
    gateway.serve(*two(5000), generation=2)
    clients = crowd(gateway, 24)
    await talk(clients)
    gateway.serve(*two(0), generation=3)
    await talk(clients, 2)
    assert {arm for client in clients for arm in client.arms[1:]} == {"stable"}
    moved = sum(client.arms[0] == "canary" for client in clients)
    assert Counter(line["moved"] for line in (await gateway.lines(72))[24:]) == {
        True: 2 * moved,
        False: 2 * (24 - moved),
    }
    found = {key: each.entries for key, each in (await units(gateway)).items() if key[2] == "moved"}
    assert found == {(2, STABLE, "moved", "early"): moved}


async def test_after_a_promotion_conversations_stay_on_the_former_arm(gateway: Gateway, upstream: Talkative) -> None:
    before = crowd(gateway, 6)
    await talk(before)
    gateway.serve(*two(5000), generation=2)
    during = crowd(gateway, 24)
    await talk(during)
    gateway.serve(*promoted(), generation=3)
    after = crowd(gateway, 6)
    for clients in (before, during, after):
        await talk(clients, 2)
    assert {arm for client in before for arm in client.arms[1:]} == {"former"}
    assert {(client.arms[0], client.arms[2]) for client in during} == {("stable", "former"), ("canary", "stable")}
    assert {arm for client in after for arm in client.arms} == {"stable"}
    gateway.serve(*promoted(former=False), generation=4)
    await talk([*before, *during, *after])
    moved = 6 + sum(client.arms[0] == "stable" for client in during)
    counted = await units(gateway)
    assert sum(each.entries for (_, _, surface, _), each in counted.items() if surface == "moved") == moved


@pytest.mark.parametrize("rescue_after", [3, 0])
async def test_a_conversation_that_fails_on_the_canary_goes_back_to_stable(
    gateway: Gateway, upstream: Talkative, rescue_after: int
) -> None:
    upstream.failing = {MODEL}
    gateway.serve(*two(5000), generation=2, assignment=Assigning(rescue_after=rescue_after))
    clients = [Client(gateway, {"x-claude-session-id": f"s{number}"}) for number in range(16)]
    await talk(clients, 5)
    begun = [client for client in clients if client.arms[0] == "canary"]
    assert 0 < len(begun) < 16
    for client in begun:
        assert client.arms == ["canary"] * 3 + ["stable"] * 2 if rescue_after else ["canary"] * 5
    counted = await units(gateway)
    opening = counted[2, CANARY, "other", "opening"]
    assert opening.first_bad == {"error:0": len(begun)}
    assert ((2, STABLE, "moved", "early") in counted) == bool(rescue_after)


async def test_a_success_begins_the_row_of_failures_anew(gateway: Gateway, upstream: Talkative) -> None:
    gateway.serve(*two(10_000), generation=2)
    client = Client(gateway)
    for failing in (False, True, True, False, True, True, False):
        upstream.failing = {MODEL} if failing else set()
        await client.say()
    assert set(client.arms) == {"canary"}
    ((known),) = (each.first_bad for (_, _, _, period), each in (await units(gateway)).items() if period == "early")
    assert known == {"error:1": 1}


async def test_a_lost_memory_falls_back_to_the_hash_and_is_told_apart(gateway: Gateway, upstream: Talkative) -> None:
    gateway.serve(*two(5000), generation=2)
    gateway.service.control.store.memory.is_complete = False  # as in a process that began in mid-way
    clients = [
        Client(gateway, messages=[{"role": "user", "content": f"q{number}"}, {"role": "assistant", "content": "a"}])
        for number in range(16)
    ]
    await talk(clients, 3)
    assert all(len(set(client.arms)) == 1 for client in clients)
    assert {client.arms[0] for client in clients} == {"stable", "canary"}
    assert {surface for _, _, surface, _ in await units(gateway)} == {"moved"}


def test_a_process_that_begins_with_a_canary_does_not_know_all() -> None:
    pod = Pod()
    assert not pod.store.memory.is_complete
    pod.store.memory.complete()
    assert pod.store.memory.is_complete


async def test_every_request_is_its_own_unit(gateway: Gateway, upstream: Talkative) -> None:
    gateway.serve(*two(5000), generation=2, assignment=Assigning(unit="Request"))
    clients = [Client(gateway, {"x-claude-session-id": f"s{number}"}) for number in range(4)]
    await talk(clients, 10)
    assert any(len(set(client.arms)) == 2 for client in clients)
    counted = await units(gateway)
    assert {period for _, _, _, period in counted} == {"opening"}
    assert sum(each.entries for each in counted.values()) == 40


async def test_users_follow_the_weight_and_count_anew_in_each_era(gateway: Gateway, upstream: Talkative) -> None:
    clients = [Client(gateway, fields={"metadata": {"user_id": f"u{number}"}}) for number in range(30)]
    for generation, weight in enumerate((2000, 5000, 9000), 2):
        gateway.serve(*two(weight), generation=generation, assignment=Assigning(unit="User"))
        await talk(clients, 2)
    for client in clients:
        assert client.arms == sorted(client.arms, reverse=True)  # from stable to the canary, never back
    assert any(len(set(client.arms)) == 2 for client in clients)
    counted = await units(gateway)
    for era in (2, 3, 4):
        assert sum(each.entries for key, each in counted.items() if (key[0], key[3]) == (era, "opening")) == 30


async def test_a_pinned_conversation_is_not_compared(gateway: Gateway, upstream: Talkative) -> None:
    gateway.serve(*two(100), generation=2)
    client = Client(gateway, {"x-claude-session-id": "s", "x-claude-revision": CANARY})
    await client.talk(2)
    del client.headers["x-claude-revision"]
    await client.talk(2)
    assert set(client.arms) == {"canary"}
    assert {surface for _, _, surface, _ in await units(gateway)} == {"pinned"}


async def test_with_one_arm_no_answer_is_remembered(gateway: Gateway, upstream: Talkative) -> None:
    clients = crowd(gateway, 4)
    await talk(clients, 3)
    memory = gateway.service.control.store.memory
    assert not memory._quotes
    assert sum(each.entries for (_, _, _, period), each in (await units(gateway)).items() if period == "early") >= 1


def test_an_hour_after_the_last_canary_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    pod = Pod(clock)
    assert pod.store.eras.watches
    pod.store.eras.enter(single(pod, STABLE))
    clock.now += eras.AFTERWARDS - 1.0
    assert pod.store.eras.watches
    clock.now += 1.0
    assert not pod.store.eras.watches
    assert pod.store.memory.is_complete


def test_where_stable_is_replaced_at_once_its_conversations_are_told_apart_for_an_hour() -> None:
    clock = Clock()
    pod = Pod(clock)
    pod.start()
    for _ in range(2):
        pod.store.eras.enter(single(pod, STABLE))
        assert not pod.store.eras.watches
    for _ in range(3):  # a config that changes nothing of the arms does not begin the hour again
        pod.store.eras.enter(single(pod, CANARY))
        assert (pod.store.eras.watches, pod.store.eras.home) == (True, STABLE)
        clock.now += eras.AFTERWARDS / 3
    assert (pod.store.eras.watches, pod.store.eras.home) == (False, CANARY)


def single(pod: Pod, revision: str) -> Any:
    return msgspec.structs.replace(pod.live.config, generation=9, arms=[make_arm(revision)])


@pytest.mark.parametrize("seed", range(3))
async def test_labels_come_as_often_as_the_weight_says(gateway: Gateway, upstream: Talkative, seed: int) -> None:
    weight = random.Random(seed).choice([1000, 3000, 5000])
    gateway.serve(*two(weight), generation=2)
    await talk(crowd(gateway, 150))
    entries = {revision: each.entries for (_, revision, _, _), each in (await units(gateway)).items()}
    share, spread = weight / 10_000, (weight / 10_000 * (1 - weight / 10_000) / 150) ** 0.5
    assert abs(entries[CANARY] / 150 - share) < 5 * spread


@pytest.mark.parametrize("named", [False, True])
async def test_turns_that_a_client_makes_up_choose_no_arm_that_counts(
    gateway: Gateway, upstream: Talkative, named: bool
) -> None:
    gateway.serve(*two(5000), generation=2)
    clients = [Client(gateway, {"x-claude-session-id": f"s{number}"} if named else {}) for number in range(12)]
    for number, client in enumerate(clients):
        client.messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": f"made up {number}"}]
    await talk(clients, 3)
    assert {arm for client in clients for arm in client.arms} == {"stable"}
    assert not await units(gateway)


@pytest.mark.parametrize("named", [False, True])
async def test_examples_that_a_client_has_written_are_no_turns(
    gateway: Gateway, upstream: Talkative, named: bool
) -> None:
    examples = [{"role": "user", "content": "2 + 2"}, {"role": "assistant", "content": "4"}]
    gateway.serve(*two(5000), generation=2)
    clients = [Client(gateway, {"x-claude-session-id": f"s{number}"} if named else {}) for number in range(60)]
    for number, client in enumerate(clients):
        client.messages = examples
        await client.say(f"{number} + {number}")
        await client.say()
    assert {client.arms[0] for client in clients[:20]} == {"stable"}
    assert {client.arms[0] for client in clients[20:]} == {"stable", "canary"}
    assert all(len(set(client.arms)) == 1 for client in clients)
    counted = await units(gateway)
    assert sum(each.entries for (_, _, _, period), each in counted.items() if period == "opening") == 40


async def test_conversations_with_the_simulator_stay(gateway: Gateway) -> None:
    async with running_simulator() as api:
        gateway.serve(*two(3000), generation=2, url=api.url)
        clients = [Client(gateway, fields={"max_tokens": 50, **STREAMS[number % 2]}) for number in range(20)]
        for generation in (3, 4, 5):
            for number, client in enumerate(clients):
                await client.say(f"{number} says something in {generation}")
            gateway.serve(*two(3000 * (generation - 1)), generation=generation, url=api.url)
        for client in clients:
            assert len(set(client.arms)) == 1
        assert {client.arms[0] for client in clients} == {"stable", "canary"}


async def test_a_former_arm_that_goes_begins_no_era(gateway: Gateway, upstream: Talkative) -> None:
    """The end of a drain, in the midst of the next rollout, draws no conversation otherwise."""
    former = make_arm("support-former", "former", 0, request={"model": MODEL})
    gateway.serve(*two(5000), former, generation=2)
    await talk(crowd(gateway, 10))
    gateway.serve(*two(5000), generation=3)
    await talk(crowd(gateway, 10))
    assert {era for era, *_ in await units(gateway)} == {2}
