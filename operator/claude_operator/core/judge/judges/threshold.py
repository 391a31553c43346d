"""Metrics with a threshold, with the semantics of Argo Rollouts' AnalysisRuns, except that only failures abort.

A measurement outside its threshold has failed; failures count in total, and more than failureLimit of them take the
traffic back. One without an answer is an error; more than consecutiveErrorLimit in a row hold. One without data is
inconclusive and holds. Metrics of the gateways are measured from the canary's own counts over a window.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from claude_operator.api.analysis import Analysis, Metric
from claude_operator.api.status import Judgement, Measured, MetricState
from claude_operator.core.judge.evidence.context import Context
from claude_operator.core.judge.evidence.measurements import (
    Measurement,
    Query,
    due,
    is_due,
    of_threshold,
    whole,
    window,
)
from claude_operator.core.judge.evidence.tick import Tick
from claude_operator.core.judge.judges.comparisons import Comparison
from claude_operator.core.judge.judges.protocol import NO_HARM, Harm
from claude_operator.core.judge.judges.totals import Total
from claude_operator.core.judge.metrics import Watched
from claude_operator.core.text import count, cut, duration

__all__ = ["Measurement", "Outcome", "Query", "ThresholdJudge", "builtin", "due", "measure", "of_threshold", "outcome"]

_SLOTS = 12  # of a window: it is forgotten by so many parts
_ERRORS = 4  # in a row that are tolerated, as in Argo Rollouts
_QUOTED = 300  # characters of an error that a status repeats


class ThresholdJudge:
    """No comparison of the arms: only the thresholds, which are held beside every judge."""

    compares = False
    by_interval = False
    replayable = False

    def weigh(self, states: Sequence[MetricState], watches: Sequence[Watched]) -> tuple[float, str | None]:
        """None: there is no comparison."""
        return NO_HARM

    def advance(
        self, before: Judgement, tick: Tick, analysis: Analysis, context: Context
    ) -> tuple[Judgement, tuple[Comparison, ...]]:
        """Nothing is added."""
        return before, ()

    def find_harm(self, judgement: Judgement, analysis: Analysis) -> Harm | None:
        """None besides the thresholds."""
        return None

    def explain_missing(self, judgement: Judgement, analysis: Analysis, step: int, pace: float) -> str | None:
        """Nothing besides the thresholds."""
        return None

    def summarise(self, judgement: Judgement) -> str:
        """That nothing is outside."""
        requests = count(judgement.requests, "canary request")
        return f"{requests}, no metric is outside its threshold"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the measurements say together, the metric that decides, and why; `notes` are of metrics in mode DryRun."""

    verdict: Literal["Fail", "Error", "Inconclusive", "Pass"]
    name: str | None = None
    sentence: str = ""
    notes: tuple[str, ...] = ()
    no_data: bool = False
    """The last measurement of the metric found nothing."""


def measure(
    analysis: Analysis,
    measured: Sequence[Measured],
    measurements: Iterable[Measurement],
    totals: Mapping[str, Total],
    *,
    now: dt.datetime,
    started_at: dt.datetime,
) -> list[Measured]:
    """The metrics with a threshold after one more tick, in the order of `analysis`; `measured` stays as it is.

    `measurements` are Prometheus's answers in any order; one as old as the last that counted, or older, says nothing
    new. `totals` are what the canary's counts grew by, by built-in metric; one that is left out has not grown.
    """
    known = {one.name: one for one in measured}
    answers: dict[str, list[Measurement]] = {}
    for measurement in sorted(measurements, key=_order):
        answers.setdefault(measurement.name, []).append(measurement)
    after = []
    for metric in of_threshold(analysis):
        one = known.get(metric.name) or Measured(name=metric.name)
        if metric.prometheus is None:
            elapsed = max((now - started_at).total_seconds(), 0.0)
            series, value = builtin(window(metric), one.series, totals.get(metric.name, (0, 0)), elapsed)
            ready = is_due(metric, one, now=now, started_at=started_at)
            one = one.model_copy(update={"series": series})
            found = [Measurement(metric.name, value, at=whole(now))] if ready else []
        else:
            found = answers.get(metric.name, [])
        for measurement in found:
            one = _counted(metric, one, measurement, now=now, started_at=started_at)
        after.append(one)
    return after


def builtin(length: float, series: Sequence[float], new: Total, elapsed: float) -> tuple[list[float], float | None]:
    """The series with `new`, and what it comes to: a share, or a mean; None without a single request.

    `length`: seconds that count. `series`: [seconds since the start, n, x, ...] of at most 12 slots. `elapsed`: seconds
    since the start. What is forgotten is forgotten by slots, so what counts is 11/12 of `length` at least.
    """
    width = length / _SLOTS
    present = math.floor(elapsed / width)
    slots = {round(series[i] / width): (series[i + 1], series[i + 2]) for i in range(0, len(series) - 2, 3)}
    n, x = slots.get(present, (0, 0))
    if new[0]:
        slots[present] = (n + new[0], x + new[1])
    kept = {slot: pair for slot, pair in sorted(slots.items()) if present - _SLOTS < slot <= present}
    flat = [float(number) for slot, pair in kept.items() for number in (slot * width, *pair)]
    total = math.fsum(n for n, _ in kept.values())
    return flat, math.fsum(x for _, x in kept.values()) / total if total else None


