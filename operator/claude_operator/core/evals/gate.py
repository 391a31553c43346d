"""The rule that passes or fails an eval run, from the graded answers of one or two arms.

In this order: a critical item that the candidate failed; a pass rate below the floor; a pass rate that is lower than
the baseline's by more than the margin, on the same items. Where the API refused some items on the baseline, the
comparison is made twice: as if the baseline had passed them all, and as if it had failed them all. Only where both
say the same is there a verdict. Where it refused all of them there is nothing to compare with, as on a first revision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from claude_operator.api.evals import EvalGate, FailedItem, Scores
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.evals.sets import Item
from claude_operator.core.text import count

__all__ = ["Outcomes", "Result", "RunReason", "judge_run", "rejected"]

_LISTED = 20  # failed items in a status
# 5 to 0 is the least uneven split of items that one-sided 5 % cannot put down to chance (exact sign test).
_LEAST_SPLIT = 5
_ROUNDING = 1e-9


class RunReason(StrEnum):
    """Why a run is in its phase."""

    PASSED = "Passed"
    CRITICAL_ITEM_FAILED = "CriticalItemFailed"  # an item that must pass did not
    PASS_RATE_TOO_LOW = "PassRateTooLow"  # noqa: S105  below gate.passRate
    WORSE_THAN_BASELINE = "WorseThanBaseline"  # by more than gate.margin, on the same items
    REQUEST_REJECTED = "RequestRejected"  # the API answers the candidate with 400, 404 or 413
    EMPTY_SET = "EmptySet"  # nothing was asked
    BASELINE_INCOMPLETE = "BaselineIncomplete"  # the API refused items on the baseline, and they would decide
    # Error: it is tried again
    SET_CHANGED = "SetChanged"  # the set is not the one that the run was made for
    INVALID_RUN = "InvalidRun"  # the run's spec cannot be read
    INVALID_SET = "InvalidSet"  # the set cannot be read
    NOT_FOUND = "NotFound"  # a revision, the set or its data does not exist
    INFRASTRUCTURE = "Infrastructure"  # the questions could not all be asked
    WAITING = "Waiting"  # its Job is not made yet: its ClaudeDeployment is not accepted, or does not ask for it yet
    NOT_ASKED = "NotAsked"  # no ClaudeDeployment asks for it: it ends here
    JOB_ENDED = "JobEnded"  # the Job is over and has left no result
    JOB_VANISHED = "JobVanished"  # the Job was deleted before it had a result
    JOB_REFUSED = "JobRefused"  # the API server refuses the Job, or it cannot be made from the spec


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
    more_epochs: int = 0
    """How many more epochs would help; only where `epochs_left`, and then the phase is Inconclusive."""


Outcomes = Mapping[str, Sequence[Outcome]]
"""By item id: what became of the item in each epoch."""
Answers = Mapping[str, Outcome]


def judge_run(
    items: Sequence[Item],
    candidate: Outcomes,
    baseline: Outcomes | None,
    gate: EvalGate,
    *,
    baseline_name: str = "stable",
    epochs_left: bool = False,
) -> Result:
    """The verdict on a run.

    `candidate` has each item. `baseline` lacks the items that the API refused there; it is None without one.
    `epochs_left`: more epochs can be asked, so that a result that is open may say how many.
    """
    first = {name: outcomes[0] for name, outcomes in candidate.items()}
    before = None if baseline is None else {name: outcomes[0] for name, outcomes in baseline.items()}
    return _judged(items, first, before, gate, baseline_name)


def _judged(
    items: Sequence[Item], candidate: Answers, baseline: Answers | None, gate: EvalGate, baseline_name: str
) -> Result:
    if not items:
        return Result("Inconclusive", RunReason.EMPTY_SET, "Inconclusive: the set has no items; add tests to it")
    ours = _scores(candidate[item.id] for item in items)
    theirs = _scores(baseline[item.id] for item in items if item.id in baseline) if baseline is not None else None
    better, worse = _discordant(candidate, baseline or {})
    phase, reason, why = _verdict(items, candidate, baseline, gate, baseline_name)
    numbers = _numbers(items, ours, theirs, better, worse, baseline_name)
    message = f"{phase}: {numbers}" if phase == "Passed" and not why else f"{phase}: {why}; {numbers}"
    return Result(phase, reason, message, ours, theirs, better, worse, _failed_items(items, candidate, baseline or {}))


def rejected(item: Item, text: str) -> Result:
    """The verdict where the API refuses the candidate's request: whatever else it would answer, it cannot serve."""
    message = f"Failed: the Claude API refuses the request of item {item.id}: {text}"
    return Result("Failed", RunReason.REQUEST_REJECTED, message)


