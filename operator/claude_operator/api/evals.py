"""ClaudeEvalSet and ClaudeEvalRun: what is asked, how it is checked, the gate, and what came of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints
from pydantic.config import JsonDict

from claude_operator.api.base import ApiModel, Duration, ObjectName, StatusModel, list_map
from claude_operator.api.conditions import Condition
from claude_operator.api.datasets import EvalCalibration, EvalDataset
from claude_operator.api.deployment import McpCalls, NameRef, Upstream
from claude_operator.api.graders import Asserts, Grader
from claude_operator.api.status import Moment

Phase = Literal["Pending", "Running", "Passed", "Failed", "Inconclusive", "Error"]


Messages = Annotated[list[dict[str, Any]], Field(max_length=1000)]
Input = Annotated[str, StringConstraints(max_length=1_000_000)]
Vars = Annotated[dict[str, Any], Field(max_length=256)]
Label = Annotated[str, StringConstraints(max_length=1024)]
Metadata = Annotated[dict[str, Label], Field(max_length=64)]
ATOMIC: JsonDict = {"x-kubernetes-map-type": "atomic"}
"""One manager has the whole of it: no account is kept of its keys (managedFields), as large as they are."""


class EvalTest(ApiModel):
    """One item: a question and what must hold of the answer."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        description="Stable id: pairs the arms' answers."
    )
    input: Input | None = Field(
        default=None,
        description="The user's message. Exactly one of input and messages, or neither where defaultTest has one.",
    )
    messages: Messages | None = Field(
        default=None,
        description="A whole conversation, as in the Messages API. The source of an image or document may be"
        " file://KEY.",
    )
    critical: bool = Field(default=False, description="Must pass, whatever the statistics say.")
    asserts: Asserts | None = Field(
        default=None,
        alias="assert",
        description="All must hold, or their mean reach threshold.",
        json_schema_extra={"maxItems": 64},
    )
    subagent: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None, description="Ask as this subagent."
    )
    description: Label | None = Field(default=None, description="For people.")
    vars: Vars | None = Field(
        default=None,
        description="What {{name}} stands for in the texts of this item. A text file://KEY is the content of that key.",
        json_schema_extra=ATOMIC,
    )
    target: Input | None = Field(default=None, description="The good answer, for asserts that say {{target}}.")
    threshold: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="What the weighted mean of the asserts' scores must reach, in place of all of them."
    )
    metadata: Metadata | None = Field(
        default=None, description="Labels by which results are reported.", json_schema_extra=ATOMIC
    )
    held_out: bool = Field(default=False, description="Counted, and never shown by name.")
    tool_results: (
        Annotated[dict[str, Annotated[list[Input], Field(min_length=1, max_length=64)]], Field(max_length=64)] | None
    ) = Field(
        default=None,
        description="By tool: what its calls are answered with, in their order; the last one answers all further ones.",
        json_schema_extra=ATOMIC,
    )
    max_turns: Annotated[int, Field(ge=1, le=50)] | None = Field(
        default=None,
        description="How often the model is asked at most, where tools are answered (default: 1, with toolResults 10).",
    )


class EvalTestDefaults(ApiModel):
    """What holds for items that do not say it themselves."""

    asserts: Asserts | None = Field(
        default=None,
        alias="assert",
        description="Asserts of items that have none of their own; see combine.",
        json_schema_extra={"maxItems": 64},
    )
    combine: Literal["Replace", "Append"] = Field(
        default="Replace",
        description="Whether an item's own asserts replace those of defaultTest or, as in promptfoo, come after them.",
    )
    input: Input | None = Field(
        default=None, description="The user's message of items with neither input nor messages, with {{name}} of vars."
    )
    messages: Messages | None = Field(
        default=None, description="The conversation of items with neither input nor messages, with {{name}} of vars."
    )
    vars: Vars | None = Field(
        default=None, description="Vars of all items; those of an item come first.", json_schema_extra=ATOMIC
    )
    threshold: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="The threshold of items without one."
    )
    metadata: Metadata | None = Field(
        default=None, description="Labels of all items; those of an item come first.", json_schema_extra=ATOMIC
    )


