"""What a person reads in a rollout, on a real cluster: why it holds, why it was taken back, and the way back."""

from __future__ import annotations

import pytest
from tests.cluster import support
from tests.cluster.record import Record
from tests.cluster.rollouts import annotate, begun, deployment, errs, scenario, start
from tests.cluster.support import condition, kubectl, wait_for
from tests.cluster.traffic import Traffic

pytestmark = pytest.mark.usefixtures("operator")

_TOO_MANY = 100_000  # requests that no bake here ever sees
STEPS = [
    {"setWeight": 20},
    {
        "bake": {
            "minDuration": "2s",
            "maxDuration": "6s",
            "minRequests": _TOO_MANY,
            "onInconclusive": "Promote",
        }
    },
]


def test_the_messages_of_a_promotion_an_abort_a_rollback_and_a_pause(namespace: str) -> None:
    first = start(namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=40) as traffic:
        # A bake that sees too few requests is inconclusive, and onInconclusive decides: it held for ever.
        support.apply(deployment("v2", STEPS), namespace)
        second = begun(record, first)
        wait_for(lambda: record.at(1, second), 60, "no bake")
        wide = wait_for(lambda: watching(namespace), 20, "nobody watches")
        assert "Inconclusive" not in wide
        wait_for(lambda: record.status["stableRevision"] == second, 60, "it is not promoted")

        meanwhile = [status for _, status in record.statuses() if (status.get("step") or {}).get("index") == 1]
        said = {condition({"status": one}, "Promoted")["message"] for one in meanwhile}
        assert any("of 100,000 requests" in one for one in said), said

        # An abort that comes too late names the way back.
        annotate(namespace, "abort", f"{second}/1")
        (_, note) = wait_for(lambda: record.events("AnnotationIgnored"), 20)[0]
        assert f"To go back to {first}, apply its spec again: kubectl -n {namespace} get clr {first} -o yaml" in note

        # The message of a rollback answers why, in the API's words.
        scenario(errs("v3-broken", 1.0))
        support.apply(deployment("v3-broken", STEPS), namespace)
        third = begun(record, second)
        wait_for(lambda: record.rollout.get("outcome") == "RolledBack", 60, "not taken back")
        assert record.rollout["revision"] == third
        assert "its commonest error: 500 api_error: Internal server error" in record.rollout["message"]
        assert record.condition("CanaryHealthy")["message"] == record.rollout["message"]

        # There is no gate, so nothing has passed one.
        support.apply(deployment("v4", STEPS, paused=True), namespace)
        paused = wait_for(lambda: _message(record, "Promoted", "Paused"), 30, "spec.paused is not told")
        assert paused.startswith("spec.paused holds ")
        assert paused.endswith(" before its first request")

        # A breakpoint behind what the client changes with each request caches nothing.
        cached = {"type": "text", "text": "v4", "cache_control": {"type": "ephemeral"}}
        request = {"model": "claude-haiku-5-5", "max_tokens": 64, "system": [cached]}
        overrides = {"system": "Append", "tools": "Append"}
        support.apply(deployment("v4", STEPS, paused=True, request=request, overrides=overrides), namespace)
        assert wait_for(lambda: _message(record, "Accepted", "BreakpointBehindClient"), 30, "no warning")
        traffic.stop()
    assert not traffic.failed(besides=[third])


def watching(namespace: str) -> str:
    """What `kubectl get -o wide` shows while the canary is watched, which ends after six seconds."""
    wide = kubectl("get", "cld", "app", "-o", "wide", namespace=namespace)
    return wide if "Watching" in wide else ""


def _message(record: Record, name: str, reason: str) -> str:
    """The message of a condition while it has this reason."""
    one = record.condition(name)
    return str(one["message"]) if one.get("reason") == reason else ""
