"""The checks on an answer: how one is read from a set, and what they make of an answer together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from claude_operator.api.graders import NOT, Assert, Grader
from claude_operator.core.catalogue.table import find
from claude_operator.core.evals.graders.check import (
    REFUSAL,
    Check,
    Context,
    Finding,
    Runner,
    Subject,
    Trial,
    Tried,
    reaches,
)
from claude_operator.core.evals.graders.kinds import KINDS, LONGEST_SEARCHED, Kind, evaluate_one
from claude_operator.core.evals.graders.patterns import LONGEST_PATTERN
from claude_operator.core.evals.outcomes import Answer, CheckResult

__all__ = [
    "LONGEST_PATTERN",
    "LONGEST_SEARCHED",
    "REFUSAL",
    "Check",
    "Context",
    "Finding",
    "Runner",
    "Subject",
    "Trial",
    "Tried",
    "check_graders",
    "check_together",
    "evaluate",
    "grade",
    "read_check",
    "why_unpinned",
    "with_graders",
]

_COMPARED, _LONGEST_COMPARED = 32, 1000  # checks of an item, and characters of a value: more take the square


def read_check(place: str, one: Assert) -> Check:
    """A check as the set has it; raises ValueError where it is wrong, could never fail, or could never hold."""
    negated = one.type.startswith(NOT)
    name = one.type.removeprefix(NOT)
    kind = KINDS[name]
    try:
        if one.grader is not None and not kind.graded:
            raise ValueError("is not graded by a model: remove grader")
        return Check(
            name, kind.read(one), negated, one.weight or 1.0, _threshold(one, kind), one.metric or "", one.grader or ""
        )
    except ValueError as error:
        raise ValueError(f"{place}: {one.type}: {error}") from None


def check_graders(graders: Sequence[Grader]) -> None:
    """Raise ValueError where a grader's model is not pinned: its grades of two runs could not be compared."""
    for grader in graders:
        if why := why_unpinned(grader.model):
            raise ValueError(f"graders, {grader.name}: {why}")


def why_unpinned(model: str) -> str:
    """Why a name can stand for another model tomorrow, and what to write; empty where it cannot."""
    known = find(model)
    if known is not None and model in known.aliases:
        return f"{model} is an alias, whose model can change: write {known.id}"
    if model.endswith("-latest"):
        return f"{model} names whatever is the latest: write the model that it stands for"
    return ""


def with_graders(place: str, checks: Sequence[Check], graders: Sequence[Grader]) -> tuple[Check, ...]:
    """The checks with the name of the grader of each that needs one; raises ValueError where there is none."""
    names = [grader.name for grader in graders]
    usual = "default" if "default" in names else names[0] if len(names) == 1 else ""
    return tuple(
        replace(check, grader=_grader_of(place, check, names, usual)) if KINDS[check.type].graded else check
        for check in checks
    )


def _grader_of(place: str, check: Check, names: Sequence[str], usual: str) -> str:
    if not names:
        raise ValueError(
            f"{place}: {check.name} needs a model that grades: write graders: [{{name: default, model: ...}}] into the"
            " set, with a model that is not the one that is evaluated"
        )
    name = check.grader or usual
    if name not in names:
        asked = f"the grader {name!r}, which is not there" if name else "no grader, and there are several"
        raise ValueError(f"{place}: {check.name} names {asked}: write grader: {names[0]}")
    return name


def _threshold(one: Assert, kind: Kind) -> float | None:
    limit = kind.threshold
    if limit is None:
        if one.threshold is not None:
            raise ValueError("takes no threshold: remove it")
        return None
    value = limit.default if one.threshold is None else one.threshold
    if value is None:
        raise ValueError(f"has no threshold: write the most {limit.unit} that it may take")
    if not math.isfinite(value):
        raise ValueError("the threshold has no end, so every answer holds it: write a number")
    if limit.most is not None and value > limit.most:
        raise ValueError(f"the threshold is above {limit.most:g}, which no answer can reach: lower it")
    if limit.whole and not float(value).is_integer():
        raise ValueError("the threshold must be a whole number of characters")
    return value


def check_together(place: str, checks: Sequence[Check], threshold: float | None) -> None:
    """Raise ValueError where no answer can hold all checks that an item needs, or where its threshold decides nothing.

    With a threshold below 1 an item may need one of two checks that exclude each other.
    """
    if threshold is not None and not 0 < threshold <= 1:
        why = "holds for every answer" if threshold <= 0 else "can be reached by no answer"
        raise ValueError(f"{place}: a threshold of {threshold:g} {why}: write one above 0 and up to 1")
    if threshold is not None and threshold < 1:
        return
    compared = [check for check in checks[:_COMPARED] if sum(map(len, check.texts)) <= _LONGEST_COMPARED]
    for one, other in combinations(compared, 2):
        if _exclude(one, other):
            raise ValueError(f"{place}: no answer can hold both {one} and {other}: remove one of them")


def _exclude(one: Check, other: Check) -> bool:
    for whole, part in ((one, other), (other, one)):
        if whole.type == "equals" and not whole.negated and KINDS[part.type].of_text:
            text = whole.texts[0]
            return not any(_holds(part, around) for around in (text, f" \n{text}\n "))
    if one.negated != other.negated:
        wanted, unwanted = (other, one) if one.negated else (one, other)
        if (one.type, one.value, one.threshold) == (other.type, other.value, other.threshold):
            return True
        kind, against = KINDS[wanted.type], KINDS[unwanted.type]
        carried = kind.carries and against.grows and (against.fold or not kind.fold)
        return carried and any(not _holds(unwanted, text) for text in wanted.texts)
    same = one.type == other.type and not one.negated and KINDS[one.type].one_of_a_kind
    return same and not _holds(one, other.texts[0]) and not _holds(other, one.texts[0])


def _holds(check: Check, text: str) -> bool:
    return evaluate_one(check, Subject(Answer(text, "end_turn", "", {}), Context())).holds


def evaluate(check: Check, answer: Answer | Subject, context: Context | None = None) -> CheckResult:
    """What one check makes of an answer. `context.tried` and `context.graded` have what it needs of others."""
    subject = answer if isinstance(answer, Subject) else Subject(answer, context or Context())
    found = evaluate_one(check, subject)
    return CheckResult(str(check), found.holds, found.score, found.why, check.metric, found.reason)


def grade(
    checks: Sequence[Check], subject: Subject, threshold: float | None = None
) -> tuple[str, float, tuple[CheckResult, ...]]:
    """The first check that failed an item (empty where it passed), its score, and what each check made of the answer.

    Without a threshold all checks must hold, and the score is 1 or 0. With one, the score is the weighted mean of the
    checks' scores, and must reach it.
    """
    results = tuple(evaluate(check, subject) for check in checks)
    failed = next((result for result in results if not result.holds), None)
    if threshold is None:
        return _named(failed, subject), 0.0 if failed else 1.0, results
    total = sum(check.weight for check in checks)
    score = sum(check.weight * result.score for check, result in zip(checks, results, strict=True)) / total
    if reaches(score, threshold):
        return "", score, results
    return _named(failed, subject) or f"score {score:.2f} is under {threshold:g}", score, results


def _named(failed: CheckResult | None, subject: Subject) -> str:
    if failed is None:
        return ""
    if subject.answer.stop_reason == REFUSAL:
        return REFUSAL
    return f"{failed.check} ({failed.why})" if failed.why else failed.check
