"""`ClaudeDeployment.status`: typed memory of the rollout, and conditions for people."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from claude_operator.api import judgement, moments
from claude_operator.api.analysis import Analysis
from claude_operator.api.base import StatusModel, list_map
from claude_operator.api.budgets import BudgetStatus
from claude_operator.api.cache_status import CacheStatus
from claude_operator.api.checklist import ChecklistStatus
from claude_operator.api.conditions import Condition
from claude_operator.api.cost import CostStatus
from claude_operator.api.deployment import Soak, Step
from claude_operator.api.drill import DrillStatus
from claude_operator.api.gateway import Unit
from claude_operator.api.migration import MigrationStatus
from claude_operator.api.served import GatewayStatus, ModelInUse, ModelStatus, RetirementTold, Traffic
from claude_operator.api.spending import Spending
from claude_operator.api.sums import Moments
from claude_operator.api.verdicts import Grading

Moment = moments.Moment
to_millisecond = moments.to_millisecond
Outcome = Literal["Promoted", "RolledBack", "Aborted", "EvalFailed", "Superseded"]
Verdict = judgement.Verdict
MetricState = judgement.MetricState
OpenValues = judgement.OpenValues
OpenStratum = judgement.OpenStratum
Promotion = judgement.Promotion
Offsets = judgement.Offsets
SampleRatio = judgement.SampleRatio
Measured = judgement.Measured
Series = judgement.Series
Judgement = judgement.Judgement


class StepStatus(StatusModel):
    """The current step of the rollout. `weight` in percent."""

    index: int = Field(description="Index in rollout.plan.steps, counted from 0.")
    action: Literal["setWeight", "pause", "bake"] = Field(description="What the step does.")
    weight: float = Field(description="Percent of conversations on the canary.")
    started_at: Moment = Field(description="When the step began.")
    requests: int = Field(default=0, description="Requests that the canary has answered in this step.")


class Reading(StatusModel):
    """The last reading of a gateway pod that status has: the next leader continues from there."""

    pod: str = Field(description="The pod.")
    boot_id: str = Field(description="Its process.")
    reading: int = Field(description="The number under which the process keeps that reading.")


class SoakStatus(StatusModel):
    """The revision that was promoted last, still compared with the history of the one before."""

    revision: str = Field(description="The revision that serves.")
    previous: str = Field(description="The one that comes back after a breach.")
    started_at: Moment = Field(description="When it was promoted.")
    until: Moment = Field(description="When the soak is over.")
    max_increase: float = Field(description="Increase that is tolerated, as a share.")
    history: list[MetricState] = Field(
        default=[], description="The history of the revision before, one entry a metric."
    )
    judgement: Judgement | None = Field(default=None, description="The judge's assessment of it.")

    @model_validator(mode="before")
    @classmethod
    def _read_older_form(cls, stored: Any) -> Any:
        """Earlier, what the revision itself is like stood in `score` and `moments`, which are stable's in a rollout."""
        judgement = stored.get("judgement") if isinstance(stored, dict) else None
        if not isinstance(judgement, dict) or not isinstance(states := judgement.get("state"), list):
            return stored
        return {**stored, "judgement": {**judgement, "state": [_soak_state(state) for state in states]}}


def _soak_state(state: Any) -> Any:
    if not isinstance(state, dict) or not (state.get("score") or state.get("moments")):
        return state
    recent, own = state.get("score") or [0.0] * 2, state.get("moments") or [0.0] * len(Moments())
    return {**state, "score": [], "moments": [], "soak": [*recent, *own]}


class Plan(StatusModel):
    """Strategy and unit as they were when the rollout began."""

    steps: list[Step] = Field(default=[], description="The steps.")
    analysis: Analysis = Field(default=Analysis(), description="The analysis.")
    soak: Soak | None = Field(default=None, description="The soak after promotion.")
    unit: Unit = Field(default="Conversation", description="What is assigned and counted as one.")
    rescue_after: int = Field(
        default=3, description="Failures in a row after which a conversation goes back to stable."
    )
    grades: int | None = Field(
        default=None,
        description="Verdicts of live grading on each arm that a bake waits for. Left out: none is graded.",
    )


