"""What the operator's `GET /metrics` shows of usage: only here do labels name ClaudeDeployments."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Gauge

from claude_operator.api.spending import Spending
from claude_operator.core.usage.cache_verdict import hit_ratios
from claude_operator.core.usage.figures import figures
from claude_operator.core.usage.service_level import Standing
from claude_operator.core.usage.state import UsageState
from claude_operator.shell.keys import Key

__all__ = ["UsageMetrics"]

_DEPLOYMENT = ("namespace", "name")


class UsageMetrics:
    """Gauges of the leader; what is not known has no series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._cost = Gauge(
            "claude_operator_cost_usd",
            "US dollars that a ClaudeDeployment's calls cost: today and this month (UTC), and the month's forecast.",
            (*_DEPLOYMENT, "window"),
            registry=registry,
        )
        self._budget = Gauge(
            "claude_operator_monthly_budget_usd",
            "US dollars that a ClaudeDeployment may cost a month, where spec.budget says so.",
            _DEPLOYMENT,
            registry=registry,
        )
        budget = (*_DEPLOYMENT, "surface", "metric", "percentile")
        self._attainment = Gauge(
            "claude_operator_budget_attainment",
            "Share of a surface's calls that kept to a budget over its window.",
            budget,
            registry=registry,
        )
        self._burn_rate = Gauge(
            "claude_operator_budget_burn_rate",
            "Share of calls over a budget, as a multiple of the share that is allowed, over its window.",
            budget,
            registry=registry,
        )
        self._cache = Gauge(
            "claude_operator_cache_hit_ratio",
            "Share of the input tokens of the last 24 hours that were read from the prompt cache, of all revisions.",
            (*_DEPLOYMENT, "surface"),
            registry=registry,
        )
        self._gauges = (self._cost, self._budget, self._attainment, self._burn_rate, self._cache)

    def show(self, key: Key, state: UsageState) -> None:
        """What is known of one after a reading."""
        found = figures(state.spend, state.read_at)
        costs = {"day": found.today.usd, "month": found.month.usd, "forecast": found.forecast}
        for window, usd in costs.items():
            if usd is None or state.spend.began is None:  # no gateway has told anything: that is not zero
                self._cost.remove_by_labels({"namespace": key.namespace, "name": key.name, "window": window})
            else:
                self._cost.labels(key.namespace, key.name, window).set(usd)
        self._cache.remove_by_labels({"namespace": key.namespace, "name": key.name})
        for surface, ratio in hit_ratios(state.cache, state.read_at).items():
            self._cache.labels(key.namespace, key.name, surface).set(ratio)

    def show_budget(self, key: Key, spending: Spending | None) -> None:
        """What a month may cost; no series where nobody has said."""
        if spending is None:
            self._budget.remove_by_labels({"namespace": key.namespace, "name": key.name})
        else:
            self._budget.labels(key.namespace, key.name).set(float(spending.monthly_usd))

    def show_budgets(self, namespace: str, name: str, found: Sequence[Standing]) -> None:
        """How the budgets of one stand, by its last pass; those without calls have no series."""
        for gauge in (self._attainment, self._burn_rate):
            gauge.remove_by_labels({"namespace": namespace, "name": name})
        for one in found:
            if one.counted.calls:
                labels = namespace, name, one.level.surface, one.level.metric, f"{one.level.percentile:g}"
                self._attainment.labels(*labels).set(one.attainment)
                self._burn_rate.labels(*labels).set(one.burn_rate)

    def drop(self, key: Key) -> None:
        """It exists no more."""
        for gauge in self._gauges:
            gauge.remove_by_labels({"namespace": key.namespace, "name": key.name})

    def clear(self) -> None:
        """This replica leads no longer: another one shows them."""
        for gauge in self._gauges:
            gauge.clear()
