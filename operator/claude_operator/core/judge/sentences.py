"""What the judge's numbers mean, as a reason and as a sentence for people."""

from __future__ import annotations

import datetime as dt

from claude_operator.api.conditions import Reason
from claude_operator.api.status import Judgement
from claude_operator.core.judge.metrics import METRICS

__all__ = ["evidence_sentence", "message", "reason"]

_NAMED_PODS = 3


def reason(judgement: Judgement) -> Reason:
    """The reason of the condition CanaryHealthy; for `Fail` that of the leading metric."""
    if judgement.verdict == "Fail":
        metric = METRICS.get(judgement.leading or "", METRICS["errors"])
        return metric.reason
    if judgement.verdict == "Error":
        return Reason.METRICS_UNREACHABLE
    if judgement.verdict == "NoData":
        return Reason.NO_TRAFFIC
    return Reason.OVERLOADED if judgement.overloaded else Reason.WATCHING


def evidence_sentence(judgement: Judgement) -> str:
    """The leading metric's counts on both arms and the evidence: `errors 31 of 58 against 4 of 512, evidence ...`."""
    evidence, threshold = _number(judgement.evidence), _number(judgement.threshold)
    metric = next((metric for metric in judgement.state if metric.name == judgement.leading), None)
    if metric is None:
        requests = "1 canary request" if judgement.requests == 1 else f"{judgement.requests} canary requests"
        return f"{requests}, no evidence of harm (evidence {evidence}, traffic goes back at {threshold})"
    (n_canary, x_canary), (n_stable, x_stable) = metric.canary, metric.stable
    relation = "≥" if judgement.evidence >= judgement.threshold else "of"
    counts = f"{metric.name} {x_canary} of {n_canary} against {x_stable} of {n_stable}"
    return f"{counts}, evidence {evidence} {relation} {threshold}"


def message(judgement: Judgement, problem: str | None = None) -> str:
    """The sentence for the verdict. `problem`: what of the analysis cannot be judged at all."""
    if judgement.verdict == "NoData":
        moment = judgement.last_traffic or judgement.started_at
        since = f" since {moment.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else ""
        return f"no request seen on any arm{since}"
    parts = [evidence_sentence(judgement)]
    if judgement.verdict != "Fail":
        if problem:
            parts.insert(0, problem)
        if judgement.unreachable:
            parts.append(_silent(judgement.unreachable))
        if judgement.overloaded:
            parts.append("the upstream answers half or more of the requests with 429 or 529")
    return "; ".join(parts)


def _silent(pods: list[str]) -> str:
    more = f" and {len(pods) - _NAMED_PODS} more" if len(pods) > _NAMED_PODS else ""
    return f"no answer from ready gateway pods {', '.join(pods[:_NAMED_PODS])}{more}"


def _number(number: float) -> str:
    """Two or three digits, and powers of ten only where they help."""
    if number >= 1000:
        return f"{number:.1e}"
    return f"{number:.3g}" if number >= 10 else f"{number:.2g}" if number >= 0.01 else "0.00"
