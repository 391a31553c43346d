"""What the judge's numbers mean, as a reason and as a sentence for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from claude_operator.api.conditions import Reason
from claude_operator.api.status import Judgement, MetricState
from claude_operator.core.judge.diagnosis import diagnose, explain_unnamed, is_suspicious
from claude_operator.core.judge.evidence import callers
from claude_operator.core.judge.evidence.tick import Tick
from claude_operator.core.judge.metrics import KINDS, Binary, Quantity, Watched
from claude_operator.core.judge.stats import detectable as bounds
from claude_operator.core.judge.stats.intervals import Z, newcombe
from claude_operator.core.text import count

__all__ = ["detectable", "effect", "evidence_sentence", "explain_evidence", "harm", "message", "number"]

NOTHING_YET = "nothing yet"
_ALONE = (Reason.NO_ANSWER, Reason.NO_TRAFFIC)  # beside these the evidence says nothing
_BESIDE = (
    Reason.METRICS_UNREACHABLE,
    Reason.ACCOUNT_EXHAUSTED,
    Reason.OVERLOADED,
    Reason.STABLE_FAILING,
    Reason.SHARED_INCIDENT,
)


def evidence_sentence(judgement: Judgement) -> str:
    """The leading metric's size and the evidence: `errors 31 of 58 against 4 of 512 (...), evidence 930 ≥ 100`."""
    evidence, threshold = number(judgement.evidence), number(judgement.threshold)
    metric = next((metric for metric in judgement.state if metric.name == judgement.leading), None)
    if metric is None:
        requests = count(judgement.requests, "canary request")
        conversations = max((one.canary[0] for one in judgement.state if one.units.canary), default=0)
        requests += f" in {count(conversations, 'conversation')}" if conversations else ""
        return f"{requests}, no evidence of harm (evidence {evidence}, traffic goes back at {threshold})"
    relation = "≥" if judgement.evidence >= judgement.threshold else "of"
    aside = _aside(metric) if judgement.evidence >= judgement.threshold else ""
    return f"{effect(metric)}{aside}, evidence {evidence} {relation} {threshold}"


def _aside(metric: MetricState) -> str:
    """What resolves that there is evidence of harm where the size over the whole rollout shows none."""
    kind = KINDS[metric.name]
    if isinstance(kind, Quantity):
        score = metric.score
        return "; more of its values are very large" if score.score <= 0.0 < score.information else ""
    (n_canary, x_canary), (n_stable, x_stable) = metric.canary, metric.stable
    fewer = not kind.two_sided and x_canary * n_stable <= x_stable * n_canary
    return (
        " over the whole rollout; compared within each tick and for the same users, the canary is worse"
        if fewer
        else ""
    )


def harm(judgement: Judgement) -> str:
    """What a verdict of `Fail` rests on: the evidence, or what another judge than Sequential found."""
    other = judgement.reason in (Reason.THRESHOLD_EXCEEDED, Reason.METRIC_WORSENED, Reason.EVERYTHING_FAILS)
    return judgement.message if other else evidence_sentence(judgement)


def effect(metric: MetricState) -> str:
    """The size of the difference with its 95 % interval."""
    kind = KINDS[metric.name]
    if isinstance(kind, Quantity):
        return _times(metric, kind)
    (n_canary, x_canary), (n_stable, x_stable) = metric.canary, metric.stable
    if metric.units.exposed:  # one that went bad may have begun before anybody looked
        n_canary, n_stable = max(n_canary, x_canary), max(n_stable, x_stable)
    ours, theirs = f"{x_canary} of {n_canary}", f"{x_stable} of {n_stable}"
    counts = f"{kind.label} {ours} against {theirs}"
    if metric.units.exposed:
        counts = f"{kind.label} in {ours} conversations against {theirs}"
    if not n_canary or not n_stable:
        return counts
    low, high = newcombe((n_canary, x_canary), (n_stable, x_stable))
    points = 100.0 * (x_canary / n_canary - x_stable / n_stable)
    return f"{counts} ({points:+.3g} points, 95 % interval {_points(low)} to {_points(high)})"


def message(judgement: Judgement, summary: str, problem: str | None = None) -> str:
    """The sentence for a verdict that is not `Fail`. `problem`: what of the analysis cannot be judged."""
    findings = diagnose(judgement)
    alone = next((one.message for one in findings if one.reason in _ALONE), None)
    if alone is not None:
        return alone
    beside = [one.message for one in findings if one.reason in _BESIDE]
    unnamed = explain_unnamed(judgement)
    return "; ".join([*([problem] if problem else []), summary, *beside, *([unnamed] if unnamed else [])])


def explain_evidence(judgement: Judgement, tick: Tick) -> Iterator[str]:
    """What a person should know of whose requests the evidence is made of, and of what is counted inexactly."""
    if judgement.leading == "errors" and is_suspicious(judgement) and tick.callers:
        most = callers.explain_errors(tick.callers[0])
        yield from [most] if most else ()
    left_out = callers.explain_left_out(tick.callers)
    yield from [left_out] if left_out else ()
    if tick.unlisted:
        bad = count(tick.unlisted, "bad conversation")
        yield f"{bad} more than the gateways list, so one that several pods saw counts once for each"


def detectable(judgement: Judgement, watches: Iterable[Watched]) -> str:
    """`+1.4 points errors`: the smallest increase of errors that could have been shown so far."""
    watch = next((one for one in watches if isinstance(one.kind, Binary) and one.kind.headline), None)
    metric = next((one for one in judgement.state if watch and one.name == watch.name), None)
    if watch is None or metric is None or not watch.weight or not metric.canary[0] or not metric.stable[0]:
        return ""
    n_canary, n_stable = metric.canary[0], metric.stable[0]
    rate = (metric.stable[1] + 0.5) / (n_stable + 1.0)
    share = n_canary / (n_canary + n_stable)
    least = bounds.detectable(rate, n_canary, share, judgement.threshold / watch.weight)
    unit = " a conversation" if metric.units.exposed else ""
    return f"+{100.0 * least:.2g} points {watch.kind.label}{unit}" if math.isfinite(least) else NOTHING_YET


def number(value: float) -> str:
    """Two or three digits, and powers of ten only where they help."""
    if value >= 1000:
        return f"{value:.1e}"
    return f"{value:.3g}" if value >= 10 else f"{value:.2g}" if value >= 0.01 else "0.00"


def _times(metric: MetricState, kind: Quantity) -> str:
    u, v = metric.score.score, metric.score.information
    unit = "conversation" if metric.units.stable else "request"
    who = f"over {count(metric.canary[0], f'canary {unit}')}"
    if v <= 0.0:
        return f"{kind.label} above stable's {who}"
    mean, half = u / v, Z / math.sqrt(v)
    ratio, low, high = (math.exp(min(one, 50.0)) for one in (mean, mean - half, mean + half))
    return f"{kind.label} {ratio:.3g} times stable's (95 % interval {low:.3g} to {high:.3g}) {who}"


def _points(share: float) -> str:
    return f"{100.0 * share:+.2g}" if abs(share) < 0.995 else f"{100.0 * share:+.0f}"
