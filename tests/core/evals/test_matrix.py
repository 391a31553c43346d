"""Several candidates against one baseline."""

from __future__ import annotations

import pytest

from claude_operator.api.evals import EvalGate
from claude_operator.core.evals.gate import judge_run, shared_out
from claude_operator.core.evals.matrix import Row, cheapest, make_row, verdict
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.evals.sets import Item

GATE = EvalGate(margin=0.1, onInconclusive="Block")


def row(
    name: str, right: int, cost: float | None, *, items: int = 200, candidates: int = 3, stable: float = 1.0
) -> Row:
    """A candidate that is right on so many items, and costs so much an answer (a little more on every third)."""
    asked = [Item(f"i{n}", b"[]", ()) for n in range(items)]

    def arm(passed: int, price: float | None) -> dict[str, list[Outcome]]:
        prices = [price and price * (1.1 if n % 3 else 1.0) for n in range(items)]
        return {
            item.id: [Outcome("" if n < passed else "x", float(n < passed), cost_usd=prices[n])] * 2
            for n, item in enumerate(asked)
        }

    ours, theirs = arm(right, cost), arm(items, stable)
    gate = shared_out(GATE, candidates)
    return make_row(name, judge_run(asked, ours, theirs, gate, planned_epochs=2), asked, (ours, theirs), gate)


def test_the_cheapest_that_is_as_good_is_named() -> None:
    rows = [row("worse", 150, 0.2), row("cheap", 199, 0.5), row("equal", 200, 0.8)]
    assert [one.is_good for one in rows] == [False, True, True]
    assert [one.is_cheaper for one in rows] == [True, True, True]
    assert cheapest(rows) is rows[1]
    assert verdict(rows, "stable") == (
        "cheap is the cheapest that passes: it is not worse than stable and costs 50 % less (at least 48 %)"
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("worse", 150, 0.2), ("bad", 0, 0.1)], "Keep stable: none of 2 candidates passed"),
        (
            [("dear", 200, 1.5), ("even", 200, 1.0)],
            "Keep stable: dear, even passed, but none of them is shown to cost less",
        ),
        ([("unknown", 200, None)], "Keep stable: unknown passed, but none of them is shown to cost less"),
    ],
)
def test_where_none_is(rows: list[tuple[str, int, float | None]], said: str) -> None:
    made = [row(*one) for one in rows]
    assert cheapest(made) is None
    assert verdict(made, "stable") == said


def test_a_set_too_small_to_show_it_names_none() -> None:
    small = row("cheap", 8, 0.1, items=8)
    assert small.result.phase == "Passed"
    assert not small.is_good
    assert verdict([small], "stable").startswith("Keep stable: the set has too few items")


def test_each_candidate_has_its_share_of_the_error() -> None:
    assert shared_out(GATE, 5).alpha == pytest.approx(GATE.alpha / 5)
    one, five = row("a", 200, 0.5, candidates=1), row("a", 200, 0.5, candidates=5)
    assert one.quality.lower > five.quality.lower
    assert one.cost.upper < five.cost.upper + 1e-12


def test_a_candidate_that_the_baseline_has_no_answers_for() -> None:
    items = [Item("i", b"[]", ())]
    ours = {"i": [Outcome("")]}
    made = make_row("a", judge_run(items, ours, {}, GATE), items, (ours, {}), GATE)
    assert (made.cost, made.is_good, made.is_cheaper) == (None, False, False)
