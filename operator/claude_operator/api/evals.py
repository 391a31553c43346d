"""ClaudeEvalSet and ClaudeEvalRun: what is asked, how it is checked, the gate, and what came of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from claude_operator.api.base import ApiModel, Duration, ObjectName, StatusModel, list_map
from claude_operator.api.conditions import Condition
from claude_operator.api.deployment import KeyRef, Upstream
from claude_operator.api.graders import Asserts, Grader
from claude_operator.api.status import Moment

Phase = Literal["Pending", "Running", "Passed", "Failed", "Inconclusive", "Error"]


class EvalTest(ApiModel):
    """One item: a question and what must hold of the answer."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        description="Stable id: pairs the arms' answers."
    )
    input: Annotated[str, StringConstraints(max_length=1_000_000)] | None = Field(
        default=None, description="The user's message. Exactly one of input and messages."
    )
    messages: Annotated[list[dict[str, Any]], Field(max_length=1000)] | None = Field(
        default=None, description="A whole conversation, as in the Messages API."
    )
    critical: bool = Field(default=False, description="Must pass, whatever the statistics say.")
    asserts: Asserts | None = Field(default=None, alias="assert", description="All must hold.")
    subagent: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None, description="Ask as this subagent."
    )


class EvalTestDefaults(ApiModel):
    """What items without asserts of their own are checked for."""

    asserts: Asserts | None = Field(default=None, alias="assert", description="All must hold.")


class EvalDataset(ApiModel):
    """Items kept in a ConfigMap."""

    config_map_key_ref: KeyRef = Field(description="A ConfigMap key with JSONL, one item a line.")


class EvalGate(ApiModel):
    """The rule that passes or fails a run."""

    pass_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="Floor on the candidate's pass rate."
    )
    margin: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.03, description="How much lower than stable's the pass rate may be, on the same items."
    )


class EvalExecution(ApiModel):
    """How the questions are asked."""

    max_concurrency: Annotated[int, Field(ge=1, le=64)] = Field(
        default=4, description="Questions asked at the same time."
    )
    timeout: Duration = Field(default="120s", description="Longest wait for one answer.")


class EvalSetSpec(ApiModel):
    """A held-out set of questions with known good answers."""

    tests: list[EvalTest] | None = Field(
        default=None,
        description="Items in place; at most 200.",
        json_schema_extra={"maxItems": 200, **list_map("id")},
    )
    dataset: EvalDataset | None = Field(default=None, description="Items kept elsewhere, for larger sets.")
    default_test: EvalTestDefaults | None = Field(default=None, description=EvalTestDefaults.__doc__)
    graders: list[Grader] | None = Field(
        default=None,
        description="Models that grade answers, for llm-rubric, factuality and select-best.",
        json_schema_extra={"maxItems": 16, **list_map("name")},
    )
    gate: EvalGate = Field(default=EvalGate(), description=EvalGate.__doc__)
    execution: EvalExecution = Field(default=EvalExecution(), description=EvalExecution.__doc__)


class EvalSetStatus(StatusModel):
    """What is known of the set."""

    items: int = Field(default=0, description="Number of items.")


class EvalRunSpec(ApiModel):
    """One run of a set on a revision against a baseline. Immutable."""

    revision: ObjectName = Field(description="The ClaudeRevision that is tested.")
    baseline_revision: ObjectName | None = Field(default=None, description="The ClaudeRevision to compare with.")
    set_ref: ObjectName = Field(description="The ClaudeEvalSet.")
    set_hash: str | None = Field(
        default=None, description="sha256 of the set's content; the run fails when it differs."
    )
    upstream: Upstream = Field(default=Upstream(), description="Where the questions are asked.")
    deployment: ObjectName | None = Field(default=None, description="The ClaudeDeployment that this run gates.")
    attempt: Annotated[int, Field(ge=1)] = Field(default=1, description="Attempt number.")


class Scores(StatusModel):
    """What an arm achieved."""

    items: int = Field(default=0, description="Items asked.")
    passed: int = Field(default=0, description="Items that passed.")
    pass_rate: float = Field(default=0.0, description="Share that passed.")
    refused: int = Field(default=0, description="Answers that were refusals.")
    input_tokens: int = Field(default=0, description="All input tokens, cached ones included.")
    output_tokens: int = Field(default=0, description="Output tokens.")
    cost_usd: float | None = Field(default=None, alias="costUSD", description="At list price.")


class FailedItem(StatusModel):
    """An item that the candidate failed. Answers are not kept."""

    id: str = Field(description="The item.")
    critical: bool = Field(default=False, description="Whether it must pass.")
    assertion: str = Field(default="", description="The first check that failed.")
    baseline_passed: bool | None = Field(default=None, description="Whether stable passed it.")


class EvalRunStatus(StatusModel):
    """The run's result; `phase` is the only authority."""

    phase: Phase = Field(default="Pending", description="Pending, Running, Passed, Failed, Inconclusive or Error.")
    reason: str = Field(default="", description="Why, as one word.")
    message: str = Field(default="", description="Why, as a sentence with the scores.")
    done: int = Field(default=0, description="Items finished.")
    total: int = Field(default=0, description="Items in the set.")
    candidate: Scores | None = Field(default=None, description="The revision's scores.")
    baseline: Scores | None = Field(default=None, description="The baseline's scores on the same items.")
    better: int = Field(default=0, description="Items that only the candidate passed.")
    worse: int = Field(default=0, description="Items that only the baseline passed.")
    failed_items: list[FailedItem] = Field(default=[], description="The first twenty, critical ones first.")
    started_at: Moment | None = Field(default=None, description="When the Job began.")
    finished_at: Moment | None = Field(default=None, description="When it ended.")
    attempts: int = Field(default=0, description="Jobs made for this run.")
    spec_hash: str | None = Field(
        default=None,
        description="sha256 of the run's spec, written when the operator makes its Job.",
    )
    retry_at: Moment | None = Field(default=None, description="When a run in phase Error is tried again.")
    conditions: list[Condition] = Field(
        default=[], description="Complete, for kubectl wait.", json_schema_extra=list_map("type")
    )
