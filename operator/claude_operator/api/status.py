"""`ClaudeDeployment.status`: typed memory of the rollout, and conditions for people."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer

from claude_operator.api.base import StatusModel, list_map
from claude_operator.api.conditions import Condition
from claude_operator.api.deployment import Analysis, Step


def _utc(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[dt.datetime, PlainSerializer(_utc, return_type=str, when_used="always")]
Outcome = Literal["Promoted", "RolledBack", "Aborted", "EvalFailed", "Superseded"]
Verdict = Literal["Pass", "Fail", "Inconclusive", "NoData", "Error"]


class StepStatus(StatusModel):
    """Where the rollout stands. `weight` in percent."""

    index: int = Field(description="Index in rollout.plan.steps, counted from 0.")
    action: Literal["setWeight", "pause", "bake"] = Field(description="What the step does.")
    weight: float = Field(description="Percent of conversations on the canary.")
    started_at: Moment = Field(description="When the step began.")
    requests: int = Field(default=0, description="Requests that the canary has answered in this step.")


class Traffic(StatusModel):
    """What one revision gets."""

    revision: str = Field(description="The revision.")
    percent: float = Field(description="Percent of conversations.")


class MetricState(StatusModel):
    """The judge's memory of one metric."""

    name: str = Field(description="The metric.")
    evidence: float = Field(description="Value of the e-process; capped at 1e300.")
    canary: list[int] = Field(description="Requests and bad events of the canary so far.")
    stable: list[int] = Field(description="Requests and bad events of stable over the same ticks.")
    logs: list[float] = Field(default=[], description="Log-likelihood ratios, one an alternative.")


class OpenStratum(StatusModel):
    """Requests that are too few to be compared yet: those of one config generation and surface."""

    generation: int = Field(description="Config generation that they began under.")
    surface: str = Field(description="Their surface.")
    canary: list[int] = Field(description="Canary: requests, ok, errors, overloads, refusals, max_tokens stops.")
    stable: list[int] = Field(description="The same of stable.")


class Judgement(StatusModel):
    """What the judge says."""

    verdict: Verdict = Field(description="Pass, Fail, Inconclusive, NoData or Error.")
    requests: int = Field(default=0, description="Canary requests judged so far in this rollout.")
    evidence: float = Field(default=1.0, description="Combined evidence of harm.")
    threshold: float = Field(
        default=100.0, description="Evidence at which traffic is taken back: 1 / falseRollbackRate."
    )
    leading: str | None = Field(default=None, description="The metric with the most evidence.")
    message: str = Field(default="", description="The same as a sentence.")
    started_at: Moment | None = Field(default=None, description="When the judge began to watch this canary.")
    last_tick: Moment | None = Field(default=None, description="When evidence was last read.")
    last_traffic: Moment | None = Field(default=None, description="When the gateways last saw a request.")
    first_bad: Moment | None = Field(default=None, description="The first tick with a bad event on the canary.")
    unreachable: list[str] = Field(default=[], description="Gateway pods that did not answer at the last tick.")
    overloaded: bool = Field(
        default=False,
        description="Half or more of the requests of the last tick were answered 429 or 529; promotion holds.",
    )
    state: list[MetricState] = Field(default=[], description="The judge's memory, one entry a metric.")
    open: list[OpenStratum] = Field(default=[], description="What the next ticks are added to before it is compared.")


class Plan(StatusModel):
    """Steps and analysis as they were when the rollout began."""

    steps: list[Step] = Field(default=[], description="The steps.")
    analysis: Analysis = Field(default=Analysis(), description="The analysis.")


class Rollout(StatusModel):
    """The current rollout, or the last one when it has an outcome."""

    revision: str = Field(description="The revision on trial.")
    attempt: int = Field(default=1, description="Counts the trials of this revision; named by abort and retry.")
    plan: Plan = Field(default=Plan(), description="What the rollout follows, fixed at its start.")
    started_at: Moment | None = Field(default=None, description="When it began.")
    eval_run: str | None = Field(default=None, description="The ClaudeEvalRun that is its gate.")
    outcome: Outcome | None = Field(default=None, description="How it ended.")
    reason: str = Field(default="", description="Why, as one word.")
    message: str = Field(default="", description="Why, as a sentence.")


class RolloutRecord(StatusModel):
    """One ended rollout."""

    revision: str = Field(description="The revision that was on trial.")
    attempt: int = Field(default=1, description="Which trial of it.")
    outcome: Outcome = Field(description="How it ended.")
    reason: str = Field(default="", description="Why, as one word.")
    message: str = Field(default="", description="Why, as a sentence.")
    started_at: Moment | None = Field(default=None, description="When it began.")
    finished_at: Moment | None = Field(default=None, description="When it ended.")
    requests: int = Field(default=0, description="Canary requests that were judged.")


class ModelStatus(StatusModel):
    """The model of the newest revision and where it is in its life."""

    id: str = Field(description="Model id.")
    lifecycle: str = Field(description="Active, Legacy, Deprecated, Retired or Unknown.")
    retires_at: str | None = Field(default=None, description="Date of retirement, if announced.")
    replacement: str | None = Field(default=None, description="What to use instead.")


class GatewayStatus(StatusModel):
    """How applications reach it."""

    url: str = Field(description="Base URL for any Anthropic SDK.")
    client_secret: str = Field(description="Secret with ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY.")
    ready: int = Field(default=0, description="Ready gateway pods.")
    config_generation: int = Field(default=0, description="Generation of the config that pods should serve.")


class DeploymentStatus(StatusModel):
    """Everything the operator remembers about a ClaudeDeployment."""

    observed_generation: int = Field(default=0, description="metadata.generation of the last error-free pass.")
    stable_revision: str | None = Field(default=None, description="The revision that serves by default.")
    canary_revision: str | None = Field(default=None, description="The revision on trial.")
    step: StepStatus | None = Field(default=None, description="Where the rollout stands.")
    traffic: list[Traffic] = Field(default=[], description="What each served revision gets.")
    judgement: Judgement | None = Field(default=None, description="What the judge says of the canary.")
    model: ModelStatus | None = Field(default=None, description="The newest revision's model.")
    rollout: Rollout | None = Field(default=None, description="The current or last rollout.")
    gateway: GatewayStatus | None = Field(default=None, description="How applications reach it.")
    rollouts: list[RolloutRecord] = Field(default=[], description="The last ten ended rollouts, newest last.")
    handled: list[str] = Field(default=[], description="Annotations that have been acted on or refused.")
    conditions: list[Condition] = Field(
        default=[], description="What people and tools wait for.", json_schema_extra=list_map("type")
    )

    def to_dict(self) -> dict[str, Any]:
        """The status as JSON-ready camelCase, without fields that are not set."""
        return self.model_dump(by_alias=True, exclude_none=True, mode="json")
