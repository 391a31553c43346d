"""What the judge's numbers mean, as a reason and as a sentence for people."""

from __future__ import annotations

import datetime as dt
import math

from claude_operator.api.conditions import Reason
from claude_operator.api.status import Judgement, MetricState
from claude_operator.core.judge.evidence import recent
from claude_operator.core.judge.metrics import METRICS, Quantity
from claude_operator.core.judge.stats import detectable as bounds
from claude_operator.core.judge.stats.intervals import Z, newcombe
from claude_operator.core.text import count, duration, share

__all__ = [
    "account",
    "cure",
    "detectable",
    "effect",
    "evidence_sentence",
    "failing",
    "hanging",
    "harm",
    "message",
    "overload",
    "reason",
]

_NAMED_PODS = 3
_HANGS = 10.0  # seconds without an answer while requests wait for one
_SEVERAL, _LONG = 3, 120.0  # requests that wait, or seconds that one waits: a single long answer is nothing odd


def reason(judgement: Judgement) -> Reason:
    """The reason of the condition CanaryHealthy; for `Fail` that of what decided."""
    if judgement.verdict == "Fail":
        metric = METRICS.get(judgement.leading or "")
        if judgement.reason in set(Reason):
            return Reason(judgement.reason)
        return metric.reason if metric else Reason.ERRORS_INCREASED
    if judgement.verdict == "Error":
        return Reason.METRICS_UNREACHABLE if judgement.unreachable else Reason.METRIC_ERROR
    if hanging(judgement):
        return Reason.NO_ANSWER
    if judgement.verdict == "NoData":
        return Reason.NO_TRAFFIC
    if account(judgement):
        return Reason.ACCOUNT_EXHAUSTED
    if overload(judgement):
        return Reason.OVERLOADED
    if cure(judgement):
        return Reason.STABLE_FAILING
    return Reason.SHARED_INCIDENT if judgement.shared else Reason.WATCHING


def hanging(judgement: Judgement) -> str | None:
    """That requests of the canary, or of both arms, wait for an answer that does not come; None where they do not."""
    now = judgement.last_tick
    if now is None or not judgement.waiting or judgement.oldest < _HANGS:
        return None
    if judgement.waiting < _SEVERAL and judgement.oldest < _LONG:
        return None
    since = judgement.last_answer or judgement.started_at or now
    if (now - since).total_seconds() < _HANGS:
        return None
    wait = f"{count(judgement.waiting, 'request')} wait{'s' * (judgement.waiting == 1)} for an answer"
    both = f"; {judgement.waiting_stable:,} of stable wait too" if judgement.waiting_stable else ""
    return f"the canary hangs: {wait}, the oldest for {duration(judgement.oldest)}, and none was answered lately{both}"


def account(judgement: Judgement) -> str | None:
    """That the account at the upstream is empty or at a limit, None where it is not."""
    if not recent.read(judgement.recent).out_of_credit:
        return None
    return "the upstream refuses requests because the account is empty or at its usage limit: add credit or raise it"


def failing(judgement: Judgement) -> str | None:
    """That the canary's last requests failed too often to go on, None where they did not."""
    lately = recent.read(judgement.recent)
    if not lately.failing:
        return None
    canary = lately.canary
    return f"{round(canary.errors)} of the canary's last {count(round(canary.answered), 'request')} failed"


def overload(judgement: Judgement) -> str | None:
    """That the upstream answers 429 or 529, and to whom; None where it does not."""
    lately = recent.read(judgement.recent)
    if lately.limited:
        part = share(lately.canary.share(lately.canary.overloads))
        limit = "its model has a rate limit of its own: raise it before the canary gets more"
        return f"the upstream answers {part} of the canary's requests with 429 or 529 and not stable's: {limit}"
    return "the upstream answers much of the traffic with 429 or 529" if judgement.overloaded else None


def cure(judgement: Judgement) -> str | None:
    """That stable fails and the canary does not, so that promoting it ends the trouble; None where that is not so."""
    lately = recent.read(judgement.recent)
    if not lately.cured:
        return None
    theirs, ours = share(lately.stable_lately.failed), share(lately.canary_lately.failed)
    return f"stable fails {theirs} of its requests and the canary {ours}: promoting the canary ends it"


def evidence_sentence(judgement: Judgement) -> str:
    """The leading metric's size and the evidence: `errors 31 of 58 against 4 of 512 (...), evidence 930 ≥ 100`."""
    evidence, threshold = number(judgement.evidence), number(judgement.threshold)
    metric = next((metric for metric in judgement.state if metric.name == judgement.leading), None)
    if metric is None:
        requests = count(judgement.requests, "canary request")
        return f"{requests}, no evidence of harm (evidence {evidence}, traffic goes back at {threshold})"
    relation = "≥" if judgement.evidence >= judgement.threshold else "of"
    aside = _aside(metric) if judgement.evidence >= judgement.threshold else ""
    return f"{effect(metric)}{aside}, evidence {evidence} {relation} {threshold}"


