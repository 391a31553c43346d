"""What a gateway process knows of conversations, and what it tells the others."""

from __future__ import annotations

import tracemalloc
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_operator.api.conversations import MOST, KnownConversation
from claude_operator.gateway.conversation_memory import (
    BEFORE,
    LIMIT,
    QUOTES,
    Conversation,
    ConversationMemory,
    Drawn,
)

ERA = Drawn(5, "canary", 100)

some_known = st.lists(
    st.builds(
        KnownConversation,
        digest=st.sampled_from([f"{number:032x}" for number in range(3)]),
        revision=st.sampled_from(["stable", "canary"]),
        era=st.integers(0, 2),
        moved=st.booleans(),
        bad=st.lists(st.sampled_from(["error", "refusal"]), unique=True),
        quotes=st.lists(st.sampled_from([f"{number:016x}" for number in range(4)]), unique=True),
        counted=st.integers(0, 7),
        step=st.integers(0, 2),
        failed=st.lists(st.sampled_from(["1", "2", "3"]), unique=True),
    ),
    max_size=6,
)


def begin(
    memory: ConversationMemory, digest: int, revision: str, drawn: Drawn = ERA, shared: bool = True
) -> Conversation:
    known = memory.make(digest, revision, drawn)
    known.shared = shared
    memory.keep(known)
    return known


def state(memory: ConversationMemory) -> list[tuple[object, ...]]:
    """All that is told of the conversations, whatever the order in which it became known."""
    return [
        (
            one.digest,
            one.revision,
            one.era,
            one.moved,
            one.counted,
            one.step,
            *map(set, (one.bad, one.quotes, one.failed)),
        )
        for one in memory.pages().known
    ]


@given(some_known, st.randoms(use_true_random=False))
def test_what_processes_know_is_united_in_any_order_and_as_often_as_it_comes(
    known: list[KnownConversation], random: object
) -> None:
    one, other = ConversationMemory(), ConversationMemory()
    one.learn(known)
    shuffled = [*known, *known]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for each in shuffled:
        other.learn([each])
    assert state(one) == state(other)
    for quote in range(4):
        found, again = one.quoted(quote), other.quoted(quote)
        assert (found is None) == (again is None)
        if found and again:
            assert (found.conversation is None) == (again.conversation is None)


def test_another_process_learns_what_changes() -> None:
    one, other = ConversationMemory(), ConversationMemory()
    assert one.outgoing() == []
    begun = begin(one, 1, "canary")
    begin(one, 2, "stable", BEFORE, shared=False)
    assert one.changed.is_set()
    other.learn(one.outgoing())
    assert not one.changed.is_set() and len(other) == 1
    one.quote(begun, 7)
    one.go_bad(begun, "error")
    one.fail(begun, 3)
    (told,) = one.outgoing()
    other.learn([told])
    found = other.quoted(7)
    assert found is not None and found.conversation is not None
    assert (found.revision, found.conversation.drawn) == ("canary", ERA)
    assert not other.go_bad(found.conversation, "error") and other.go_bad(found.conversation, "refusal")
    assert other.fail(found.conversation, 4) == 2
    one.move(begun, "stable")
    other.learn(one.outgoing())
    assert (found.conversation.revision, found.conversation.moved, found.conversation.failed) == ("stable", True, ())
    assert one.outgoing() == []


def test_what_was_learnt_is_not_told_again() -> None:
    memory = ConversationMemory()
    memory.outgoing()
    memory.learn([KnownConversation("0" * 32, "canary", 5)])
    assert memory.outgoing() == [] and len(memory.pages().known) == 1


def test_all_is_told_in_pages_and_news_in_batches() -> None:
    memory, other = ConversationMemory("boot"), ConversationMemory()
    memory.outgoing()
    for number in range(MOST + 10):
        begin(memory, number, "stable")
    first = memory.pages()
    assert (len(first.known), first.more, first.boot_id, first.complete) == (MOST, True, "boot", True)
    second = memory.pages(first.known[-1].digest)
    assert (len(second.known), second.more) == (10, False)
    other.learn([*second.known, *first.known])
    assert len(other) == len(memory)
    assert len(memory.outgoing()) == MOST and memory.changed.is_set()
    assert len(memory.outgoing()) == 10 and not memory.changed.is_set()


@pytest.mark.parametrize("digest", ["", "12", "x" * 32])
def test_what_is_no_digest_is_refused(digest: str) -> None:
    with pytest.raises(ValueError):
        ConversationMemory().learn([KnownConversation(digest, "stable")])


