"""The rule that passes or fails an eval run, from the graded answers of one or two arms.

In this order: a critical item that the candidate failed in any epoch; a pass rate below the floor; the comparison with
the baseline on the same items (`compare`). Critical items are no part of the comparison. A set with too few items for
its margin is not compared: it fails where its own items got worse beyond chance, and passes otherwise.

Where the API refused some items on the baseline, the comparison is made twice: as if the baseline had passed them all,
and as if it had failed them all. Only where both say the same is there a verdict. Where it refused all of them there
is nothing to compare with, as on a first revision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from claude_operator.api.evals import Comparison, EvalGate, FailedItem, Scores, Slice
from claude_operator.core.evals import sentences
from claude_operator.core.evals.compare import Compared, Look, Pair, Verdict, compare, margins
from claude_operator.core.evals.figures import (
    Outcomes,
    discordant,
    failed_items,
    pass_share,
    scores,
    slices,
    total_cost,
)
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.evals.sets import Item
from claude_operator.core.evals.stats.looks import more_epochs

__all__ = ["Outcomes", "Result", "RunReason", "judge_run", "rejected", "shared_out"]

_ROUNDING = 1e-9
# What an item counts as that the API refused on the baseline; its cost and latency are not known.
_PASSED = Outcome("", cost_usd=None)
_FAILED = Outcome("refused by the API", 0.0, refused=True, cost_usd=None)


class RunReason(StrEnum):
    """Why a run is in its phase."""

    PASSED = "Passed"
    TOO_FEW_ITEMS = "TooFewItems"  # passed, and not by a comparison: too few items for gate.margin
    CRITICAL_ITEM_FAILED = "CriticalItemFailed"  # an item that must pass did not
    PASS_RATE_TOO_LOW = "PassRateTooLow"  # noqa: S105  below gate.passRate
    WORSE_THAN_BASELINE = "WorseThanBaseline"  # by more than gate.margin, on the same items
    REQUEST_REJECTED = "RequestRejected"  # the API answers the candidate with 400, 404 or 413
    EMPTY_SET = "EmptySet"  # nothing was asked
    BUDGET_REACHED = "BudgetReached"  # execution.maxCostUSD or maxTokens ended it before all was asked
    BASELINE_INCOMPLETE = "BaselineIncomplete"  # the API refused items on the baseline, and they would decide
    UNDECIDED = "Undecided"  # neither worse nor shown to keep gate.margin
    # Error: it is tried again
    SET_CHANGED = "SetChanged"  # the set is not the one that the run was made for
    INVALID_RUN = "InvalidRun"  # the run's spec cannot be read
    INVALID_SET = "InvalidSet"  # the set cannot be read
    NOT_FOUND = "NotFound"  # a revision, the set or its data does not exist
    BATCH_RUNNING = "BatchRunning"  # phase Running without a Job: Message Batches are under way
    INFRASTRUCTURE = "Infrastructure"  # the questions could not all be asked
    WAITING = "Waiting"  # its Job is not made yet: its ClaudeDeployment is not accepted, or does not ask for it yet
    NOT_ASKED = "NotAsked"  # no ClaudeDeployment asks for it: it ends here
    JOB_ENDED = "JobEnded"  # the Job is over and has left no result
    JOB_VANISHED = "JobVanished"  # the Job was deleted before it had a result
    JOB_REFUSED = "JobRefused"  # the API server refuses the Job, or it cannot be made from the spec


_Rule = Literal["", "Paired", "TooFewItems", "Floors"]


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended, with the numbers that a status holds."""

    phase: Literal["Passed", "Failed", "Inconclusive"]
    reason: RunReason
    message: str
    candidate: Scores | None = None
    baseline: Scores | None = None
    better: int = 0
    worse: int = 0
    failed_items: tuple[FailedItem, ...] = ()
    rule: _Rule = ""
    epochs: int = 0
    comparisons: tuple[Comparison, ...] = ()
    slices: tuple[Slice, ...] = ()
    allowed: bool = False
    cost_usd: float | None = None
    grader_cost_usd: float | None = None
    more_epochs: int = 0
    """How many more epochs to ask before this is final, 0 where it is."""

    @property
    def fields(self) -> dict[str, Any]:
        """What a ClaudeEvalRun's status holds of it."""
        names = (name for name in self.__slots__ if name != "more_epochs")
        values = {name: getattr(self, name) for name in names}
        lists = {name: list(value) for name, value in values.items() if isinstance(value, tuple)}
        return values | lists | {"reason": str(self.reason)}


@dataclass(frozen=True, slots=True)
class _Decision:
    phase: Literal["Passed", "Failed", "Inconclusive"]
    reason: RunReason
    why: str
    rule: _Rule
    compared: tuple[Compared, ...] = ()
    open: bool = False
    """Whether more epochs could change it."""


