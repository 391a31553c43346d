"""What the operator's metrics show of ClaudeOrganizations, by name."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from claude_operator.api.organisation import OrganizationStatus, OrganizationType
from claude_operator.core.organisation.conditions import Seen
from claude_operator.core.organisation.status import cost_of_month, forecast_of_month

__all__ = ["OrganizationMetrics"]

_PREFIX = "claude_organization_"


class OrganizationMetrics:
    """Series of those that exist; what is not known has none."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"{_PREFIX}{name}", text, ("name", *labels), registry=registry)

        self._condition = gauge("condition", "1 where a condition is True, by its type; else 0.", "type")
        self._cost = gauge("cost_usd", "US dollars of the month: month, or forecast for all of it.", "window")
        self._tokens = gauge("tokens", "Tokens of the month, as the organisation counts them.")
        self._deployment = gauge(
            "deployment_tokens",
            "Tokens of the month of a ClaudeDeployment, of the 20 largest.",
            "namespace",
            "deployment",
        )
        self._other = gauge(
            "other_key_tokens", "Tokens of the month that are no ClaudeDeployment's, of the 20 largest keys.", "key"
        )
        self._difference = gauge(
            "difference_ratio", "By how much the organisation counts more than the gateways, as a share; closed days."
        )
        self._until = gauge("usage_until_timestamp_seconds", "Usage is complete up to this moment.")
        self._all = (
            self._condition,
            self._cost,
            self._tokens,
            self._deployment,
            self._other,
            self._difference,
            self._until,
        )
        self._names: set[str] = set()

    def keep(self, names: set[str]) -> None:
        """Drop the series of those that no longer exist."""
        for name in self._names - names:
            self._drop(name)
        self._names = set(names)

    def show(self, name: str, seen: Seen, status: OrganizationStatus) -> None:
        """Of one, as it is now."""
        self._drop(name)
        for one in status.conditions:
            if one.type in list(OrganizationType):
                self._condition.labels(name, one.type).set(one.status == "True")
        if seen.reading is None:  # the figures are of before
            return
        amounts = {
            "month": cost_of_month(seen.reading, seen.now),
            "forecast": forecast_of_month(seen.reading, seen.now),
        }
        for window, usd in amounts.items():
            if usd is not None:
                self._cost.labels(name, window).set(usd)
        self._tokens.labels(name).set(status.tokens)
        for share in status.deployments:
            self._deployment.labels(name, share.namespace, share.name).set(share.tokens)
        for other in status.other_keys:
            self._other.labels(name, other.api_key_id).set(other.tokens)
        if (compared := status.reconciliation) is not None and compared.organization:
            ratio = (compared.organization - compared.gateways) / compared.organization
            self._difference.labels(name).set(ratio)
        if seen.reading.usage_until is not None:
            self._until.labels(name).set(seen.reading.usage_until.timestamp())

    def _drop(self, name: str) -> None:
        for one in self._all:
            one.remove_by_labels({"name": name})
