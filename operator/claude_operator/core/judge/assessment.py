"""One tick of whatever judge the plan asks for: evidence in, the judgement out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from claude_operator.api.analysis import Analysis
from claude_operator.api.base import seconds
from claude_operator.api.conditions import Reason
from claude_operator.api.status import Judgement, Verdict, to_millisecond
from claude_operator.core.judge import sentences
from claude_operator.core.judge.diagnosis import is_suspicious
from claude_operator.core.judge.evidence import streak
from claude_operator.core.judge.evidence.context import NO_CONTEXT, Context
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.measurements import Measurement
from claude_operator.core.judge.evidence.tick import Tick
from claude_operator.core.judge.judges import engine, metric_problems, threshold
from claude_operator.core.judge.judges.comparisons import Comparison
from claude_operator.core.judge.judges.dispatch import judge_of
from claude_operator.core.judge.judges.protocol import Harm, Judge, watches_of
from claude_operator.core.judge.judges.totals import totals
from claude_operator.core.judge.metrics import Binary, Watched
from claude_operator.core.judge.observe import observe

__all__ = ["assess", "explain_missing", "missing", "new_judgement", "unsupported"]

_SILENCE = 10.0  # seconds without a request before it is called no data
_SILENT_INTERVALS = 3


def unsupported(analysis: Analysis) -> str | None:
    """What of the analysis cannot be measured or judged; None where all can."""
    return metric_problems.unsupported(analysis, judge_of(analysis))


def missing(analysis: Analysis, *, budgeted: bool) -> list[str]:
    """What the metrics of a spec lack to be judged by. `budgeted`: whether there is a latency budget."""
    return list(metric_problems.missing(analysis, judge_of(analysis), budgeted=budgeted))


def new_judgement(analysis: Analysis, now: dt.datetime) -> Judgement:
    """The start of a rollout: evidence 1, nothing seen."""
    judge = judge_of(analysis)
    start = Judgement(
        verdict="Inconclusive",
        threshold=1.0 / analysis.false_rollback_rate,
        started_at=to_millisecond(now),
        state=engine.worth_keeping(engine.states_of((), watches_of(judge, analysis))),
    )
    start.message = sentences.message(start, judge.summarise(start), unsupported(analysis))
    return start


def assess(
    previous: Judgement | None,
    analysis: Analysis,
    increments: Increments,
    *,
    stable: str,
    canary: str,
    now: dt.datetime,
    context: Context = NO_CONTEXT,
    measurements: Sequence[Measurement] = (),
) -> tuple[Judgement, tuple[Comparison, ...]]:
    """The judgement after one more tick, and what was compared. `stable` and `canary` are revision names.

    `Fail` is final: later ticks neither add evidence nor take it away. `measurements` are what Prometheus answered.
    `previous` stays as it is.
    """
    judge = judge_of(analysis)
    tick = Tick.of(increments, stable=stable, canary=canary, now=now)
    before = observe(previous or new_judgement(analysis, now), tick, context)
    if before.verdict == "Fail":
        return before, ()
    before.threshold = 1.0 / analysis.false_rollback_rate
    judged, compared = judge.advance(before, tick, analysis, context)
    if threshold.of_threshold(analysis):
        ours = totals(analysis, tick, "canary")
        started = judged.started_at or tick.now
        judged.measured = threshold.measure(
            analysis, judged.measured, measurements, ours, now=tick.now, started_at=started
        )
    return _concluded(judged, analysis, judge, tick), compared


def explain_missing(judgement: Judgement, analysis: Analysis, step: int, *, pace: float = 0.0) -> str | None:
    """What of the proof that a bake waits for is still missing, as a sentence; None where it is there.

    `pace`: canary requests a second, to say how long it may take.
    """
    measured = threshold.outcome(analysis, judgement.measured)
    if measured.verdict != "Pass":
        return f"waits for a metric: {measured.sentence}"
    if is_suspicious(judgement):
        return f"waits for the evidence of harm to become clear: {sentences.evidence_sentence(judgement)}"
    return judge_of(analysis).explain_missing(judgement, analysis, step, pace)


def _concluded(judged: Judgement, analysis: Analysis, judge: Judge, tick: Tick) -> Judgement:
    """With the verdict and its sentence."""
    measured = threshold.outcome(analysis, judged.measured)
    watches = watches_of(judge, analysis)
    harm = judge.find_harm(judged, analysis) or _find_nothing_well(judged, watches)
    if harm is None and measured.verdict == "Fail":
        harm = Harm(Reason.THRESHOLD_EXCEEDED, measured.name, measured.sentence)
    if harm is not None:
        judged.verdict, judged.reason, judged.leading = "Fail", harm.reason, harm.metric
        found = harm.sentence
    else:
        problem = unsupported(analysis)
        erred = measured.verdict == "Error"
        judged.verdict = _verdict(judged, analysis, quiet=not tick.traffic, problem=bool(problem) or erred)
        judged.reason = Reason.METRIC_NO_DATA if measured.no_data else ""
        problem = problem or (measured.sentence if erred or measured.no_data else None)
        found = sentences.message(judged, judge.summarise(judged), problem)
    judged.detectable = sentences.detectable(judged, watches)
    judged.message = "; ".join([found, *measured.notes, *sentences.explain_evidence(judged, tick)])
    return judged


def _find_nothing_well(judgement: Judgement, watches: Sequence[Watched]) -> Harm | None:
    """A canary that fails everything, where errors may take traffic back."""
    errors = next((watch for watch in watches if isinstance(watch.kind, Binary) and watch.kind.headline), None)
    state = next((one for one in judgement.state if errors and one.name == errors.name), None)
    if errors is None or state is None or not errors.weight:
        return None
    found = streak.explain(judgement.streak, conversations=state.stable[0], bad=state.stable[1])
    return Harm(Reason.EVERYTHING_FAILS, errors.name, found) if found else None


def _verdict(judgement: Judgement, analysis: Analysis, *, quiet: bool, problem: bool) -> Verdict:
    """Without evidence of harm. `quiet`: no pod that answered has seen a request in this tick."""
    if problem or (quiet and judgement.unreachable):
        return "Error"
    now = judgement.last_tick
    since = judgement.last_traffic or judgement.started_at or now
    silence = max(_SILENCE, _SILENT_INTERVALS * seconds(analysis.interval))
    return "NoData" if now and since and (now - since).total_seconds() >= silence else "Inconclusive"
