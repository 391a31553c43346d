"""A grader against a person."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_operator.api.evals import RunCalibration
from claude_operator.core.evals.calibration import (
    LLM_CHECKS,
    agree,
    as_status,
    compare_labels,
    doubt,
    draw_labels,
    read_labels,
    sentence,
    standing,
    status_sentence,
    write_labels,
)
from claude_operator.core.evals.outcomes import Answer, CheckResult, Outcome
from claude_operator.core.evals.report import CANDIDATE, Graded, Report, RunLine, make_report
from claude_operator.core.evals.sets import Item

RUBRIC = "llm-rubric 'is polite'"


def pairs(both: int, lenient: int, strict: int, fail: int) -> list[tuple[bool, bool]]:
    return [(True, True)] * both + [(True, False)] * lenient + [(False, True)] * strict + [(False, False)] * fail


@pytest.mark.parametrize(
    ("table", "kappa"),
    [
        # Agreed 35 of 50; chance (25 * 30 + 25 * 20) / 2500 = 0.5; (0.7 - 0.5) / 0.5.
        ((20, 5, 10, 15), 0.4),
        # Agreed 60 of 100; chance (70 * 60 + 30 * 40) / 10000 = 0.54; 0.06 / 0.46.
        ((45, 15, 25, 15), 0.06 / 0.46),
        ((10, 0, 0, 10), 1.0),
        ((0, 10, 10, 0), -1.0),
        ((10, 10, 10, 10), 0.0),
    ],
)
def test_kappa_by_hand(table: tuple[int, ...], kappa: float) -> None:
    found = agree(pairs(*table))
    assert found.kappa == pytest.approx(kappa)
    assert (found.both_hold, found.lenient, found.strict, found.both_fail) == table


def test_the_interval_by_hand() -> None:
    """All 10 agree: the share is at least 0.025 ** (1 / 10) = 0.6915, and half of it is chance."""
    found = agree(pairs(5, 0, 0, 5))
    assert found.lower == pytest.approx((0.025**0.1 - 0.5) / 0.5)
    assert found.upper == 1.0
    none = agree(pairs(0, 5, 5, 0))
    assert none.lower == -1.0
    assert none.upper == pytest.approx((1 - 0.025**0.1 - 0.5) / 0.5)
    # Clopper and Pearson for 7 of 10, from their table: 0.348 to 0.933.
    some = agree(pairs(4, 1, 2, 3))
    chance = (5 * 6 + 5 * 4) / 100
    assert some.lower == pytest.approx((0.348 - chance) / (1 - chance), abs=0.002)
    assert some.upper == pytest.approx((0.933 - chance) / (1 - chance), abs=0.002)


@given(st.tuples(*[st.integers(0, 60)] * 4).filter(any))
def test_the_interval_holds_kappa(table: tuple[int, ...]) -> None:
    found = agree(pairs(*table))
    if found.kappa is None:
        assert found.lower is None
        return
    assert found.lower <= found.kappa + 1e-9
    assert found.kappa <= found.upper + 1e-9
    assert found.upper <= 1.0 + 1e-9


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ((60, 1, 1, 60), "the grader can stand in for the person."),
        ((30, 20, 20, 30), "do not gate on this grader: write the rubric more clearly, or take another model."),
        ((10, 1, 1, 10), "label more answers."),
        ((20, 0, 0, 0), "so kappa is unknown: label answers of both kinds."),
    ],
)
def test_what_it_means(table: tuple[int, ...], said: str) -> None:
    assert sentence(agree(pairs(*table))).endswith(said)


def test_numbers_in_the_sentence() -> None:
    assert sentence(agree(pairs(20, 5, 10, 15))).startswith(
        "They agree on 35 of 50 answers (70 %); the grader is too lenient on 5 and too strict on 10."
        " Cohen's kappa is 0.40 (95 % interval "
    )


def graded(holds: bool, text: str = "Dear customer") -> Graded:
    checks = (CheckResult("contains 'Dear'", True, 1.0), CheckResult(RUBRIC, holds, float(holds)))
    return Graded(Outcome("" if holds else RUBRIC, results=checks), Answer(text, "end_turn", "m", {}))


def report(keep_text: bool = True) -> Report:
    items = [Item(f"i{n}", b'[{"role":"user","content":"Hello?"}]', ()) for n in range(30)]
    arms = {CANDIDATE: {item.id: [graded(n % 3 > 0)] for n, item in enumerate(items)}}
    return make_report(RunLine(), items, arms, keep_text=keep_text)


def test_from_a_report_to_labels_and_back() -> None:
    text = write_labels(draw_labels(report(), LLM_CHECKS, 12)).decode()
    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) == 12
    assert lines[0].keys() == {"id", "arm", "check", "question", "text", "holds"}  # and no verdict of the grader's
    assert {(line["check"], line["question"], line["text"], line["holds"]) for line in lines} == {
        (RUBRIC, "Hello?", "Dear customer", None)
    }
    # The person agrees with the grader on all but the first.
    lines = [{**line, "holds": (int(line["id"][1:]) % 3 > 0) != (n == 0)} for n, line in enumerate(lines)]
    labels = read_labels("\ufeff".encode() + "\r\n".join(map(json.dumps, lines)).encode(), "x")
    found = compare_labels(report(), labels, "x")
    assert (found.answers, found.agreed) == (12, 11)


def test_the_same_seed_draws_the_same() -> None:
    assert draw_labels(report(), LLM_CHECKS, 5) == draw_labels(report(), LLM_CHECKS, 5)
    assert draw_labels(report(), LLM_CHECKS, 5) != draw_labels(report(), LLM_CHECKS, 5, "1")


def test_what_cannot_be_labelled() -> None:
    with pytest.raises(ValueError, match=r"no check of the report fits x\*: it has contains, llm-rubric"):
        draw_labels(report(), ["x*"], 5)
    with pytest.raises(ValueError, match="the report has no answers to judge"):
        draw_labels(report(keep_text=False), LLM_CHECKS, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": "i0", "arm": "candidate", "check": "c", "holds": null}', "x: no line is judged: write true or false"),
        ("", "x: no line is judged"),
        ('{"id": "i0", "arm": "candidate", "check": "c", "holds": "yes"}', "x, line 1: holds: must be "),
        ('\n{"id": "i0"}', "x, line 2: arm: is missing"),
    ],
)
def test_what_are_no_labels(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        read_labels(text.encode(), "x")
    assert str(error.value).startswith(message)


def test_labels_of_another_report() -> None:
    other = read_labels(b'{"id": "gone", "arm": "candidate", "check": "c", "holds": true}', "x")
    with pytest.raises(ValueError, match="x: 'gone', epoch 0 of the candidate, is not in this report"):
        compare_labels(report(), other, "x")


@pytest.mark.parametrize(
    ("table", "least", "stands", "says"),
    [
        # kappa 0.4 of 50, its interval from 0.1 on: the share of agreement is at least 0.554 (exact).
        (
            (20, 5, 10, 15),
            0.4,
            ("Unknown", "TooFewLabels"),
            "cannot tell whether it is at least calibration.minKappa 0.4",
        ),
        ((20, 5, 10, 15), 0.05, ("True", "KappaReached"), "0.40 (95 % interval 0.11 to 0.64), at least calibration"),
        ((20, 5, 10, 15), 0.45, ("False", "KappaTooLow"), "under calibration.minKappa 0.45: do not gate on them"),
        ((10, 0, 0, 10), 0.4, ("True", "KappaReached"), "agree with people on 20 of 20 answers, too lenient on 0"),
        ((12, 0, 0, 0), 0.4, ("Unknown", "KappaUnknown"), "say the same of all, so kappa is unknown"),
    ],
)
def test_what_a_status_says(table: tuple[int, ...], least: float, stands: tuple[str, str], says: str) -> None:
    found = as_status(agree(pairs(*table)), RunCalibration(min_kappa=least))
    assert standing(found) == stands
    assert says in status_sentence(found)
    assert bool(doubt(found)) == (stands[0] == "False"), "a message warns where there is something to warn of"


def test_labels_that_are_not_used_are_told() -> None:
    found = as_status(agree(pairs(5, 0, 0, 5)), RunCalibration(unused=3))
    assert "(3 labels could not be used)" in status_sentence(found)
    broken = RunCalibration(trouble="the labels are not there")
    assert standing(broken) == ("Unknown", "LabelsUnusable")
    assert status_sentence(broken) == doubt(broken) == "the labels are not there"
