"""What live grading checks of an answer: no answer of live traffic has a target, and none is asked a second time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from claude_operator.api.evals import EvalSetSpec, EvalTestDefaults
from claude_operator.api.graders import NOT, Assert, Grader
from claude_operator.api.live import LiveGrading
from claude_operator.core.catalogue.cost import LIST_PRICES, Book, cost_usd
from claude_operator.core.catalogue.table import find
from claude_operator.core.evals.checks import check_graders, check_together, read_check, with_graders
from claude_operator.core.evals.contents import SCHEME, Contents
from claude_operator.core.evals.graders.check import Check
from claude_operator.core.evals.items import OF_FILES

__all__ = ["LiveChecks", "live_checks", "live_problem", "same_model", "shared_part"]

_NEEDS = {
    "factuality": "compares with a reference, which live answers do not have: write what must be true into rubric",
    "select-best": "compares two answers to one question, and a live one has one: write what must be true into rubric",
    **dict.fromkeys(
        ("tool-call", "tool-call-f1", "is-valid-tool-call"),
        "is about calls of tools, and live answers that call one are not graded: remove it",
    ),
    "latency": "is measured for all answers: watch timeToFirstToken or duration in strategy.canary.analysis.metrics",
    "cost": "is measured for all answers: watch cost in strategy.canary.analysis.metrics",
}
_PLACE = "evals.live"


@dataclass(frozen=True, slots=True)
class LiveChecks:
    """What must hold of an answer, and the models that grade it."""

    checks: tuple[Check, ...]
    graders: tuple[Grader, ...]
    threshold: float | None = None
    """What the weighted mean of the checks' scores must reach; None where every check must hold."""


def live_checks(live: LiveGrading, eval_set: EvalSetSpec | None) -> LiveChecks:
    """The checks of `spec.evals.live`, with what it leaves to the set; raises ValueError that says what to write."""
    graders = tuple((live.graders if live.graders is not None else eval_set and eval_set.graders) or ())
    try:
        check_graders(graders)
    except ValueError as error:
        raise ValueError(f"{_PLACE}: {error}") from None
    own, threshold, place = list(_own(live)), None, _PLACE
    if not own:
        defaults = eval_set.default_test if eval_set else None
        own, place = list((defaults and defaults.asserts) or ()), "evals.live, defaultTest of the set"
        threshold = defaults.threshold if defaults else None
    if not own:
        raise ValueError(
            f"{_PLACE}: nothing is checked: write rubric: ['The answer ...'], or defaultTest.assert into the set"
        )
    checks = tuple(_read(place, one) for one in own)
    check_together(place, checks, threshold)
    checks = with_graders(place, checks, graders)
    used = {check.grader for check in checks}
    return LiveChecks(checks, tuple(grader for grader in graders if grader.name in used), threshold)


def live_problem(
    live: LiveGrading, eval_set: EvalSetSpec | None, models: Iterable[str], prices: Book = LIST_PRICES
) -> str:
    """What is wrong with `spec.evals.live` and this set, empty for nothing. `models`: those that answer."""
    try:
        found = live_checks(live, eval_set)
    except ValueError as error:
        return str(error)
    answering = list(models)
    for grader in found.graders:
        if not grader.own_model and any(same_model(grader.model, model) for model in answering):
            return (
                f"{_PLACE}: graders, {grader.name}: {grader.model} is also a model that answers, and models prefer"
                " their own answers: name another model, or write ownModel: true"
            )
        if cost_usd(grader.model, {"input_tokens": 1, "output_tokens": 1}, prices) is None:
            return (
                f"{_PLACE}: graders, {grader.name}: {grader.model} has no price, so maxCostUSDPerDay cannot be"
                " kept: name a model that has one"
            )
    return ""


def shared_part(spec: EvalSetSpec, contents: Contents) -> EvalSetSpec:
    """What live grading may take from a set: its graders, and the asserts and threshold of defaultTest.

    Texts of files are filled in; no asserts where a file is missing, which no item needs then.
    """
    defaults = spec.default_test or EvalTestDefaults()
    asserts = defaults.asserts
    if asserts:
        try:
            asserts = [_with_text(one, contents) for one in asserts]
        except ValueError:
            asserts = None
    part = EvalTestDefaults().model_copy(update={"asserts": asserts, "threshold": defaults.threshold})
    return EvalSetSpec().model_copy(update={"graders": spec.graders, "default_test": part})


def _with_text(one: Assert, contents: Contents) -> Assert:
    if isinstance(one.value, str) and one.value.startswith(SCHEME) and one.type.removeprefix(NOT) in OF_FILES:
        return one.model_copy(update={"value": contents.text(one.value)})
    return one


def same_model(one: str, other: str) -> bool:
    """Whether two names are of one model."""
    first, second = find(one), find(other)
    return one == other or (first is not None and second is not None and first.id == second.id)


def _own(live: LiveGrading) -> Iterator[Assert]:
    if live.rubric:
        yield Assert(type="llm-rubric", value=list(live.rubric))
    yield from live.asserts or ()


def _read(place: str, one: Assert) -> Check:
    """A check that a live answer can be held to."""
    why = _NEEDS.get(one.type.removeprefix(NOT))
    if why is not None:
        raise ValueError(f"{place}: {one.type} {why}")
    if any("{{" in text for text in _texts(one.value)):
        raise ValueError(f"{place}: {one.type}: a live answer has no target and no vars to fill in: remove {{{{ }}}}")
    return read_check(place, one)


def _texts(value: object) -> Sequence[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    if isinstance(value, dict):
        return [text for one in value.values() for text in _texts(one)]
    return []
