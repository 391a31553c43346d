"""`ClaudeDeployment.spec`: what shapes a request, the gate before it, and how traffic moves to it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from claude_operator.api.base import ApiModel, Duration, EnvName, ObjectName, WireModel
from claude_operator.api.gateway import Merge
from claude_operator.api.request import PromptCacheControl, Request

Percent = Annotated[float, Field(ge=0, le=100)]


class KeyRef(ApiModel):
    """One key of a Secret or ConfigMap in the same namespace."""

    name: ObjectName = Field(description="Name of the object, in the same namespace.")
    key: ObjectName = Field(description="Key in its data.")


class NameRef(ApiModel):
    """An object in the same namespace."""

    name: ObjectName = Field(description="Name of the object, in the same namespace.")


class Subagent(ApiModel):
    """An overlay on the request for one subagent."""

    request: dict[str, Any] = Field(
        description="Messages API fields that replace those of spec.request when the client sends x-claude-subagent.",
        json_schema_extra={"x-overlay-on": "Request"},
    )


class PromptSource(ApiModel):
    """A system text block kept in a ConfigMap."""

    config_map_key_ref: KeyRef = Field(description="The ConfigMap key that holds the text.")
    cache_control: PromptCacheControl | None = Field(
        default=None, alias="cache_control", description="Cache breakpoint after this block, as in the Messages API."
    )


class Overrides(ApiModel):
    """How the revision's lists meet what the client sent. For scalars the revision wins."""

    system: Merge = Field(default="Replace", description="Replace, Prepend or Append the revision's system blocks.")
    tools: Merge = Field(default="Replace", description="Replace, Prepend or Append the revision's tools.")


class Timeouts(ApiModel):
    """Limits on one upstream call."""

    connect: Duration = Field(default="5s", description="To open a connection.")
    idle: Duration = Field(default="120s", description="Longest silence of a response, streamed or not.")
    total: Duration = Field(default="600s", description="Longest life of a response.")


class Upstream(ApiModel):
    """The Claude API behind the gateway. Not part of the revision, and not canaried."""

    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=2048)] = Field(
        default="https://api.anthropic.com", alias="baseURL", description="Where the Messages API is."
    )
    api_key_secret_ref: KeyRef | None = Field(
        default=None, description="The Claude API key. Required unless gateway.auth.type is Passthrough."
    )
    timeouts: Timeouts = Field(default=Timeouts(), description="Limits on one upstream call.")


class EnvSource(ApiModel):
    """Where a value comes from."""

    secret_key_ref: KeyRef = Field(description="The Secret key that holds the value.")


class EnvVar(ApiModel):
    """A value that $(NAME) in an MCP server's authorization_token refers to."""

    name: EnvName = Field(description="The NAME in $(NAME).")
    value_from: EnvSource = Field(description="Where the value comes from.")


class Auth(ApiModel):
    """How clients of the gateway prove themselves."""

    type: Literal["ApiKey", "Passthrough", "None"] = Field(
        default="ApiKey",
        description="ApiKey: the key in the Secret <name>-client. Passthrough: the client's own Claude API key is sent "
        "upstream. None: no check, the operator's key is used for everybody who can reach the Service.",
    )


