"""Conversations are counted, not only requests: each once, and each bad one seldom again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.harness import CANARY, STABLE, Gateway
from tests.gateway.pod import Clock, Pod
from tests.gateway.upstream import MESSAGE, json_answer

from claude_operator.api.evidence import BAD_KINDS, PINNED
from claude_operator.gateway import conversations
from claude_operator.gateway.conversations import Conversations, bad_kind

WRITE = {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 9}
READ = {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 9}


def test_requests_that_name_no_conversation_are_counted() -> None:
    pod = Pod()
    for key in ("session:a", "user:b", None, "conversation:c0ffee"):
        pod.settle(key)
    assert (pod.counters().requests, pod.counters().unnamed) == (4, 2)
    labels = f'arm="stable",model="claude-opus-5-5",revision="{STABLE}",surface="chat"'
    page = pod.metrics.page().decode().splitlines()
    assert f"claude_gateway_unnamed_total{{{labels}}} 2.0" in page


@pytest.mark.parametrize(
    ("headers", "fields", "unnamed"),
    [
        ({"x-claude-session-id": "a"}, {}, 0),
        ({}, {"metadata": {"user_id": "b"}}, 1),
        ({}, {"metadata": {"user_id": "user_1_account_2_session_3"}}, 0),
        ({"x-claude-session-id": ""}, {}, 1),
        ({}, {"metadata": {}}, 1),
        ({}, {"messages": [{"role": role, "content": "x"} for role in ("user", "assistant", "user")]}, 1),
    ],
)
async def test_what_is_a_name(gateway: Gateway, headers: dict[str, str], fields: dict[str, Any], unnamed: int) -> None:
    await gateway.post({"messages": [], **fields}, headers=headers)
    (stratum,) = (await gateway.evidence()).generations[-1].strata
    assert (stratum.counters.requests, stratum.counters.unnamed) == (1, unnamed)


# ------------------------------------------------------------------------------------------ conversations


def test_a_conversation_counts_once_whatever_its_cache_state() -> None:
    pod = Pod()
    for usage in (WRITE, READ, READ):
        pod.settle("session:a", usage=usage)
    pod.settle("session:b", usage=READ)
    found = pod.all_counters(STABLE, "chat", 1)
    assert {state: counters.conversations for state, counters in found.items()} == {"write": 1, "read": 1}
    assert sum(counters.requests for counters in found.values()) == 4


def test_each_generation_revision_and_surface_sees_it_anew() -> None:
    pod = Pod()
    for generation in (1, 2):
        pod.serve(generation)
        for _ in range(2):
            pod.settle("session:a")
            pod.settle("session:a", surface="other")
            pod.settle("session:a", revision=CANARY)
            pod.settle("session:a", surface=PINNED)
    for generation in (1, 2):
        for revision, surface in ((STABLE, "chat"), (STABLE, "other"), (CANARY, "chat"), (STABLE, PINNED)):
            counters = pod.counters(revision, surface, generation)
            assert (counters.requests, counters.conversations) == (2, 1)


def test_requests_without_a_key_are_each_a_conversation() -> None:
    pod = Pod()
    for _ in range(3):
        pod.settle(None, "error")
    counters = pod.counters()
    assert (counters.conversations, counters.bad_conversations) == (3, {"error": 3})


@pytest.mark.parametrize("pods", [2, 10])
def test_a_conversation_spread_over_pods_counts_once_a_pod(pods: int) -> None:
    ledgers = [Pod() for _ in range(pods)]
    for _ in range(3):
        for pod in ledgers:
            pod.settle("session:a", "error")
            pod.settle("session:a", stop_reason="refusal")
    assert [pod.counters().conversations for pod in ledgers] == [1] * pods
    assert [pod.counters().bad_conversations for pod in ledgers] == [{"error": 1, "refusal": 1}] * pods
    assert [pod.counters().requests for pod in ledgers] == [6] * pods


async def test_the_conversation_is_the_one_that_chose_the_arm(gateway: Gateway) -> None:
    named = {"messages": [], "metadata": {"user_id": "u"}}
    for _ in range(2):
        await gateway.post(named)
        await gateway.post(headers={"x-claude-session-id": "s"})
        await gateway.post()  # a first turn without a name
    (stratum,) = (await gateway.evidence()).generations[-1].strata
    assert (stratum.counters.requests, stratum.counters.conversations) == (6, 5)  # a user is no conversation


def test_an_older_conversation_is_new_again_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "LIMIT", 3)
    pod = Pod()
    for number in range(7):
        pod.settle(f"session:{number}")
    assert pod.counters().conversations == 7
    for number in (4, 5, 6):  # the newest three
        pod.settle(f"session:{number}")
    assert pod.counters().conversations == 7
    pod.settle("session:0")
    pod.settle("session:e", revision=CANARY)
    assert (pod.counters().conversations, pod.counters(CANARY).conversations) == (8, 1)


SEEN = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["ok", "error"])), max_size=60)


@given(SEEN, st.integers(1, 5))
def test_at_least_the_newest_are_known_and_none_is_bad_that_does_not_count(
    calls: list[tuple[int, str]], limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversations, "LIMIT", limit)
        memory = Conversations()
        counted = bad = 0
        newest: list[int] = []
        for number, outcome in calls:
            first = memory.is_first(f"session:{number}", STABLE, "chat")
            assert not (first and number in newest[:limit])
            newest = [number, *(one for one in newest if one != number)]
            counted += first
            bad += outcome == "error" and memory.counts_as_bad("error", f"session:{number}", STABLE, "chat", 0.0)
            assert bad <= counted
            assert len(memory._current.seen) + len(memory._previous.seen) <= 2 * limit
            assert {key for key, _ in memory._current.bad} <= set(memory._current.seen)
            assert {key for key, _ in memory._previous.bad} <= set(memory._previous.seen)


def test_many_ids_of_one_client_stop_no_count() -> None:
    """Neither that of conversations nor that of bad ones, on any arm."""
    pod = Pod()
    for number in range(100_200):
        pod.live.evidence.conversations.is_first(f"session:flood-{number}", STABLE, "chat")
    for number in range(50):
        for revision in (STABLE, CANARY):
            pod.settle(f"session:{number}", "error", revision=revision)
    for revision in (STABLE, CANARY):
        counters = pod.counters(revision)
        assert (counters.conversations, counters.bad_conversations) == (50, {"error": 50})
    memory = pod.live.evidence.conversations
    assert len(memory._current.seen) + len(memory._previous.seen) <= 100_000


# -------------------------------------------------------------------------------------- bad conversations


def test_a_bad_conversation_counts_again_after_a_minute_then_two_then_four() -> None:
    clock = Clock()
    pod = Pod(clock)
    counted = []
    for now in (0.0, 1.0, 59.9, 60.0, 179.9, 180.0):
        clock.now = now
        pod.settle("session:a", "error")
        counted.append(pod.counters().bad_conversations["error"])
    assert counted == [1, 1, 1, 2, 2, 3]
    assert pod.counters().outcomes == {"error": 6}
    for now, total in ((419.9, 3), (420.0, 4), (420.0 + 960.0, 5), (420.0 + 960.0 + 60.0, 6)):  # the last starts anew
        clock.now = now
        pod.settle("session:a", "error")
        assert pod.counters().bad_conversations["error"] == total


def test_kinds_are_counted_apart_and_good_answers_not() -> None:
    pod = Pod()
    for stop_reason in ("end_turn", "tool_use", *BAD_KINDS[1:]):
        for _ in range(2):
            pod.settle("session:a", stop_reason=stop_reason)
    for outcome in ("error", "overload", "canceled", "refused"):
        pod.settle("session:a", outcome)
    assert pod.counters().bad_conversations == dict.fromkeys(BAD_KINDS, 1)


def test_the_kinds_are_those_of_the_contract() -> None:
    assert {bad_kind("error", "refusal"), *(bad_kind("ok", kind) for kind in BAD_KINDS[1:])} == set(BAD_KINDS)
    assert bad_kind("ok", "error") == bad_kind("canceled", "refusal") == ""


def test_surfaces_share_the_wait_but_arms_generations_and_pins_do_not() -> None:
    pod = Pod()
    pod.settle("session:a", "error", surface=PINNED)
    pod.settle("session:a", "error", surface="chat")
    pod.settle("session:a", "error", surface="other")
    pod.settle("session:a", "error", revision=CANARY)
    assert pod.counters().bad_conversations == {"error": 1}
    assert pod.counters(surface="other").bad_conversations == {}
    assert pod.counters(surface=PINNED).bad_conversations == {"error": 1}
    assert pod.counters(CANARY).bad_conversations == {"error": 1}
    pod.serve(2)
    pod.settle("session:a", "error")
    assert pod.counters(generation=2).bad_conversations == {"error": 1}


def test_one_that_was_not_counted_is_not_bad() -> None:
    memory = Conversations()
    assert not memory.counts_as_bad("error", "session:a", STABLE, "chat", 0.0)
    assert memory.is_first("session:a", STABLE, "chat")
    assert memory.counts_as_bad("error", "session:a", STABLE, "chat", 0.0)
    assert memory.counts_as_bad("error", None, STABLE, "chat", 0.0)


def test_a_bad_one_keeps_its_wait_while_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "LIMIT", 2)
    memory = Conversations()

    def fails(key: str, now: float) -> tuple[bool, bool]:
        return memory.is_first(key, STABLE, "chat"), memory.counts_as_bad("error", key, STABLE, "chat", now)

    assert fails("a", 0.0) == (True, True)
    assert fails("b", 1.0) == (True, True)
    assert fails("c", 2.0) == (True, True)
    assert fails("a", 3.0) == (False, False)
    assert [fails(key, 4.0) for key in ("d", "e", "f")] == [(True, True)] * 3
    assert fails("b", 5.0) == (True, True)  # forgotten: a new conversation, and a new bad one


async def test_no_key_of_a_conversation_is_shown(gateway: Gateway) -> None:
    gateway.upstream.script = json_answer({**MESSAGE, "stop_reason": "refusal"})
    await gateway.post(headers={"x-claude-session-id": "KEY-SENTINEL"})
    for path in ("/-/evidence", "/-/evidence/cohorts"):
        assert b"SENTINEL" not in await gateway.read(path)
    async with gateway.http.get(gateway.admin + "/metrics") as response:
        assert "SENTINEL" not in await response.text()