def judge_run(
    items: Sequence[Item],
    candidate: Outcomes,
    baseline: Outcomes | None,
    gate: EvalGate,
    *,
    baseline_name: str = "stable",
    epochs_left: bool = False,
    planned_epochs: int = 3,
) -> Result:
    """The verdict on a run.

    `candidate` has each item. `baseline` lacks the items that the API refused there; it is None without one.
    `epochs_left`: twice as many epochs can be asked, so that a result that is open may say how many to add.
    `planned_epochs`: how many the set asks for, which may not depend on any answer.
    """
    if not items:
        return Result("Inconclusive", RunReason.EMPTY_SET, "Inconclusive: the set has no items; add tests to it")
    if baseline is not None:
        baseline = {name: outcomes for name, outcomes in baseline.items() if outcomes}
    epochs = min(len(candidate[item.id]) for item in items)
    look = Look.at(epochs, planned_epochs, gate, epochs_left=epochs_left)
    decision = _Run(items, candidate, baseline, gate, look, baseline_name).decide()
    more = more_epochs(epochs, planned_epochs) if decision.open and look.more else 0
    if more:  # not over, whatever the phase would be now
        decision = replace(decision, phase="Inconclusive", reason=RunReason.UNDECIDED)
    ours, theirs = scores(items, candidate), scores(items, baseline) if baseline is not None else None
    better, worse = discordant(candidate, baseline or {})
    cost, grader_cost = total_cost((candidate, baseline or {}))
    allowed = decision.reason is RunReason.UNDECIDED and gate.on_inconclusive == "Allow"
    parts = [decision.why, sentences.numbers(ours, theirs, epochs, baseline_name)]
    parts += [f"{better} better, {worse} worse"] if theirs is not None and theirs.items else []
    parts += ["gate.onInconclusive lets it go on"] if allowed else []
    return Result(
        decision.phase,
        decision.reason,
        f"{decision.phase}: {'; '.join(part for part in parts if part)}",
        ours,
        theirs,
        better,
        worse,
        failed_items(items, candidate, baseline or {}),
        decision.rule,
        epochs,
        tuple(compared.status for compared in decision.compared),
        slices(items, candidate, baseline or {}),
        allowed,
        cost,
        grader_cost,
        more,
    )


def rejected(item: Item, text: str) -> Result:
    """The verdict where the API refuses the candidate's request: whatever else it would answer, it cannot serve."""
    message = f"Failed: the Claude API refuses the request of {item.shown}: {text}"
    return Result("Failed", RunReason.REQUEST_REJECTED, message)


def shared_out(gate: EvalGate, candidates: int) -> EvalGate:
    """The gate of each of several candidates: together they err in at most alpha (Bonferroni)."""
    return gate.model_copy(update={"alpha": gate.alpha / max(1, candidates)})


@dataclass(frozen=True, slots=True)
class _Run:
    items: Sequence[Item]
    candidate: Outcomes
    baseline: Outcomes | None
    gate: EvalGate
    look: Look
    name: str

    def decide(self) -> _Decision:
        """The rules in their order."""
        if failed := self._failed_floor():
            return failed
        if self.baseline is None:
            return _Decision("Passed", RunReason.PASSED, "", "Floors")
        compared = [item for item in self.items if not item.critical]
        if not compared:
            why = "all items are critical and hold, so there is nothing to compare"
            return _Decision("Passed", RunReason.PASSED, why, "Floors")
        unknown = [item for item in compared if item.id not in self.baseline]
        if len(unknown) == len(compared):
            why = f"the Claude API refuses every item on {self.name}, so only the floor applies"
            return _Decision("Passed", RunReason.PASSED, why, "Floors")
        strict = self._compared(_PASSED)
        if not unknown:
            return strict
        lenient = self._compared(_FAILED)
        if strict.phase == lenient.phase:
            return strict
        return _Decision(
            "Inconclusive",
            RunReason.BASELINE_INCOMPLETE,
            sentences.depends_on(len(unknown), self.name),
            "Paired",
            strict.compared,
            strict.open or lenient.open,
        )

    def _failed_floor(self) -> _Decision | None:
        for item in self.items:
            failed = next((one.failed for one in self.candidate[item.id] if not one.passed), None)
            if item.critical and failed is not None:
                named = f"critical item {item.id} failed ({failed})"
                why = "a held-out critical item failed" if item.held_out else named
                return _Decision("Failed", RunReason.CRITICAL_ITEM_FAILED, why, "Floors")
        passed = sum(pass_share(self.candidate[item.id]) for item in self.items)
        if passed < self.gate.pass_rate * len(self.items) - _ROUNDING:
            why = f"the pass rate is below the floor of {sentences.percent(self.gate.pass_rate)}"
            return _Decision("Failed", RunReason.PASS_RATE_TOO_LOW, why, "Floors")
        return None

    def _compared(self, unknown: Outcome) -> _Decision:
        """The comparison, with `unknown` for what the baseline was not asked."""
        known: Mapping[str, Sequence[Outcome]] = self.baseline or {}
        pairs = [
            Pair(item, ours, known.get(item.id, [unknown] * len(ours)))
            for item in self.items
            if not item.critical and (ours := self.candidate[item.id])
        ]
        metrics = margins(self.gate)
        found = {name: compare(name, margin, pairs, self.gate, self.look) for name, margin in metrics.items()}
        compared = tuple(one for one in found.values() if one is not None)
        if worse := [one for one in compared if one.verdict is Verdict.WORSE]:
            rule: _Rule = "TooFewItems" if any(one.few for one in worse) else "Paired"
            return _Decision("Failed", RunReason.WORSE_THAN_BASELINE, sentences.worse(worse, self.name), rule, compared)
        if missing := [name for name, one in found.items() if one is None]:
            return _Decision("Inconclusive", RunReason.UNDECIDED, sentences.unknown(missing), "Paired", compared)
        undecided = [one for one in compared if one.verdict is Verdict.UNDECIDED]
        hopeful = all(one.hopeful for one in undecided) and any(one.hopeful for one in compared)
        if undecided:
            why = sentences.undecided(undecided, self.name, self.look)
            return _Decision("Inconclusive", RunReason.UNDECIDED, why, "Paired", compared, hopeful)
        if few := [one for one in compared if one.verdict is Verdict.TOO_FEW]:
            why = sentences.too_few(few, self.name, self.look)
            return _Decision("Passed", RunReason.TOO_FEW_ITEMS, why, "TooFewItems", compared, hopeful)
        return _Decision("Passed", RunReason.PASSED, sentences.not_worse(compared, self.name), "Paired", compared)
