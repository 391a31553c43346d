"""A retry is what the gateway saw fail before, not what a header says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.harness import CANARY, CLIENT_KEY, STABLE, Gateway
from tests.gateway.pod import Clock, Pod
from tests.gateway.upstream import Playback, Recorded, json_answer

from claude_operator.api.evidence import PINNED, Counters
from claude_operator.gateway import attempts
from claude_operator.gateway.attempts import MOST, SPAN, BodySample

READ = {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 9}


def test_a_retry_counts_as_a_retry_and_as_nothing_else() -> None:
    once, again = Pod(), Pod()
    for pod in (once, again):
        pod.settle("session:a", "error", ttft=0.5, body=b"a")
        pod.settle("session:b", "overload", body=b"b")
        pod.settle("session:c", stop_reason="max_tokens", ttft=0.5, body=b"c")
    again.settle("session:a", "error", attempt="1", ttft=0.5, body=b"a")
    again.settle("session:a", stop_reason="refusal", attempt="2", ttft=0.5, body=b"a")
    again.settle("session:b", "canceled", attempt="12", body=b"b")
    before, after = once.counters(), again.counters()
    assert (before.retries, after.retries) == (0, 3)
    assert {name: getattr(after, name) for name in Counters.__struct_fields__ if name != "retries"} == {
        name: getattr(before, name) for name in Counters.__struct_fields__ if name != "retries"
    }
    assert after.requests == sum(after.outcomes.values()) == 3
    assert again.cohorts().requests == once.cohorts().requests


def test_a_header_alone_hides_no_error() -> None:
    pod = Pod()
    for number in range(40):
        pod.settle(f"session:{number}", "error", revision=CANARY, attempt="1", body=b"%d" % number)
    counters = pod.counters(CANARY)
    assert (counters.requests, counters.retries, counters.outcomes) == (40, 0, {"error": 40})
    assert counters.bad_conversations == {"error": 40}


@pytest.mark.parametrize(
    "other", [{"body": b"another"}, {"caller": "another"}, {"attempt": "0"}, {"attempt": "-1"}, {"attempt": "\u00b2"}]
)
def test_what_follows_no_failed_attempt_of_its_own_is_a_request(other: dict[str, object]) -> None:
    pod = Pod()
    pod.settle("session:a", "error", caller="one")
    pod.settle("session:a", "error", **{"caller": "one", "attempt": "1", **other})
    assert (pod.counters().requests, pod.counters().retries) == (2, 0)


@pytest.mark.parametrize("attempt", ["1", "10", "02", "9" * 5000])
def test_what_is_a_retry_count_is_one(attempt: str) -> None:
    pod = Pod()
    pod.settle(outcome="error")
    pod.settle(attempt=attempt)
    assert (pod.counters().retries, pod.counters().requests) == (1, 1)


def test_nothing_follows_an_attempt_that_went_well() -> None:
    pod = Pod()
    pod.settle()
    pod.settle(attempt="1")
    assert (pod.counters().requests, pod.counters().retries) == (2, 0)


def test_a_failed_attempt_excuses_one_later_one() -> None:
    pod = Pod()
    pod.settle(outcome="error")
    first, second = (pod.begin(attempt="1") for _ in range(2))
    assert (first.is_retry, second.is_retry) == (True, False)


def test_equal_requests_of_several_clients_are_each_followed_by_their_retry() -> None:
    pod = Pod()
    for _ in range(3):
        pod.settle(outcome="overload")
    for attempt in ("1", "2"):
        calls = [pod.begin(attempt=attempt) for _ in range(3)]
        assert all(call.is_retry for call in calls)
        for call in calls:
            pod.end(call, "overload")
    assert (pod.counters().requests, pod.counters().retries) == (3, 6)


def test_a_row_of_attempts_ends() -> None:
    pod = Pod()
    for attempt in range(1 + 3 * (MOST + 1)):
        pod.settle(outcome="error", attempt=str(attempt))
    assert (pod.counters().requests, pod.counters().retries) == (4, 3 * MOST)


def test_an_attempt_is_followed_within_minutes() -> None:
    pod = Pod(Clock(0.0))
    for wait, retries in ((SPAN - 1.0, 1), (SPAN + 1.0, 1)):
        pod.settle(outcome="error")
        pod.clock.now += wait
        pod.settle(attempt="1")
        assert pod.counters().retries == retries


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "LIMIT", 3)
    pod = Pod()
    for number in range(5):
        pod.settle(outcome="error", body=b"%d" % number)
    assert len(pod.store.attempts._failures) == 3
    found = [pod.begin(attempt="1", body=b"%d" % number).is_retry for number in range(5)]
    assert found == [False, False, True, True, True]
    assert not pod.store.attempts._failures
    for _ in range(500):
        pod.settle(outcome="error")
    ((failures,),) = [list(pod.store.attempts._failures.values())]
    assert len(failures) == 10


def test_what_is_too_old_to_be_followed_is_forgotten() -> None:
    pod = Pod()
    for number in range(50):
        pod.settle(outcome="error", body=b"%d" % number)
    pod.clock.now += SPAN / 2
    pod.settle(outcome="error", body=b"0")
    pod.clock.now += SPAN / 2
    pod.settle(outcome="error", body=b"another")
    assert [len(row) for row in pod.store.attempts._failures.values()] == [2, 1]
    pod.settle(outcome="error", body=b"0")
    pod.clock.now += SPAN / 2
    pod.settle(outcome="error", body=b"0")
    assert [len(row) for row in pod.store.attempts._failures.values()] == [1, 2]


@given(st.binary(max_size=6000), st.binary(max_size=6000))
def test_a_body_is_known_by_its_size_and_its_ends(one: bytes, other: bytes) -> None:
    assert BodySample.of(one) == BodySample.of(bytearray(one))
    alike = len(one) == len(other) and one[:2048] == other[:2048] and one[2048:][-2048:] == other[2048:][-2048:]
    assert (BodySample.of(one) == BodySample.of(other)) == alike
    assert sum(map(len, BodySample.of(one)[1:])) <= 4096


def test_a_retry_that_chose_its_revision_is_one_of_those() -> None:
    pod = Pod()
    pod.settle(outcome="error", surface=PINNED)
    pod.settle(attempt="1", surface=PINNED)
    assert (pod.counters(surface=PINNED).requests, pod.counters(surface=PINNED).retries) == (1, 1)


def test_a_retry_teaches_nothing_about_conversations_or_the_cache() -> None:
    pod = Pod()
    pod.settle("session:b", "error")
    pod.settle("session:a", attempt="1", usage=READ)
    assert pod.store.hits.value == 0.5
    counted = pod.all_counters(STABLE, "chat", 1)
    assert (counted["none"].conversations, counted["none"].bad_conversations) == (1, {"error": 1})
    assert (counted["read"].retries, counted["read"].requests, counted["read"].tokens) == (1, 0, {})


def test_metrics_and_log_still_show_a_retry() -> None:
    pod = Pod()
    pod.settle(outcome="error")
    pod.settle(attempt="2")
    page = pod.metrics.page().decode().splitlines()
    labels = f'arm="stable",model="claude-opus-5-5",revision="{STABLE}",surface="chat"'
    assert f"claude_gateway_retries_total{{{labels}}} 1.0" in page
    assert sum(line.startswith("claude_gateway_requests_total") and line.endswith(" 1.0") for line in page) == 2
    assert '"attempt":"2"' in pod.output.getvalue()


class Flaky:
    """An upstream that fails the first attempts."""

    def __init__(self, statuses: Sequence[int]) -> None:
        self.statuses = list(statuses)

    async def __call__(self, request: Recorded, play: Playback) -> None:
        status = self.statuses.pop(0) if self.statuses else 200
        error = {"type": "error", "error": {"type": "api_error", "message": "x"}}
        await (json_answer() if status == 200 else json_answer(error, f"{status} Failed"))(request, play)


@pytest.mark.parametrize("statuses", [(500,), (500, 529)])
async def test_the_sdks_attempts_are_one_request(gateway: Gateway, statuses: Sequence[int]) -> None:
    gateway.upstream.script = Flaky(statuses)
    client = anthropic.AsyncAnthropic(base_url=gateway.url, api_key=CLIENT_KEY, max_retries=3)
    async with client:
        await client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}])
    counters = [stratum.counters for stratum in (await gateway.evidence()).generations[-1].strata]
    assert sum(one.requests for one in counters) == 1
    assert sum(one.retries for one in counters) == len(statuses)
    assert sum(one.outcomes.get("error", 0) for one in counters) == 1


async def test_an_attempt_that_the_client_gave_up_is_one_with_the_next(gateway: Gateway) -> None:
    hangs = asyncio.Event()

    async def silent(request: Recorded, play: Playback) -> None:
        if not hangs.is_set():
            hangs.set()
            await asyncio.sleep(60.0)
        await json_answer()(request, play)

    gateway.upstream.script = silent
    client = anthropic.AsyncAnthropic(base_url=gateway.url, api_key=CLIENT_KEY, max_retries=1, timeout=1.0)
    async with client:
        await client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}])
    counters = [stratum.counters for stratum in (await gateway.evidence()).generations[-1].strata]
    assert (sum(one.requests for one in counters), sum(one.retries for one in counters)) == (1, 1)
