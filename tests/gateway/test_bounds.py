"""What an upstream or a client says makes neither the evidence nor the metrics grow without end."""

from __future__ import annotations

import msgspec
import pytest
from tests.gateway.harness import CANARY, STABLE
from tests.gateway.pod import Pod

from claude_operator.api.evidence import (
    BadConversation,
    CallerShare,
    Counters,
    Evidence,
    Failure,
    GenerationEvidence,
    Histogram,
    InFlight,
    Stratum,
    parse_evidence,
)
from claude_operator.core.request.threads import Thread
from claude_operator.gateway.threads import Threads


def test_an_upstream_that_makes_up_stop_reasons() -> None:
    pod = Pod()
    for number in range(1000):
        pod.settle(f"session:{number}", stop_reason=f"made-up-{number}" if number % 2 else "x" * 10_000)
    for stop in ("refusal", "max_tokens", "end_turn"):
        pod.settle(stop_reason=stop)
    stops = pod.counters().stop_reasons
    assert len(stops) <= 32
    assert stops["other"] > 900
    assert (stops["refusal"], stops["max_tokens"], stops["end_turn"]) == (1, 1, 1)
    assert pod.counters().bad_conversations == {"refusal": 1, "max_tokens": 1}
    page = pod.metrics.page().decode()
    assert page.count("claude_gateway_stop_reasons_total{") <= 32
    assert len(page) < 100_000


@pytest.mark.parametrize("tokens", [10**9 + 1, 2**63, 10**400])
def test_an_upstream_that_makes_up_tokens(tokens: int) -> None:
    pod = Pod()
    for _ in range(3):
        pod.settle(usage={"input_tokens": 5, "output_tokens": tokens, "cache_read_input_tokens": tokens})
    counters = pod.counters()
    assert (counters.requests, counters.tokens["output"], counters.tokens["cacheRead"]) == (3, 0, 0)
    assert (counters.tokens["input"], counters.cost.count, counters.output_tokens.count) == (15, 0, 0)


def test_an_upstream_that_makes_up_errors() -> None:
    pod = Pod()
    for number in range(2000):
        pod.settle(f"session:{number}", "error", error=f"made_up_{number}" + "x" * 5000, body=b"%d" % number)
    document = pod.store.document(1, 1.0, "", since="")
    assert len(parse_evidence(document).failures) <= 3
    assert len(document) < 150_000  # of which the newest 2,000 bad conversations are nearly all
    assert len(pod.store.failures._current) <= 32


def test_the_commonest_error_is_told_among_ever_new_ones() -> None:
    pod = Pod()
    for number in range(600):
        pod.settle(f"session:{number}", "error", error=f"made_up_{number}", body=b"%d" % number)
        if number >= 300 and number % 5 == 0:
            pod.settle(f"session:real-{number}", "error", error="the_real_one", body=b"real %d" % number)
    (first, *_) = parse_evidence(pod.store.document(1, 1.0, "", since="")).failures
    assert (first.error, first.requests) == ("200 the_real_one", 60)


def test_an_upstream_that_makes_up_ids_of_messages() -> None:
    pod, threads = Pod(), Threads()
    for size in (256, 257, 1 << 20):
        call = pod.begin(None)
        call.thread = Thread("create")
        call.summary.message_id = "m" * size
        threads.remember(call)
    assert [len(known) for known in threads._origins] == [256]


def evidence(**fields: object) -> Evidence:
    return Evidence("b", 1, 1.0, **fields)  # type: ignore[arg-type]


def stratum(**fields: object) -> list[GenerationEvidence]:
    return [GenerationEvidence(1, [Stratum(STABLE, "stable", "chat", "none", Counters(**fields))])]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "document",
    [
        evidence(generations=[GenerationEvidence(number) for number in range(17)]),
        evidence(generations=[GenerationEvidence(1, stratum()[0].strata * 10_001)]),
        evidence(bad=[BadConversation(1, CANARY, "chat", "error", "d", 1.0)] * 2001),
        evidence(callers=[CallerShare(1, CANARY, "d")] * 1025),
        evidence(failures=[Failure(CANARY, "500 api_error")] * 257),
        evidence(in_flight=[InFlight(CANARY)] * 257),
        evidence(weights={str(number): 1 for number in range(65)}),
        evidence(generations=stratum(outcomes={str(number): 1 for number in range(65)})),
        evidence(generations=stratum(stop_reasons={"x" * 1025: 1})),
        evidence(generations=stratum(ttft=Histogram(buckets={str(number): 1 for number in range(8193)}))),
    ],
)
def test_an_operator_reads_no_longer_list_than_a_gateway_writes(document: Evidence) -> None:
    with pytest.raises(ValueError, match="evidence"):
        parse_evidence(msgspec.json.encode(document))
