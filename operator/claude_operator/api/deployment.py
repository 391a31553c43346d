"""`ClaudeDeployment.spec`: what shapes a request, the gate before it, and how traffic moves to it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints
from pydantic.config import JsonDict

from claude_operator.api.analysis import Analysis, PercentText
from claude_operator.api.base import ApiModel, Duration, EnvName, ObjectName, WireModel, list_map
from claude_operator.api.budgets import Budget
from claude_operator.api.checklist import Checklist
from claude_operator.api.drill import Drill
from claude_operator.api.gateway import Merge, Unit, Unsupported
from claude_operator.api.lifecycle import PLATFORM_WORDS, LifecyclePolicy, Platform
from claude_operator.api.live import LiveGrading
from claude_operator.api.organisation import ApiKeyId
from claude_operator.api.request import PromptCacheControl, Request
from claude_operator.api.spending import MonthlyBudget

Percent = Annotated[float, Field(ge=0, le=100, multiple_of=0.01)]
_QUANTITIES: JsonDict = {
    "type": "object",
    "maxProperties": 64,
    "additionalProperties": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
}


class KeyRef(ApiModel):
    """One key of a Secret or ConfigMap in the same namespace."""

    name: ObjectName = Field(description="Name of the object, in the same namespace.")
    key: ObjectName = Field(description="Key in its data.")


class NameRef(ApiModel):
    """An object in the same namespace."""

    name: ObjectName = Field(description="Name of the object, in the same namespace.")


class Subagent(ApiModel):
    """What differs when one of the application's subagents asks."""

    request: dict[str, Any] = Field(
        description="Messages API fields that replace those of spec.request, each as a whole, in requests with the"
        " header x-claude-subagent: <name>. A smaller model for a simple task, for example.",
        json_schema_extra={"x-overlay-on": "Request"},
    )


class PromptSource(ApiModel):
    """A system text block kept in a ConfigMap."""

    config_map_key_ref: KeyRef = Field(description="The ConfigMap key that holds the text.")
    cache_control: PromptCacheControl | None = Field(
        default=None, alias="cache_control", description="Cache breakpoint after this block, as in the Messages API."
    )


class Overrides(ApiModel):
    """How the revision's lists meet what the client sent. Of all other fields the revision's wins."""

    system: Merge = Field(
        default="Replace",
        description="What happens to the client's system prompt: Replace it by the revision's, or Prepend or Append the"
        " revision's blocks to it.",
    )
    tools: Merge = Field(
        default="Replace",
        description="What happens to the client's tools: Replace them by the revision's, or Prepend or Append the"
        " revision's to them.",
    )
    # No default: the API server would write it into what is stored, and the revision's hash would be another.
    unsupported: Unsupported | None = Field(
        default=None,
        description="What happens to temperature, top_p, top_k, a thinking type or an assistant's message at the end"
        " that the client sends and the revision's model is known to refuse. Pass (when left out): it goes upstream,"
        " where the request is refused. Drop: it is left out, and x-claude-overridden names it.",
    )


class Timeouts(ApiModel):
    """Limits on one upstream call."""

    connect: Duration = Field(default="5s", description="Longest wait for a connection.")
    idle: Duration = Field(
        default="120s", description="Longest time without data, before a stream's first event and between events."
    )
    total: Duration = Field(
        default="600s",
        description="Longest time for an answer in one piece. Of a stream, the longest time with nothing but pings.",
    )


class Upstream(ApiModel):
    """The Claude API behind the gateway. Not part of the revision, and not canaried."""

    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=2048)] = Field(
        default="https://api.anthropic.com",
        alias="baseURL",
        description="Where the Messages API is; /v1/messages is put after it.",
    )
    api_key_secret_ref: KeyRef | None = Field(
        default=None,
        description="The Claude API key: a Secret and its key. Required unless gateway.auth.type is Passthrough.",
    )
    api_key_id: ApiKeyId | None = Field(
        default=None,
        alias="apiKeyID",
        description="The id of that key, such as apikey_01..., by which the organisation's usage is attributed. When"
        " left out, the key is looked for by its first and last characters.",
    )
    timeouts: Timeouts = Field(default=Timeouts(), description="Limits on one upstream call.")
    # No default, as with canary.drain.
    platform: Platform | None = Field(
        default=None,
        description=f"Whose dates of deprecation and retirement hold. {PLATFORM_WORDS} Left out: ClaudeAPI.",
    )


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
        "upstream. None: no check; everyone who reaches the Service uses the key of upstream.",
    )


class GatewayTls(ApiModel):
    """The certificate that gateways show."""

    secret_name: ObjectName = Field(
        description="Secret with tls.crt and tls.key, as cert-manager and `kubectl create secret tls` write it. It is"
        " read again when it changes."
    )