class GateMetric(ApiModel):
    """A metric that is compared beside quality."""

    name: Literal["refusals", "cost", "latency"] = Field(description="refusals, cost or latency.")
    margin: Annotated[float, Field(ge=0, le=2)] = Field(
        description="How much more than stable's it may be: of refusals a share of the answers, 0.01 is one more in a"
        " hundred; of cost and latency in proportion, 0.2 is a fifth more."
    )


class EvalGate(ApiModel):
    """The rule that passes or fails a run."""

    pass_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="Floor on the candidate's pass rate."
    )
    margin: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.03, description="How much lower than stable's the pass rate may be, on the same items."
    )
    alpha: Annotated[float, Field(ge=0.0001, le=0.5)] = Field(
        default=0.05, description="How often a candidate that is worse by the margin may pass."
    )
    metrics: Annotated[list[GateMetric], Field(max_length=3)] | None = Field(
        default=None,
        description="Further metrics, each with a margin of its own.",
        json_schema_extra=list_map("name"),
    )
    cluster: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = Field(
        default=None,
        description="A key of the items' metadata: items with the same value, such as questions on one document, count"
        " as one.",
    )
    on_inconclusive: Literal["Block", "AddEpochs", "Allow"] = Field(
        default="AddEpochs",
        description="What follows where the items cannot tell: Block holds the rollout, AddEpochs asks again up to four"
        " times as often and then holds it, Allow lets it go on.",
    )


class EvalExecution(ApiModel):
    """How the questions are asked."""

    max_concurrency: Annotated[int, Field(ge=1, le=64)] = Field(
        default=4, description="Questions asked at the same time."
    )
    timeout: Duration = Field(default="120s", description="Longest wait for one answer.")
    epochs: Annotated[int, Field(ge=1, le=50)] = Field(
        default=3, description="How often each item is asked: answers differ from one time to the next."
    )
    max_cost_usd: Annotated[float, Field(ge=0, le=1_000_000)] = Field(
        default=20.0,
        alias="maxCostUSD",
        description="Most that a run may cost, over all its attempts. A run that reaches it is Inconclusive.",
    )
    max_tokens: Annotated[int, Field(ge=0, le=100_000_000_000)] = Field(
        default=20_000_000,
        description="The same in tokens, for answers of models that have no price; of one attempt.",
    )
    mode: Literal["realtime", "batch", "auto"] = Field(
        default="realtime",
        description="batch asks through Message Batches, at half the price and within a day, mostly an hour; auto does"
        " so from 50 questions on. Tool loops, more epochs and what failed in a batch are asked in real time.",
    )
    keep_answers: bool = Field(
        default=True,
        description="Keep answers for 30 days in Secrets of the set, so that nothing is asked and paid twice.",
    )
    keep_text: bool = Field(
        default=False, description="Put questions and answers into the report, where who may read ConfigMaps sees them."
    )


class EvalSetSpec(ApiModel):
    """A held-out set of questions with known good answers."""

    tests: list[EvalTest] | None = Field(
        default=None,
        description="Items in place; at most 200.",
        json_schema_extra={"maxItems": 200, "x-ruled-as": "EvalTests", **list_map("id")},
    )
    dataset: EvalDataset | None = Field(default=None, description="Items kept elsewhere, for larger sets.")
    files: Annotated[list[NameRef], Field(max_length=32)] | None = Field(
        default=None, description="ConfigMaps whose keys file:// finds."
    )
    default_test: EvalTestDefaults | None = Field(default=None, description=EvalTestDefaults.__doc__)
    graders: list[Grader] | None = Field(
        default=None,
        description="Models that grade answers, for llm-rubric, factuality and select-best.",
        json_schema_extra={"maxItems": 16, **list_map("name")},
    )
    calibration: EvalCalibration | None = Field(default=None, description=EvalCalibration.__doc__)
    gate: EvalGate = Field(default=EvalGate(), description=EvalGate.__doc__)
    execution: EvalExecution = Field(default=EvalExecution(), description=EvalExecution.__doc__)