def _aside(metric: MetricState) -> str:
    """What resolves that there is evidence of harm where the size over the whole rollout shows none."""
    kind = METRICS[metric.name]
    if isinstance(kind, Quantity):
        u, v, *_ = metric.score or (0.0, 0.0)
        return "; its upper tail has grown" if u <= 0.0 < v else ""
    (n_canary, x_canary), (n_stable, x_stable) = metric.canary, metric.stable
    fewer = metric.name != "toolUse" and x_canary * n_stable <= x_stable * n_canary
    return " over the whole rollout; tick by tick, and for users like its own, the canary is worse" if fewer else ""


def harm(judgement: Judgement) -> str:
    """What a verdict of `Fail` rests on: the evidence, or what another judge than Sequential found."""
    other = judgement.reason in (Reason.THRESHOLD_EXCEEDED, Reason.METRIC_WORSENED)
    return judgement.message if other else evidence_sentence(judgement)


def effect(metric: MetricState) -> str:
    """The size of the difference with its 95 % interval."""
    kind = METRICS[metric.name]
    if isinstance(kind, Quantity):
        return _times(metric, kind)
    (n_canary, x_canary), (n_stable, x_stable) = metric.canary, metric.stable
    counts = f"{kind.words} {x_canary} of {n_canary} against {x_stable} of {n_stable}"
    if not n_canary or not n_stable:
        return counts
    low, high = newcombe((n_canary, x_canary), (n_stable, x_stable))
    points = 100.0 * (x_canary / n_canary - x_stable / n_stable)
    return f"{counts} ({points:+.3g} points, 95 % interval {_points(low)} to {_points(high)})"


def message(judgement: Judgement, problem: str | None = None, *, judge: str = "Sequential") -> str:
    """The sentence for the verdict. `problem`: what of the analysis cannot be judged."""
    stuck = hanging(judgement)
    if stuck and judgement.verdict != "Fail":
        return stuck
    if judgement.verdict == "NoData":
        moment = judgement.last_traffic or judgement.started_at
        since = f" since {moment.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else ""
        return f"no request seen on any arm{since}"
    seen = f"{count(judgement.requests, 'canary request')}, nothing of what the judge {judge} looks at is worse"
    parts = [evidence_sentence(judgement) if judge == "Sequential" else seen]
    if judgement.verdict != "Fail":
        if problem:
            parts.insert(0, problem)
        if judgement.unreachable:
            parts.append(_silent(judgement.unreachable))
        parts += [said for said in (account(judgement), overload(judgement)) if said]
        if judgement.shared:
            parts.append(cure(judgement) or judgement.shared)
    return "; ".join(parts)


def detectable(judgement: Judgement, weight: float) -> str:
    """`+1.4 points errors`: the smallest increase of errors that the canary's requests so far could have shown.

    `weight`: share of the false rollback rate that errors have.
    """
    metric = next((one for one in judgement.state if one.name == "errors"), None)
    if metric is None or not weight or not metric.canary[0] or not metric.stable[0]:
        return ""
    n_canary, n_stable = metric.canary[0], metric.stable[0]
    rate = (metric.stable[1] + 0.5) / (n_stable + 1.0)
    share = n_canary / (n_canary + n_stable)
    least = bounds.detectable(rate, n_canary, share, judgement.threshold / weight)
    return f"+{100.0 * least:.2g} points errors" if math.isfinite(least) else "nothing yet"


def number(value: float) -> str:
    """Two or three digits, and powers of ten only where they help."""
    if value >= 1000:
        return f"{value:.1e}"
    return f"{value:.3g}" if value >= 10 else f"{value:.2g}" if value >= 0.01 else "0.00"


def _times(metric: MetricState, kind: Quantity) -> str:
    u, v, *_ = metric.score or (0.0, 0.0)
    who = f"over {count(metric.canary[0], 'canary request')}"
    if v <= 0.0:
        return f"{kind.words} above stable's {who}"
    mean, half = u / v, Z / math.sqrt(v)
    ratio, low, high = (math.exp(min(one, 50.0)) for one in (mean, mean - half, mean + half))
    return f"{kind.words} {ratio:.3g} times stable's (95 % interval {low:.3g} to {high:.3g}) {who}"


def _points(share: float) -> str:
    return f"{100.0 * share:+.2g}" if abs(share) < 0.995 else f"{100.0 * share:+.0f}"


def _silent(pods: list[str]) -> str:
    more = f" and {len(pods) - _NAMED_PODS} more" if len(pods) > _NAMED_PODS else ""
    return f"no answer from ready gateway pods {', '.join(pods[:_NAMED_PODS])}{more}"