class Gateway(ApiModel):
    """The pods that applications talk to. Not part of the revision, and not canaried."""

    replicas: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None,
        description="Number of gateway pods, which the operator then keeps. Left out: a gateway starts with 2 pods, and"
        " a HorizontalPodAutoscaler or `kubectl scale` sets the number.",
    )
    resources: dict[str, Any] | None = Field(
        default=None,
        description="Resource requests and limits of a gateway pod, as in a container.",
        json_schema_extra={
            "additionalProperties": False,
            "properties": {
                "requests": _QUANTITIES | {"description": "What the scheduler reserves, for example {cpu: 100m}."},
                "limits": _QUANTITIES | {"description": "What a pod may use at most, for example {memory: 256Mi}."},
            },
        },
    )
    auth: Auth = Field(default=Auth(), description="How clients prove themselves.")
    tls: GatewayTls | None = Field(
        default=None,
        description="Serve applications by TLS: the Service has port 443 instead of 80, and the client Secret an https"
        " address. Applications have to trust the certificate's issuer. Left out: plain HTTP.",
    )
    # No default: the API server would show it to an operator of an earlier version too, which does not know it.
    expose_revision: bool | None = Field(
        default=None,
        description="True or left out: answers name the revision and arm that gave them, and a client can"
        " stay on a revision with x-claude-revision. False: neither, so that no client can choose its arm.",
    )


McpCalls = Literal["Real", "Off"]


class Evals(ApiModel):
    """The gate: a revision gets its first live request after its eval run has passed."""

    set_ref: NameRef = Field(description="The ClaudeEvalSet to run on every new revision.")
    required: bool = Field(default=True, description="False: run the evals and report, but do not wait for them.")
    # No defaults, as with canary.drain.
    mcp: McpCalls | None = Field(
        default=None,
        description="Real or left out: an eval really calls the MCP servers and server tools (such as web search) of"
        " the request, as live traffic does. Off: they are left out of both arms, and what a change of them does is not"
        " tested.",
    )
    live: LiveGrading | None = Field(
        default=None, description=f"{LiveGrading.__doc__} Left out: no live answer is sampled."
    )


class Pause(ApiModel):
    """Hold the weight for a time, or until a person promotes."""

    duration: Duration | None = Field(
        default=None,
        description="How long. Left out: until a person annotates claudeops.dev/promote:"
        " <revision>/<attempt>/<step index>.",
    )


class Bake(ApiModel):
    """Hold the weight until evidence allows the next."""

    min_duration: Duration = Field(default="1m", description="The shortest time of the step.")
    max_duration: Duration | None = Field(
        default=None,
        description="Past this the step is inconclusive, and onInconclusive says what happens. Left out: 30m, or twice"
        " minDuration where that is more.",
    )
    on_inconclusive: Literal["Hold", "Promote", "Rollback"] = Field(
        default="Hold",
        description="What happens if maxDuration passes and neither harm nor its absence was shown: Hold and say"
        " what is missing, Promote to the next step, or Rollback.",
    )
    min_requests: Annotated[int, Field(ge=0)] = Field(
        default=100,
        description="Requests that the canary has to have answered in this step. Without traffic the step holds.",
    )


class Step(ApiModel):
    """One entry of the plan: exactly one of setWeight, pause and bake."""

    set_weight: Percent | None = Field(
        default=None,
        description="Percent of new conversations that the canary gets: 1, 50, 0.5; a multiple of 0.01, larger than the"
        " one before. A conversation stays on the arm that it began on.",
    )
    pause: Pause | None = Field(
        default=None, description="Hold for a time, {duration: 10m}, or until a person promotes, {}."
    )
    bake: Bake | None = Field(default=None, description="Hold until evidence allows the next step.")

    @property
    def action(self) -> Literal["setWeight", "pause", "bake"]:
        """Which of the three it is."""
        return "setWeight" if self.set_weight is not None else "pause" if self.pause is not None else "bake"


DEFAULT_STEPS = (
    Step(set_weight=1),
    Step(bake=Bake()),
    Step(set_weight=10),
    Step(bake=Bake()),
    Step(set_weight=50),
    Step(bake=Bake()),
)


class Soak(ApiModel):
    """Keeps judging after promotion, at 100 %, against the history of the revision before; a breach brings that one"
    " back."""

    duration: Duration = Field(description="How long, for example 1h.")
    max_increase: PercentText = Field(
        default="50%",
        description="Tolerated increase over the former revision's history, which had the traffic of other hours.",
    )


class RollbackWindow(ApiModel):
    """Going back to the revision that served before goes to 100 % at once, without steps, for a while."""

    duration: Duration = Field(description="How long after it was replaced, for example 1h.")


class Drain(ApiModel):
    """After a promotion, conversations that began on the former stable revision stay on it for a while."""

    max_age: Duration = Field(
        default="1h",
        description="How long after the promotion; then those that still go on move to the revision that serves. 0s:"
        " they move at the promotion.",
    )


