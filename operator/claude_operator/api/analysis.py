"""`spec.strategy.canary.analysis`: what is watched on both arms, and how it is judged."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator
from pydantic.config import JsonDict

from claude_operator.api.base import ApiModel, Duration, list_map

Percent = Annotated[float, Field(ge=0, le=100, multiple_of=0.01)]
_QUANTITIES: JsonDict = {
    "type": "object",
    "additionalProperties": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
}


PercentText = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?%$", max_length=16)]


class Prometheus(ApiModel):
    """Where a metric of your own is read: an instant query, answered by one number."""

    address: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/][^\s]*$", max_length=2048)] | None = Field(
        default=None, description="Base URL of Prometheus. Default: the one that the operator was started with."
    )
    query: Annotated[str, StringConstraints(min_length=1, max_length=8192)] = Field(
        description="PromQL as a dashboard has it. {{revision}}, {{stable}}, {{deployment}}, {{namespace}} and"
        " {{window}} are filled in."
    )


class Threshold(ApiModel):
    """Fixed limits of a measurement; outside of them it has failed."""

    max: float | None = Field(default=None, description="Upper limit.")
    min: float | None = Field(default=None, description="Lower limit.")


class Metric(ApiModel):
    """One thing the judge watches."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="errors, refusals, maxTokens, hung, overloads, contextWindow, toolUse, latencyBudget, cacheMiss,"
        " judgeFail, timeToFirstToken, timePerOutputToken, duration, cost or outputTokens; with prometheus any other"
        " name."
    )
    mode: Literal["Enforce", "DryRun", "Hold"] | None = Field(
        default=None,
        description="Enforce takes traffic back, DryRun reports without acting, Hold holds the rollout until a person"
        " promotes. Default: Hold for overloads, Enforce for the rest.",
    )
    weight: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None,
        description="Share of falseRollbackRate that this metric gets, in proportion to the others'; in mode Hold of"
        " the 5 % that all metrics in this mode have. A larger weight needs less evidence.",
    )
    max_increase: PercentText | None = Field(
        default=None,
        description="Tolerated increase over stable. For cost it comes on top of the difference between the"
        " models' list prices. Default: 10% for timeToFirstToken, 25% for timePerOutputToken, duration, cost and"
        " outputTokens, 0% for the rest.",
    )
    prometheus: Prometheus | None = Field(default=None, description=Prometheus.__doc__)
    threshold: Threshold | None = Field(default=None, description=Threshold.__doc__)
    interval: Duration | None = Field(
        default=None,
        description="Time between two measurements against threshold, or two values of the judge MannWhitney."
        " Default: 1m.",
    )
    window: Duration | None = Field(
        default=None, description="What {{window}} stands for, and how far back a built-in metric looks. Default: 5m."
    )
    initial_delay: Duration | None = Field(
        default=None, description="Time from the canary's first traffic to the first measurement. Default: 0s."
    )
    failure_limit: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Failed measurements that are tolerated in total. Default: 0."
    )
    consecutive_error_limit: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Measurements in a row without an answer that are tolerated before the rollout holds. Default: 4.",
    )


class Analysis(ApiModel):
    """How the canary is judged against stable, on the same minutes of traffic."""

    judge: Literal["Sequential", "Threshold", "MannWhitney"] = Field(
        default="Sequential",
        description="The test. Sequential may be read at every tick and keeps its error rate; Threshold"
        " compares each metric with its threshold; MannWhitney compares the series of both arms as Kayenta does.",
    )
    interval: Duration = Field(
        default="5s", description="Time between two readings of the gateways' counters; 1s or more."
    )
    false_rollback_rate: Annotated[float, Field(ge=1e-9, lt=1)] = Field(
        default=0.01, description="Chance that a canary as good as stable is rolled back, over the whole rollout."
    )
    false_promotion_rate: Annotated[float, Field(ge=1e-9, lt=1)] = Field(
        default=0.05, description="Chance that a bake passes a canary that costs toleratedIncrease or more."
    )
    tolerated_increase: PercentText = Field(
        default="0.5%",
        description="Percentage points of all requests that may go wrong because of the canary. A bake ends when the"
        " evidence shows that the next weight stays within it; 100% asks for no such proof.",
    )
    warmup: Duration = Field(
        default="5m",
        description="Time from the canary's first traffic in which requests that use the prompt cache do not"
        " count for latency and cost, because a new prefix starts cold. Errors always count.",
    )
    metrics: list[Metric] | None = Field(
        default=None,
        description="What is watched on both arms. Default: errors, timeToFirstToken, refusals, maxTokens, cost, hung,"
        " timePerOutputToken and, in mode Hold, overloads and outputTokens."
        " Only a metric's own evidence of harm takes traffic back; missing data only holds the rollout.",
        json_schema_extra={"maxItems": 32, **list_map("name")},
    )

    @model_validator(mode="before")
    @classmethod
    def _read_older_form(cls, stored: Any) -> Any:
        """Earlier there was a `unit`, which spec.assignment has now: plans and objects of before still have it."""
        return {key: value for key, value in stored.items() if key != "unit"} if isinstance(stored, dict) else stored
