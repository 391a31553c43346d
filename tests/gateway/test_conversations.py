"""Conversations are counted, not only requests: each once, and each bad one seldom again."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateway.harness import CANARY, STABLE, Gateway
from tests.gateway.pod import Clock, Pod
from tests.gateway.upstream import MESSAGE, json_answer

from claude_operator.api.evidence import BAD_KINDS, PINNED, Counters
from claude_operator.gateway import conversations
from claude_operator.gateway.conversations import Conversations, bad_kind

WRITE = {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 9}
READ = {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 9}


# ------------------------------------------------------------------------------------------------ retries


def test_a_retry_counts_as_a_retry_and_as_nothing_else() -> None:
    once, again = Pod(), Pod()
    for pod in (once, again):
        pod.settle("session:a", "error", ttft=0.5)
        pod.settle("session:b", stop_reason="max_tokens", ttft=0.5)
    again.settle("session:a", "error", attempt="1", ttft=0.5)
    again.settle("session:c", stop_reason="refusal", attempt="2", ttft=0.5)
    again.settle(None, "overload", attempt="12")
    before, after = once.counters(), again.counters()
    assert (before.retries, after.retries) == (0, 3)
    assert {name: getattr(after, name) for name in Counters.__struct_fields__ if name != "retries"} == {
        name: getattr(before, name) for name in Counters.__struct_fields__ if name != "retries"
    }
    assert after.requests == sum(after.outcomes.values()) == 2
    assert again.cohorts().requests == once.cohorts().requests


def test_a_retry_teaches_nothing_about_conversations_or_the_cache() -> None:
    pod = Pod()
    pod.settle("session:a", "error", attempt="1", usage=READ)
    assert pod.store.hits.value == 0.5
    pod.settle("session:a", "error")
    counted = pod.all_counters(STABLE, "chat", 1)
    assert (counted["none"].conversations, counted["none"].bad_conversations) == (1, {"error": 1})
    assert (counted["read"].retries, counted["read"].requests, counted["read"].tokens) == (1, 0, {})


@pytest.mark.parametrize("attempt", ["", "0", "00", "-1", "many", "1.5", "\u00b2"])
def test_what_is_no_retry_count_is_no_retry(attempt: str) -> None:
    pod = Pod()
    pod.settle(attempt=attempt)
    assert (pod.counters().retries, pod.counters().requests) == (0, 1)


@pytest.mark.parametrize("attempt", ["1", "10", "02", "9" * 5000])
def test_what_is_a_retry_count_is_one(attempt: str) -> None:
    pod = Pod()
    pod.settle(attempt=attempt)
    assert (pod.counters().retries, pod.counters().requests) == (1, 0)


def test_metrics_and_log_still_show_a_retry() -> None:
    pod = Pod()
    pod.settle(attempt="2")
    page = pod.metrics.page().decode().splitlines()
    labels = f'arm="stable",model="claude-opus-5-5",revision="{STABLE}",surface="chat"'
    assert f"claude_gateway_retries_total{{{labels}}} 1.0" in page
    assert any(line.startswith("claude_gateway_requests_total") and line.endswith(" 1.0") for line in page)
    assert '"attempt":"2"' in pod.output.getvalue()


def test_requests_that_name_no_conversation_are_counted() -> None:
    pod = Pod()
    for key in ("session:a", "user:b", None, "conversation:c0ffee"):
        pod.settle(key)
    pod.settle(None, attempt="1")
    assert (pod.counters().requests, pod.counters().unnamed) == (4, 2)
    labels = f'arm="stable",model="claude-opus-5-5",revision="{STABLE}",surface="chat"'
    page = pod.metrics.page().decode().splitlines()
    assert f"claude_gateway_unnamed_total{{{labels}}} 3.0" in page  # attempt by attempt


@pytest.mark.parametrize(
    ("headers", "fields", "unnamed"),
    [
        ({"x-claude-session-id": "a"}, {}, 0),
        ({}, {"metadata": {"user_id": "b"}}, 0),
        ({"x-claude-session-id": ""}, {}, 1),
        ({}, {"metadata": {}}, 1),
        ({}, {"messages": [{"role": role, "content": "x"} for role in ("user", "assistant", "user")]}, 1),
    ],
)
async def test_what_is_a_name(gateway: Gateway, headers: dict[str, str], fields: dict[str, Any], unnamed: int) -> None:
    await gateway.post({"messages": [], **fields}, headers=headers)
    (stratum,) = (await gateway.evidence()).generations[-1].strata
    assert (stratum.counters.requests, stratum.counters.unnamed) == (1, unnamed)


async def test_the_sdks_header_makes_a_retry(gateway: Gateway) -> None:
    for attempt in ("0", "1"):
        await gateway.post(headers={"x-stainless-retry-count": attempt})
    (stratum,) = (await gateway.evidence()).generations[-1].strata
    assert (stratum.counters.requests, stratum.counters.retries) == (1, 1)


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
    assert (stratum.counters.requests, stratum.counters.conversations) == (6, 4)


def test_a_full_memory_counts_no_further_key_on_any_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "LIMIT", 3)
    pod = Pod()
    for key in ("session:a", "session:b", "session:c", "session:d", "session:a", "session:d"):
        pod.settle(key)
    pod.settle("session:e", revision=CANARY)
    assert pod.counters().conversations == 3
    assert pod.counters(CANARY).conversations == 0
    pod.settle(None, revision=CANARY)
    assert pod.counters(CANARY).conversations == 1
    pod.serve(2)
    pod.settle("session:d")
    assert pod.counters(generation=2).conversations == 1


def test_the_memory_holds_50_000() -> None:
    memory = Conversations()
    assert all(memory.is_first(f"session:{number}", STABLE, "chat") for number in range(50_000))
    assert not memory.is_first("session:new", STABLE, "chat")


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


def test_the_oldest_bad_conversation_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "BAD_LIMIT", 2)
    memory = Conversations()

    def bad(key: str, now: float) -> bool:
        return memory.counts_as_bad("error", key, STABLE, "chat", now)

    assert bad("a", 0.0)
    assert bad("b", 1.0)
    assert bad("a", 301.0)  # counts again, and is the newer one now
    assert bad("c", 302.0)  # b goes
    assert not bad("a", 303.0)
    assert bad("b", 1.5)  # forgotten, though its minute is not over
    assert len(memory._bad) == 2


def test_the_memory_of_bad_ones_is_bounded() -> None:
    memory = Conversations()
    for number in range(10_050):
        assert memory.counts_as_bad("error", f"session:{number}", STABLE, "chat", 0.0)
    assert len(memory._bad) == 10_000


async def test_no_key_of_a_conversation_is_shown(gateway: Gateway) -> None:
    gateway.upstream.script = json_answer({**MESSAGE, "stop_reason": "refusal"})
    await gateway.post(headers={"x-claude-session-id": "KEY-SENTINEL"})
    for path in ("/-/evidence", "/-/evidence/cohorts"):
        assert b"SENTINEL" not in await gateway.read(path)
    async with gateway.http.get(gateway.admin + "/metrics") as response:
        assert "SENTINEL" not in await response.text()
