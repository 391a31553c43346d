"""An arm against itself."""

from __future__ import annotations

import pytest

from claude_operator.api.evals import EvalGate
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.evals.selfcheck import SelfCheck, check_itself, sentence
from claude_operator.core.evals.sets import Item

GATE = EvalGate(margin=0.3, onInconclusive="Block")
ITEMS = [Item(f"i{n}", b"[]", ()) for n in range(60)]


def answers(marks: str) -> list[Outcome]:
    return [Outcome("" if mark == "+" else "equals", float(mark == "+")) for mark in marks]


def test_answers_that_never_differ_always_pass() -> None:
    steady = {item.id: answers("++++++" if n % 3 else "------") for n, item in enumerate(ITEMS)}
    assert check_itself(ITEMS, steady, GATE, times=25) == SelfCheck(25, 3, 25, 0, 0)


def test_a_critical_item_that_holds_in_half_of_the_epochs_fails_by_hand_computed_chance() -> None:
    """One answer a half, one of two right: the candidate's half has the wrong one in half of the drawings."""
    items = [Item("critical", b"[]", (), critical=True)]
    found = check_itself(items, {"critical": answers("+-")}, GATE, times=400)
    assert (found.epochs, found.inconclusive) == (1, 0)
    assert 150 < found.failed < 250
    assert found.passed == 400 - found.failed
    assert sentence(found).endswith("correct the critical items and floors that do not always hold.")


def test_it_is_the_same_each_time_and_differs_by_seed() -> None:
    items = [Item("critical", b"[]", (), critical=True)]
    one, same, other = (
        check_itself(items, {"critical": answers("+-")}, GATE, times=99, seed=seed) for seed in ("a", "a", "b")
    )
    assert one == same != other


@pytest.mark.parametrize("marks", ["", "+"])
def test_too_few_answers(marks: str) -> None:
    with pytest.raises(ValueError, match="two answers of one arm at least"):
        check_itself(ITEMS[:1], {"i0": answers(marks)}, GATE, times=1)


def test_sentences() -> None:
    assert sentence(SelfCheck(200, 3, 190, 0, 10)) == (
        "In 200 comparisons of the arm with itself, 3 epochs against as many, the gate failed 0 (0 %), could not tell"
        " 10 (5.0 %) and passed 190 (95 %)."
    )
    assert "add items or epochs" in sentence(SelfCheck(200, 3, 50, 0, 150))