def test_an_answer_that_conversations_of_one_arm_share_tells_the_arm_and_of_several_nothing() -> None:
    memory = ConversationMemory()
    one, two, three = (begin(memory, number, "stable") for number in range(3))
    other = begin(memory, 3, "canary")
    memory.quote(one, 7)
    assert memory.quoted(7) == (one, "stable")
    memory.quote(two, 7)
    assert memory.quoted(7) == (None, "stable")
    memory.quote(other, 7)
    assert memory.quoted(7) == (None, "")
    memory.quote(three, 7)
    assert memory.quoted(7) == (None, "")


def test_the_first_and_the_newest_answers_of_a_conversation_are_kept() -> None:
    memory = ConversationMemory()
    long = begin(memory, 1, "stable")
    for quote in range(200):
        memory.quote(long, quote)
    assert memory.quoted(0) and memory.quoted(199) and memory.quoted(140)
    assert memory.quoted(1) is None


def test_the_conversation_that_was_heard_of_longest_ago_is_forgotten_first() -> None:
    memory = ConversationMemory(limit=2)
    begin(memory, 1, "stable")
    memory.quote(begin(memory, 2, "stable"), 7)
    assert memory.find(1)
    begin(memory, 3, "stable")
    assert memory.find(2) is None and memory.quoted(7) is None and memory.find(1)


def test_fifty_thousand_conversations_take_less_than_forty_megabytes() -> None:
    numbers = count(1 << 100)
    tracemalloc.start()
    try:
        memory = ConversationMemory()
        for _ in range(LIMIT + 1000):
            known = begin(memory, next(numbers), "stable")
            for _ in range(3):
                memory.quote(known, (1 << 63) + next(numbers) % (1 << 60))
            memory.go_bad(known, "error")
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(memory) == LIMIT and len(memory._quotes) <= QUOTES
    assert used < 36 * 2**20, used / 2**20


def test_those_on_the_home_arm_are_forgotten_first() -> None:
    memory = ConversationMemory(limit=3)
    memory.live_at("stable")
    rescued = begin(memory, 1, "canary")
    begin(memory, 2, "canary")
    for digest in range(10, 40):
        begin(memory, digest, "stable")
    assert memory.find(1) and memory.find(2) and memory.find(39) and memory.find(38) is None
    memory.move(rescued, "stable")
    memory.find(1)
    memory.find(39)
    begin(memory, 40, "stable")
    assert memory.find(1) is None and memory.find(2)
    assert not memory.forgot_some
    for digest in range(50, 53):
        begin(memory, digest, "canary")
    assert memory.find(2) is None and memory.forgot_some and len(memory) == 3


def test_a_conversation_that_changes_its_arm_unheard_is_not_forgotten_as_one_of_home() -> None:
    memory = ConversationMemory(limit=2)
    memory.live_at("stable")
    begin(memory, 1, "stable").revision = "canary"
    begin(memory, 2, "stable")
    begin(memory, 3, "stable")
    assert memory.find(1) and memory.find(2) is None and not memory.forgot_some
    memory.live_at("canary")
    begin(memory, 4, "stable")
    assert memory.find(1) is None and memory.find(3) and not memory.forgot_some


def test_where_those_of_home_are_forgotten_their_like_elsewhere_are_compared_no_longer() -> None:
    memory = ConversationMemory(limit=4)
    memory.live_at("stable")
    old = begin(memory, 1, "canary")
    begin(memory, 2, "stable")
    young = begin(memory, 3, "canary")
    begin(memory, 4, "stable")
    begin(memory, 5, "stable")
    assert memory.find(2) is None
    assert memory.find(1) is old and memory.find(3) is young
    assert (old.revision, old.drawn, old.moved, young.drawn) == ("canary", BEFORE, False, ERA)


def test_an_answer_of_a_conversation_that_was_forgotten_and_learnt_anew_is_its_own() -> None:
    memory = ConversationMemory(limit=3)
    old = begin(memory, 7, "stable")
    for digest in range(100, 104):
        begin(memory, digest, "stable")
    memory.quote(old, 98)
    assert memory.quoted(98) is None  # it is not known
    memory.learn([KnownConversation(f"{7:032x}", "stable")])
    memory.quote(old, 99)
    assert memory.quoted(99) == (memory.find(7), "stable")
    for digest in range(200, 204):
        begin(memory, digest, "stable")
    assert memory.quoted(99) is None
