"""A latency budget that both arms break holds a rollout, on a real cluster: nobody is blamed, and it goes on after."""

from __future__ import annotations

import pytest
from tests.cluster import support
from tests.cluster.record import Record
from tests.cluster.rollouts import QUICK, bake, begun, deployment, scenario, start
from tests.cluster.support import wait_for
from tests.cluster.traffic import Traffic

pytestmark = pytest.mark.usefixtures("operator")

BUDGET = {"surface": "chat", "metric": "timeToFirstToken", "percentile": 90, "max": "300ms", "window": "5m"}
SLOW = {**QUICK, "latency": {"median": "600ms", "p95": "700ms"}}
STEPS = [{"setWeight": 50}, bake(3)]


def test_a_breach_on_both_arms_holds_and_blames_nobody(namespace: str) -> None:
    scenario(defaults=SLOW)
    try:
        first = start(namespace, budgets=[BUDGET])
        with Record(namespace) as record, Traffic("app", namespace, rate=10, surface="chat") as traffic:
            wait_for(lambda: record.condition("WithinBudget").get("reason") == "OverBudget", 180, "no breach is seen")
            assert record.condition("WithinBudget")["status"] == "False"
            (shown,) = record.status["budgets"]
            assert (shown["state"], shown["limit"], shown["target"]) == ("Over", "at most 300ms", "90 %")
            support.apply(deployment("v2", STEPS, budgets=[BUDGET]), namespace)
            second = begun(record, first)
            wait_for(lambda: "on both arms" in record.condition("Promoted")["message"], 180, "it does not hold")
            assert record.condition("Promoted")["reason"] == "OverBudget"
            assert record.condition("CanaryHealthy")["status"] != "False"
            scenario()  # as fast as ever
            wait_for(lambda: record.rollout.get("outcome"), 420, "it does not go on")
            assert (record.rollout["outcome"], record.status["stableRevision"]) == ("Promoted", second)
            assert record.condition("WithinBudget")["reason"] in ("Recovering", "Within")
            wait_for(lambda: record.events("OverBudget"), 20, "the breach is not told")
            traffic.stop()
            assert not record.events("RolledBack")
        assert not traffic.failed()
    finally:
        scenario()
