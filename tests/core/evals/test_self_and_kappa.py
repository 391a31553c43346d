"""The checks of the checker, by hand."""

from __future__ import annotations

import pytest

from claude_operator.api.evals import EvalGate
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.evals.sets import Item
from claude_operator.core.evals.stats.kappa import Agreement, cohens_kappa
from claude_operator.core.evals.stats.selfcheck import check_itself

GOOD, BAD = Outcome(""), Outcome("equals: x", 0.0)


def pairs(yes: int, yes_no: int, no_yes: int, no: int) -> list[tuple[bool, bool]]:
    return [(True, True)] * yes + [(True, False)] * yes_no + [(False, True)] * no_yes + [(False, False)] * no


@pytest.mark.parametrize(
    ("counts", "agreed", "kappa"),
    [
        ((20, 5, 10, 15), 35, 0.4),  # 0.7 seen, 0.5 * 0.6 + 0.5 * 0.4 = 0.5 by chance
        ((45, 15, 25, 15), 60, 0.130435),  # 0.6 seen, 0.6 * 0.7 + 0.4 * 0.3 = 0.54 by chance
        ((10, 0, 0, 10), 20, 1.0),
        ((0, 10, 10, 0), 0, -1.0),
        ((5, 5, 5, 5), 10, 0.0),
        ((10, 0, 0, 0), 10, None),  # nothing else was ever said
        ((0, 10, 0, 0), 0, 0.0),
    ],
)
def test_cohens_kappa(counts: tuple[int, int, int, int], agreed: int, kappa: float | None) -> None:
    found = cohens_kappa(pairs(*counts))
    assert found == Agreement(sum(counts), agreed, None if kappa is None else pytest.approx(kappa, abs=1e-6))


def test_cohens_kappa_of_three_labels() -> None:
    labels = [("a", "a")] * 4 + [("b", "b")] * 3 + [("c", "c")] * 1 + [("a", "b")] * 1 + [("c", "a")] * 1
    # 0.8 seen; by chance 0.5 * 0.5 + 0.3 * 0.4 + 0.2 * 0.1 = 0.39
    assert cohens_kappa(labels).kappa == pytest.approx((0.8 - 0.39) / 0.61)


def test_no_labels() -> None:
    with pytest.raises(ValueError, match="label some items"):
        cohens_kappa([])


def items(number: int) -> list[Item]:
    return [Item(f"i{n}", b"[]", ()) for n in range(number)]


def test_a_set_that_always_answers_the_same_never_fails_itself() -> None:
    asked = items(40)
    same = {item.id: [GOOD if n % 4 else BAD] * 6 for n, item in enumerate(asked)}
    found = check_itself(asked, same, EvalGate(margin=0.1), trials=10)
    assert (found.trials, found.failed, found.inconclusive, found.too_few) == (10, 0, 0, 0)
    assert found.false_fail_rate == 0
    few = check_itself(items(8), same, EvalGate(), trials=10)
    assert (few.failed, few.too_few) == (0, 10)


def test_the_rate_is_that_of_the_ways_to_deal_the_epochs_out() -> None:
    """One critical item that failed in one of two epochs: it is the candidate's in half of the ways."""
    [item] = [Item("i0", b"[]", (), critical=True)]
    found = check_itself([item], {"i0": [GOOD, BAD]}, EvalGate(), trials=200)
    assert found.false_fail_rate == pytest.approx(0.5, abs=0.1)
    assert check_itself([item], {"i0": [GOOD, BAD]}, EvalGate(), trials=200) == found, "no chance in it"


def test_a_floor_above_what_the_baseline_reaches_fails_each_time() -> None:
    asked = items(4)
    half = {item.id: [GOOD, BAD] if n % 2 else [BAD, BAD] for n, item in enumerate(asked)}
    assert check_itself(asked, half, EvalGate(passRate=0.9), trials=5).false_fail_rate == 1


@pytest.mark.parametrize("epochs", [{"i0": 1, "i1": 1}, {"i0": 3, "i1": 3}, {"i0": 2, "i1": 4}])
def test_epochs_that_cannot_be_dealt_out(epochs: dict[str, int]) -> None:
    outcomes = {name: [GOOD] * number for name, number in epochs.items()}
    with pytest.raises(ValueError, match="ask the baseline twice as many"):
        check_itself(items(2), outcomes, EvalGate())
