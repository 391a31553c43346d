"""Live grading: one verdict, by the graders of the gate."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.evals.servers import Body, Refusal, Text, Upstream, question, upstream
from tests.evals.test_live_parts import sample

from claude_operator.api.evals import EvalSetSpec
from claude_operator.api.live import LiveGrading
from claude_operator.core.catalogue.cost import LIST_PRICES, Book
from claude_operator.core.catalogue.table import Prices
from claude_operator.core.evals.live import live_checks
from claude_operator.evals.ask import Asker
from claude_operator.evals.live.judging import Judge
from claude_operator.evals.live.spending import Spending, State
from claude_operator.evals.patterns import InvalidPattern, Patterns

RUBRIC = {"rubric": ["It says where it is."], "graders": [{"name": "default", "model": "claude-sonnet-5-5"}]}


def decides(*decisions: bool, model: str = "claude-sonnet-5-5") -> Callable[[Body], Text]:
    """A grader that decides so, one after the other, and then as the last time."""
    left = list(decisions)

    def script(_: Body) -> Text:
        decision = left.pop(0) if len(left) > 1 else left[0]
        return Text(json.dumps({"criterion_1": {"reason": "It says so.", "decision": decision}}), model=model)

    return script


@asynccontextmanager
async def judging(
    script: Callable[[Body], Any],
    state: State | None = None,
    most: float = 1.0,
    prices: Book = LIST_PRICES,
    **live: Any,
) -> AsyncIterator[tuple[Judge, Upstream]]:
    checks = live_checks(LiveGrading.model_validate(live or RUBRIC), EvalSetSpec())
    state = state or State()
    async with (
        upstream(script) as api,
        Asker(api.url, "sk-test", timeout=5, open_calls=4, retries=0, pause=0.001, patience=0.01) as asker,
        Patterns() as patterns,
    ):
        yield Judge(checks, asker.ask, patterns, Spending(state, most), state.snapshots, prices=prices), api


async def test_a_rubric_decides_and_its_answer_is_paid() -> None:
    state = State()
    async with judging(decides(True, False), state) as (judge, api):
        assert (await judge.grade(sample(text="on its way"))).passed is True
        verdict = await judge.grade(sample(text="who knows"))
        assert (verdict.passed, verdict.why, verdict.reason) == (
            False,
            "llm-rubric: It says where it is.",
            "It says so.",
        )
    assert ["who knows" in question(call.body) for call in api.calls] == [False, True]
    assert state.usd > 0
    assert state.snapshots == {"default": "claude-sonnet-5-5"}


async def test_an_answer_is_paid_by_own_prices() -> None:
    spent = []
    for dear in (1.0, 3.0):
        state, own = State(), {"claude-sonnet-5-5": Prices(2.0 * dear, 10.0 * dear, 0.0, 0.0, 0.0)}
        async with judging(decides(True), state, prices=own) as (judge, _):
            await judge.grade(sample())
        spent.append(state.usd)
    assert spent[1] == pytest.approx(3.0 * spent[0])


async def test_votes_are_those_of_the_gate() -> None:
    graders = [{"name": "default", "model": "claude-sonnet-5-5", "votes": 3}]
    async with judging(decides(True, False, True), **{**RUBRIC, "graders": graders}) as (judge, api):
        assert (await judge.grade(sample())).passed is True
        assert len(api.calls) == 3


async def test_a_refusal_has_failed_and_asks_nobody() -> None:
    async with judging(decides(True)) as (judge, api):
        assert (await judge.grade(sample(stop_reason="refusal"))).passed is False
        assert not api.calls


async def test_checks_without_a_grader() -> None:
    checks = [{"type": "regex", "value": "way"}, {"type": "not-contains", "value": "sorry"}]
    async with judging(decides(True), **{"assert": checks}) as (judge, api):
        await judge.prepare()
        texts = {"on its way": True, "who knows": False, "sorry, on its way": False}
        assert {text: (await judge.grade(sample(text=text))).passed for text in texts} == texts
        assert not api.calls


async def test_a_pattern_that_cannot_be_read_is_told_before_anything_is_graded() -> None:
    async with judging(decides(True), **{"assert": [{"type": "regex", "value": "("}]}) as (judge, _):
        with pytest.raises(InvalidPattern, match=r"^evals\.live: '\(' is not a regular expression"):
            await judge.prepare()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (lambda _: Refusal(401, "authentication_error"), "401"),
        (lambda _: Refusal(529, "overloaded_error"), "529"),
        (lambda _: Text("yes"), "does not decide in 3 attempts"),
        (lambda _: Text(stop_reason="refusal"), "refuses to grade"),
        (lambda _: Text(stop_reason="max_tokens"), "needs more tokens"),
        (lambda _: Text(cut=True), "ended without message_stop"),
    ],
)
async def test_what_no_grader_decides_is_neither_right_nor_wrong(script: Any, said: str) -> None:
    async with judging(script) as (judge, _):
        verdict = await judge.grade(sample())
        assert verdict.passed is None
        assert said in verdict.why
        assert "item" not in verdict.why


async def test_another_snapshot_of_the_grader_grades_no_arm() -> None:
    """Also where an earlier process has seen the first one."""
    state = State(snapshots={"default": "claude-sonnet-5-5-20260101"})
    async with judging(decides(True), state) as (judge, _):
        verdict = await judge.grade(sample())
        assert verdict.passed is None
        assert "answers as claude-sonnet-5-5-20260101 and as claude-sonnet-5-5" in verdict.why


async def test_nothing_is_asked_beyond_the_cost_of_a_day() -> None:
    async with judging(decides(True), most=1e-9) as (judge, api):
        assert (await judge.grade(sample(1))).passed is True
        verdict = await judge.grade(sample(2))
        assert verdict.passed is None
        assert "of maxCostUSDPerDay 1e-09 are spent" in verdict.why
        assert len(api.calls) == 1


async def test_an_answer_that_is_not_whole_is_not_decided_and_a_question_that_is_not_is() -> None:
    async with judging(decides(True)) as (judge, api):
        verdict = await judge.grade(sample(text="x" * 100, cut_answer=True))
        assert (verdict.passed, verdict.why) == (None, "the answer is longer than what is sampled of it")
        assert not api.calls
        assert (await judge.grade(sample(text="on its way", cut_question=True))).passed is True


QUOTED = "my parcel from Aunt Jemima is invalid"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Refusal(400, "invalid_request_error", f"messages.0.content: {QUOTED}"), "400 invalid_request_error"),
        (Refusal(200, "invalid_request_error", QUOTED), "refuses the request"),
        (Refusal(200, "api_error", QUOTED), "the answer broke off"),
        (Refusal(500, "api_error", QUOTED), "the Claude API answers 500"),
        (Text(error={"type": "api_error", "message": QUOTED}), "the answer broke off"),
    ],
    ids=str,
)
async def test_what_the_api_quotes_of_a_client_is_told_nowhere(answer: Any, told: str) -> None:
    async with judging(lambda _: answer) as (judge, _):
        verdict = await judge.grade(sample())
        assert verdict.passed is None
        assert told in verdict.why
        assert not {"parcel", "Aunt", "Jemima"} & set(verdict.why.split())


async def test_a_pattern_that_is_broken_off_decides_nothing() -> None:
    """Neither a failed answer of an arm that writes more, nor one after the other until all fail alike."""
    live: dict[str, Any] = {"assert": [{"type": "regex", "value": "^(a+)+$"}]}
    async with judging(decides(True), **live) as (judge, _):
        for _ in range(2):
            verdict = await judge.grade(sample(text="a" * 40 + "b"))
            assert verdict.passed is None
            assert verdict.why.startswith("a check of evals.live ")
        assert (await judge.grade(sample(text="aaa"))).passed is True
