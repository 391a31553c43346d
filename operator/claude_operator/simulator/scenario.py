"""The scenario: how the simulated API behaves, as people write it."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AwareDatetime, Field, ValidationError, model_validator

from claude_operator.api.base import ApiModel, Duration, seconds
from claude_operator.api.faults import faults, yaml_fault

__all__ = [
    "ALL",
    "Account",
    "Answer",
    "AnswerFile",
    "Behaviour",
    "Difficulty",
    "Editor",
    "Grader",
    "LifeChange",
    "Match",
    "Organization",
    "Rule",
    "Scenario",
    "ScenarioError",
    "SpendLimit",
    "ToolUse",
    "Workspace",
    "parse",
]

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ScenarioError(ValueError):
    """A scenario that cannot be used; the message says where, and what to write instead."""


class Latency(ApiModel):
    """Time to the first token, drawn from a lognormal distribution; without `p95` it is always the median."""

    median: Duration
    p95: Duration | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.p95 and (seconds(self.p95) < seconds(self.median) or not seconds(self.median)):
            raise ValueError("p95 must be at least the median, and the median longer than 0s; or leave out p95")
        return self


class ToolUse(ApiModel):
    """A call of one of the request's tools."""

    name: Annotated[str, Field(min_length=1)]
    input: dict[str, Any] = Field(default_factory=dict)


class Grader(ApiModel):
    """How well a model grades: the share of right answers that it passes, and of wrong ones that it fails."""

    sensitivity: Share = 1.0
    specificity: Share = 1.0


class Editor(ApiModel):
    """How a model edits prompts: the share of proposals of each kind, and the accuracy that a better one gains."""

    better: Share = 0.25
    equal: Share = 0.25
    overfitted: Share = 0.25
    worse: Share = 0.25
    gain: Share = 0.1

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(self.better + self.equal + self.overfitted + self.worse - 1) > 1e-6:
            raise ValueError("better, equal, overfitted and worse must sum to 1: write all four of them")
        return self


Shape = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


class Difficulty(ApiModel):
    """A part of the questions: each is answered right with a chance of its own, drawn from Beta(alpha, beta)."""

    share: Share
    alpha: Shape
    beta: Shape


class Behaviour(ApiModel):
    """How the API behaves; a rule gives what differs from `defaults`."""

    latency: Latency | None = None
    tokens_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    output_tokens: Annotated[int, Field(ge=1, le=128_000)] | None = None
    error_rate: Share | None = None
    overload_rate: Share | None = None
    rate_limit_rate: Share | None = None
    refusal_rate: Share | None = None
    break_stream_rate: Share | None = None
    stream_error_rate: Share | None = None
    empty_account_rate: Share | None = None
    accuracy: Share | None = None
    wrong_answer: Annotated[str, Field(min_length=1, max_length=100_000)] | None = None
    difficulty: Annotated[list[Difficulty], Field(max_length=16)] | None = None
    tool_use: ToolUse | None = None
    grader: Grader | None = None
    editor: Editor | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.difficulty and abs(sum(part.share for part in self.difficulty) - 1) > 1e-6:
            raise ValueError("the shares of difficulty must sum to 1")
        return self


class Match(ApiModel):
    """A request matches when all given conditions are true."""

    model: Annotated[str, Field(min_length=1)] | None = None
    system_contains: Annotated[str, Field(min_length=1)] | None = None
    system_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None
    question_contains: Annotated[str, Field(min_length=1)] | None = None


ALL = Match()


class Rule(Behaviour):
    """Behaviour of the requests that match; the first rule that matches counts."""

    name: Annotated[str, Field(max_length=64)] | None = None
    match: Match = ALL


class Batching(ApiModel):
    """How Message Batches go: how long one takes, and the share of requests that expire in it."""

    duration: Duration = "10s"
    expired_rate: Share = 0.0


SpendLimit = Literal["Credits", "Organization", "Workspace", "Tier"]


