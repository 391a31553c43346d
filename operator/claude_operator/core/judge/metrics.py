"""What the judge can watch: which events of an arm are bad, among which requests, and how much it weighs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import Analysis, Metric
from claude_operator.core.judge.evidence import Counts

__all__ = ["METRICS", "BinaryMetric", "unsupported", "watched", "weights"]


@dataclass(frozen=True, slots=True)
class BinaryMetric:
    """`events`: (requests, bad events) of an arm. `weight`: share of the false rollback rate, before normalisation."""

    weight: float
    reason: Reason
    events: Callable[[Counts], tuple[int, int]]


METRICS: Mapping[str, BinaryMetric] = {
    # Overloads are the upstream's: neither bad nor good. The same holds for clients that went away.
    "errors": BinaryMetric(0.5, Reason.ERRORS_INCREASED, lambda counts: (counts.judged, counts.errors)),
    # Among complete answers only: a failed request never came to where the model could have refused.
    "refusals": BinaryMetric(0.1, Reason.REFUSALS_INCREASED, lambda counts: (counts.ok, counts.refusals)),
}

_DEFAULT = tuple(Metric(name=name) for name in METRICS)
_NOT_YET = {
    "max_increase": "maxIncrease",
    "prometheus": "prometheus",
    "threshold": "threshold",
    "failure_limit": "failureLimit",
}
_NAMES = " or ".join(METRICS)


def watched(analysis: Analysis) -> tuple[Metric, ...]:
    """The declared metrics that exist, or all of them where none are declared."""
    declared = _DEFAULT if analysis.metrics is None else analysis.metrics
    return tuple({metric.name: metric for metric in declared if metric.name in METRICS}.values())


def weights(analysis: Analysis) -> Mapping[str, float]:
    """Weight of each metric that can take traffic back, adding up to 1: all but those in mode DryRun."""
    names = [metric.name for metric in watched(analysis) if metric.mode != "DryRun"]
    total = sum(METRICS[name].weight for name in names)
    return {name: METRICS[name].weight / total for name in names}


def unsupported(analysis: Analysis) -> str | None:
    """A sentence naming what of `analysis` does not exist and what to write instead, None where all of it does."""
    if analysis.judge != "Sequential":
        return f"analysis.judge: {analysis.judge} is not supported yet; write Sequential or leave it out"
    for metric in analysis.metrics or ():
        if metric.name not in METRICS:
            return f"analysis.metrics: {metric.name!r} is not supported yet; write {_NAMES}, or leave metrics out"
        for field, name in _NOT_YET.items():
            if getattr(metric, field) is not None:
                return f"analysis.metrics: {name} of {metric.name} is not supported yet; leave it out"
    return None
