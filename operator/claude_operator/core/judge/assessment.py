"""One tick of whatever judge the plan asks for: evidence in, the judgement out."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence

from claude_operator.api.base import seconds
from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import Analysis
from claude_operator.api.status import Judgement, Promotion, Verdict
from claude_operator.core.judge import sentences
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.measurements import Measurement
from claude_operator.core.judge.judges import mann_whitney, sequential, threshold
from claude_operator.core.judge.judges.engine import Comparison
from claude_operator.core.judge.judges.promotion import needed
from claude_operator.core.judge.judges.sequential import Context
from claude_operator.core.judge.metrics import CACHES, METRICS, Binary, Watched, declared, events, watched
from claude_operator.core.text import duration

__all__ = ["assess", "harmless", "new_judgement", "suspicious", "unsupported"]

_SILENCE = 10.0  # seconds without a request before it is called no data
_SILENT_INTERVALS = 3
_NO_CONTEXT = Context()

unsupported = threshold.unsupported


def new_judgement(analysis: Analysis, now: dt.datetime) -> Judgement:
    """The start of a rollout: evidence 1, nothing seen."""
    start = sequential.new_judgement(analysis, now)
    return start.model_copy(update={"message": sentences.message(start, unsupported(analysis))})


def assess(
    previous: Judgement | None,
    analysis: Analysis,
    increments: Increments,
    *,
    stable: str,
    canary: str,
    now: dt.datetime,
    context: Context = _NO_CONTEXT,
    measurements: Sequence[Measurement] = (),
) -> tuple[Judgement, tuple[Comparison, ...]]:
    """The judgement after one more tick, and what was compared. `stable` and `canary` are revision names.

    `Fail` is final. `measurements` are what Prometheus answered. `previous` stays as it is.
    """
    judged, compared = sequential.assess(
        previous, analysis, increments, stable=stable, canary=canary, now=now, context=context
    )
    if judged.verdict == "Fail":
        return judged, compared
    began = judged.started_at or now
    if analysis.metrics is not None or analysis.judge == "MannWhitney":
        ours, theirs = (_ticks(increments, analysis, name, context.budgets) for name in (canary, stable))
        judged.measured = threshold.advance(
            analysis, judged.measured, measurements, ours, now=judged.last_tick or now, started_at=began
        )
        judged.series = mann_whitney.advanced(analysis, judged.series, ours, theirs, now=now, started_at=began)
    return _told(judged, analysis, quiet=not increments.traffic), compared


def suspicious(judgement: Judgement) -> bool:
    """Whether there is so much evidence of harm that the next weight had better wait for it to become clear."""
    return judgement.evidence >= max(math.sqrt(judgement.threshold), 2.0)


def harmless(judgement: Judgement, analysis: Analysis, step: int, *, pace: float = 0.0) -> str | None:
    """What of the proof that a bake waits for is still missing, as a sentence; None where it is there.

    `pace`: canary requests a second, to say how long it may take.
    """
    asked = threshold.outcome(analysis, judgement.measured)
    if asked.verdict != "Pass":
        return f"waits for a metric: {asked.sentence}"
    if analysis.judge == "MannWhitney" and not mann_whitney.passed(analysis, judgement.series):
        return f"waits for {mann_whitney.LOOK} intervals of every metric on both arms"
    if suspicious(judgement):
        return f"waits for the evidence of harm to become clear: {sentences.evidence_sentence(judgement)}"
    shown = next((one for one in judgement.promotions if one.step == step), None)
    if analysis.judge != "Sequential" or shown is None or shown.shown:
        return None
    number = f"{100 * shown.margin:.2g}"
    points = f"{number} {'point' if number == '1' else 'points'} more errors than stable"
    have = f"evidence {sentences.number(shown.evidence)} of {sentences.number(shown.threshold)}"
    return f"has not ruled out yet that the canary has {points} ({have}){_missing(judgement, shown, pace)}"


def _missing(judgement: Judgement, shown: Promotion, pace: float) -> str:
    """`; about 2,300 more canary requests, 46 min at this traffic`."""
    requests, bad = judgement.stable_requests
    share = judgement.weight / 10_000
    if not requests or not 0.0 < share < 1.0:
        return ""
    more = needed(shown, bad / requests, share)  # guessing high while little is seen would ask for many times too many
    if not math.isfinite(more):
        return ""
    digits = 10 ** max(math.floor(math.log10(max(more, 1.0))) - 1, 0)
    rounded = math.ceil(more / digits) * digits
    time = f", {duration(more / pace)} at this traffic" if pace > 0.0 else ""
    return f"; about {rounded:,} more canary requests{time}"


def _told(judged: Judgement, analysis: Analysis, *, quiet: bool) -> Judgement:
    """With the verdict and its sentence. `quiet`: no pod that answered has seen a request in this tick."""
    problem = unsupported(analysis)
    asked = threshold.outcome(analysis, judged.measured)
    higher = mann_whitney.worse(analysis, judged.series)
    judged.reason = said = ""
    if analysis.judge == "MannWhitney":
        judged.evidence, judged.leading = 1.0, None  # its own rule decides
    if judged.evidence >= judged.threshold:
        leading = METRICS.get(judged.leading or "")
        judged.verdict, judged.reason = "Fail", leading.reason if leading else ""
    elif asked.verdict == "Fail":
        judged.verdict, judged.reason, judged.leading = "Fail", Reason.THRESHOLD_EXCEEDED, asked.name
        said = asked.sentence
    elif higher is not None:
        judged.verdict, judged.reason, judged.leading = "Fail", Reason.METRIC_WORSENED, higher.name
        said = mann_whitney.sentence(higher)
    else:
        judged.verdict = _holding(judged, analysis, quiet=quiet, problem=problem or (asked.verdict == "Error"))
        judged.reason = Reason.METRIC_NO_DATA if asked.no_data else ""
        problem = problem or (asked.sentence if asked.verdict == "Error" or asked.no_data else None)
    judged.detectable = sentences.detectable(judged, _share_of_errors(analysis))
    judged.message = said or "; ".join([sentences.message(judged, problem, judge=analysis.judge), *asked.notes])
    return judged


def _share_of_errors(analysis: Analysis) -> float:
    """Of the false rollback rate."""
    return next((watch.weight for watch in watched(analysis) if watch.name == "errors"), 0.0)


def _holding(judgement: Judgement, analysis: Analysis, *, quiet: bool, problem: object) -> Verdict:
    if problem or (quiet and judgement.unreachable):
        return "Error"
    now = judgement.last_tick
    since = judgement.last_traffic or judgement.started_at or now
    silence = max(_SILENCE, _SILENT_INTERVALS * seconds(analysis.interval))
    return "NoData" if now and since and (now - since).total_seconds() >= silence else "Inconclusive"


def _ticks(
    increments: Increments, analysis: Analysis, revision: str, budgets: Mapping[str, tuple[str, float]]
) -> Mapping[str, tuple[float, float]]:
    """What a revision's counts grew by, by built-in metric: requests and bad ones, or values and their sum."""
    whole = increments.of(revision)
    timed = late = 0
    for (_, surface, name), sample in increments.cells.items():
        if name == revision and surface in budgets:
            one, other = sequential.over(sample, *budgets[surface], CACHES)
            timed, late = timed + one, late + other
    found: dict[str, tuple[float, float]] = {}
    for metric in declared(analysis):
        kind = METRICS.get(metric.name)
        if metric.name == "latencyBudget":
            found[metric.name] = (timed, late)
        elif isinstance(kind, Binary):
            watch = Watched(metric.name, kind, 0.0, 0.0, conversations=False)
            found[metric.name] = events(watch, whole.counts)
        elif kind is not None:
            values = whole.quantity(metric.name, CACHES)
            found[metric.name] = (values.count, values.sum)
    return found