class Canary(ApiModel):
    """Live traffic moves to a new revision step by step, judged against stable, and back on evidence of harm.

    A step sets a weight or holds it. While the canary takes traffic, every tick of analysis compares it with stable;
    once there is evidence of harm its weight goes to 0 in the same tick, whatever the step. What is missing (traffic,
    metrics, a person) only holds.
    """

    steps: list[Step] = Field(
        default=list(DEFAULT_STEPS),
        description="The plan, in order: setWeight moves traffic, pause and bake hold it. A last setWeight: 100 is"
        " implied. Left out: 1, 10 and 50 percent, each with a bake; []: 100 percent at once.",
        json_schema_extra={"maxItems": 50},
    )
    analysis: Analysis = Field(default=Analysis(), description=Analysis.__doc__ or "")
    soak: Soak | None = Field(default=None, description=Soak.__doc__)
    rollback_window: RollbackWindow | None = Field(default=None, description=RollbackWindow.__doc__)
    # No defaults in these two: an operator of an earlier version, which does not know them, would see them too.
    rescue_after: Annotated[int, Field(ge=0, le=100)] | None = Field(
        default=None,
        description="A conversation that fails so many times in a row on the canary goes back to stable. 0: never."
        " Left out: 3.",
    )
    drain: Drain | None = Field(default=None, description=f"{Drain.__doc__} Left out: for 1h.")

    @property
    def drain_age(self) -> str:
        """How long a former stable revision keeps its conversations."""
        return (self.drain or Drain()).max_age


class Assignment(ApiModel):
    """What gets its arm, and is counted, as one. Not part of the revision; a change concerns the next rollout."""

    unit: Unit = Field(
        default="Conversation",
        description="Conversation: each new conversation is drawn and stays on its arm. User: all conversations of a"
        " user go where the user's rank is; use it where one person must not see both revisions. Request: each request"
        " is drawn by itself; use it where requests do not belong together.",
    )


class Strategy(ApiModel):
    """How traffic moves to a new revision. A change concerns the next rollout."""

    canary: Canary = Field(default=Canary(), description=Canary.__doc__ or "")


class DeploymentSpec(ApiModel):
    """An application's Claude configuration and how a change of it reaches users."""

    request: Request = Field(
        description="Fields of the Messages API, as the API documents them; this schema need"
        " not know them. A change is a new revision. messages and stream come from the client."
    )
    subagents: dict[str, Subagent] | None = Field(
        default=None,
        description="What differs for each of the application's subagents, by name. A change is a new revision.",
        json_schema_extra={"maxProperties": 32, "x-ruled-as": "Subagents"},
    )
    prompt_from: list[PromptSource] | None = Field(
        default=None,
        description="System blocks kept in ConfigMaps, put before those of request.system. A change of such a key is a"
        " new revision.",
        json_schema_extra={"maxItems": 16},
    )
    overrides: Overrides | None = Field(default=None, description=Overrides.__doc__)
    upstream: Upstream = Field(default=Upstream(), description=Upstream.__doc__)
    env: list[EnvVar] | None = Field(
        default=None,
        description="Values that $(NAME) in an MCP server's authorization_token refers to. $(NAME) is"
        " replaced nowhere else.",
        json_schema_extra={"maxItems": 64, **list_map("name")},
    )
    gateway: Gateway = Field(default=Gateway(), description=Gateway.__doc__)
    evals: Evals | None = Field(default=None, description=Evals.__doc__)
    strategy: Strategy = Field(default=Strategy(), description=Strategy.__doc__)
    # No default, as with canary.drain.
    assignment: Assignment | None = Field(
        default=None, description=f"{Assignment.__doc__} Left out: unit Conversation."
    )
    budgets: list[Budget] | None = Field(
        default=None,
        description="Latency budgets, the service levels of surfaces; requests name theirs in the header"
        " x-claude-surface.",
        json_schema_extra={"maxItems": 32},
    )
    budget: MonthlyBudget | None = Field(default=None, description=MonthlyBudget.__doc__)
    drill: Drill | None = Field(default=None, description=f"{Drill.__doc__} Left out: no schedule.")
    lifecycle: LifecyclePolicy = Field(default=LifecyclePolicy(), description=LifecyclePolicy.__doc__)
    checklist: Checklist | None = Field(default=None, description=f"{Checklist.__doc__} Left out: see mode.")
    paused: bool = Field(default=False, description="Freezes a rollout where it is. A rollback still happens.")
    revision_history_limit: Annotated[int, Field(ge=0, le=100)] = Field(
        default=10,
        description="Old revisions to keep, besides those being served; fewer if together they exceed 4 MiB.",
    )


__all__ = ["DEFAULT_STEPS", "DeploymentSpec", "Step", "WireModel"]
