"""Evidence into judgement, and traffic back on evidence of harm."""

from __future__ import annotations

from claude_operator.api.conditions import Reason
from claude_operator.api.status import Judgement
from claude_operator.core.draft import Draft, active
from claude_operator.core.judge import sequential
from claude_operator.core.weights import canary_weight
from claude_operator.core.words import duration, percent

__all__ = ["analyse", "roll_back"]

_SICK = 0.2  # share of stable's own requests that fail, from where on a rollback says that both may be ill


def analyse(draft: Draft) -> Draft:
    """Let the judge see a tick's increments, while the canary has traffic."""
    obs, status = draft.obs, draft.status
    rollout = active(status)
    if rollout is None or status.step is None or status.stable_revision is None or not canary_weight(status):
        return draft
    if obs.increments is None:
        return draft
    before = status.judgement.requests if status.judgement else 0
    judgement = sequential.assess(
        status.judgement,
        rollout.plan.analysis,
        obs.increments,
        stable=status.stable_revision,
        canary=rollout.revision,
        now=obs.now,
    )
    step = status.step.model_copy(update={"requests": status.step.requests + judgement.requests - before})
    return draft.set(judgement=judgement, step=step)


def roll_back(draft: Draft) -> Draft:
    """The canary's traffic goes to 0 in the pass that sees the evidence, whatever the step and the spec."""
    status = draft.status
    rollout, judgement, step = active(status), status.judgement, status.step
    if rollout is None or step is None or judgement is None or judgement.verdict != "Fail":
        return draft
    latency = (draft.obs.now - judgement.first_bad).total_seconds() if judgement.first_bad else None
    when = f", {duration(latency)} after the first bad tick" if latency and latency >= 0.05 else ""
    found = sequential.evidence_sentence(judgement)
    message = f"Rolled back {rollout.revision} at {percent(step.weight)}: {found}{when}{_shared(judgement)}"
    reason = sequential.reason(judgement)
    ended = draft.end("RolledBack", reason, message, latency=latency)
    return ended.tell(Reason.ROLLED_BACK, message, warning=True)


def _shared(judgement: Judgement) -> str:
    """A warning where stable, which has the traffic again, fails a good deal of it too."""
    leading = next((metric for metric in judgement.state if metric.name == judgement.leading), None)
    if leading is None or not leading.stable[0] or leading.stable[1] < _SICK * leading.stable[0]:
        return ""
    return f"; stable itself is unhealthy ({leading.name} {leading.stable[1]} of {leading.stable[0]})"
