"""Gauges that name a ClaudeDeployment come and go with it."""

from __future__ import annotations

from claude_operator.api.spending import Spending
from claude_operator.shell.keys import DEPLOYMENT, Key
from claude_operator.shell.metrics import Metrics

KEY = Key(DEPLOYMENT, "demo", "support")
SERIES = 'claude_operator_monthly_budget_usd{name="support",namespace="demo"} '


def test_a_budget_is_shown_while_there_is_one() -> None:
    metrics = Metrics()
    for usd in ("2000", "2500.50"):
        metrics.usage.show_budget(KEY, Spending(month="2026-11", monthly_usd=usd))
        assert f"{SERIES}{float(usd)}" in metrics.page().decode()
    metrics.usage.show_budget(KEY, None)
    assert SERIES not in metrics.page().decode()
    for gone in (lambda: metrics.usage.drop(KEY), metrics.usage.clear):
        metrics.usage.show_budget(KEY, Spending(month="2026-11", monthly_usd="7"))
        gone()
        assert SERIES not in metrics.page().decode()