def _verdict(
    items: Sequence[Item], candidate: Answers, baseline: Answers | None, gate: EvalGate, name: str
) -> tuple[Literal["Passed", "Failed", "Inconclusive"], RunReason, str]:
    for item in items:
        if item.critical and not candidate[item.id].passed:
            why = f"critical item {item.id} failed ({candidate[item.id].failed})"
            return "Failed", RunReason.CRITICAL_ITEM_FAILED, why
    total = len(items)
    passed = sum(candidate[item.id].passed for item in items)
    if passed < gate.pass_rate * total - _ROUNDING:
        return "Failed", RunReason.PASS_RATE_TOO_LOW, f"the pass rate is below the floor of {_percent(gate.pass_rate)}"
    if baseline is None:
        return "Passed", RunReason.PASSED, ""
    unknown = [item for item in items if item.id not in baseline]
    if len(unknown) == total:
        return "Passed", RunReason.PASSED, f"the Claude API refuses every item on {name}, so only the floor applies"
    better, worse = _discordant(candidate, baseline)
    gained = sum(candidate[item.id].passed for item in unknown)
    allowed = -gate.margin * total - _ROUNDING
    if better - worse - (len(unknown) - gained) >= allowed:
        return "Passed", RunReason.PASSED, ""
    if better - worse + gained < allowed:
        why = f"worse than {name} by more than {_percent(gate.margin, 'points')}"
        return "Failed", RunReason.WORSE_THAN_BASELINE, why
    why = (
        f"the Claude API refuses {_items(len(unknown))} on {name}, and the result depends on them; correct or"
        f" remove them"
    )
    return "Inconclusive", RunReason.BASELINE_INCOMPLETE, why


def _numbers(items: Sequence[Item], ours: Scores, theirs: Scores | None, better: int, worse: int, name: str) -> str:
    """The scores as part of a sentence, and what a set of this size can show at all."""
    text = _score(ours)
    if theirs is None or not theirs.items:
        return text
    text += f" against {_score(theirs)} of {name}; {better} better, {worse} worse"
    compared = theirs.items
    if compared < len(items):
        text += f"; {_items(len(items) - compared)} not compared"
    if compared < _LEAST_SPLIT:
        return f"{text}; {_items(compared)} cannot show whether a drop is more than chance"
    return f"{text}; a drop of less than {_percent(_LEAST_SPLIT / compared, 'points')} may be chance"


def _discordant(candidate: Answers, baseline: Answers) -> tuple[int, int]:
    """Items that only the candidate passed, and those that only the baseline passed."""
    pairs = [(candidate[name].passed, answer.passed) for name, answer in baseline.items()]
    return sum(ours and not theirs for ours, theirs in pairs), sum(theirs and not ours for ours, theirs in pairs)


def _scores(answers: Iterable[Outcome]) -> Scores:
    all_ = list(answers)
    passed = sum(answer.passed for answer in all_)
    costs = [answer.cost_usd for answer in all_]
    known = [cost for cost in costs if cost is not None]
    return Scores(
        items=len(all_),
        passed=passed,
        pass_rate=round(passed / len(all_), 4) if all_ else 0.0,
        refused=sum(answer.refused for answer in all_),
        input_tokens=sum(answer.input_tokens for answer in all_),
        output_tokens=sum(answer.output_tokens for answer in all_),
        cost_usd=round(sum(known), 6) if len(known) == len(costs) else None,
    )


def _failed_items(items: Sequence[Item], candidate: Answers, baseline: Answers) -> tuple[FailedItem, ...]:
    failed = [
        FailedItem(
            id=item.id,
            critical=item.critical,
            assertion=candidate[item.id].failed,
            baseline_passed=baseline[item.id].passed if item.id in baseline else None,
        )
        for item in items
        if not candidate[item.id].passed
    ]
    return tuple(sorted(failed, key=lambda one: not one.critical)[:_LISTED])


def _score(scores: Scores) -> str:
    return f"{scores.passed} of {scores.items} ({_percent(scores.passed / scores.items)})"


def _percent(share: float, unit: str = "%") -> str:
    return f"{round(share * 100, 1):g} {'percentage points' if unit == 'points' else '%'}"


def _items(number: int) -> str:
    return count(number, "item")