class Rollout(StatusModel):
    """The current rollout, or the last one when it has an outcome."""

    revision: str = Field(description="The revision that is being rolled out.")
    attempt: int = Field(default=1, description="Number of this attempt at the revision; abort and retry name it.")
    plan: Plan = Field(default=Plan(), description="What the rollout follows, fixed at its start.")
    started_at: Moment | None = Field(default=None, description="When it began.")
    eval_run: str | None = Field(default=None, description="The ClaudeEvalRun that is its gate.")
    eval_run_spec: str | None = Field(
        default=None, description="sha256 of that run's spec as it was asked for. A run with another does not count."
    )
    busiest: float | None = Field(
        default=None,
        description="With unit User: share of the requests that the three busiest users had in the hour before.",
    )
    grading: Grading | None = Field(default=None, description=Grading.__doc__)
    outcome: Outcome | None = Field(default=None, description="How it ended.")
    reason: str = Field(default="", description="Why, as one word.")
    message: str = Field(default="", description="Why, as a sentence.")

    @property
    def trial(self) -> str:
        """`<revision>/<attempt>`, as annotations name it."""
        return f"{self.revision}/{self.attempt}"


class Replaced(StatusModel):
    """The revision that served before."""

    revision: str = Field(description="Its name.")
    at: Moment = Field(description="When it was replaced.")


class Draining(StatusModel):
    """The former stable revision, while it keeps the conversations that began on it."""

    revision: str = Field(description="Its name.")
    since: Moment = Field(description="When it was replaced.")
    until: Moment = Field(description="When what is left of them moves to stable.")
    why: str = Field(default="", description="Why that is before its time, where it is.")


class RolloutRecord(StatusModel):
    """One ended rollout."""

    revision: str = Field(description="The revision that was rolled out.")
    attempt: int = Field(default=1, description="Number of the attempt.")
    outcome: Outcome = Field(description="How it ended.")
    reason: str = Field(default="", description="Why, as one word.")
    message: str = Field(default="", description="Why, as a sentence.")
    started_at: Moment | None = Field(default=None, description="When it began.")
    finished_at: Moment | None = Field(default=None, description="When it ended.")
    requests: int = Field(default=0, description="Canary requests that were judged.")

    @property
    def trial(self) -> str:
        """`<revision>/<attempt>`, as annotations name it."""
        return f"{self.revision}/{self.attempt}"


class DeploymentStatus(StatusModel):
    """Everything the operator remembers about a ClaudeDeployment."""

    observed_generation: int = Field(default=0, description="metadata.generation at the last pass without an error.")
    stable_revision: str | None = Field(default=None, description="The revision that serves by default.")
    canary_revision: str | None = Field(default=None, description="The revision that is being rolled out.")
    step: StepStatus | None = Field(default=None, description="The current step of the rollout.")
    traffic: list[Traffic] = Field(default=[], description="What each served revision gets: stable, canary, former.")
    judgement: Judgement | None = Field(default=None, description="The judge's assessment of the canary.")
    model: ModelStatus | None = Field(default=None, description="The newest revision's model.")
    models: list[ModelInUse] = Field(default=[], description="All models in use, the main one first.")
    kept_models: list[str] = Field(
        default=[],
        description="Models of the revisions that are kept: a spec may go back to one of them, whatever its state.",
    )
    retirements: list[RetirementTold] = Field(default=[], description="What Events have said of models' retirement.")
    migration: MigrationStatus | None = Field(default=None, description=MigrationStatus.__doc__)
    rollout: Rollout | None = Field(default=None, description="The current or last rollout.")
    soak: SoakStatus | None = Field(default=None, description=SoakStatus.__doc__)
    replaced: Replaced | None = Field(default=None, description=Replaced.__doc__)
    draining: Draining | None = Field(default=None, description=Draining.__doc__)
    readings: list[Reading] = Field(default=[], description="By gateway pod, while evidence is read.")
    seen_at: Moment | None = Field(
        default=None,
        description="The time of a step or a soak is counted up to here; a time without passes does not count.",
    )
    gateway: GatewayStatus | None = Field(default=None, description="How applications reach it.")
    cost: CostStatus | None = Field(default=None, description=CostStatus.__doc__)
    spending: Spending | None = Field(default=None, description=Spending.__doc__)
    cache: CacheStatus | None = Field(default=None, description=CacheStatus.__doc__)
    checklist: ChecklistStatus | None = Field(default=None, description=ChecklistStatus.__doc__)
    drill: DrillStatus | None = Field(default=None, description=DrillStatus.__doc__)
    rollouts: list[RolloutRecord] = Field(default=[], description="The last ten ended rollouts, newest last.")
    handled: list[str] = Field(default=[], description="Annotations that have been acted on or refused.")
    budgets: list[BudgetStatus] = Field(default=[], description="How each latency budget (spec.budgets) stands.")
    conditions: list[Condition] = Field(
        default=[], description="Conditions, for people and for kubectl wait.", json_schema_extra=list_map("type")
    )

    def to_dict(self) -> dict[str, Any]:
        """The status as JSON-ready camelCase, without fields that are not set."""
        return self.model_dump(by_alias=True, exclude_none=True, mode="json")
