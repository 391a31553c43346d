"""Measurements of metrics with a threshold: when they are due, and what Prometheus is asked then.

They are taken on a grid that begins when the judge began, so a restart neither skips nor repeats one, and metrics of
one interval are asked for the same moment. One that brought no value is repeated sooner.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from claude_operator.api.analysis import Analysis, Metric
from claude_operator.api.base import seconds
from claude_operator.api.status import Judgement, Measured

__all__ = ["PLACEHOLDERS", "Measurement", "Query", "due", "is_due", "of_threshold", "unknown", "whole", "window"]

PLACEHOLDERS = ("revision", "stable", "deployment", "namespace", "window")
_INTERVAL = "1m"
_WINDOW = "5m"
_RETRY = 10.0  # seconds until one that brought no value is repeated, as in Argo Rollouts, or the next is due
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Query:
    """What Prometheus is asked: an instant query as of `at`. `address` is None for the operator's own."""

    name: str
    address: str | None
    query: str
    at: dt.datetime
    counted: dt.datetime | None = None
    """Answers as of this moment, or of one before, have been counted or are of another rollout."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What came of it. No value and no error: there is no data, or it is not a number."""

    name: str
    value: float | None
    error: str = ""
    at: dt.datetime = field(kw_only=True)
    """The moment that it tells of, not when the answer came; tells measurements of a metric apart."""


def due(
    analysis: Analysis,
    judgement: Judgement | None,
    *,
    deployment: str,
    namespace: str,
    stable: str,
    canary: str,
    now: dt.datetime,
) -> tuple[Query, ...]:
    """The queries whose measurement is due, all as of one whole second; none before the judge has begun."""
    if judgement is None or judgement.started_at is None:
        return ()
    at, begun = whole(now), judgement.started_at
    known = {one.name: one for one in judgement.measured}
    values = {"revision": canary, "stable": stable, "deployment": deployment, "namespace": namespace}
    return tuple(
        Query(
            metric.name,
            metric.prometheus.address,
            _filled(metric.prometheus.query, {**values, "window": _promql(window(metric))}),
            at,
            _last(known.get(metric.name), at) or whole(begun) - dt.timedelta(seconds=1),
        )
        for metric in of_threshold(analysis)
        if metric.prometheus and is_due(metric, known.get(metric.name), now=now, started_at=begun)
    )


def of_threshold(analysis: Analysis) -> tuple[Metric, ...]:
    """The metrics that are compared with a threshold."""
    return tuple(metric for metric in analysis.metrics or () if metric.threshold is not None)


def is_due(metric: Metric, measured: Measured | None, *, now: dt.datetime, started_at: dt.datetime) -> bool:
    """Whether it is time for the next measurement of `metric`."""
    at, begun = whole(now), whole(started_at)
    first = math.floor(seconds(metric.initial_delay or "0s"))
    elapsed = (at - begun).total_seconds() - first
    if elapsed < 0:
        return False
    last = _last(measured, at)
    if measured is None or last is None:
        return True
    interval = max(seconds(metric.interval or _INTERVAL), 1.0)
    if measured.phase in ("Error", "Inconclusive") and (at - last).total_seconds() >= _RETRY:
        return True
    return math.floor(elapsed / interval) > math.floor(((last - begun).total_seconds() - first) / interval)


def _last(measured: Measured | None, at: dt.datetime) -> dt.datetime | None:
    """The last measurement's moment; None for one of the future: an operator that ran before had another clock."""
    last = whole(measured.measured_at) if measured and measured.measured_at else None
    return last if last and last <= at else None


def window(metric: Metric) -> float:
    """Seconds that a measurement looks back."""
    return seconds(metric.window or _WINDOW)


def whole(moment: dt.datetime) -> dt.datetime:
    """The whole second of a moment: what queries are evaluated at."""
    return moment.replace(microsecond=0)


def unknown(query: str) -> str | None:
    """The first placeholder, braces included, that there is nothing to put in for."""
    found = (match for match in _PLACEHOLDER.finditer(query) if match[1] not in PLACEHOLDERS)
    return next((match[0] for match in found), None)


def _filled(query: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), query)


def _promql(length: float) -> str:
    """A time as PromQL has it, which knows no 1.5m."""
    return f"{length:.0f}s" if length == round(length) else f"{max(round(length * 1000), 1)}ms"
