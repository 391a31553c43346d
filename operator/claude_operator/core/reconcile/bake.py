"""A bake: how long it lasts, and what it still has to show before the next weight."""

from __future__ import annotations

import datetime as dt

from claude_operator.api.base import seconds
from claude_operator.api.deployment import Bake, Step
from claude_operator.api.status import Judgement, Rollout, StepStatus
from claude_operator.core.judge import assessment
from claude_operator.core.reconcile import grading
from claude_operator.core.reconcile.observation import Observation

__all__ = ["end_of", "explain_missing", "is_overdue", "longest", "requests_seen"]

_LONGEST = 1800.0


def end_of(step: Step, present: StepStatus) -> dt.datetime:
    """When the step's own time is over."""
    if step.bake is not None:
        length = seconds(step.bake.min_duration)
    else:
        length = seconds(step.pause.duration) if step.pause and step.pause.duration else 0.0
    return present.started_at + dt.timedelta(seconds=length)


def longest(bake: Bake) -> float:
    """Seconds that a bake may take before it is inconclusive."""
    return seconds(bake.max_duration) if bake.max_duration else max(_LONGEST, 2.0 * seconds(bake.min_duration))


def is_overdue(step: Step, present: StepStatus, now: dt.datetime) -> bool:
    """Whether a bake is past its longest time."""
    return step.bake is not None and (now - present.started_at).total_seconds() >= longest(step.bake)


def requests_seen(bake: Bake, present: StepStatus) -> str:
    """`58 of 100 requests`."""
    return f"{present.requests:,} of {bake.min_requests:,} requests"


def explain_missing(
    bake: Bake, present: StepStatus, judgement: Judgement, rollout: Rollout, obs: Observation
) -> str | None:
    """What the bake has not shown yet, as the rest of a sentence; None where it has shown all."""
    if present.requests < bake.min_requests:
        missing = bake.min_requests - present.requests
        return f"has seen {requests_seen(bake, present)}; it needs {missing:,} more"
    few = grading.explain_few(rollout, obs.spec, present.index)
    if few is not None:
        return few
    elapsed = (obs.now - present.started_at).total_seconds()
    pace = present.requests / elapsed if elapsed > 0.0 else 0.0
    return assessment.explain_missing(judgement, rollout.plan.analysis, present.index, pace=pace)
