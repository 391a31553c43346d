"""Metrics of one's own on a real cluster: a real Prometheus that reads the gateways, and one that is gone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import support
from tests.cluster.conftest import missing
from tests.cluster.listener import OUTSIDE, give_address
from tests.cluster.prometheus import NoPrometheusError, Prometheus
from tests.cluster.record import Record
from tests.cluster.rollouts import INTERVAL, bake, begun, deployment, errs, scenario, start
from tests.cluster.support import get, wait_for
from tests.cluster.traffic import Traffic

from claude_operator.api.gateway import ADMIN_PORT

pytestmark = [
    pytest.mark.usefixtures("operator"),
    pytest.mark.skipif(
        "project's own" not in os.environ.get("CLAUDE_OPERATOR_CLUSTER", ""),
        reason="Prometheus runs on the node's address, which tests reach in the project's own cluster only",
    ),
]

SELECTED = 'namespace="{{namespace}}",revision="{{revision}}"'
# Without `or vector(0)` a canary that never erred would have no data for ever.
SHARE = (
    f'(sum(rate(claude_gateway_requests_total{{{SELECTED},outcome="error"}}[{{{{ window }}}}])) or vector(0))'
    f" / sum(rate(claude_gateway_requests_total{{{SELECTED}}}[{{{{ window }}}}]))"
)


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    """Where the operator's pods reach it; an address of a node they would not ask."""
    give_address(OUTSIDE)
    try:
        one = Prometheus(tmp_path, OUTSIDE)
    except NoPrometheusError as error:
        missing(str(error))
        raise
    with one:
        yield one


def serves(namespace: str, prometheus: Prometheus) -> str:
    """A first revision serves, and Prometheus reads its gateways; returns its name."""
    first = start(namespace)
    pods = get("pods", namespace=namespace, selector="app.kubernetes.io/name=claude-gateway")
    prometheus.reads([f"{pod['status']['podIP']}:{ADMIN_PORT}" for pod in pods], namespace=namespace)
    return first


def metric(prometheus: Prometheus, **fields: Any) -> dict[str, Any]:
    """The canary's share of errors, as Prometheus has it."""
    return {
        "name": "failedShare",
        "prometheus": {"address": prometheus.url, "query": SHARE},
        "threshold": {"max": 0.1},
        "interval": "2s",
        "window": "10s",
        **fields,
    }


def judged_by(*metrics: dict[str, Any], steps: list[dict[str, Any]]) -> Callable[[str], dict[str, Any]]:
    """Makes a ClaudeDeployment whose canary is compared with thresholds alone; its argument is the prompt."""

    def make(prompt: str) -> dict[str, Any]:
        made = deployment(prompt, steps)
        made["spec"]["strategy"]["canary"]["analysis"] = {
            "judge": "Threshold",
            "interval": f"{INTERVAL:g}s",
            "toleratedIncrease": "100%",
            "metrics": list(metrics),
        }
        return made

    return make


def measured(record: Record) -> dict[str, Any]:
    """What the status says of the metric, {} before it says anything."""
    found = (record.status.get("judgement") or {}).get("measured") or [{}]
    return dict(found[0])


def test_a_share_of_errors_that_prometheus_has_takes_the_traffic_back(namespace: str, prometheus: Prometheus) -> None:
    """Half of the canary's requests fail from some moment on; two failed measurements are tolerated."""
    first = serves(namespace, prometheus)
    make = judged_by(metric(prometheus, failureLimit=2), steps=[{"setWeight": 50}, bake(120, 1000)])
    with Record(namespace) as record, Traffic("app", namespace, rate=40, keep_alive=False) as traffic:
        support.apply(make("v2"), namespace)
        second = begun(record, first)
        wait_for(lambda: measured(record).get("phase") == "Successful", 60, "nothing was measured")
        assert measured(record)["value"] == 0
        scenario(errs("v2", 0.5))
        harmed = time.time()
        wait_for(lambda: record.rollout.get("outcome"), 60, "no rollback", every=0.05)
        print(f"rolled back {time.time() - harmed:.1f} s after the harm began")
        assert (record.rollout["outcome"], record.rollout["reason"]) == ("RolledBack", "ThresholdExceeded")
        assert "is above 0.1 for the 3rd time (2 tolerated)" in record.rollout["message"]
        assert record.condition("CanaryHealthy")["reason"] == "ThresholdExceeded"
        settled = record.served_everywhere()
        assert {weight for _, generation, weight in record.weights(second) if generation >= settled} == {0}
    assert not traffic.failed(besides=[second])


def test_without_an_answer_of_prometheus_nothing_moves_and_nothing_is_taken_back(
    namespace: str, prometheus: Prometheus
) -> None:
    """It goes away in mid-rollout: the bake holds, whatever its time; when it is back the rollout ends well."""
    first = serves(namespace, prometheus)
    make = judged_by(metric(prometheus, consecutiveErrorLimit=1), steps=[{"setWeight": 50}, bake(15, 20)])
    with Record(namespace) as record, Traffic("app", namespace, rate=20, keep_alive=False) as traffic:
        support.apply(make("v2"), namespace)
        second = begun(record, first)
        wait_for(lambda: measured(record).get("phase") == "Successful", 60, "nothing was measured")
        prometheus.stop()
        gone = time.monotonic()
        wait_for(lambda: record.condition("CanaryHealthy")["reason"] == "MetricError", 30, "its absence is not told")
        assert record.condition("CanaryHealthy")["status"] == "Unknown"
        assert "did not give an answer of Prometheus's API" in record.condition("CanaryHealthy")["message"]
        while time.monotonic() - gone < 30:  # twice the bake
            time.sleep(0.5)
            assert record.status["step"]["index"] == 1
            assert record.rollout.get("outcome") is None
        assert record.condition("Promoted")["reason"] == "MetricError"
        assert measured(record)["consecutiveErrors"] > 1
        prometheus.start()
        wait_for(lambda: record.rollout.get("outcome"), 60, "it does not go on")
        assert record.rollout["outcome"] == "Promoted"
        assert record.status["stableRevision"] == second
        assert {one["reason"] for one in [record.condition("CanaryHealthy")]} == {"NoCanary"}
    assert not traffic.failed()