def outcome(analysis: Analysis, measured: Sequence[Measured]) -> Outcome:
    """What to do: of several metrics the gravest says so, of equals the first; `Pass` where there is none to ask.

    `Pass` takes a successful measurement of each, and none whose last one found no data.
    """
    known = {one.name: one for one in measured}
    found, notes = [], []
    for metric in of_threshold(analysis):
        one = _judged(metric, known.get(metric.name) or Measured(name=metric.name))
        if metric.mode != "DryRun":
            found.append(one)
        elif one.verdict in ("Fail", "Error"):
            notes.append(f"{one.sentence}; mode DryRun, so this changes nothing")
    worst = next(
        (one for verdict in ("Fail", "Error", "Inconclusive") for one in found if one.verdict == verdict), None
    )
    chosen = worst or Outcome("Pass")
    return replace(chosen, notes=tuple(notes))


def _judged(metric: Metric, one: Measured) -> Outcome:
    if one.failures > (metric.failure_limit or 0):
        return Outcome("Fail", metric.name, _failed(metric, one))
    limit = _ERRORS if metric.consecutive_error_limit is None else metric.consecutive_error_limit
    if one.consecutive_errors > limit:
        return Outcome("Error", metric.name, _erred(metric, one))
    if one.phase == "Inconclusive":
        return Outcome("Inconclusive", metric.name, one.message, no_data=True)
    if one.measurements <= one.failures:
        waiting = _erred(metric, one) if one.phase == "Error" else one.message
        return Outcome("Inconclusive", metric.name, waiting or f"{metric.name} has not been measured yet")
    return Outcome("Pass", metric.name)


def _counted(
    metric: Metric, one: Measured, measurement: Measurement, *, now: dt.datetime, started_at: dt.datetime
) -> Measured:
    """With a measurement that has not been counted yet. A value of NaN or infinity is none."""
    at, last = whole(measurement.at), one.measured_at
    # One of the future is of an operator whose clock was ahead.
    if at < whole(started_at) or (last and at <= whole(last) <= whole(now)):
        return one
    value = measurement.value if measurement.value is not None and math.isfinite(measurement.value) else None
    if measurement.error:
        update = {"phase": "Error", "consecutive_errors": one.consecutive_errors + 1}
    elif value is None:
        update = {"phase": "Inconclusive", "consecutive_errors": 0}
    else:
        failed = _side(metric, value) is not None
        update = {
            "phase": "Failed" if failed else "Successful",
            "consecutive_errors": 0,
            "measurements": one.measurements + 1,
            "failures": one.failures + failed,
        }
    # The last value is still shown beside an error.
    shown = one.value if measurement.error else value
    after = one.model_copy(update={**update, "value": shown, "measured_at": at})
    return after.model_copy(update={"message": _message(metric, after, measurement.error)})


def _message(metric: Metric, one: Measured, error: str) -> str:
    if one.phase == "Error":
        return error if len(error) <= _QUOTED else f"{error[: _QUOTED - 1]}…"
    if one.phase == "Failed":
        return _failed(metric, one)
    if one.phase == "Successful":
        return ""
    if metric.prometheus is None:
        return f"{metric.name} has no data: no canary request in the last {duration(window(metric))}"
    return f"{metric.name} has no data: the query's answer is empty or not a number"


def _failed(metric: Metric, one: Measured) -> str:
    """`complaints 0.12 is above 0.05 for the 3rd time (2 tolerated)`, of the last measurement that failed."""
    limits = metric.failure_limit or 0
    if one.phase != "Failed" or one.value is None:
        return f"{metric.name} was outside of its threshold {_times(one.failures)} ({limits} tolerated)"
    how = _side(metric, one.value) or "outside of its threshold"
    return f"{metric.name} {one.value:.4g} is {how} for the {_ordinal(one.failures)} time ({limits} tolerated)"


def _erred(metric: Metric, one: Measured) -> str:
    limit = _ERRORS if metric.consecutive_error_limit is None else metric.consecutive_error_limit
    times = f"{_times(one.consecutive_errors)} in a row" if one.consecutive_errors > 1 else "once"
    return cut(f"{metric.name} could not be measured {times} ({limit} tolerated): {one.message}")


def _side(metric: Metric, value: float) -> str | None:
    """Which limit a value breaks; None where it is within."""
    limits = metric.threshold
    if limits is not None and limits.max is not None and value > limits.max:
        return f"above {limits.max:.4g}"
    if limits is not None and limits.min is not None and value < limits.min:
        return f"below {limits.min:.4g}"
    return None


def _order(measurement: Measurement) -> tuple[dt.datetime, str, float]:
    value = measurement.value
    return measurement.at, measurement.error, math.inf if value is None or math.isnan(value) else value


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _ordinal(number: int) -> str:
    tail = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{tail}"