class RunCalibration(StatusModel):
    """How far the graders agree with people, on answers that people have judged."""

    answers: int = Field(default=0, description="Answers that both have judged.")
    agreed: int = Field(default=0, description="Answers on which they agree.")
    lenient: int = Field(default=0, description="Answers that the graders pass and people do not.")
    strict: int = Field(default=0, description="Answers that people pass and the graders do not.")
    unused: int = Field(default=0, description="Labels of items or checks that the set does not have.")
    kappa: float | None = Field(default=None, description="Cohen's kappa; none where either says the same of all.")
    lower: float | None = Field(default=None, description="What kappa is at least (95 % interval).")
    upper: float | None = Field(default=None, description="What kappa is at most.")
    min_kappa: float = Field(default=0.0, description="What the set asks for.")
    trouble: str = Field(default="", description="Why nothing is known; empty where something is.")


class EvalSetStatus(StatusModel):
    """What is known of the set."""

    items: int = Field(default=0, description="Number of items; of a set on a volume as the newest run found them.")
    run: str | None = Field(default=None, description="The newest run of it that has ended.")
    run_at: Moment | None = Field(default=None, description="When that ended.")
    set_hash: str | None = Field(
        default=None,
        description="sha256 of what that run asked: of the set, and of each file that it read of a volume.",
    )
    calibration: RunCalibration | None = Field(
        default=None, description="How far that run found the graders to agree with people."
    )
    conditions: list[Condition] = Field(
        default=[],
        description="GradersAgree, of sets with calibration: whether Cohen's kappa is at least minKappa.",
        json_schema_extra=list_map("type"),
    )


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
    mcp: McpCalls | None = Field(
        default=None, description="Off: asked without MCP servers and server tools; see spec.evals of ClaudeDeployment."
    )
    attempt: Annotated[int, Field(ge=1)] = Field(default=1, description="Attempt number.")


class Scores(StatusModel):
    """What an arm achieved."""

    items: int = Field(default=0, description="Items asked.")
    passed: int = Field(default=0, description="Items that passed in every epoch.")
    pass_rate: float = Field(default=0.0, description="Share of the answers that passed.")
    refused: int = Field(default=0, description="Answers that were refusals.")
    input_tokens: int = Field(default=0, description="All input tokens, cached ones included.")
    output_tokens: int = Field(default=0, description="Output tokens.")
    cost_usd: float | None = Field(default=None, alias="costUSD", description="US dollars, if all prices are known.")


class FailedItem(StatusModel):
    """An item that the candidate failed, without its answers."""

    id: str = Field(description="The item.")
    critical: bool = Field(default=False, description="Whether it must pass.")
    assertion: str = Field(default="", description="The first check that failed.")
    baseline_passed: bool | None = Field(default=None, description="Whether stable passed it in every epoch.")
    passed: int | None = Field(default=None, description="Epochs in which the candidate passed it.")
    baseline_epochs_passed: int | None = Field(default=None, description="Epochs in which stable passed it.")


class Comparison(StatusModel):
    """The candidate against the baseline in one metric, on the same items."""

    metric: str = Field(default="", description="quality, refusals, cost or latency.")
    verdict: str = Field(default="", description="NotWorse, Worse, Undecided or TooFewItems.")
    items: int = Field(default=0, description="Items compared; critical ones are not.")
    clusters: int = Field(default=0, description="Clusters of them, 0 where the set names none.")
    candidate: float = Field(default=0.0, description="Mean of the candidate: a share, US dollars or seconds.")
    baseline: float = Field(default=0.0, description="Mean of the baseline.")
    difference: float = Field(
        default=0.0, description="Candidate less baseline; of cost and latency how much more in proportion."
    )
    lower: float = Field(default=0.0, description="What the difference is at least, with an error of alpha.")
    upper: float = Field(default=0.0, description="What the difference is at most, with an error of alpha.")
    margin: float = Field(default=0.0, description="How much worse it may be.")
    alpha: float = Field(default=0.0, description="What this look at the items might err.")
    sees: float = Field(
        default=0.0, description="Smallest margin that so many items would show to be kept, did the arms come out even."
    )


