"""What the operator's `GET /metrics` shows of usage: only here do labels name ClaudeDeployments."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from claude_operator.core.usage.figures import figures
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

    def show(self, key: Key, state: UsageState) -> None:
        """What is known of one after a reading."""
        found = figures(state.spend, state.read_at)
        self._cost.labels(key.namespace, key.name, "day").set(found.today.usd)
        self._cost.labels(key.namespace, key.name, "month").set(found.month.usd)
        if found.forecast is not None:
            self._cost.labels(key.namespace, key.name, "forecast").set(found.forecast)

    def drop(self, key: Key) -> None:
        """It exists no more."""
        self._cost.remove_by_labels({"namespace": key.namespace, "name": key.name})

    def clear(self) -> None:
        """This replica leads no longer: another one shows them."""
        self._cost.clear()
