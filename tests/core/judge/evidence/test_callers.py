"""Whose errors the evidence is made of, as far as it says so."""

from __future__ import annotations

import pytest
from tests.core.judge.arms import ANALYSIS, CANARY, STABLE, START, counts, tick

from claude_operator.api.evidence import CallerShare, Evidence
from claude_operator.api.status import Judgement
from claude_operator.core.judge.assessment import assess
from claude_operator.core.judge.evidence.callers import Part, explain_errors, explain_left_out, of_all
from claude_operator.core.judge.evidence.increments import Increments, PodReading, advance

ONE, OTHER, THIRD = "11" * 8, "22" * 8, "33" * 8


def told(*rows: CallerShare, boot: str = "b", **more: object) -> Evidence:
    return Evidence(boot, 1, 10.0, callers=list(rows), **more)  # type: ignore[arg-type]


def test_pods_and_generations_add_up() -> None:
    rows = [
        CallerShare(1, CANARY, ONE, 10, 4, 3, 2, 1),
        CallerShare(2, CANARY, ONE, 1, 1, 1, 1, 1),
        CallerShare(1, STABLE, ONE, 5),
    ]
    found = of_all([told(*rows), told(CallerShare(1, CANARY, ONE, 100), CallerShare(1, CANARY, "", 7))])
    assert found == {CANARY: {ONE: Part(111, 5, 4, 3, 2), "": Part(7)}, STABLE: {ONE: Part(5)}}
    readings = [PodReading("a", True, told(*rows)), PodReading("b", True, told(boot="c")), PodReading("c", True, None)]
    assert advance(None, readings)[0].callers == of_all([told(*rows)])


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({ONE: Part(20, 9, 9, 9), OTHER: Part(20, 1, 1, 1)}, "9 of 10 errors come from one key"),
        ({ONE: Part(20, 60, 9, 9), OTHER: Part(20, 9, 1, 1)}, "9 of 10 errors come from one key"),  # conversations
        ({ONE: Part(20, 9, 9, 9), "": Part(20, 1, 1, 1)}, "9 of 10 errors come from one key"),
        ({ONE: Part(20, 5, 5, 5), OTHER: Part(20, 5, 5, 5)}, None),
        ({ONE: Part(20, 2, 2, 2), OTHER: Part(20)}, None),  # too few to say so
        ({ONE: Part(20, 9, 9, 9)}, None),  # there is one key only
        ({ONE: Part(20, 9, 9, 9), OTHER: Part()}, None),
        ({ONE: Part(20, 1, 1, 1), "": Part(20, 9, 9, 9)}, None),  # many keys, of which none is known to have most
        ({}, None),
    ],
)
def test_most_errors_of_one_key_are_told(parts: dict[str, Part], sentence: str | None) -> None:
    assert explain_errors(parts) == sentence


def test_what_is_left_out_is_told() -> None:
    canary, stable = {ONE: Part(60, left_out=30), OTHER: Part(50)}, {ONE: Part(60)}
    expected = "15 % of the requests are left out: one key has more than all others together"
    assert explain_left_out([canary, stable]) == expected
    assert explain_left_out([{ONE: Part(1000, left_out=1)}]) is None
    assert explain_left_out([{ONE: Part()}, {}]) is None


def judged(increments: Increments) -> Judgement:
    judgement = None
    for _ in range(6):
        judgement, _ = assess(judgement, ANALYSIS, increments, stable=STABLE, canary=CANARY, now=START)
    assert judgement is not None
    return judgement


def with_callers(increments: Increments, canary: dict[str, Part], **more: object) -> Increments:
    return Increments(increments.samples, increments.traffic, callers={CANARY: canary}, **more)  # type: ignore[arg-type]


BAD = tick(counts(30, 10), counts(360))


def test_a_verdict_says_that_most_errors_are_one_keys() -> None:
    of_one = with_callers(BAD, {ONE: Part(100, 54, 54, 54), OTHER: Part(100, 6, 6, 6)})
    assert judged(of_one).verdict == "Fail"
    assert judged(of_one).message.endswith("; 54 of 60 errors come from one key")
    of_many = with_callers(BAD, {ONE: Part(100, 30, 30, 30), OTHER: Part(100, 30, 30, 30)})
    assert judged(of_many).message == judged(BAD).message


def test_a_judgement_says_what_is_left_out_and_what_is_counted_by_pod() -> None:
    calm = tick(counts(40), counts(360))
    told = judged(with_callers(calm, {ONE: Part(100, left_out=100)}, unlisted=3))
    assert "; 50 % of the requests are left out: one key has more than all others together; 3 bad" in told.message
    assert told.message.endswith("3 bad conversations more than the gateways list, so one that several pods saw counts"
                                 " once for each")  # fmt: skip
    assert "left out" not in judged(calm).message


def look(first: int, boot: str = "b", total: int = 10) -> PodReading:
    return PodReading(boot, True, Evidence(boot, 1, float(total), bad_first=first))


def test_bad_ones_that_no_pod_lists_any_more_are_numbered() -> None:
    _, memory = advance(None, [look(0), look(0, "c")], now=0.0)
    found, memory = advance(memory, [look(7, total=20), look(0, "c", 20)], now=5.0)
    assert found.unlisted == 7
    found, memory = advance(memory, [look(7, total=30), look(0, "c", 30)], now=10.0)
    assert found.unlisted == 0
    found, _ = advance(memory, [look(9, total=40)], now=15.0)
    assert found.unlisted == 0  # one pod alone counts none twice
