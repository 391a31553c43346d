"""What the operator's metrics show of usage: gauges that name a ClaudeDeployment come and go with it."""

from __future__ import annotations

import datetime as dt

from prometheus_client import CollectorRegistry, generate_latest

from claude_operator.api.spending import Spending
from claude_operator.core.usage.cache import CacheUsage, Entry, Sums
from claude_operator.core.usage.ledger import Spend
from claude_operator.core.usage.state import Usages, UsageState
from claude_operator.shell.keys import DEPLOYMENT, Key
from claude_operator.shell.metrics import Metrics
from claude_operator.shell.usage_metrics import UsageMetrics

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


NOW = dt.datetime(2026, 11, 30, 12, 0, tzinfo=dt.UTC)


def known(**ratios: float) -> UsageState:
    """Surfaces with these shares read from the cache."""
    begin = int(NOW.timestamp()) // 600 * 600
    entries = [Entry("r1", surface, "p", Sums(9, 1000, round(1000 * ratio))) for surface, ratio in ratios.items()]
    return UsageState(Usages(cache=CacheUsage({}, {begin: tuple(entries)})), NOW)


def test_the_hit_ratio_of_each_surface() -> None:
    registry = CollectorRegistry()
    metrics, key = UsageMetrics(registry), Key(DEPLOYMENT, "demo", "support")

    def lines() -> list[str]:
        page = generate_latest(registry).decode().splitlines()
        return [line for line in page if line.startswith("claude_operator_cache_hit_ratio")]

    series = 'claude_operator_cache_hit_ratio{name="support",namespace="demo",surface="%s"} %s'
    metrics.show(key, known(chat=0.9, mail=0.25))
    assert lines() == [series % ("chat", "0.9"), series % ("mail", "0.25")]
    metrics.show(key, known(chat=0.95))
    assert lines() == [series % ("chat", "0.95")]  # one without calls for a day has no ratio
    metrics.drop(key)
    assert not lines()


def test_what_no_gateway_has_told_has_no_cost() -> None:
    """It is not known, which is not zero."""
    registry = CollectorRegistry()
    metrics = UsageMetrics(registry)

    def windows() -> list[str]:
        page = generate_latest(registry).decode().splitlines()
        return [
            line.split('window="')[1].split('"')[0] for line in page if line.startswith("claude_operator_cost_usd{")
        ]

    metrics.show(KEY, UsageState(Usages(), NOW))
    assert not windows()
    metrics.show(KEY, UsageState(Usages(Spend(NOW - dt.timedelta(days=3))), NOW))
    assert windows() == ["day", "month", "forecast"]
    metrics.show(KEY, UsageState(Usages(Spend(NOW)), NOW))  # a record that had to begin again
    assert windows() == ["day", "month"]
