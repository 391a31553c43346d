"""The judge `MannWhitney`: one value an interval and arm, and Kayenta's rule on the two series.

It has no error rate that could be promised: it is looked at after every tenth interval, and each look is a test.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence

from claude_operator.api.analysis import Analysis, Metric
from claude_operator.api.base import seconds
from claude_operator.api.conditions import Reason
from claude_operator.api.status import Judgement, MetricState, Series
from claude_operator.core.judge.evidence.context import Context
from claude_operator.core.judge.evidence.tick import Tick
from claude_operator.core.judge.judges.arms import compare_arms
from claude_operator.core.judge.judges.comparisons import Comparison
from claude_operator.core.judge.judges.protocol import NO_HARM, Harm
from claude_operator.core.judge.judges.totals import ARMS, Total, totals
from claude_operator.core.judge.metrics import METRICS, Watched, declared, mode_of, watched
from claude_operator.core.judge.stats.mannwhitney import compare
from claude_operator.core.text import count

__all__ = ["LOOK", "MannWhitneyJudge", "advanced", "passed", "sentence", "watches", "worse"]

LOOK = 10  # intervals between two looks
_MOST = 60  # values of an arm that are kept: status has to stay small
_INTERVAL = "1m"


class MannWhitneyJudge:
    """The test of Kayenta. The states of the arms are for the record: a ledger, a soak."""

    compares = True
    by_interval = True
    replayable = False

    def weigh(self, states: Sequence[MetricState], watches: Sequence[Watched]) -> tuple[float, str | None]:
        """None: its own rule decides."""
        return NO_HARM

    def advance(
        self, before: Judgement, tick: Tick, analysis: Analysis, context: Context
    ) -> tuple[Judgement, tuple[Comparison, ...]]:
        """The series of both arms."""
        compared = watched(analysis, context.price_ratio)
        judged, comparisons, _ = compare_arms(before, tick, analysis, compared, context)
        ours, theirs = (totals(analysis, tick, arm) for arm in ARMS)
        started = judged.started_at or tick.now
        judged.series = advanced(analysis, judged.series, ours, theirs, now=tick.now, started_at=started)
        return judged, comparisons

    def find_harm(self, judgement: Judgement, analysis: Analysis) -> Harm | None:
        """The first metric that is higher than stable's."""
        higher = worse(analysis, judgement.series)
        return Harm(Reason.METRIC_WORSENED, higher.name, sentence(higher)) if higher else None

    def explain_missing(self, judgement: Judgement, analysis: Analysis, step: int, pace: float) -> str | None:
        """That there are too few intervals yet."""
        if passed(analysis, judgement.series):
            return None
        return f"waits for {LOOK} intervals of every metric on both arms"

    def summarise(self, judgement: Judgement) -> str:
        """That nothing is higher."""
        requests = count(judgement.requests, "canary request")
        return f"{requests}, no metric is higher than stable's by the Mann-Whitney test"


def watches(analysis: Analysis) -> tuple[Metric, ...]:
    """The metrics that are compared as series: those of requests, unless they only hold."""
    return tuple(
        metric
        for metric in declared(analysis)
        if (kind := METRICS.get(metric.name)) and not kind.by_conversation and mode_of(metric) != "Hold"
    )


def advanced(
    analysis: Analysis,
    known: Sequence[Series],
    canary: Mapping[str, Total],
    stable: Mapping[str, Total],
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
    return f"{METRICS[one.name].label} higher than stable's by the Mann-Whitney test {over}"


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
