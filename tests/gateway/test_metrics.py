"""Of how many revisions `GET /metrics` of a gateway has series."""

from __future__ import annotations

import pytest
from tests.gateway.harness import make_arm, make_config

from claude_operator.gateway.call import Call
from claude_operator.gateway.credentials import Credentials
from claude_operator.gateway.evidence import EvidenceStore
from claude_operator.gateway.live_config import Choice, LiveConfig, build
from claude_operator.gateway.metrics import MOST_REVISIONS, Metrics
from claude_operator.gateway.sse import Message
from claude_operator.gateway.usage import token_counts

USAGE = {"input_tokens": 10, "output_tokens": 20}


def config(*revisions: str) -> LiveConfig:
    roles = ("canary", "stable")
    arms = [make_arm(revision, role, 5000) for revision, role in zip(revisions, roles, strict=False)]
    return build(make_config("http://upstream", *arms), Credentials(), EvidenceStore().begin)


def serve(metrics: Metrics, live: LiveConfig, revision: str) -> None:
    """Calls and a verdict that count in each family."""
    for cost in (0.5, None):
        call = Call("POST", "/v1/messages", 1.0, live, choice=Choice(live.arms[revision]), outcome="ok")
        call.earlier_attempts = 1
        call.received, call.sent, call.first_content, call.ended = 1.1, 1.2, 2.0, 3.0
        call.summary.add(Message(model="claude-opus-5-5", stop_reason="end_turn", usage=USAGE))
        metrics.record(call, token_counts(call.summary.usage), cost)
    metrics.record_grade(live, revision, "pass")


def shown(metrics: Metrics) -> dict[str, set[str]]:
    """By family, the revisions that have series."""
    return {
        family.name: found
        for family in metrics.registry.collect()
        if (found := {sample.labels["revision"] for sample in family.samples if "revision" in sample.labels})
    }


@pytest.mark.parametrize("also_served", [(), ("support-stable",)])
def test_the_revisions_with_series_are_bounded(also_served: tuple[str, ...]) -> None:
    metrics = Metrics()
    revisions = [f"support-{number}" for number in range(40)]
    for revision in revisions:
        live = config(revision, *also_served)
        for one in (*also_served, revision):
            serve(metrics, live, one)
    kept = {*also_served, *revisions[8 + len(also_served) :]}
    assert len(kept) == MOST_REVISIONS
    found = shown(metrics)
    assert len(found) == 12
    assert all(one == kept for one in found.values()), found


def test_a_revision_that_was_served_of_late_keeps_its_series() -> None:
    metrics = Metrics()
    for number in range(40):
        live = config(f"support-{number}", "support-old")
        serve(metrics, live, "support-old")
        serve(metrics, live, f"support-{number}")
    serve(metrics, config("support-new", "support-39"), "support-new")
    assert all({"support-old", "support-new"} <= one for one in shown(metrics).values())


def test_verdicts_alone_are_bounded_too() -> None:
    metrics = Metrics()
    for number in range(40):
        metrics.record_grade(config(f"support-{number}"), f"support-{number}", "fail")
    assert shown(metrics) == {"claude_gateway_grades": {f"support-{number}" for number in range(8, 40)}}
