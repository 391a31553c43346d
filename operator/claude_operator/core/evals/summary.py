"""What a person looks for in the report of a run: the arms, what changed, which checks failed and why, the slices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from claude_operator.core.evals.report import BASELINE, CANDIDATE, ArmName, OutcomeLine, Report, camel

__all__ = ["ArmRow", "Change", "CheckRow", "HeldOut", "Metric", "Side", "Slice", "Summary", "summarise"]

_MOST_SLICES = 50  # of all keys of the metadata together
_MOST_VALUES = 20  # of one key: one with more names the items and not a part of the set
_NAMED = 5  # items that a failed check names
_LEAST_CHANGE = 1e-9


class ArmRow(msgspec.Struct, frozen=True, rename=camel):
    """The sums of an arm, over the items that are not held out."""

    name: ArmName
    revision: str
    items: int
    answers: int
    passed: int
    """Answers that passed."""
    score: float
    refused: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    """None where an answer has no price."""
    grader_cost_usd: float | None
    seconds: float | None
    """The mean, None where none was measured."""


class Side(msgspec.Struct, frozen=True, rename=camel):
    """What an arm made of one item, over its epochs."""

    answers: int
    passed: int
    score: float
    failed: str
    """The first check that failed, in the first epoch in which one did."""
    why: str
    text: str | None
    """The answer of that epoch, or of the first one; None where answers are not kept."""
    stop: str


class Change(msgspec.Struct, frozen=True, rename=camel):
    """An item on both arms. `difference` is the candidate's mean score less the baseline's, None without a baseline."""

    id: str
    critical: bool
    difference: float | None
    candidate: Side | None
    baseline: Side | None
    question: str | None


class CheckRow(msgspec.Struct, frozen=True, rename=camel):
    """A check that failed, and on how many answers of each arm."""

    check: str
    candidate: int
    baseline: int
    why: str
    items: tuple[str, ...]


class Slice(msgspec.Struct, frozen=True, rename=camel):
    """The items with one value of their metadata."""

    key: str
    value: str
    items: int
    candidate: float | None
    baseline: float | None
    """Mean scores."""


class HeldOut(msgspec.Struct, frozen=True, rename=camel):
    """Of held-out items: how many there are, and the share of answers that passed."""

    arm: ArmName
    items: int
    passed: int
    answers: int


class Metric(msgspec.Struct, frozen=True, rename=camel):
    """What the gate's comparison of one metric came to: a ClaudeEvalRun's `status.comparisons`, as far as is known.

    Quality and refusals are shares; cost and latency differ in proportion.
    """

    metric: str = ""
    verdict: str = ""
    items: int = 0
    candidate: float = 0.0
    baseline: float = 0.0
    difference: float = 0.0
    lower: float = 0.0
    upper: float = 0.0
    margin: float = 0.0

    @property
    def is_share(self) -> bool:
        """Whether the difference is one of shares, in percentage points."""
        return self.metric in ("quality", "refusals")

    @property
    def worst(self) -> float:
        """The difference that is allowed and no more."""
        return -self.margin if self.metric == "quality" else self.margin


class Summary(msgspec.Struct, frozen=True, rename=camel):
    """A report in the order in which it is shown."""

    arms: tuple[ArmRow, ...]
    metrics: tuple[Metric, ...]
    changes: tuple[Change, ...]
    """Items that scored differently, worse first; without a baseline those that failed."""
    checks: tuple[CheckRow, ...]
    """Most failures of the candidate first."""
    slices: tuple[Slice, ...]
    """The greatest loss first."""
    held_out: tuple[HeldOut, ...]
    graders: tuple[str, ...]
    """Models that graded, each as `name: model`."""


Lines = Sequence[OutcomeLine]


def summarise(report: Report) -> Summary:
    """Work out all that is shown of a report."""
    arms: dict[ArmName, list[OutcomeLine]] = {CANDIDATE: [], BASELINE: []}
    for line in report.outcomes:
        arms[line.arm].append(line)
    names = {CANDIDATE: report.run.candidate, BASELINE: report.run.baseline or ""}
    rows = tuple(_arm(name, names[name], lines) for name, lines in arms.items() if lines)
    held_out = tuple(HeldOut(one.arm, one.items, one.passed, one.answers) for one in report.held_out)
    metrics, lines = _metrics(report.run.result.get("comparisons")), report.outcomes
    return Summary(rows, metrics, _changes(lines), _checks(lines), _slices(lines), held_out, _graders(report))


def _metrics(comparisons: Any) -> tuple[Metric, ...]:
    """None where the report's are of another form."""
    try:
        return msgspec.convert(comparisons or [], tuple[Metric, ...])
    except msgspec.ValidationError:
        return ()


def _graders(report: Report) -> tuple[str, ...]:
    named = report.run.result.get("graders")
    return tuple(map(str, named)) if isinstance(named, list) else ()