class Account(ApiModel):
    """What the account may spend; then every request is refused, until the ledger is reset.

    Credits: prepaid ones are used up. Organization, Workspace: the limit that its administrator has set. Tier: that of
    the organization's API tier.
    """

    usd: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    limit: SpendLimit = "Credits"


class Answer(ApiModel):
    """A question, exactly as the user puts it, its right answer, and the tools to call before that answer."""

    question: str
    answer: str
    calls: Annotated[list[ToolUse], Field(max_length=64)] = Field(default_factory=list)


class AnswerFile(ApiModel):
    """A file of JSON lines, each an Answer; relative to the scenario's own folder."""

    file: Annotated[str, Field(min_length=1)]


Patterns = Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=1000)]


class Workspace(ApiModel):
    """A workspace, and the keys that belong to it, as globs; other keys belong to the default workspace."""

    id: Annotated[str, Field(pattern=r"^wrkspc_[A-Za-z0-9]{1,64}$")]
    name: Annotated[str, Field(min_length=1, max_length=64)]
    keys: Patterns = Field(default_factory=list)


class Organization(ApiModel):
    """What the admin endpoints tell of the organisation, and how they fail."""

    account: Literal["organization", "individual", "aws"] = "organization"
    id: Annotated[str, Field(min_length=1, max_length=64)] = "00000000-0000-4000-8000-000000000000"
    workspaces: Annotated[list[Workspace], Field(max_length=1000)] = Field(default_factory=list)
    priority_keys: Patterns = Field(default_factory=list)
    lag: Duration = "5m"
    late_rate: Share = 0.0
    late_by: Duration = "6h"
    fast_mode: bool = True
    analytics: bool = True
    analytics_lag: Duration = "4h"
    cursor_life: Duration = "10m"
    page_size: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    requests_per_minute: Annotated[int, Field(ge=1, le=100_000)] = 600
    error_rate: Share = 0.0
    rate_limit_rate: Share = 0.0
    break_rate: Share = 0.0


class LifeChange(ApiModel):
    """A model's lifecycle from a time on: from `at`, or `after` the scenario was set; without either from the start.

    `like` makes a model that the catalogue does not have, with the rules and prices of another one.
    """

    model: Annotated[str, Field(min_length=1, max_length=128)]
    like: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    state: Literal["Active", "Deprecated", "Retired"]
    at: AwareDatetime | None = None
    after: Duration | None = None
    deprecated_at: datetime.date | None = None
    retires_at: datetime.date | None = None

    @model_validator(mode="after")
    def _once(self) -> Self:
        if self.at is not None and self.after is not None:
            raise ValueError("at and after exclude each other: keep one of them")
        return self


class Scenario(ApiModel):
    """The whole document."""

    seed: int | None = None
    today: datetime.date | None = None
    answers: list[Answer] | AnswerFile = Field(default_factory=list)
    batches: Batching = Batching()
    account: Account | None = None
    organization: Organization = Organization()
    lifecycle: list[LifeChange] = Field(default_factory=list, max_length=100)
    defaults: Behaviour = Behaviour()
    rules: list[Rule] = Field(default_factory=list, max_length=1000)


def parse(text: str | bytes) -> Scenario:
    """The scenario of a YAML or JSON text; raises ScenarioError. An empty text is an empty scenario."""
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506  (a safe loader, in C where it exists)
    except yaml.YAMLError as error:
        raise ScenarioError(f"the scenario {yaml_fault(error)}") from error
    except UnicodeDecodeError as error:
        raise ScenarioError(f"the scenario is not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise ScenarioError("the scenario is not YAML or JSON; see docs/simulator.md") from error
    if document is not None and not isinstance(document, dict):
        raise ScenarioError("a scenario is an object; write for example `defaults: {errorRate: 0.1}`")
    try:
        return Scenario.model_validate(document or {})
    except ValidationError as error:
        raise ScenarioError(_explain(error)) from error


def _explain(error: ValidationError) -> str:
    """The first three faults, each with its field."""
    found = faults(error)
    return "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
