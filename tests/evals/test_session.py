"""A run of a set: who is asked what, how many at a time, and what failures become."""

from __future__ import annotations

import asyncio

import pytest

from claude_operator.api.evals import EvalGate
from claude_operator.api.gateway import Arm
from claude_operator.core.evals.checks import Check
from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import PreparedArm, prepare
from claude_operator.evals.ask import Infrastructure, Rejected, Reply
from claude_operator.evals.patterns import InvalidPattern
from claude_operator.evals.session import Arms, evaluate

GATE = EvalGate(passRate=0.5, margin=0.1)
USAGE = {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 5, "output_tokens": 7}


def arms(*names: str) -> Arms:
    return Arms(*(prepare(Arm(name, "canary", 0, {"model": "claude-haiku-5-5"}), {}) for name in names))


def items(count: int) -> list[Item]:
    return [Item(f"i{number}", b"[]", (Check("equals", "good"),)) for number in range(count)]


class Script:
    """Answers by arm and item; `good` for what is not told. Keeps what was asked, and how much at once."""

    def __init__(self, **answers: str | Exception) -> None:
        self.answers, self.asked, self.open, self.most = answers, list[str](), 0, 0
        self.at_once = list[int]()

    async def __call__(self, arm: PreparedArm, item: Item) -> Reply:
        name = f"{arm.arm.revision}_{item.id}"
        self.asked.append(name)
        self.open += 1
        self.at_once.append(self.open)
        try:
            await asyncio.sleep(0.002)
        finally:
            self.open -= 1
        answer = self.answers.get(name, "good")
        if isinstance(answer, Exception):
            raise answer
        return Reply(answer, "end_turn", "claude-haiku-5-5", dict(USAGE))


async def test_both_arms_are_asked_the_same_items_and_compared() -> None:
    script = Script(new_i1="bad", old_i2="bad", old_i3="bad")
    result = await evaluate(items(6), arms("new", "old"), script, GATE, concurrency=3)
    assert sorted(script.asked) == sorted(f"{arm}_i{number}" for arm in ("new", "old") for number in range(6))
    assert (result.phase, result.better, result.worse) == ("Passed", 2, 1)
    assert "of old;" in result.message
    assert result.candidate is not None
    assert (result.candidate.input_tokens, result.candidate.output_tokens) == (6 * 115, 6 * 7)
    assert result.candidate.cost_usd is not None
    assert result.candidate.cost_usd > 0


async def test_at_most_so_many_at_a_time_and_the_first_item_ahead() -> None:
    script = Script()
    await evaluate(items(9), arms("new", "old"), script, GATE, concurrency=4)
    assert set(script.asked[:2]) == {"new_i0", "old_i0"}
    assert script.at_once[2] == 1, "the first answers are there before the next questions"
    assert max(script.at_once) == 4
    one = Script()
    await evaluate(items(3), arms("new", "old"), one, GATE, concurrency=1)
    assert max(one.at_once) == 1


async def test_progress_counts_items_that_are_finished_on_all_arms() -> None:
    heard: list[int] = []
    script = Script(old_i1=Rejected("no"))
    await evaluate(items(4), arms("new", "old"), script, GATE, concurrency=2, progress=heard.append)
    assert heard == [1, 2, 3, 4]


async def test_without_a_baseline() -> None:
    result = await evaluate(items(2), arms("new"), Script(new_i1="bad"), GATE, concurrency=4)
    assert (result.phase, result.baseline) == ("Passed", None)


async def test_nothing_to_ask() -> None:
    result = await evaluate([], arms("new", "old"), Script(), GATE, concurrency=4)
    assert result.reason == "EmptySet"


async def test_a_refused_candidate_fails_at_once() -> None:
    script = Script(new_i0=Rejected("max_tokens: no (400 invalid_request_error)"), old_i0=Infrastructure("429"))
    result = await evaluate(items(50), arms("new", "old"), script, GATE, concurrency=2)
    assert (result.phase, result.reason) == ("Failed", "RequestRejected")
    assert "item i0: max_tokens: no (400 invalid_request_error)" in result.message
    assert len(script.asked) == 2


async def test_a_refused_baseline_item_is_not_graded() -> None:
    result = await evaluate(items(3), arms("new", "old"), Script(old_i1=Rejected("no")), GATE, concurrency=2)
    assert result.baseline is not None
    assert (result.phase, result.baseline.items) == ("Passed", 2)


@pytest.mark.parametrize("name", ["new_i0", "old_i3"])
async def test_infrastructure_is_no_result(name: str) -> None:
    with pytest.raises(Infrastructure, match="429"):
        await evaluate(items(5), arms("new", "old"), Script(**{name: Infrastructure("429")}), GATE, concurrency=2)


async def test_a_regular_expression_without_end_fails_its_item_alone() -> None:
    endless = Item("i0", b"[]", (Check("regex", "(a+)+$"),))
    fine = Item("i1", b"[]", (Check("regex", "(?=go+d)"),))
    script = Script(new_i0="a" * 60 + "b")
    result = await evaluate([endless, fine], arms("new"), script, EvalGate(), concurrency=2)
    assert [one.id for one in result.failed_items] == ["i0"]
    why = "regex: (a+)+$ (was broken off: it takes more than 2 s or too much memory)"
    assert (result.phase, result.failed_items[0].assertion) == ("Passed", why)


async def test_an_invalid_regular_expression_is_told_before_anything_is_asked() -> None:
    script = Script()
    wrong = Item("i0", b"[]", (Check("regex", "a("),), place="line 7")
    with pytest.raises(InvalidPattern, match=r"line 7: 'a\(' is not a regular expression of Python's re: missing \)"):
        await evaluate([wrong], arms("new"), script, GATE, concurrency=1)
    assert script.asked == []


async def test_a_model_without_a_price_has_no_cost() -> None:
    async def ask(arm: PreparedArm, item: Item) -> Reply:
        return Reply("good", "end_turn", "a-model-of-tomorrow", dict(USAGE))

    result = await evaluate(items(1), arms("new"), ask, GATE, concurrency=1)
    assert result.candidate is not None
    assert result.candidate.cost_usd is None


async def test_an_edit_that_no_item_exercises_is_told() -> None:
    tool = {"name": "find", "input_schema": {"type": "object"}}
    request = {"model": "claude-haiku-5-5", "tools": [tool]}
    new = prepare(Arm("new", "canary", 0, request), {})
    result = await evaluate(items(1), Arms(new, arms("old").candidate), Script(), GATE, concurrency=1)
    assert result.message.endswith("; no item exercises the tool find, which this revision changes")
