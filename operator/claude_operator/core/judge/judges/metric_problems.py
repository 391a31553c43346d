"""What of a metric with a threshold, or with a query of its own, cannot be measured, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterator

from claude_operator.api.analysis import Analysis, Metric, Prometheus, Threshold
from claude_operator.api.base import YEAR, seconds
from claude_operator.core.judge.evidence.measurements import PLACEHOLDERS, unknown
from claude_operator.core.judge.evidence.sample import QUANTITIES as VALUES
from claude_operator.core.judge.judges.protocol import Judge
from claude_operator.core.judge.metrics import METRICS, Binary, Quantity, mode_of
from claude_operator.core.spec.address import address_problems

__all__ = ["QUANTITIES", "SHARES", "missing", "problem", "unsupported"]

SHARES = tuple(name for name, kind in METRICS.items() if isinstance(kind, Binary) and not kind.by_conversation)
"""Built-in metrics that are shares of requests."""
QUANTITIES = {name: kind.unit for name in VALUES if isinstance(kind := METRICS[name], Quantity)}
"""Built-in metrics that are means, and their units."""

_KNOWN = ", ".join(sorted(METRICS, key=lambda name: isinstance(METRICS[name], Quantity)))
_OF_THRESHOLD = {  # say nothing without one
    "interval": "interval",
    "window": "window",
    "initial_delay": "initialDelay",
    "failure_limit": "failureLimit",
    "consecutive_error_limit": "consecutiveErrorLimit",
}
_OF_COMPARISON = {"weight": "weight", "max_increase": "maxIncrease"}


def missing(analysis: Analysis, judge: Judge, *, budgeted: bool) -> Iterator[str]:
    """What the metrics of a spec lack. `budgeted`: whether there is a latency budget."""
    if analysis.metrics == [] and judge.compares:
        yield "no metric is watched: name one, or remove the field for the usual ones"
    for metric in analysis.metrics or ():
        kind = METRICS.get(metric.name)
        if isinstance(kind, Binary) and kind.needs_budget and not budgeted:
            example = "spec.budgets: [{surface: chat, metric: timeToFirstToken, max: 1500ms}]"
            yield f"{metric.name} needs a budget: write for example {example}"


def unsupported(analysis: Analysis, judge: Judge) -> str | None:
    """The first thing of `analysis` that `problem` finds, or that the judge lacks; None where all is well."""
    for metric in analysis.metrics or ():
        found = problem(metric, judge)
        if found:
            return f"analysis.metrics: {found}"
    if not judge.compares and not analysis.metrics:
        example = "[{name: errors, threshold: {max: 0.05}}]"
        return f"analysis.metrics: the judge {analysis.judge} has nothing to compare: write for example {example}"
    return None


def problem(metric: Metric, judge: Judge) -> str | None:
    """The first thing of `metric` that cannot be measured, with what to write instead; None where all can."""
    return next(_problems(metric, judge), None)


def _problems(metric: Metric, judge: Judge) -> Iterator[str]:
    name, built_in = metric.name, metric.name in METRICS
    if metric.prometheus is None and not built_in:
        yield (
            f"there is no metric {name!r}: write one of {_KNOWN}, or give it a prometheus.query and a threshold.max"
            " or threshold.min"
        )
    if metric.prometheus is not None and built_in:
        yield f"prometheus: {name} is measured by the gateways: give a metric of your own another name"
    if metric.threshold is None:
        yield from _without_threshold(metric, judge)
        return
    if built_in and METRICS[name].by_conversation:
        yield f"threshold of {name}: it is counted by conversation and has no limit of its own: remove the threshold"
    if mode_of(metric) == "Hold":
        yield f"mode Hold of {name} compares the arms, and a threshold does not: write Enforce or DryRun"
    for field, written in _OF_COMPARISON.items():
        if getattr(metric, field) is not None and (not built_in or not judge.compares):
            yield f"{written} of {name} compares the arms, and a threshold does not: remove it"
    yield from _limits(name, metric.threshold)
    yield from _times(metric)
    if metric.prometheus is not None:
        yield from _query(name, metric.prometheus)


def _without_threshold(metric: Metric, judge: Judge) -> Iterator[str]:
    name = metric.name
    if metric.prometheus is not None or not judge.compares:
        yield f"threshold of {name} is missing: write for example threshold: {{max: 0.05}}"
    for field, written in _OF_THRESHOLD.items():
        if getattr(metric, field) is not None and not (judge.by_interval and field == "interval"):
            yield f"{written} of {name} has no effect without a threshold: add threshold: {{max: ...}}, or remove it"
    if judge.by_interval:
        yield from _times(metric)


def _limits(name: str, limits: Threshold) -> Iterator[str]:
    if limits.max is None and limits.min is None:
        yield f"threshold of {name} has no limit: write max, min or both, for example threshold: {{max: 0.05}}"
    if limits.max is not None and limits.min is not None and limits.min > limits.max:
        yield f"threshold of {name}: min {limits.min:g} is above max {limits.max:g}: swap them"
    for limit in (limits.max, limits.min):
        if limit is None:
            continue
        if name in SHARES and not 0 <= limit <= 1:
            yield f"threshold of {name}: it is a share of requests, from 0 to 1: write for example 0.05 for 5 %"
        elif name in QUANTITIES and limit < 0:
            yield f"threshold of {name}: {limit:g} is below 0: write {QUANTITIES[name]}"


def _times(metric: Metric) -> Iterator[str]:
    for field in ("interval", "window", "initial_delay"):
        value = getattr(metric, field)
        if value is None:
            continue
        written = _OF_THRESHOLD[field]
        if field != "initial_delay" and seconds(value) < 1:
            yield f"{written} of {metric.name}: {value} is too short: write 1s or more"
        if seconds(value) > YEAR:
            yield f"{written} of {metric.name}: {value} is more than a year: write 8760h or less"


def _query(name: str, source: Prometheus) -> Iterator[str]:
    stranger = unknown(source.query)
    if stranger:
        known = ", ".join(f"{{{{{one}}}}}" for one in PLACEHOLDERS)
        yield f"prometheus.query of {name}: {stranger} is not known: write one of {known}"
    if source.address is None:
        return
    found = address_problems(
        source.address,
        example="http://prometheus.monitoring:9090",
        secrets_belong="a spec is not a place for secrets",
        appended="/api/v1/query",
    )
    yield from (f"prometheus.address of {name} {problem}" for problem in found)