class Gateway(ApiModel):
    """The pods that applications talk to. Not part of the revision, and not canaried."""

    replicas: Annotated[int, Field(ge=1, le=100)] = Field(default=2, description="Number of gateway pods.")
    resources: dict[str, Any] | None = Field(
        default=None,
        description="Resource requests and limits of a gateway pod, as in a container.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )
    auth: Auth = Field(default=Auth(), description="How clients prove themselves.")


class Evals(ApiModel):
    """The gate: a revision gets its first live request after its eval run has passed."""

    set_ref: NameRef = Field(description="The ClaudeEvalSet to run.")
    required: bool = Field(default=True, description="False: run and report, but do not block.")


class Pause(ApiModel):
    """Hold the weight: for a time, or until a person promotes."""

    duration: Duration | None = Field(default=None, description="How long. Left out: until a person promotes.")


class Bake(ApiModel):
    """Hold the weight until evidence allows the next."""

    min_duration: Duration = Field(default="1m", description="Never shorter than this.")
    max_duration: Duration | None = Field(
        default=None, description="Past this it still holds, and says what is missing."
    )
    min_requests: Annotated[int, Field(ge=0)] = Field(
        default=100, description="Requests that the canary has to have answered in this step."
    )


class Step(ApiModel):
    """One entry of the plan: exactly one of setWeight, pause and bake."""

    set_weight: Percent | None = Field(
        default=None, description="Percent of conversations that the canary gets: 1, 50, 0.5. Multiples of 0.01."
    )
    pause: Pause | None = Field(default=None, description="Hold for a time, or ({}) until a person promotes.")
    bake: Bake | None = Field(default=None, description="Hold until evidence allows the next step.")

    @property
    def action(self) -> Literal["setWeight", "pause", "bake"]:
        """Which of the three it is."""
        return "setWeight" if self.set_weight is not None else "pause" if self.pause is not None else "bake"


class Metric(ApiModel):
    """One thing the judge watches."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="errors or refusals; others are refused until they are built."
    )
    mode: Literal["Enforce", "DryRun"] | None = Field(default=None, description="DryRun reports without acting.")
    max_increase: Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?%$", max_length=16)] | None = Field(
        default=None, description="Increase that is still tolerated, for example 10%."
    )
    prometheus: dict[str, Any] | None = Field(
        default=None,
        description="A Prometheus query, for metrics of your own.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )
    threshold: dict[str, Any] | None = Field(
        default=None,
        description="Fixed limits, for the judge Threshold.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )
    failure_limit: int | None = Field(default=None, description="Failed measurements that are tolerated.")


class Analysis(ApiModel):
    """How the canary is judged against stable while it takes traffic."""

    judge: Literal["Sequential", "Threshold", "MannWhitney"] = Field(
        default="Sequential", description="Sequential: an always-valid test that may be looked at every tick."
    )
    interval: Duration = Field(default="5s", description="Time between two readings of the evidence; 1s or more.")
    false_rollback_rate: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.01, description="Chance that a canary equal to stable is rolled back, over the whole rollout."
    )
    metrics: list[Metric] | None = Field(
        default=None,
        description="What is watched; left out: errors and refusals.",
        json_schema_extra={"maxItems": 32},
    )


DEFAULT_STEPS = (
    Step(set_weight=1),
    Step(bake=Bake()),
    Step(set_weight=10),
    Step(bake=Bake()),
    Step(set_weight=50),
    Step(bake=Bake()),
)


class Canary(ApiModel):
    """Live traffic moves to a new revision step by step, judged against stable, and back on evidence of harm."""

    steps: list[Step] = Field(
        default=list(DEFAULT_STEPS),
        description="The plan, in order: setWeight moves traffic, pause and bake hold it. A last setWeight: 100 is "
        "implied. Left out: 1, 10 and 50 percent, each with a bake.",
        json_schema_extra={"maxItems": 50},
    )
    analysis: Analysis = Field(default=Analysis(), description="How the canary is judged.")


class Strategy(ApiModel):
    """How traffic moves to a new revision. A change concerns the next rollout."""

    canary: Canary = Field(default=Canary(), description=Canary.__doc__ or "")


class Budget(ApiModel):
    """A service level of one surface. A breach on both arms holds, it does not blame the canary."""

    surface: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,63}$", max_length=63)] = Field(
        description="The surface, as sent in x-claude-surface."
    )
    metric: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="For example timeToFirstToken."
    )
    percentile: Annotated[float, Field(gt=0, lt=100)] | None = Field(default=None, description="For example 95.")
    max: Annotated[str, StringConstraints(max_length=32)] | None = Field(
        default=None, description="For example 1500ms."
    )


Policy = Literal["Ignore", "Warn", "Reject"]


class LifecyclePolicy(ApiModel):
    """What happens to new revisions whose model is on its way out. What already serves goes on serving."""

    on_legacy: Policy = Field(default="Warn", description="Ignore, Warn or Reject new revisions on a Legacy model.")
    on_deprecated: Policy = Field(default="Warn", description="Ignore, Warn or Reject those on a Deprecated model.")
    on_retired: Policy = Field(default="Reject", description="Ignore, Warn or Reject those on a Retired model.")


class DeploymentSpec(ApiModel):
    """An application's Claude configuration and how a change of it reaches users."""

    request: Request = Field(
        description="Messages API fields, exactly as the API documents them; a change is a new revision. messages and "
        "stream belong to the client."
    )
    subagents: dict[str, Subagent] | None = Field(
        default=None,
        description="Overlays on request by subagent name, chosen by the header x-claude-subagent.",
        json_schema_extra={"maxProperties": 32},
    )
    prompt_from: list[PromptSource] | None = Field(
        default=None,
        description="System blocks from ConfigMaps, before those in request.system. A change of a key is a revision.",
        json_schema_extra={"maxItems": 16},
    )
    overrides: Overrides | None = Field(default=None, description=Overrides.__doc__)
    upstream: Upstream = Field(default=Upstream(), description=Upstream.__doc__)
    env: list[EnvVar] | None = Field(
        default=None,
        description="Values that $(NAME) in an MCP server's authorization_token refers to.",
        json_schema_extra={"maxItems": 64},
    )
    gateway: Gateway = Field(default=Gateway(), description=Gateway.__doc__)
    evals: Evals | None = Field(default=None, description=Evals.__doc__)
    strategy: Strategy = Field(default=Strategy(), description=Strategy.__doc__)
    budgets: list[Budget] | None = Field(
        default=None, description="Service levels per surface.", json_schema_extra={"maxItems": 32}
    )
    lifecycle: LifecyclePolicy = Field(default=LifecyclePolicy(), description=LifecyclePolicy.__doc__)
    paused: bool = Field(default=False, description="Freezes the rollout where it is; a rollback still happens.")
    revision_history_limit: Annotated[int, Field(ge=0, le=100)] = Field(
        default=10, description="Old revisions to keep, besides those being served."
    )


__all__ = ["DEFAULT_STEPS", "DeploymentSpec", "Step", "WireModel"]
