"""The last hour of each permanent cohort on the stable arm."""

from __future__ import annotations

import json
import math

import jsonschema
import pytest
from tests.gateway.harness import CANARY, Gateway
from tests.gateway.pod import MODEL, Clock, Pod
from tests.gateway.test_docs import SCHEMA
from tests.gateway.upstream import sse_answer, stream_events

from claude_operator.api.evidence import PINNED, Cohorts, parse_cohorts
from claude_operator.api.gateway import Assigning
from claude_operator.core.catalogue.cost import cost_usd
from claude_operator.core.request.assignment import cohort
from claude_operator.gateway.cohorts import CohortHistory

BY_USER = Assigning(unit="User")
USAGE = {"input_tokens": 100, "output_tokens": 10}


def only(pod: Pod) -> dict[str, float]:
    """The columns of the only cohort."""
    history = pod.cohorts()
    assert len(history.cohort) == 1
    return {name: getattr(history, name)[0] for name in Cohorts.__struct_fields__[2:-1]}


def test_sums_of_a_cohort() -> None:
    pod = Pod(assignment=BY_USER)
    pod.settle("session:a", usage=USAGE, ttft=0.5)
    pod.settle("session:a", usage=USAGE, ttft=2.5)
    pod.settle("session:a", "error", usage=USAGE)  # broke off: what it would have cost is not known
    price = cost_usd(MODEL, USAGE)
    assert price is not None
    assert only(pod) == {
        "cohort": cohort(pod.live.config.deployment.uid, "session:a"),
        "requests": 3,
        "errors": 1,
        "ttft_count": 2,
        "ttft_ln_sum": pytest.approx(math.log(0.5) + math.log(2.5)),
        "cost_count": 2,
        "cost_ln_sum": pytest.approx(2 * math.log(price)),
    }


def test_its_cost_is_the_normalised_one() -> None:
    pod = Pod(assignment=BY_USER)
    pod.settle("session:a", usage={**USAGE, "cache_read_input_tokens": 5000})
    assert only(pod)["cost_ln_sum"] == pytest.approx(pod.counters().normalised_cost.ln_sum)
    assert pod.counters().normalised_cost.ln_sum > pod.counters().cost.ln_sum


def test_only_judged_logical_requests_of_named_conversations_on_the_stable_arm() -> None:
    pod = Pod(assignment=BY_USER)
    pod.settle("session:a", revision=CANARY)
    pod.settle("session:a", surface=PINNED)
    pod.settle(None, "error")
    pod.settle("session:a", attempt="1")
    for outcome in ("overload", "canceled", "refused"):
        pod.settle("session:a", outcome, ttft=1.0)
    assert pod.cohorts().cohort == []
    pod.settle("session:a")
    assert only(pod)["requests"] == 1


def test_it_ages_out_after_an_hour() -> None:
    clock = Clock(6000.0)
    pod = Pod(clock, assignment=BY_USER)
    pod.settle("session:a", ttft=1.0)
    clock.now = 6000.0 + 3599.0
    pod.settle("session:a", "error")
    assert (only(pod)["requests"], only(pod)["ttft_count"]) == (2, 1)
    clock.now = 6000.0 + 3601.0
    assert (only(pod)["requests"], only(pod)["ttft_count"]) == (1, 0)
    clock.now = 6000.0 + 3601.0 + 3600.0
    assert pod.cohorts().cohort == []
    pod.settle("session:a")
    assert only(pod)["requests"] == 1


def test_the_window_is_what_the_history_covers() -> None:
    clock = Clock(1000.0)
    pod = Pod(clock, assignment=BY_USER)
    windows = []
    for now in (1000.0, 1060.0, 4199.0, 4200.0, 4799.0, 9_999_999.0):
        clock.now = now
        windows.append(pod.cohorts().window)
    # From the start of the process, and then from the start of the oldest of six slots of 600 s.
    assert windows == [0.0, 60.0, 3199.0, 3000.0, 3599.0, 9_999_999.0 % 600 + 3000.0]


def test_memory_is_bounded() -> None:
    history = CohortHistory(0.0)
    for slot in range(20):
        for number in range(10_000):
            history.add(number, "error", 1.0, 0.01, 600.0 * slot)
    assert len(history._slots) == 6
    parsed = parse_cohorts(history.document("boot", 600.0 * 19))
    assert parsed.cohort == list(range(10_000))
    assert set(parsed.requests) == set(parsed.errors) == set(parsed.ttft_count) == set(parsed.cost_count) == {6}


def test_history_outlives_a_generation() -> None:
    pod = Pod(assignment=BY_USER)
    pod.settle("session:a")
    for generation in range(2, 9):
        pod.serve(generation)
    pod.settle("session:a")
    assert only(pod)["requests"] == 2


def test_conversations_leave_no_history() -> None:
    pod = Pod()
    pod.settle("session:a", ttft=0.5)
    assert pod.cohorts().cohort == []


async def test_over_the_admin_port(gateway: Gateway) -> None:
    gateway.serve(generation=2, assignment=BY_USER)
    gateway.upstream.script = sse_answer(*stream_events("a"))
    await gateway.post({"messages": [], "stream": True}, headers={"x-claude-session-id": "s"})
    await gateway.post({"messages": [], "stream": True})
    document = json.loads(await gateway.read("/-/evidence/cohorts"))
    jsonschema.validate(document, {"$ref": "#/$defs/Cohorts", "$defs": SCHEMA["$defs"]})
    assert gateway.service.control.live is not None
    name = gateway.service.control.live.assignment.key("session:s")
    number = cohort(gateway.config.deployment.uid, name or "")
    assert (document["cohort"], document["requests"], document["ttftCount"]) == ([number], [1], [1])
    assert document["bootId"] == (await gateway.evidence()).boot_id
    assert 0 < document["window"] < 60
