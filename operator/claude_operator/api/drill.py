"""The rehearsed rollback: `ClaudeDeployment.spec.drill`, and what `status.drill` remembers of drills."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from claude_operator.api import moments
from claude_operator.api.base import ApiModel, Duration, StatusModel
from claude_operator.api.judgement import Judgement

__all__ = [
    "LARGEST_WEIGHT",
    "MOST_MADE_UP",
    "MOST_REQUESTS",
    "AbortedDrill",
    "Drill",
    "DrillMode",
    "DrillStatus",
    "RunningDrill",
]

Moment = moments.Moment
DrillMode = Literal["Live", "Rehearsal"]

MOST_REQUESTS = 5
"""Live requests that a drill fails at most, over all gateway pods."""
MOST_MADE_UP = 20
"""Made-up requests that each gateway process fails in a rehearsal at most."""
LARGEST_WEIGHT = 10.0
"""Percent of requests that fail at most."""


class Drill(ApiModel):
    """Rehearses the rollback: gateways fail a few requests on purpose, and the operator has to notice and end it."""

    schedule: Annotated[str, Field(min_length=9, max_length=128)] | None = Field(
        default=None,
        description="When drills begin, as a cron line of five fields in UTC: `0 10 * * 2` is each Tuesday at 10:00. A"
        " drill that cannot begin within an hour, as during a rollout, is left out. Left out: only when"
        " `kubectl claude drill` asks for one.",
    )
    mode: DrillMode | None = Field(
        default=None,
        description="Of scheduled drills. Live: requests of users fail, at most maxRequests. Rehearsal or left out:"
        " gateways make up the requests, and no user notices.",
    )
    weight: Annotated[float, Field(gt=0, le=LARGEST_WEIGHT, multiple_of=0.01)] | None = Field(
        default=None,
        description="Percent of requests that fail while a live drill lasts. Left out: the first weight of the canary's"
        " plan, 10 at most.",
    )
    max_requests: Annotated[int, Field(ge=2, le=MOST_REQUESTS)] | None = Field(
        default=None,
        description="Requests of users that a live drill fails at most, over all gateways. Left out: 5.",
    )
    max_duration: Duration | None = Field(
        default=None,
        description="Longest time of a drill; gateways end it by themselves then. Left out: 10m.",
    )


class RunningDrill(StatusModel):
    """The drill under way."""

    id: str = Field(description="Its name; evidence of the arm that fails stands under it.")
    revision: str = Field(description="The revision that serves, whose content the failing arm has.")
    mode: DrillMode = Field(description="Live or Rehearsal.")
    phase: Literal["Starting", "Running", "TakingBack"] = Field(
        description="Starting: gateways take the fault over. Running: it is live and judged. TakingBack: they drop it."
    )
    by: str = Field(default="", description="Who asked for it.")
    started_at: Moment = Field(description="When it began.")
    running_since: Moment | None = Field(default=None, description="When every gateway had the fault.")
    generation: int = Field(default=0, description="Config generation that brought the fault.")
    dropped_generation: int = Field(default=0, description="Config generation that took it out again.")
    weight: int = Field(default=100, description="Share of requests that fail, in basis points.")
    max_seconds: float = Field(default=600.0, description="Longest time of it.")
    allowed: dict[str, int] = Field(default={}, description="By gateway process: requests that it may fail.")
    hurt: dict[str, int] = Field(default={}, description="By gateway process: requests that it has failed.")
    exhausted_at: Moment | None = Field(default=None, description="When no more requests were allowed to fail.")
    first_fault_at: Moment | None = Field(default=None, description="When the first request failed.")
    decided_at: Moment | None = Field(default=None, description="When the operator decided to end it.")
    detected: bool = Field(default=False, description="Whether that was for evidence of harm.")
    gives_way: bool = Field(default=False, description="Whether something else came first, so that it has no result.")
    message: str = Field(default="", description="Why it ends.")
    interval: str = Field(default="5s", description="Time between two readings of the gateways' counters.")
    spec_generation: int = Field(default=0, description="metadata.generation then; a change of the spec ends it.")
    judgement: Judgement | None = Field(default=None, description="The judge's assessment of the failing arm.")


class AbortedDrill(StatusModel):
    """The last drill that ended without a result."""

    id: str = Field(description="Its name.")
    at: Moment = Field(description="When it ended.")
    message: str = Field(default="", description="Why.")
    requests_hurt: int = Field(default=0, description="Requests of users that failed.")


class DrillStatus(StatusModel):
    """The last drill with a result, and the one under way."""

    at: Moment | None = Field(default=None, description="When the last drill with a result ended.")
    outcome: Literal["Passed", "Failed"] | None = Field(
        default=None,
        description="Passed: the fault was noticed, and every gateway dropped it. Failed: one of both did not happen.",
    )
    message: str = Field(default="", description="The result as a sentence.")
    id: str = Field(default="", description="Its name.")
    mode: DrillMode | None = Field(default=None, description="Live or Rehearsal.")
    revision: str | None = Field(default=None, description="The revision that served then.")
    by: str = Field(default="", description="Who asked for it.")
    detection_seconds: float | None = Field(
        default=None, description="From the first failed request to the decision to take traffic back."
    )
    rollback_seconds: float | None = Field(
        default=None, description="From that decision until every gateway had weight 0."
    )
    requests: int | None = Field(default=None, description="Requests that failed, made-up ones included.")
    requests_hurt: int | None = Field(
        default=None, description="Requests of users that failed; the most it can have been where a gateway was lost."
    )
    aborted: AbortedDrill | None = Field(default=None, description=AbortedDrill.__doc__)
    number: int = Field(default=0, description="Drills so far.")
    asked_at: Moment | None = Field(default=None, description="The moment in the last annotation that was acted on.")
    slot: Moment | None = Field(default=None, description="The last moment of the schedule that was acted on.")
    running: RunningDrill | None = Field(default=None, description=RunningDrill.__doc__)
