"""What the operator's `GET /metrics` shows."""

from __future__ import annotations

from typing import get_args

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from claude_operator.api.status import Outcome
from claude_operator.shell.deployment_series import DeploymentSeries
from claude_operator.shell.organisation_metrics import OrganizationMetrics
from claude_operator.shell.usage_metrics import UsageMetrics

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

_PASS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ROLLBACK = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_STALL = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The operator's instruments, in a registry of their own. Only `deployments` and `usage` name objects."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # CPU seconds and memory, under their usual names
        self.deployments = DeploymentSeries()
        registry.register(self.deployments)
        self.reconcile_duration = Histogram(
            "claude_operator_reconcile_duration_seconds",
            "Seconds of a pass over one object, by its kind and how the pass ended.",
            ("kind", "result"),
            buckets=_PASS,
            registry=registry,
        )
        self.queue_depth = Gauge(
            "claude_operator_queue_depth", "Keys that are due and waiting for a worker.", registry=registry
        )
        self.rollouts = Counter(
            "claude_operator_rollouts", "Ended rollouts by outcome.", ("outcome",), registry=registry
        )
        for outcome in get_args(Outcome):  # seen as 0 before the first, without which no increase is seen
            self.rollouts.labels(outcome)
        self.rollback_latency = Histogram(
            "claude_operator_rollback_latency_seconds",
            "Seconds from the first tick that failed to weight 0 written.",
            buckets=_ROLLBACK,
            registry=registry,
        )
        self.leader = Gauge("claude_operator_leader", "1 while this replica holds the Lease.", registry=registry)
        self.gateway_read_failures = Counter(
            "claude_operator_gateway_read_failures", "Gateway pods that gave no evidence when asked.", registry=registry
        )
        self.write_failures = Counter(
            "claude_operator_write_failures",
            "Failed writes without conflicts, by kind: config, status, child, revision or evalRun.",
            ("what",),
            registry=registry,
        )
        self.events = Counter("claude_operator_events", "Events written by reason.", ("reason",), registry=registry)

        self.leaderships_lost = Counter(
            "claude_operator_leaderships_lost",
            "Times that this replica stopped leading without being asked to, by reason: lease or blind.",
            ("reason",),
            registry=registry,
        )
        for reason in ("lease", "blind"):  # seen as 0 before the first
            self.leaderships_lost.labels(reason)
        self.api_retries = Counter(
            "claude_operator_api_retries", "Calls to the API server that were tried again.", registry=registry
        )
        self.watch_restarts = Counter(
            "claude_operator_watch_restarts", "Times that the watches ended and were started again.", registry=registry
        )
        self.blind = Gauge(
            "claude_operator_blind_seconds",
            "Seconds for which the leader has not seen changes of some kind; 0 where it sees all.",
            registry=registry,
        )
        self.namespaces_away = Gauge(
            "claude_operator_namespaces_away",
            "Namespaces of --watch-namespace that may not be read; what is in them is left alone.",
            registry=registry,
        )
        self.loop_stall = Histogram(
            "claude_operator_loop_stall_seconds",
            "Delay of the event loop in seconds, sampled fifty times a second.",
            buckets=_STALL,
            registry=registry,
        )
        self.longest_hold = Gauge(
            "claude_operator_loop_longest_hold_seconds",
            "The longest delay of the event loop by its own work, in seconds, since this replica began to lead.",
            registry=registry,
        )
        self.usage = UsageMetrics(registry)
        self.organizations = OrganizationMetrics(registry)

    def page(self) -> bytes:
        """All series as `CONTENT_TYPE`."""
        return generate_latest(self.registry)
