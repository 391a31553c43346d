"""What holds for any conversations, over any number of processes that tell one another what they know."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.harness import CANARY, STABLE, make_arm
from tests.gateway.speakers import Process, Speaker, arms, tell

from claude_operator.api.evidence import MOVED

EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, 5), st.integers(0, 1), st.sampled_from(["ok", "ok", "error"])),
        st.tuples(st.just("grow"), st.integers(1, 2000)),
        st.tuples(st.just("new"), st.booleans()),
    ),
    max_size=60,
)


def processes(number: int = 2) -> list[Process]:
    made = [Process(random=random.Random(seed)) for seed in range(number)]
    for each in made:
        each.run(1, make_arm())
        each.store.memory.outgoing()
    return made


@settings(deadline=None, max_examples=50)
@given(EVENTS, st.integers(0, 2**32))
def test_a_conversation_keeps_its_arm_while_weights_grow_and_counts_once(events: list[Any], seed: int) -> None:
    pods, weight, generation = processes(), 0, 1
    speakers = [Speaker(f"{seed}-first-{number}", bool(number % 2)) for number in range(4)]
    for speaker in speakers:
        speaker.say(pods[0])  # before there was a canary
    before = list(speakers)
    for event in [("grow", 1000), *events]:
        if event[0] == "grow":
            weight, generation = min(weight + event[1], 9_999), generation + 1
            for pod in pods:
                pod.run(generation, *arms(weight))
        elif event[0] == "new":
            speakers.append(Speaker(f"{seed}-{len(speakers)}", event[1]))
            speakers[-1].say(pods[0])
        else:
            speakers[event[1] % len(speakers)].say(pods[event[2]], event[3])
        tell(*pods)
    ones = [speaker for speaker in speakers if len(set(speaker.revisions)) > 1]
    for speaker in ones:  # only those that failed three times in a row on the canary
        assert (speaker.revisions[-1], Counter(speaker.revisions)[CANARY] >= 3) == (STABLE, True)
    assert all(speaker.revisions[0] == STABLE for speaker in before if speaker.named)
    units = [one for pod in pods for found in pod.units().values() for one in found if one.surface != MOVED]
    entries = Counter(dict.fromkeys(("opening", "early", "late"), 0))
    for one in units:
        entries[one.period] += one.counters.entries
    assert entries["opening"] <= len(speakers)
    assert entries["early"] + entries["late"] <= 2 * len(speakers)
    bad = sum(sum(one.counters.first_bad.values()) for one in units)
    assert bad <= len(speakers)


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, 7), st.integers(0, 1), st.sampled_from(["ok", "ok", "error"])),
        st.tuples(st.just("new"), st.booleans()),
        st.sampled_from([("canary", 0), ("grow", 0), ("back", 0), ("promote", 0), ("promote", 1), ("drained", 0)]),
    ),
    max_size=60,
)


@dataclass
class Rollouts:
    """One rollout after the other, as the operator writes them."""

    stable: int = 0
    canary: int | None = None
    weight: int = 0
    former: int | None = None
    generation: int = 1

    def go_on(self, what: str, keep: int) -> None:
        if what == "canary" and self.canary is None:
            self.canary, self.weight = self.generation, 3000
        elif what == "grow" and self.canary is not None:
            self.weight = min(self.weight + 3000, 10_000)
        elif what == "back":
            self.canary = None
        elif what == "promote" and self.canary is not None:
            self.former, self.stable, self.canary = self.stable if keep else None, self.canary, None
        elif what == "drained":
            self.former = None
        self.generation += 1

    @property
    def arms(self) -> list[Any]:
        weight = self.weight if self.canary is not None else 0
        arms = [make_arm(f"support-{self.stable:010}", weight=10_000 - weight)]
        if self.canary is not None:
            arms.append(make_arm(f"support-{self.canary:010}", "canary", weight))
        if self.former is not None:
            arms.append(make_arm(f"support-{self.former:010}", "former", 0))
        return arms


@settings(deadline=None, max_examples=80)
@given(CHANGES, st.integers(0, 2**32))
def test_whoever_changes_arm_is_told_apart_whatever_the_rollouts_do(changes: list[Any], seed: int) -> None:
    pods, rollouts = processes(), Rollouts()
    speakers = [Speaker(f"{seed}-first-{number}", bool(number % 2)) for number in range(4)]
    for pod in pods:
        pod.run(1, *rollouts.arms)
    for speaker in speakers:
        speaker.say(pods[0])
    for what, *more in changes:
        if what == "new":
            speakers.append(Speaker(f"{seed}-{len(speakers)}", more[0]))
        elif what == "say":
            speaker = speakers[more[0] % len(speakers)]
            before, goes_on = speaker.revisions[-1:], speaker.named or speaker.messages
            call = speaker.say(pods[more[1]], more[2])
            assert call.moved or not goes_on or before in ([], [call.revision])
            assert call.role != "canary" or rollouts.weight
        else:
            rollouts.go_on(what, *more)
            for pod in pods:
                pod.run(rollouts.generation, *rollouts.arms)
        tell(*pods)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("weight", [100, 1000, 5000])
def test_of_the_conversations_that_go_bad_the_weight_is_the_canarys(weight: int, named: bool) -> None:
    """However they differ, whenever it happens and wherever they are answered."""
    pods, chance = processes(3), random.Random(weight)
    for pod in pods:
        pod.run(2, *arms(weight))
    total = 1200
    for number in range(total):
        speaker = Speaker(f"s{number}", named)
        for _ in range(1 if number % 3 else chance.randrange(4)):
            speaker.say(pods[0])
            tell(*pods)
        for _ in range(2):
            speaker.say(chance.choice(pods), "error")
            tell(*pods)
    first: Counter[str] = Counter()
    for pod in pods:
        for one in pod.units()[2]:
            assert one.surface != MOVED
            first[one.revision] += sum(one.counters.first_bad.values())
    drawn = sum(first.values())
    # An unnamed conversation that fails at once has no second turn: each attempt is a conversation of its own.
    assert drawn == total if named else drawn >= total
    share = weight / 10_000
    assert abs(first[CANARY] - drawn * share) < 5 * math.sqrt(drawn * share * (1 - share))


def test_a_conversation_that_a_peer_has_counted_is_not_counted_again() -> None:
    one, other = processes()
    for pod in (one, other):
        pod.run(2, *arms(5000))
    speaker = Speaker("s", named=False)
    speaker.say(one)
    speaker.say(one)
    tell(one, other)
    speaker.say(other)
    speaker.say(other, "error")
    tell(one, other)
    speaker.say(one, "error")
    found = [unit for pod in (one, other) for unit in pod.units().get(2, ())]
    assert sum(unit.counters.entries for unit in found) == 2
    assert [bad for unit in found for bad in unit.counters.first_bad.items()] == [("error:2", 1)]


def test_nothing_of_a_clients_words_is_kept_or_told() -> None:
    (pod,) = processes(1)
    pod.run(2, *arms(5000))
    for named in (False, True):
        for number in range(10):
            speaker = Speaker(f"SENTINEL{number}", named)
            for _ in range(3):
                speaker.say(pod)
    told = msgspec.json.encode([pod.store.memory.pages(), pod.store.memory.outgoing()])
    assert len(pod.store.memory) == 20
    assert b"SENTINEL" not in told
    assert b"Hi" not in told
    (other,) = processes(1)
    other.run(2, *arms(5000))
    speaker = Speaker("SENTINEL0", named=True)
    speaker.say(other)
    assert {one.digest for one in pod.store.memory} > {one.digest for one in other.store.memory}


def test_failures_in_a_row_add_up_over_processes() -> None:
    pods = processes(3)
    for pod in pods:
        pod.run(2, *arms(9999))
    speaker = Speaker("s", named=True)
    for pod in pods:
        speaker.say(pod, "error")
        tell(*pods)
    assert speaker.revisions == [CANARY] * 3
    assert [speaker.say(pod).revision for pod in pods] == [STABLE] * 3


def test_a_process_that_began_in_mid_way_learns_from_a_peer() -> None:
    one = processes(1)[0]
    one.run(2, *arms(5000))
    speakers = [Speaker(f"s{number}", bool(number % 2)) for number in range(20)]
    for speaker in speakers:
        speaker.say(one)
    young = Process()
    young.run(2, *arms(5000))
    assert not young.store.memory.is_complete
    page = one.store.memory.pages()
    young.store.memory.learn(page.known)
    assert page.complete
    young.store.memory.complete()
    for speaker in speakers:
        speaker.say(young)
    assert all(len(set(speaker.revisions)) == 1 for speaker in speakers)
    assert {speaker.revisions[0] for speaker in speakers} == {STABLE, CANARY}


@pytest.mark.parametrize("named", [False, True])
def test_however_many_conversations_come_those_of_the_canary_stay(named: bool) -> None:
    (pod,) = processes(1)
    pod.store.memory._limit = 200
    pod.run(2, *arms(1000))
    speakers = [Speaker(f"s{number}", named) for number in range(150)]
    others = [Speaker(f"other{number}", named) for number in range(500)]
    for speaker in [*speakers, *others]:
        speaker.say(pod)
    for speaker in speakers:
        speaker.say(pod)
        assert speaker.revisions[0] == speaker.revisions[1]
    assert {speaker.revisions[0] for speaker in speakers} == {STABLE, CANARY}


@pytest.mark.parametrize("named", [False, True])
def test_who_may_have_been_forgotten_on_the_canary_may_have_moved(named: bool) -> None:
    (pod,) = processes(1)
    pod.store.memory._limit = 50
    pod.run(2, *arms(5000))
    speakers = [Speaker(f"s{number}", named) for number in range(300)]
    for speaker in speakers:
        speaker.say(pod)
    for speaker in speakers:
        call = speaker.say(pod)
        assert call.moved or speaker.revisions[0] == call.revision
    assert len({tuple(speaker.revisions) for speaker in speakers}) == 3


def test_calls_with_a_key_that_the_upstream_refuses_make_nobody_forgotten() -> None:
    (pod,) = processes(1)
    pod.run(2, *arms(5000))
    speaker = Speaker("s", named=True, key="good")
    speaker.say(pod)
    for number in range(10):
        call = pod.begin_call([{"role": "user", "content": "x"}], session=f"s{number}", key="bad")
        pod.end_call(call, "error", error="authentication_error")
    assert len(pod.store.memory) == 1
    pod.begin_call([{"role": "user", "content": "x"}], session="while it waits", key="good")
    assert len(pod.store.memory) == 2


def test_a_client_whose_first_calls_fail_is_taken_off_the_canary() -> None:
    (pod,) = processes(1)
    pod.run(2, *arms(9999))
    speaker = Speaker("s", named=True, key="good")
    for _ in range(4):
        speaker.say(pod, "error")
    assert speaker.revisions == [CANARY] * 3 + [STABLE]


def test_two_first_calls_of_one_conversation_at_once_are_one() -> None:
    (pod,) = processes(1)
    pod.run(2, *arms(5000))
    calls = [pod.begin_call([{"role": "user", "content": "x"}], session="s", key="good") for _ in range(2)]
    for call in calls:
        pod.end_call(call)
    assert calls[0].known is calls[1].known
    assert sum(unit.counters.entries for unit in pod.units()[2]) == 1


@pytest.mark.parametrize("named", [False, True])
def test_a_conversation_from_before_that_asks_the_same_again_and_again_stays(named: bool) -> None:
    (pod,) = processes(1)
    pod.run(2, *arms(9999))
    begun = [{"role": "user", "content": "task"}, {"role": "assistant", "content": "plan"}]
    session = "s" if named else ""
    other = f"other {named}"
    for number in range(40):
        question = {"role": "user", "content": "go on" if number % 2 else "are you there?"}
        assert pod.call([*begun, question], outcome="error", session=session and f"{session}{number}").role == "stable"
        retried = [*begun[:1], {"role": "assistant", "content": other}, {"role": "user", "content": f"{number}"}]
        assert pod.call(retried, attempt="1", session=session and f"{session}r{number}").role == "stable"


@pytest.mark.parametrize("named", [False, True])
def test_a_conversation_whose_client_renews_its_key_may_have_moved(named: bool) -> None:
    (pod,) = processes(1)
    pod.run(2, *arms(5000))
    changed = 0
    for number in range(40):
        speaker = Speaker(f"s{number}", named, key="old")
        speaker.say(pod)
        speaker.key = "new"
        calls = [speaker.say(pod) for _ in range(2)]
        assert {call.moved for call in calls} == {True}
        assert len(set(speaker.revisions[1:])) == 1
        changed += speaker.revisions[0] != speaker.revisions[1]
    assert changed
    units = [unit for found in pod.units().values() for unit in found if unit.surface != MOVED]
    assert sum(unit.counters.entries for unit in units) == 40
