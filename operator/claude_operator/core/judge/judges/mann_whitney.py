"""The judge `MannWhitney`: one value an interval and arm, and Kayenta's rule on the two series.

It has no error rate that could be promised: it is looked at after every tenth interval, and each look is a test.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence

from claude_operator.api.base import seconds
from claude_operator.api.deployment import Analysis, Metric
from claude_operator.api.status import Series
from claude_operator.core.judge.metrics import METRICS, declared
from claude_operator.core.judge.stats.mannwhitney import compare

__all__ = ["LOOK", "advanced", "passed", "sentence", "watches", "worse"]

LOOK = 10  # intervals between two looks
_MOST = 60  # values of an arm that are kept: status has to stay small
_INTERVAL = "1m"

Tick = tuple[float, float]
"""Requests and bad ones, or values and their sum."""


def watches(analysis: Analysis) -> tuple[Metric, ...]:
    """The metrics that are compared as series, none under another judge."""
    if analysis.judge != "MannWhitney":
        return ()
    return tuple(metric for metric in declared(analysis) if metric.name in METRICS)


def advanced(
    analysis: Analysis,
    known: Sequence[Series],
    canary: Mapping[str, Tick],
    stable: Mapping[str, Tick],
    *,
    now: dt.datetime,
    started_at: dt.datetime,
) -> list[Series]:
    """The series after a tick. An interval in which an arm had nothing gives no value of it."""
    before = {one.name: one for one in known}
    after = []
    for metric in watches(analysis):
        series = before.get(metric.name) or Series(name=metric.name)
        number = math.floor((now - started_at).total_seconds() / seconds(metric.interval or _INTERVAL))
        ours, theirs = canary.get(metric.name, (0, 0)), stable.get(metric.name, (0, 0))
        present = series.open or [number, 0, 0, 0, 0]
        if number > present[0]:
            series = _closed(series, present)
            present = [number, 0, 0, 0, 0]
        sums = [a + b for a, b in zip(present[1:], (*ours, *theirs), strict=True)]
        after.append(series.model_copy(update={"open": [present[0], *sums]}))
    return after


def worse(analysis: Analysis, known: Sequence[Series]) -> Series | None:
    """The first series of an enforced metric that is classified High."""
    modes = {metric.name: metric.mode for metric in watches(analysis)}
    return next((one for one in known if one.classification == "High" and modes.get(one.name) != "DryRun"), None)


def passed(analysis: Analysis, known: Sequence[Series]) -> bool:
    """Whether every enforced metric has been classified, and none as High."""
    found = {one.name: one.classification for one in known}
    enforced = [metric.name for metric in watches(analysis) if metric.mode != "DryRun"]
    return all(found.get(name) in ("Pass", "Low") for name in enforced)


def sentence(one: Series) -> str:
    """`errors is higher than stable's by the Mann-Whitney test over 20 intervals (mean 0.06 against 0.01)`."""
    ours, theirs = (math.fsum(side) / len(side) if side else math.nan for side in (one.canary, one.stable))
    over = f"over {len(one.canary)} intervals (mean {ours:.3g} against {theirs:.3g})"
    return f"{METRICS[one.name].words} higher than stable's by the Mann-Whitney test {over}"


def _closed(series: Series, present: Sequence[float]) -> Series:
    _, n_canary, x_canary, n_stable, x_stable = present
    if not (n_canary and n_stable):
        return series
    canary = [*series.canary, float(f"{x_canary / n_canary:.5g}")][-_MOST:]
    stable = [*series.stable, float(f"{x_stable / n_stable:.5g}")][-_MOST:]
    looked = series.classification
    taken = series.taken + 1
    if taken % LOOK == 0:
        looked = compare(canary, stable, direction="Increase").classification
    return series.model_copy(
        update={"canary": canary, "stable": stable, "classification": looked, "taken": taken, "open": []}
    )