def _arm(name: ArmName, revision: str, lines: Lines) -> ArmRow:
    seconds = [line.seconds for line in lines if line.seconds is not None]
    return ArmRow(
        name,
        revision,
        items=len({line.id for line in lines}),
        answers=len(lines),
        passed=sum(not line.failed for line in lines),
        score=_mean_score(lines) or 0.0,
        refused=sum(line.refused for line in lines),
        input_tokens=sum(line.input_tokens for line in lines),
        output_tokens=sum(line.output_tokens for line in lines),
        cost_usd=_sum(line.cost_usd for line in lines),
        grader_cost_usd=_sum(line.grader_cost_usd for line in lines),
        seconds=sum(seconds) / len(seconds) if seconds else None,
    )


def _changes(outcomes: Lines) -> tuple[Change, ...]:
    items: dict[str, dict[ArmName, list[OutcomeLine]]] = {}
    for line in outcomes:
        items.setdefault(line.id, {}).setdefault(line.arm, []).append(line)
    compared = any(line.arm == BASELINE for line in outcomes)
    changes = [_change(name, arms) for name, arms in items.items()]
    if not compared:
        return tuple(one for one in changes if one.candidate and one.candidate.passed < one.candidate.answers)
    changed = [one for one in changes if one.difference is not None and abs(one.difference) > _LEAST_CHANGE]
    return tuple(sorted(changed, key=_urgency))


def _urgency(one: Change) -> tuple[bool, float]:
    """Critical items that are worse, then the worst of the others."""
    difference = one.difference or 0.0
    return not (one.critical and difference < 0), difference


def _change(name: str, arms: Mapping[ArmName, Lines]) -> Change:
    ours, theirs = (_side(arms.get(arm, ())) for arm in (CANDIDATE, BASELINE))
    lines = [line for one in arms.values() for line in one]
    question = next((line.question for line in lines if line.question is not None), None)
    difference = ours.score - theirs.score if ours and theirs else None
    return Change(name, any(line.critical for line in lines), difference, ours, theirs, question)


def _side(lines: Lines) -> Side | None:
    if not lines:
        return None
    shown = next((line for line in lines if line.failed), lines[0])
    why = next((text for check in shown.checks if not check.holds and (text := check.reason or check.why)), "")
    passed = sum(not line.failed for line in lines)
    return Side(len(lines), passed, _mean_score(lines) or 0.0, shown.failed, why, shown.text, shown.stop)


def _checks(outcomes: Lines) -> tuple[CheckRow, ...]:
    """By each check's own words. A line without results of its checks counts by the name of the one that failed."""
    counts: dict[str, dict[ArmName, int]] = {}
    whys: dict[str, str] = {}
    items: dict[str, dict[str, None]] = {}
    for line in outcomes:
        failed = [(one.check, one.why) for one in line.checks if not one.holds]
        if not failed and line.failed:
            failed = [(line.failed, "")]
        for check, why in failed if line.failed else ():
            by_arm = counts.setdefault(check, {CANDIDATE: 0, BASELINE: 0})
            by_arm[line.arm] += 1
            if line.arm == CANDIDATE:
                whys[check] = whys.get(check) or why
                items.setdefault(check, {})[line.id] = None
    rows = [
        CheckRow(check, arms[CANDIDATE], arms[BASELINE], whys.get(check, ""), tuple(items.get(check, ()))[:_NAMED])
        for check, arms in counts.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.candidate, row.baseline)))


def _slices(outcomes: Lines) -> tuple[Slice, ...]:
    parts: dict[tuple[str, str], list[OutcomeLine]] = {}
    for line in outcomes:
        for pair in line.metadata.items():
            parts.setdefault(pair, []).append(line)
    values: dict[str, int] = {}
    for key, _ in parts:
        values[key] = values.get(key, 0) + 1
    slices = [_slice(key, value, lines) for (key, value), lines in parts.items() if values[key] <= _MOST_VALUES]
    return tuple(sorted(slices, key=_loss)[:_MOST_SLICES])


def _slice(key: str, value: str, lines: Lines) -> Slice:
    ours, theirs = ([line for line in lines if line.arm == arm] for arm in (CANDIDATE, BASELINE))
    return Slice(key, value, len({line.id for line in lines}), _mean_score(ours), _mean_score(theirs))


def _loss(one: Slice) -> float:
    return one.candidate - one.baseline if one.candidate is not None and one.baseline is not None else 0.0


def _mean_score(lines: Lines) -> float | None:
    """Over items, each the mean of its epochs, as the gate counts."""
    items: dict[str, list[float]] = {}
    for line in lines:
        items.setdefault(line.id, []).append(line.score)
    means = [sum(scores) / len(scores) for scores in items.values()]
    return sum(means) / len(means) if means else None


def _sum(values: Iterable[float | None]) -> float | None:
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total
