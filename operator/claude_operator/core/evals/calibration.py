"""How far a grader agrees with a person, on answers that both have judged: Cohen's kappa.

The person gets questions and answers without the grader's verdicts, drawn at random, writes `holds` beside each, and
is compared with what the report says. The interval is that of the share of agreement (exact binomial, Clopper and
Pearson), with the agreement that chance makes taken as it is: unlike an interval by a standard error it does not
shrink to nothing where all agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec

from claude_operator.api.evals import RunCalibration
from claude_operator.api.faults import decode
from claude_operator.core.evals.draws import draw
from claude_operator.core.evals.outcomes import CheckResult
from claude_operator.core.evals.report import ArmName, OutcomeLine, Report
from claude_operator.core.text import count, share

__all__ = [
    "LLM_CHECKS",
    "Agreement",
    "Label",
    "agree",
    "as_status",
    "compare_labels",
    "doubt",
    "draw_labels",
    "read_labels",
    "sentence",
    "standing",
    "status_sentence",
    "write_labels",
]

LLM_CHECKS = ("llm-rubric*", "factuality*", "model-graded*", "g-eval*")
_ERROR = 0.05  # of the interval
_GOOD = 0.6  # kappa from which on agreement is substantial (Landis and Koch, 1977)
_MOST_LINES = 100_000


class Label(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the file of labels: an answer, and whether the check holds in the eyes of a person."""

    id: str
    arm: ArmName
    epoch: Annotated[int, msgspec.Meta(ge=0)] = 0
    check: str
    question: str | None = None
    text: str | None = None
    holds: bool | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """A table of both. Lenient: the grader passes what the person does not; strict: the other way round.

    `kappa` is None where either says the same of all: then chance agrees just as well.
    """

    both_hold: int
    lenient: int
    strict: int
    both_fail: int
    kappa: float | None
    lower: float | None
    upper: float | None

    @property
    def answers(self) -> int:
        """How many both have judged."""
        return self.both_hold + self.lenient + self.strict + self.both_fail

    @property
    def agreed(self) -> int:
        """On how many they agree."""
        return self.both_hold + self.both_fail


def draw_labels(report: Report, patterns: Sequence[str], number: int, seed: str = "0") -> list[Label]:
    """So many answers for a person to judge, drawn at random. Raises ValueError where there is nothing to judge."""
    found = [(line, check) for line in report.outcomes for check in _checks(line, patterns)]
    if not found:
        there = sorted({check.check.partition(" ")[0] for line in report.outcomes for check in line.checks})
        raise ValueError(f"no check of the report fits {', '.join(patterns)}: it has {', '.join(there) or 'none'}")
    if all(line.text is None for line, _ in found):
        raise ValueError("the report has no answers to judge: run the set with execution.keepText, or on a laptop")
    questions = {line.id: line.question for line in report.outcomes if line.question is not None}
    labels = [_label(line, check.check, questions.get(line.id)) for line, check in found if line.text is not None]
    return sorted(labels, key=lambda label: draw(seed, label.id, label.arm, label.epoch, label.check))[:number]


def write_labels(labels: Iterable[Label]) -> bytes:
    """A line each, with `"holds":null` to be replaced."""
    lines = (msgspec.json.encode(label)[:-1] + b',"holds":null}\n' for label in labels)
    return b"".join(lines)


def read_labels(data: bytes, what: str) -> list[Label]:
    """The lines that have been judged. Raises ValueError that names the line."""
    labels = list(_read(data, what))
    judged = [label for label in labels if label.holds is not None]
    if not judged:
        raise ValueError(f"{what}: no line is judged: write true or false in place of null after holds")
    return judged


def compare_labels(report: Report, labels: Iterable[Label], what: str) -> Agreement:
    """The person's labels against the verdicts in the report. Raises ValueError for one of another report."""
    said = {
        (line.id, line.arm, line.epoch, check.check): check.holds for line in report.outcomes for check in line.checks
    }
    pairs = []
    for label in labels:
        grader = said.get((label.id, label.arm, label.epoch, label.check))
        if grader is None:
            raise ValueError(f"{what}: {label.id!r}, epoch {label.epoch} of the {label.arm}, is not in this report")
        pairs.append((grader, bool(label.holds)))
    return agree(pairs)


def agree(pairs: Sequence[tuple[bool, bool]]) -> Agreement:
    """What the grader and the person say, as a table, and kappa. Raises ValueError without any."""
    if not pairs:
        raise ValueError("there is nothing to compare: label at least one answer")
    total = len(pairs)
    table = [sum(pair == wanted for pair in pairs) for wanted in ((True, True), (True, False), (False, True))]
    both, lenient, strict = table
    fail = total - sum(table)
    chance = ((both + lenient) * (both + strict) + (fail + strict) * (fail + lenient)) / total**2
    if chance >= 1.0:
        return Agreement(both, lenient, strict, fail, None, None, None)
    low, high = _interval(both + fail, total)
    kappa, lower, upper = ((value - chance) / (1.0 - chance) for value in ((both + fail) / total, low, high))
    return Agreement(both, lenient, strict, fail, kappa, lower, upper)


