"""What each arm's counts grew by, by built-in metric: for series and for thresholds, which do not go by strata."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from claude_operator.api.analysis import Analysis
from claude_operator.core.judge.evidence.sample import Sample
from claude_operator.core.judge.evidence.tick import Tick
from claude_operator.core.judge.metrics import CACHES, METRICS, Binary, declared

__all__ = ["ARMS", "Total", "totals"]

Arm = Literal["canary", "stable"]
ARMS: tuple[Arm, Arm] = "canary", "stable"

Total = tuple[float, float]
"""Requests and bad ones, or values and their sum."""


def totals(analysis: Analysis, tick: Tick, arm: Arm) -> dict[str, Total]:
    """Of one arm."""
    samples = [arms.canary if arm == "canary" else arms.stable for arms in tick.strata.values()]
    return {metric.name: _total(metric.name, samples) for metric in declared(analysis) if metric.name in METRICS}


def _total(name: str, samples: Iterable[Sample]) -> Total:
    kind = METRICS[name]
    number, total = 0, 0.0
    for sample in samples:
        if isinstance(kind, Binary):
            requests, bad = kind.events(sample)
            number, total = number + requests, total + bad
        else:
            values = sample.quantity(name, CACHES)
            number, total = number + values.count, total + values.sum
    return number, total
