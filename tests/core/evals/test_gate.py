"""The verdict on a run."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_operator.api.evals import EvalGate
from claude_operator.core.evals.checks import Check
from claude_operator.core.evals.gate import Result, judge_run, rejected
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.evals.sets import Item

GATE = EvalGate(passRate=0.5, margin=0.1)
BAD = "equals: x"


def item(number: int, *, critical: bool = False) -> Item:
    return Item(f"i{number}", b"[]", (Check("equals", "x"),), critical)


def answers(marks: str) -> dict[str, list[Outcome]]:
    """By item: + passed, - failed, r refused by the model, ? refused by the API."""
    meaning = {"+": "", "-": BAD, "r": "refusal"}
    return {
        f"i{n}": [Outcome(meaning[mark], float(mark == "+"), mark == "r", 10, 2, 0.5)]
        for n, mark in enumerate(marks)
        if mark != "?"
    }


def judge(ours: str, theirs: str | None = None, gate: EvalGate = GATE, critical: int = -1) -> Result:
    items = [item(number, critical=number == critical) for number in range(len(ours))]
    return judge_run(items, answers(ours), None if theirs is None else answers(theirs), gate, baseline_name="support-1")


@pytest.mark.parametrize(
    ("ours", "theirs", "phase", "reason"),
    [
        ("", None, "Inconclusive", "EmptySet"),
        ("", "", "Inconclusive", "EmptySet"),
        ("+", None, "Passed", "Passed"),
        ("+-", None, "Passed", "Passed"),
        ("+--", None, "Failed", "PassRateTooLow"),
        ("+--", "---", "Failed", "PassRateTooLow"),
        ("++++++++++", "++++++++++", "Passed", "Passed"),
        ("+++++++++-", "++++++++++", "Passed", "Passed"),  # 10 points, which the margin allows
        ("++++++++--", "++++++++++", "Failed", "WorseThanBaseline"),
        ("++++++++--", "+++++++-++", "Passed", "Passed"),  # one better, two worse
        ("++++++++--", "++++++++--", "Passed", "Passed"),
        ("++++++++r-", "++++++++++", "Failed", "WorseThanBaseline"),
        # The API refuses some items on the baseline.
        ("++++++++++", "+++++++++?", "Passed", "Passed"),
        ("+++++++++-", "+++++++++?", "Passed", "Passed"),  # even if the baseline had passed it
        ("++++++++--", "+++++++++?", "Inconclusive", "BaselineIncomplete"),
        ("+++++++--+", "+++++++++?", "Inconclusive", "BaselineIncomplete"),  # had it failed the last: one worse
        ("++++++---+", "+++++++++?", "Failed", "WorseThanBaseline"),  # even if it had failed the last
        ("+++++-----", "??????????", "Passed", "Passed"),
        ("++++------", "??????????", "Failed", "PassRateTooLow"),
    ],
)
def test_the_rule(ours: str, theirs: str | None, phase: str, reason: str) -> None:
    result = judge(ours, theirs)
    assert (result.phase, result.reason) == (phase, reason)
    assert result.message.startswith(f"{phase}: ")


def test_a_critical_item_comes_first() -> None:
    result = judge("+" * 19 + "-", "-" * 20, critical=19)
    assert (result.phase, result.reason) == ("Failed", "CriticalItemFailed")
    assert result.message.startswith("Failed: critical item i19 failed (equals: x); 19 of 20 (95 %) against 0 of")


def test_a_critical_item_that_holds_changes_nothing() -> None:
    assert judge("-+++", critical=1).phase == "Passed"


def test_messages_have_the_numbers() -> None:
    ours = "+" * 46 + "-" * 4
    theirs = "+" * 43 + "---" + "+" + "---"
    assert judge(ours, theirs).message == (
        "Passed: 46 of 50 (92 %) against 44 of 50 (88 %) of support-1; 3 better, 1 worse;"
        " a drop of less than 10 percentage points may be chance"
    )
    assert judge("+-").message == "Passed: 1 of 2 (50 %)"
    assert judge("+--").message == "Failed: the pass rate is below the floor of 50 %; 1 of 3 (33.3 %)"
    assert judge("++++++++--", "+" * 10).message == (
        "Failed: worse than support-1 by more than 10 percentage points; 8 of 10 (80 %) against 10 of 10 (100 %) of"
        " support-1; 0 better, 2 worse; a drop of less than 50 percentage points may be chance"
    )
    assert judge("+++", "+++").message.endswith(
        "; 0 better, 0 worse; 3 items cannot show whether a drop is more than chance"
    )
    assert judge("+-", "??").message == (
        "Passed: the Claude API refuses every item on support-1, so only the floor applies; 1 of 2 (50 %)"
    )
    assert "refuses 1 item on support-1, and the result depends on them" in judge("++++++++--", "+++++++++?").message
    assert "; 1 item not compared;" in judge("++++++++--", "+++++++++?").message


def test_scores_are_of_each_arm() -> None:
    result = judge("+r-", "++?")
    assert result.candidate is not None
    assert result.baseline is not None
    assert (result.candidate.items, result.candidate.passed, result.candidate.refused) == (3, 1, 1)
    assert (result.candidate.input_tokens, result.candidate.output_tokens, result.candidate.cost_usd) == (30, 6, 1.5)
    assert result.candidate.pass_rate == 0.3333
    assert (result.baseline.items, result.baseline.pass_rate) == (2, 1.0)
    assert (result.better, result.worse) == (0, 1)


def test_a_cost_that_is_not_known_is_not_guessed() -> None:
    result = judge_run([item(0), item(1)], {"i0": [Outcome("", cost_usd=None)], "i1": [Outcome("")]}, None, GATE)
    assert result.candidate is not None
    assert result.candidate.cost_usd is None


def test_failed_items_are_at_most_twenty_critical_ones_first() -> None:
    result = judge("-" * 25, "+?" + "-" * 23, critical=24)
    assert len(result.failed_items) == 20
    assert [one.id for one in result.failed_items[:3]] == ["i24", "i0", "i1"]
    assert [one.baseline_passed for one in result.failed_items[:3]] == [False, True, None]
    assert result.failed_items[0].critical


def test_a_rejected_request() -> None:
    result = rejected(item(3), "model: claude-x (404 not_found_error)")
    assert (result.phase, result.reason) == ("Failed", "RequestRejected")
    assert (
        result.message == "Failed: the Claude API refuses the request of item i3: model: claude-x (404 not_found_error)"
    )


MARKS = st.lists(st.tuples(st.sampled_from("+-"), st.sampled_from("+-?")), min_size=1, max_size=30)


@settings(max_examples=50)
@given(MARKS, st.floats(0, 1), st.floats(0, 1))
def test_knowing_what_was_refused_never_turns_a_verdict_round(
    marks: list[tuple[str, str]], floor: float, margin: float
) -> None:
    """Whatever the baseline would have answered, a Passed or Failed stands (where there is a comparison at all)."""
    gate = EvalGate(passRate=floor, margin=margin)
    ours, theirs = ("".join(side) for side in zip(*marks, strict=True))
    phase = judge(ours, theirs, gate).phase
    if phase != "Inconclusive" and set(theirs) != {"?"}:
        for known in "+-":
            assert judge(ours, theirs.replace("?", known), gate).phase == phase


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("+-"), st.sampled_from("+-")), min_size=1, max_size=30), st.data())
def test_one_more_good_answer_never_harms(marks: list[tuple[str, str]], data: st.DataObject) -> None:
    ours, theirs = ("".join(side) for side in zip(*marks, strict=True))
    place = data.draw(st.integers(0, len(ours) - 1))
    better = ours[:place] + "+" + ours[place + 1 :]
    if judge(ours, theirs).phase == "Passed":
        assert judge(better, theirs).phase == "Passed"


@settings(max_examples=30)
@given(st.text("+-", min_size=1, max_size=40))
def test_the_same_answers_are_never_worse(marks: str) -> None:
    assert judge(marks, marks, EvalGate(passRate=0, margin=0)).phase == "Passed"