def sentence(found: Agreement) -> str:
    """What it means, for a person."""
    said = f"They agree on {found.agreed} of {count(found.answers, 'answer')} ({share(found.agreed / found.answers)})"
    said += f"; the grader is too lenient on {found.lenient} and too strict on {found.strict}"
    if found.kappa is None or found.lower is None or found.upper is None:
        return f"{said}. One of them says the same of all, so kappa is unknown: label answers of both kinds."
    said += f". Cohen's kappa is {found.kappa:.2f} (95 % interval {found.lower:.2f} to {found.upper:.2f})"
    if found.lower >= _GOOD:
        return f"{said}: the grader can stand in for the person."
    if found.upper < _GOOD:
        return f"{said}: do not gate on this grader: write the rubric more clearly, or take another model."
    return (
        f"{said}: this cannot tell whether the grader is good enough (kappa of {_GOOD:g} or more): label more answers."
    )


def as_status(agreement: Agreement, of: RunCalibration) -> RunCalibration:
    """As the status of a run has it."""
    numbers = {name: getattr(agreement, name) for name in ("kappa", "lower", "upper")}
    return of.model_copy(
        update={
            "answers": agreement.answers,
            "agreed": agreement.agreed,
            "lenient": agreement.lenient,
            "strict": agreement.strict,
            **{name: None if value is None else round(value, 4) for name, value in numbers.items()},
        }
    )


def standing(found: RunCalibration) -> tuple[Literal["True", "False", "Unknown"], str]:
    """Whether the graders agree with people as much as the set asks for, and why, as one word."""
    if found.trouble:
        return "Unknown", "LabelsUnusable"
    if found.kappa is None or found.lower is None:
        return "Unknown", "KappaUnknown"
    if found.kappa < found.min_kappa:
        return "False", "KappaTooLow"
    return ("True", "KappaReached") if found.lower >= found.min_kappa else ("Unknown", "TooFewLabels")


def status_sentence(found: RunCalibration) -> str:
    """What it means, for a person."""
    if found.trouble:
        return found.trouble
    said = (
        f"the graders agree with people on {found.agreed} of {count(found.answers, 'answer')}, too lenient on"
        f" {found.lenient} and too strict on {found.strict}"
    )
    if found.unused:
        said += f" ({count(found.unused, 'label')} could not be used)"
    if found.kappa is None or found.lower is None or found.upper is None:
        return f"{said}: both say the same of all, so kappa is unknown: label answers of both kinds"
    said += f": Cohen's kappa is {found.kappa:.2f} (95 % interval {found.lower:.2f} to {found.upper:.2f})"
    wanted = f"calibration.minKappa {found.min_kappa:g}"
    match standing(found)[1]:
        case "KappaTooLow":
            return f"{said}, under {wanted}: do not gate on them: write the rubrics more clearly, or take another model"
        case "TooFewLabels":
            return f"{said}: this cannot tell whether it is at least {wanted}: label more answers"
        case _:
            return f"{said}, at least {wanted}"


def doubt(found: RunCalibration) -> str:
    """A warning for the message of a run; empty where the graders agree with people, or are not shown not to."""
    return status_sentence(found) if found.trouble or standing(found)[0] == "False" else ""


def _label(line: OutcomeLine, check: str, question: str | None) -> Label:
    return Label(id=line.id, arm=line.arm, epoch=line.epoch, check=check, question=question, text=line.text)


def _checks(line: OutcomeLine, patterns: Sequence[str]) -> Iterator[CheckResult]:
    return (one for one in line.checks if any(fnmatchcase(one.check, pattern) for pattern in patterns))


def _read(data: bytes, what: str) -> Iterator[Label]:
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n", _MOST_LINES)
    if len(lines) > _MOST_LINES:
        raise ValueError(f"{what}: more than {_MOST_LINES:,} lines; label a part of the answers")
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield decode(line, Label, f"{what}, line {number}")


def _interval(successes: int, total: int) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share."""
    low = 0.0 if not successes else _solve(lambda p: 1.0 - _at_most(successes - 1, total, p), _ERROR / 2)
    high = 1.0 if successes == total else 1.0 - _solve(lambda p: _at_most(successes, total, 1.0 - p), _ERROR / 2)
    return low, high


def _solve(rising: Callable[[float], float], wanted: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return low


def _at_most(successes: int, total: int, p: float) -> float:
    """The chance of so many successes or fewer."""
    if p <= 0.0 or p >= 1.0:
        return float(p <= 0.0 or successes >= total)
    logs = (
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) + k * math.log(p)
        + (total - k) * math.log1p(-p)
        for k in range(successes + 1)
    )  # fmt: skip
    return math.fsum(map(math.exp, logs))
