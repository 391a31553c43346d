"""What the leader last decided about each ClaudeDeployment, as series for dashboards and alerts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from claude_operator.api.base import seconds
from claude_operator.api.status import DeploymentStatus, Judgement
from claude_operator.shell.keys import Key

__all__ = ["DeploymentSeries"]

_FAMILIES = {
    "condition": ("1 for each condition as it is now.", ("type", "status", "reason")),
    "traffic_percent": ("Percent of new conversations that a revision should get.", ("revision", "role")),
    "gateways_ready": ("Ready gateway pods.", ()),
    "evidence": ("Evidence of harm while a revision is judged, by metric; combined: of all together.", ("metric",)),
    "evidence_threshold": ("Combined evidence at which traffic is taken back.", ()),
    "budget_target": (
        "Share of calls that should keep to a latency budget.",
        ("surface", "metric", "percentile", "max"),
    ),
    "model_retirement_timestamp_seconds": ("When a model in use is switched off.", ("model",)),
    "model_in_use": ("1 for each model in use, by its lifecycle state.", ("model", "state")),
}


class _Sample(NamedTuple):
    family: str
    labels: tuple[str, ...]
    value: float


class DeploymentSeries(Collector):
    """Series with the labels `namespace` and `name`. A replica that does not lead has none."""

    def __init__(self) -> None:
        self._samples: dict[Key, tuple[_Sample, ...]] = {}

    def show(self, key: Key, status: DeploymentStatus) -> None:
        """Take in what was decided now."""
        self._samples[key] = tuple(_samples(status))

    def drop(self, key: Key) -> None:
        """Nothing is known of it, or it is gone."""
        self._samples.pop(key, None)

    def clear(self) -> None:
        """This replica leads no longer: another one knows now."""
        self._samples.clear()

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The families without samples, for the registry."""
        return iter(_families().values())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families. Asked in another thread than the one that shows, hence the copy."""
        families = _families()
        for key, samples in self._samples.copy().items():
            for family, labels, value in samples:
                families[family].add_metric([key.namespace, key.name, *labels], value)
        return iter(families.values())


def _families() -> dict[str, GaugeMetricFamily]:
    return {
        family: GaugeMetricFamily(f"claude_operator_{family}", text, labels=("namespace", "name", *labels))
        for family, (text, labels) in _FAMILIES.items()
    }


def _samples(status: DeploymentStatus) -> Iterator[_Sample]:
    for one in status.conditions:
        yield _Sample("condition", (one.type, one.status, one.reason), 1.0)
    for share in status.traffic:
        yield _Sample("traffic_percent", (share.revision, share.role), share.percent)
    if status.gateway is not None:
        yield _Sample("gateways_ready", (), status.gateway.ready)
    judgement = _judgement(status)
    if judgement is not None:
        yield _Sample("evidence", ("combined",), judgement.evidence)
        for metric in judgement.state:
            yield _Sample("evidence", (metric.name,), metric.evidence)
        yield _Sample("evidence_threshold", (), judgement.threshold)
    for budget in status.budgets:
        if (target := _share(budget.target)) is not None:
            labels = (budget.surface, budget.metric, budget.target.rstrip(" %"), _most(budget.limit))
            yield _Sample("budget_target", labels, target)
    for used in status.models:
        yield _Sample("model_in_use", (used.id, used.lifecycle), 1.0)
        if (end := _midnight(used.retires_at)) is not None:
            yield _Sample("model_retirement_timestamp_seconds", (used.id,), end)


def _judgement(status: DeploymentStatus) -> Judgement | None:
    """Of the revision that is judged now. What was found about an earlier one stays in the status, and is old."""
    if status.canary_revision is not None:
        return status.judgement
    return status.soak.judgement if status.soak is not None else None


def _share(percent: str) -> float | None:
    """A percentage as a share; None for what is no number, since others may have written the status."""
    try:
        return float(percent.rstrip(" %")) / 100
    except ValueError:
        return None


def _most(limit: str) -> str:
    """The seconds of a latency limit, as gateways label their calls; empty for throughput, which has a least."""
    try:
        return f"{seconds(limit.removeprefix('at most ')):g}"
    except ValueError:
        return ""


def _midnight(date: str | None) -> float | None:
    """The beginning of a day in UTC; None for what is no date, since others may have written the status."""
    try:
        return dt.datetime.fromisoformat(f"{date}T00:00:00+00:00").timestamp() if date else None
    except ValueError:
        return None
