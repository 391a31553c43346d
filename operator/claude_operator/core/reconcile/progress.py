"""How far a rollout is: what status says of the trial under way, its traffic, its soak, and when to read next."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

from claude_operator.api.analysis import Analysis, Metric
from claude_operator.api.base import seconds
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.drill import RunningDrill
from claude_operator.api.gateway import BASIS_POINTS
from claude_operator.api.status import DeploymentStatus, Plan, Rollout, SoakStatus

__all__ = [
    "active",
    "attempts_of",
    "basis_points",
    "canary_weight",
    "cohorts_due",
    "drilling",
    "last_tick",
    "planned_weight",
    "reading_due",
    "soaking",
    "watched_by",
    "window_left",
]


def active(status: DeploymentStatus) -> Rollout | None:
    """The rollout under way."""
    return status.rollout if status.rollout and status.rollout.outcome is None else None


def attempts_of(status: DeploymentStatus, revision: str) -> int:
    """The number of the last trial of a revision that status still knows of, 0 before the first."""
    known = [record.attempt for record in status.rollouts if record.revision == revision]
    if status.rollout and status.rollout.revision == revision:
        known.append(status.rollout.attempt)
    return max(known, default=0)


def soaking(status: DeploymentStatus) -> SoakStatus | None:
    """The soak under way: of the revision that was promoted last and serves."""
    soak, rollout = status.soak, status.rollout
    if soak is None or rollout is None or rollout.outcome != "Promoted":
        return None
    return soak if soak.revision == rollout.revision == status.stable_revision else None


def drilling(status: DeploymentStatus) -> RunningDrill | None:
    """The drill under way; none beside a rollout or a soak."""
    if status.drill is None or active(status) is not None or soaking(status) is not None:
        return None
    return status.drill.running


def basis_points(percent: float) -> int:
    """Hundredths of a percent, rounded."""
    return round(percent * 100)


def planned_weight(plan: Plan, index: int) -> int:
    """The canary's share in basis points at a step: what the last setWeight up to it gives; 0 outside of the plan."""
    if not 0 <= index < len(plan.steps):
        return 0
    given = [step.set_weight for step in plan.steps[: index + 1] if step.set_weight is not None]
    return basis_points(given[-1]) if given else 0


def canary_weight(status: DeploymentStatus) -> int:
    """The canary's share in basis points: what the plan of the rollout under way gives its revision at its step."""
    rollout = active(status)
    if rollout is None or status.step is None or status.canary_revision != rollout.revision:
        return 0
    return planned_weight(rollout.plan, status.step.index)


def watched_by(status: DeploymentStatus) -> Analysis | None:
    """The analysis that wants evidence: of a canary with traffic, of a revision that soaks, or of a drill."""
    drill = drilling(status)
    if drill is not None:
        return _watching(drill.interval) if drill.phase != "TakingBack" else None
    on_trial = active(status) is not None and canary_weight(status) > 0
    if status.rollout is None or not (on_trial or soaking(status)):
        return None
    return status.rollout.plan.analysis


def reading_due(status: DeploymentStatus, now: dt.datetime) -> float | None:
    """Seconds until the gateways' counters are to be read, 0 where it is time; None while nobody asks for them.

    `analysis.interval` after the last reading, never because of an event.
    """
    watching = watched_by(status)
    if watching is None:
        return None
    last = last_tick(status)
    if last is None or last > now:  # the clock of an operator that ran before may have been ahead
        return 0.0
    return max(seconds(watching.interval) - (now - last).total_seconds(), 0.0)


def last_tick(status: DeploymentStatus) -> dt.datetime | None:
    """When evidence was last read for what is watched now."""
    watched = soaking(status) or drilling(status)
    judgement = watched.judgement if watched else status.judgement
    return judgement.last_tick if judgement else None


@lru_cache(maxsize=16)
def _watching(interval: str) -> Analysis:
    """A drill fails requests: what is read of them is errors."""
    return Analysis(interval=interval, metrics=[Metric(name="errors")])


def cohorts_due(status: DeploymentStatus) -> bool:
    """Whether the judge wants to know how the users whom the canary gets differed from the rest.

    For all weights at once, as it begins: later the last hour of stable would no longer know those that it lost.
    """
    if active(status) is None or not 0 < canary_weight(status) < BASIS_POINTS:
        return False
    return status.judgement is None or not status.judgement.offsets


def window_left(status: DeploymentStatus, spec: DeploymentSpec | None, now: dt.datetime) -> float | None:
    """Seconds in which the revision that served before still returns at once, None where it does not."""
    replaced = status.replaced
    window = spec.strategy.canary.rollback_window if spec else None
    if replaced is None or window is None:
        return None
    left = seconds(window.duration) - (now - replaced.at).total_seconds()
    return left if left > 0 else None