class Slice(StatusModel):
    """The items that have this metadata."""

    key: str = Field(description="Key of the metadata.")
    value: str = Field(description="Its value.")
    items: int = Field(default=0, description="Items that have it.")
    pass_rate: float = Field(default=0.0, description="Share of the candidate's answers that passed.")
    baseline_pass_rate: float | None = Field(default=None, description="The same of the baseline.")


class RealCalls(StatusModel):
    """An MCP server or server tool that a run really calls."""

    kind: str = Field(description="MCP server or server tool.")
    name: str = Field(description="Its name.")
    requests: int = Field(default=0, description="Requests of the run that may call it, at most.")
    max_uses: int | None = Field(default=None, description="How often one request may call it, where that is set.")


class EvalRunStatus(StatusModel):
    """The run's result; `phase` is the only authority."""

    phase: Phase = Field(default="Pending", description="Pending, Running, Passed, Failed, Inconclusive or Error.")
    reason: str = Field(default="", description="Why, as one word.")
    message: str = Field(default="", description="Why, as a sentence with the scores.")
    done: int = Field(default=0, description="Items finished on all arms, each counted once an epoch.")
    total: int = Field(default=0, description="Items to finish, each counted once an epoch.")
    asked: int = Field(default=0, description="Answers that the last attempt asked for.")
    reused: int = Field(default=0, description="Answers that were kept from before, and cost nothing.")
    batches: Annotated[list[str], Field(max_length=1000)] = Field(
        default=[], description="Message Batches that are under way."
    )
    batches_at: Moment | None = Field(default=None, description="When they were submitted.")
    paid_usd: float = Field(
        default=0.0, alias="paidUSD", description="Paid for this run so far, over all its attempts."
    )
    candidate: Scores | None = Field(default=None, description="The revision's scores.")
    baseline: Scores | None = Field(default=None, description="The baseline's scores on the same items.")
    better: int = Field(default=0, description="Items that the candidate passed in more epochs.")
    worse: int = Field(default=0, description="Items that the baseline passed in more epochs.")
    failed_items: list[FailedItem] = Field(default=[], description="The worst twenty, critical ones first.")
    rule: str = Field(
        default="",
        description="Paired: compared with the baseline. TooFewItems: too few items for that. Floors: no baseline.",
    )
    epochs: int = Field(default=0, description="How often each item was asked on each arm.")
    comparisons: list[Comparison] = Field(default=[], description="What the comparison of each metric came to.")
    slices: list[Slice] = Field(default=[], description="The largest twenty slices by metadata.")
    allowed: bool = Field(default=False, description="Whether gate.onInconclusive lets an inconclusive revision go on.")
    cost_usd: float | None = Field(default=None, alias="costUSD", description="Of both arms, if all prices are known.")
    grader_cost_usd: float | None = Field(default=None, alias="graderCostUSD", description="Of the graders alone.")
    graders: list[str] = Field(default=[], description="The set's graders, each as `name: model`.")
    real_calls: list[RealCalls] = Field(
        default=[], description="MCP servers and server tools that the run really calls."
    )
    left_out: list[str] = Field(
        default=[], description="MCP servers and server tools that it was asked without (evals.mcp: Off)."
    )
    calibration: RunCalibration | None = Field(
        default=None, description="How far the graders agree with people, of sets with calibration."
    )
    set_hash: str | None = Field(
        default=None, description="sha256 of the content of the set, and of each file that it read of a volume."
    )
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

    @property
    def lets_through(self) -> bool:
        """Whether the revision may have live requests by this run."""
        return self.phase == "Passed" or (self.phase == "Inconclusive" and self.allowed)
