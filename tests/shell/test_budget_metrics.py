"""What the operator's /metrics show of latency budgets."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from claude_operator.api.budgets import Budget
from claude_operator.core.spec.budgets import service_levels
from claude_operator.core.usage.latency import Counted
from claude_operator.core.usage.service_level import Standing
from claude_operator.shell.keys import DEPLOYMENT, Key
from claude_operator.shell.usage_metrics import UsageMetrics

FIRST, WHOLE = service_levels(
    [
        Budget(surface="chat", metric="timeToFirstToken", max="1500ms"),
        Budget(surface="chat", metric="duration", percentile=99, max="30s"),
    ]
)
LABELS = 'metric="timeToFirstToken",name="support",namespace="demo",percentile="95",surface="chat"'


def series(registry: CollectorRegistry) -> list[str]:
    return [
        line for line in generate_latest(registry).decode().splitlines() if line.startswith("claude_operator_budget")
    ]


def test_each_budget_with_calls_has_a_series() -> None:
    registry = CollectorRegistry()
    metrics = UsageMetrics(registry)
    quiet = Standing(WHOLE, Counted(), Counted())
    metrics.show_budgets("demo", "support", [Standing(FIRST, Counted(920, 80), Counted()), quiet])
    assert series(registry) == [
        f"claude_operator_budget_attainment{{{LABELS}}} 0.92",
        f"claude_operator_budget_burn_rate{{{LABELS}}} 1.6",
    ]
    metrics.show_budgets("demo", "support", [quiet])  # none any more
    assert series(registry) == []


def test_what_exists_no_more_has_none() -> None:
    registry = CollectorRegistry()
    metrics = UsageMetrics(registry)
    for name in ("support", "sales"):
        metrics.show_budgets("demo", name, [Standing(FIRST, Counted(920, 80), Counted())])
    metrics.drop(Key(DEPLOYMENT, "demo", "support"))
    assert all('name="sales"' in line for line in series(registry))
    assert len(series(registry)) == 2
    metrics.clear()
    assert series(registry) == []
