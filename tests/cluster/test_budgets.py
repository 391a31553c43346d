"""A latency budget that both arms break holds a rollout, on a real cluster: nobody is blamed, and it goes on after.

The chart's alert of it fires and clears in a real Prometheus; in its rules an hour is a minute.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster import support
from tests.cluster.conftest import missing
from tests.cluster.prometheus import NoPrometheusError, Prometheus
from tests.cluster.record import Record
from tests.cluster.rollouts import QUICK, bake, begun, deployment, scenario, start
from tests.cluster.support import Operator, wait_for
from tests.cluster.traffic import Traffic
from tests.monitoring.promtool import scaled

from claude_operator.api.gateway import ADMIN_PORT

BUDGET = {"surface": "chat", "metric": "timeToFirstToken", "percentile": 90, "max": "300ms", "window": "5m"}
SLOW = {**QUICK, "latency": {"median": "600ms", "p95": "700ms"}}
STEPS = [{"setWeight": 50}, bake(3)]
BURNS = 'ALERTS{alertname="ClaudeLatencyBudgetBurnsFast",alertstate="firing"}'
# 10 % may miss. Once all come in time, the share of the last half "hour" is at 6 x 10 % after 12 of its 30 seconds;
# a scrape, an evaluation and what was under way take some seconds off.
CLEARS = 8.0


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    """With the chart's rules."""
    (tmp_path / "rules.yaml").write_text(scaled())
    try:
        one = Prometheus(tmp_path, rules=[tmp_path / "rules.yaml"])
    except NoPrometheusError as error:
        missing(str(error))
        raise
    with one:
        yield one


def test_a_breach_on_both_arms_holds_and_blames_nobody(
    namespace: str, operator: Operator, prometheus: Prometheus
) -> None:
    scenario(defaults=SLOW)
    try:
        first = start(namespace, budgets=[BUDGET])
        pods = support.get("pods", namespace=namespace, selector="app.kubernetes.io/name=claude-gateway")
        targets = [(f"{pod['status']['podIP']}:{ADMIN_PORT}", {"namespace": namespace, "name": "app"}) for pod in pods]
        # The operator tells which share has to come in time.
        targets += [(f"{pod['status']['podIP']}:8081", {"namespace": "operator"}) for pod in operator.pods()]
        prometheus.reads_each(targets)
        with Record(namespace) as record, Traffic("app", namespace, rate=10, surface="chat") as traffic:
            wait_for(lambda: record.condition("WithinBudget").get("reason") == "OverBudget", 180, "no breach is seen")
            assert record.condition("WithinBudget")["status"] == "False"
            (shown,) = record.status["budgets"]
            assert (shown["state"], shown["limit"], shown["target"]) == ("Over", "at most 300ms", "90 %")
            wait_for(lambda: prometheus.value(BURNS), 60, "the budget burns ten times as fast, and no alert fires")
            support.apply(deployment("v2", STEPS, budgets=[BUDGET]), namespace)
            second = begun(record, first)
            wait_for(lambda: "on both arms" in record.condition("Promoted")["message"], 180, "it does not hold")
            assert record.condition("Promoted")["reason"] == "OverBudget"
            assert record.condition("CanaryHealthy")["status"] != "False"
            assert prometheus.value(BURNS)
            scenario()  # as fast as ever
            mended = time.monotonic()
            wait_for(lambda: prometheus.value(BURNS) is None, 240, "the alert does not clear", every=0.5)
            assert time.monotonic() - mended > CLEARS
            wait_for(lambda: record.rollout.get("outcome"), 420, "it does not go on")
            assert (record.rollout["outcome"], record.status["stableRevision"]) == ("Promoted", second)
            assert record.condition("WithinBudget")["reason"] in ("Recovering", "Within")
            wait_for(lambda: record.events("OverBudget"), 20, "the breach is not told")
            traffic.stop()
            assert not record.events("RolledBack")
        assert not traffic.failed()
    finally:
        scenario()
