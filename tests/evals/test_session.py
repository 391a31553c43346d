"""A run of a set: who is asked what, how many at a time, and what failures become."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claude_operator.api.evals import EvalExecution, EvalGate
from claude_operator.api.gateway import Arm
from claude_operator.api.graders import Grader
from claude_operator.core.catalogue.table import Prices
from claude_operator.core.evals.budget import Estimate
from claude_operator.core.evals.checks import Check
from claude_operator.core.evals.outcomes import Answer, ToolCall
from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import PreparedArm, prepare
from claude_operator.evals.ask import Infrastructure, Rejected
from claude_operator.evals.keeping import Folder, Keeper
from claude_operator.evals.patterns import InvalidPattern
from claude_operator.evals.session import Arms, Run, evaluate

GATE = EvalGate(passRate=0.5, margin=0.1)
USAGE = {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 5, "output_tokens": 7}


def once(concurrency: int, epochs: int = 1, **options: Any) -> Run:
    """A run of so many questions at a time."""
    given = {name: options.pop(name) for name in ("maxCostUSD", "maxTokens") if name in options}
    return Run(EvalExecution(maxConcurrency=concurrency, epochs=epochs, **given), **options)


def arms(*names: str) -> Arms:
    return Arms(*(prepare(Arm(name, "canary", 0, {"model": "claude-haiku-5-5", "system": name}), {}) for name in names))


def items(count: int) -> list[Item]:
    return [Item(f"i{number}", b"[]", (Check("equals", "good"),)) for number in range(count)]


class Script:
    """Answers by arm and item; `good` for what is not told. Keeps what was asked, and how much at once."""

    def __init__(self, **answers: str | Exception) -> None:
        self.answers, self.asked, self.open, self.most = answers, list[str](), 0, 0
        self.at_once = list[int]()

    async def __call__(self, arm: PreparedArm, item: Item) -> Answer:
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
        return Answer(answer, "end_turn", "claude-haiku-5-5", dict(USAGE))


async def test_both_arms_are_asked_the_same_items_and_compared() -> None:
    script = Script(new_i1="bad", old_i2="bad", old_i3="bad")
    result = await evaluate(items(6), arms("new", "old"), script, GATE, once(3))
    assert sorted(script.asked) == sorted(f"{arm}_i{number}" for arm in ("new", "old") for number in range(6))
    assert (result.phase, result.better, result.worse) == ("Passed", 2, 1)
    assert "of old in 1 epoch;" in result.message
    assert result.candidate is not None
    assert (result.candidate.input_tokens, result.candidate.output_tokens) == (6 * 115, 6 * 7)
    assert result.candidate.cost_usd is not None
    assert result.candidate.cost_usd > 0


async def test_at_most_so_many_at_a_time_and_the_first_item_ahead() -> None:
    script = Script()
    await evaluate(items(9), arms("new", "old"), script, GATE, once(4))
    assert set(script.asked[:2]) == {"new_i0", "old_i0"}
    assert script.at_once[2] == 1, "the first answers are there before the next questions"
    assert max(script.at_once) == 4
    one = Script()
    await evaluate(items(3), arms("new", "old"), one, GATE, once(1))
    assert max(one.at_once) == 1


async def test_progress_counts_items_that_are_finished_on_all_arms() -> None:
    heard: list[int] = []
    script = Script(old_i1=Rejected("no"))
    await evaluate(items(4), arms("new", "old"), script, GATE, once(2, progress=lambda done, _: heard.append(done)))
    assert heard == [1, 2, 3, 4]


async def test_without_a_baseline() -> None:
    result = await evaluate(items(2), arms("new"), Script(new_i1="bad"), GATE, once(4))
    assert (result.phase, result.baseline) == ("Passed", None)


async def test_nothing_to_ask() -> None:
    result = await evaluate([], arms("new", "old"), Script(), GATE, once(4))
    assert result.reason == "EmptySet"


async def test_a_refused_candidate_fails_at_once() -> None:
    script = Script(new_i0=Rejected("max_tokens: no (400 invalid_request_error)"), old_i0=Infrastructure("429"))
    result = await evaluate(items(50), arms("new", "old"), script, GATE, once(2))
    assert (result.phase, result.reason) == ("Failed", "RequestRejected")
    assert "item i0: max_tokens: no (400 invalid_request_error)" in result.message
    assert len(script.asked) == 2


@pytest.mark.parametrize("keep_text", [True, False])
async def test_of_an_answer_no_more_is_held_than_a_report_shows(keep_text: bool) -> None:
    """A large set has hundreds of thousands of them."""
    run = once(3, epochs=2, keep_text=keep_text)
    await evaluate(items(4), arms("new", "old"), Script(), GATE, run)
    held = [one for arm in run.graded for epochs in arm.values() for one in epochs]
    assert {(one.answer and one.answer.text, one.answer and len(one.answer.usage)) for one in held} == {
        ("good" if keep_text else "", 0)
    }
    assert {one.outcome.input_tokens for one in held} == {115}
    assert len({id(one.outcome.results[0].check) for one in held}) == 1


async def test_a_refused_baseline_item_is_not_graded() -> None:
    result = await evaluate(items(3), arms("new", "old"), Script(old_i1=Rejected("no")), GATE, once(2))
    assert result.baseline is not None
    assert (result.phase, result.baseline.items) == ("Passed", 2)


@pytest.mark.parametrize("name", ["new_i0", "old_i3"])
async def test_infrastructure_is_no_result(name: str) -> None:
    with pytest.raises(Infrastructure, match="429"):
        await evaluate(items(5), arms("new", "old"), Script(**{name: Infrastructure("429")}), GATE, once(2))


async def test_a_regular_expression_without_end_fails_its_item_alone() -> None:
    endless = Item("i0", b"[]", (Check("regex", "(a+)+$"),))
    fine = Item("i1", b"[]", (Check("regex", "(?=go+d)"),))
    script = Script(new_i0="a" * 60 + "b")
    result = await evaluate([endless, fine], arms("new"), script, EvalGate(), once(2))
    assert [one.id for one in result.failed_items] == ["i0"]
    why = "regex: (a+)+$ (was broken off: it takes more than 2 s or too much memory)"
    assert (result.phase, result.failed_items[0].assertion) == ("Passed", why)


async def test_an_invalid_regular_expression_is_told_before_anything_is_asked() -> None:
    script = Script()
    wrong = Item("i0", b"[]", (Check("regex", "a("),), place="line 7")
    with pytest.raises(InvalidPattern, match=r"line 7: 'a\(' is not a regular expression of Python's re: missing \)"):
        await evaluate([wrong], arms("new"), script, GATE, once(1))
    assert script.asked == []


async def test_a_model_without_a_price_has_no_cost() -> None:
    async def ask(arm: PreparedArm, item: Item) -> Answer:
        return Answer("good", "end_turn", "a-model-of-tomorrow", dict(USAGE))

    result = await evaluate(items(1), arms("new"), ask, GATE, once(1))
    assert result.candidate is not None
    assert result.candidate.cost_usd is None


async def test_each_item_is_asked_in_each_epoch_and_epochs_come_one_after_the_other() -> None:
    heard: list[tuple[int, int]] = []
    script = Script()
    run = once(2, epochs=3, progress=lambda *both: heard.append(both))
    result = await evaluate(items(4), arms("new", "old"), script, GATE, run)
    assert result.phase == "Passed"
    names = sorted(f"{arm}_i{number}" for arm in ("new", "old") for number in range(4))
    assert [sorted(script.asked[start : start + 8]) for start in (0, 8, 16)] == [names] * 3
    assert heard[-1] == (12, 12)
    assert [done for done, _ in heard] == list(range(1, 13))
    assert {len(all_) for arm in run.graded for all_ in arm.values()} == {3}
    assert run.budget.asked == 24


async def test_a_run_that_dies_asks_only_what_was_not_answered(tmp_path: Path) -> None:
    """What was in flight is waited for: it is paid."""
    script = Script(new_i30=Infrastructure("gone"))
    with pytest.raises(Infrastructure, match="gone"):
        await evaluate(items(40), arms("new", "old"), script, GATE, once(4, keeper=Keeper(Folder(tmp_path))))
    before = set(script.asked) - {"new_i30"}
    assert len(before) < 70
    again = Script()
    run = once(4, keeper=Keeper(Folder(tmp_path)))
    result = await evaluate(items(40), arms("new", "old"), again, GATE, run)
    assert result.phase == "Passed"
    assert set(again.asked) == {f"{arm}_i{n}" for arm in ("new", "old") for n in range(40)} - before
    assert (run.reused, run.budget.asked) == (len(before), len(again.asked))


async def test_the_second_run_of_the_same_request_asks_nothing(tmp_path: Path) -> None:
    def folder() -> Keeper:
        return Keeper(Folder(tmp_path))

    await evaluate(items(5), arms("new", "old"), Script(), GATE, once(4, epochs=2, keeper=folder()))
    script = Script()
    run = once(4, epochs=2, keeper=folder())
    await evaluate(items(5), arms("new", "old"), script, GATE, run)
    assert (script.asked, run.reused, run.budget.paid) == ([], 20, 0.0)
    more = once(4, epochs=3, keeper=folder())
    await evaluate(items(5), arms("new", "old"), script, GATE, more)
    assert len(script.asked) == 10
    elsewhere = once(4, keeper=folder(), url="http://other")
    await evaluate(items(5), arms("new"), script, GATE, elsewhere)
    assert len(script.asked) == 15


async def test_answers_that_cannot_be_kept_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = once(1, keeper=Keeper(Folder(tmp_path / "file")))
    result = await evaluate(items(2), arms("new"), Script(), GATE, run)
    assert result.phase == "Passed"
    assert "; answers are not kept: " in result.message
    assert "cannot be" in result.message


@pytest.mark.parametrize("epochs", [1, 3])
async def test_a_run_that_reaches_its_cap_is_inconclusive(epochs: int) -> None:
    one = Run(EvalExecution(epochs=1))
    await evaluate(items(1), arms("new"), Script(), GATE, one)
    price = one.budget.paid
    run = once(1, epochs=epochs, maxCostUSD=price * 10.5)
    script = Script()
    result = await evaluate(items(20), arms("new"), script, GATE, run)
    assert (result.phase, result.reason) == ("Inconclusive", "BudgetReached")
    assert f"10 of {20 * epochs} answers an arm" in result.message
    assert "of execution.maxCostUSD" in result.message
    assert len(script.asked) == 10
    assert run.budget.paid <= price * 10.5


async def test_what_is_in_flight_counts_for_the_cap() -> None:
    one = Run(EvalExecution(epochs=1))
    await evaluate(items(1), arms("new"), Script(), GATE, one)
    run = once(8, maxCostUSD=one.budget.paid * 10.5)
    await evaluate(items(40), arms("new"), Script(), GATE, run)
    assert run.budget.paid <= one.budget.paid * 10.5


async def test_what_has_no_price_is_capped_by_tokens() -> None:
    async def ask(arm: PreparedArm, item: Item) -> Answer:
        return Answer("good", "end_turn", "a-model-of-tomorrow", dict(USAGE))

    result = await evaluate(items(20), arms("new"), ask, GATE, once(1, maxTokens=122 * 7))
    assert (result.phase, result.reason) == ("Inconclusive", "BudgetReached")
    assert "of execution.maxTokens 854 are used up" in result.message


async def test_a_run_that_is_too_dear_from_the_beginning_asks_nothing() -> None:
    long = Item("i0", b'[{"role":"user","content":"' + b"x" * 400_000 + b'"}]', (Check("equals", "good"),))
    script, heard = Script(), list[Estimate]()
    run = once(4, epochs=50, maxCostUSD=0.01, estimated=heard.append)
    result = await evaluate([long], arms("new"), script, GATE, run)
    assert (result.phase, result.reason, script.asked) == ("Inconclusive", "BudgetReached", [])
    assert "nothing was asked, because it would cost at least $" in result.message
    assert heard[0].usd > heard[0].least_usd > 0.01


async def test_earlier_attempts_count_for_the_cap() -> None:
    script = Script()
    result = await evaluate(items(3), arms("new"), script, GATE, once(1, maxCostUSD=1, paid=1.5))
    assert (result.reason, script.asked) == ("BudgetReached", [])


async def test_a_run_that_has_all_answers_is_judged_whatever_it_has_cost(tmp_path: Path) -> None:
    """As where the Job could not write its result."""
    await evaluate(items(3), arms("new"), Script(), GATE, once(1, keeper=Keeper(Folder(tmp_path))))
    script = Script()
    run = once(1, keeper=Keeper(Folder(tmp_path)), maxCostUSD=1, paid=1.5)
    assert (await evaluate(items(3), arms("new"), script, GATE, run)).phase == "Passed"
    assert script.asked == []


async def test_an_arm_against_itself_has_answers_of_its_own(tmp_path: Path) -> None:
    both = Arms(*(prepare(Arm(name, "canary", 0, {"model": "claude-haiku-5-5"}), {}) for name in ("new", "old")))
    script = Script()
    await evaluate(items(3), both, script, GATE, once(2, epochs=2, keeper=Keeper(Folder(tmp_path))))
    assert len(script.asked) == 12
    await evaluate(items(3), both, script, GATE, once(2, epochs=2, keeper=Keeper(Folder(tmp_path))))
    assert len(script.asked) == 12


async def test_an_edit_that_no_item_exercises_is_told() -> None:
    tool = {"name": "find", "input_schema": {"type": "object"}}
    request = {"model": "claude-haiku-5-5", "tools": [tool]}
    new = prepare(Arm("new", "canary", 0, request), {})
    result = await evaluate(items(1), Arms(new, arms("old").candidate), Script(), GATE, once(1))
    assert result.message.endswith("; no item exercises the tool find, which this revision changes")


# ------------------------------------------------------------------------------------------------------ graders

GRADER = Grader(name="default", model="claude-opus-5-5")


def rubric(*kinds: str) -> list[Item]:
    checks = (
        Check(kind, "is polite", threshold=1.0 if kind == "llm-rubric" else None, grader="default") for kind in kinds
    )
    return [Item(f"i{number}", b"[]", (check,)) for number, check in enumerate(checks)]


class Graded(Script):
    """A script whose grader finds polite what says please, and better what is longer."""

    async def __call__(self, arm: PreparedArm, item: Item) -> Answer:
        answer = await super().__call__(arm, item)
        if arm.arm.revision != "grader default":
            return answer
        if answer.text == "refuse":
            return Answer("", "refusal", "claude-opus-5-5", {})
        said = json.loads(item.messages)[0]["content"]
        texts = [text for _, text in re.findall(r"<(\w*answer-\w+)>\n(.*?)\n</\1>", said, re.DOTALL)]
        decision: bool | str = "please" in texts[0]
        name = "criterion_1"
        if len(texts) == 2:
            name, decision = "better", "first" if len(texts[0]) > len(texts[1]) else "second"
        text = json.dumps({name: {"reason": "so it is", "decision": decision}})
        return Answer(text, "end_turn", "claude-opus-5-5", dict(USAGE))


class Undecided(Script):
    """A script whose grader says nothing that can be read."""

    async def __call__(self, arm: PreparedArm, item: Item) -> Answer:
        answer = await super().__call__(arm, item)
        return replace(answer, model="claude-opus-5-5") if arm.arm.revision == "grader default" else answer


async def test_graders_grade_both_arms_and_are_paid_apart() -> None:
    script = Graded(new_i0="yes, please", old_i0="no")
    run = once(2, graders=[GRADER], keep_text=True)
    result = await evaluate(rubric("llm-rubric"), arms("new", "old"), script, GATE, run)
    assert result.candidate is not None
    assert result.baseline is not None
    assert (result.candidate.passed, result.baseline.passed) == (1, 0)
    assert script.asked.count("grader default_i0") == 2
    [ours] = run.graded[0]["i0"]
    assert ours.outcome.input_tokens == ours.outcome.grader_input_tokens == 115
    assert ours.outcome.cost_usd != ours.outcome.grader_cost_usd
    paid = sum(
        (one.outcome.cost_usd or 0) + (one.outcome.grader_cost_usd or 0) for arm in run.graded for one in arm["i0"]
    )
    assert run.budget.paid == pytest.approx(paid)


async def test_own_prices_hold_for_answers_and_graders() -> None:
    """Per million tokens: 10 x 100 + 100 x 10 + 5 x 125 + 7 x 500; and of the grader 10 x 1 + 7 x 5."""
    own = {
        "claude-haiku-5-5": Prices(100.0, 500.0, 125.0, 200.0, 10.0),
        "claude-opus-5-5": Prices(1.0, 5.0, 0.0, 0.0, 0.0),
    }
    run = once(1, graders=[GRADER], prices=own)
    await evaluate(rubric("llm-rubric"), arms("new"), Graded(new_i0="yes, please"), GATE, run)
    [outcome] = [one.outcome for one in run.graded[0]["i0"]]
    assert outcome.cost_usd == pytest.approx((1000 + 1000 + 625 + 3500) / 1e6)
    assert outcome.grader_cost_usd == pytest.approx((10 + 35) / 1e6)
    assert run.budget.paid == pytest.approx((6125 + 45) / 1e6)


async def test_what_is_paid_counts_though_a_grader_does_not_decide() -> None:
    """Each attempt asks it again, and the cap holds for all of them."""
    run = once(1, graders=[GRADER])
    with pytest.raises(Infrastructure):
        await evaluate(rubric("llm-rubric"), arms("new"), Undecided(), GATE, run)
    once_asked = Run(EvalExecution(epochs=1))
    await evaluate(items(1), arms("new"), Script(), GATE, once_asked)
    assert run.budget.paid > once_asked.budget.paid > 0, "the answer, and its grader in vain"
    assert run.budget.asked == 1


async def test_graders_of_kept_answers_are_within_the_cap(tmp_path: Path) -> None:
    await evaluate(items(8), arms("new"), Script(), GATE, once(1, keeper=Keeper(Folder(tmp_path))))
    script = Graded()
    run = once(1, graders=[GRADER], keeper=Keeper(Folder(tmp_path)), maxCostUSD=1, paid=0.9999)
    result = await evaluate(rubric(*["llm-rubric"] * 8), arms("new"), script, GATE, run)
    assert (result.phase, result.reason, script.asked) == ("Inconclusive", "BudgetReached", ["grader default_i0"])


async def test_a_comparison_waits_for_both_arms() -> None:
    script = Graded(new_i0="a long answer", old_i0="short", new_i1="x", old_i1=Rejected("no"))
    run = once(4, epochs=2, graders=[GRADER])
    result = await evaluate(rubric("select-best", "select-best"), arms("new", "old"), script, GATE, run)
    assert [one.outcome.failed for one in run.graded[0]["i0"]] == ["", ""]
    lost = "select-best: is polite (the other answer is better)"
    assert [one.outcome.failed for one in run.graded[1]["i0"]] == [lost, lost]
    assert [one.outcome.results[0].why for one in run.graded[0]["i1"]] == ["there is nothing to compare with"] * 2
    assert script.asked.count("grader default_i0") == 2 * 2, "two orders an epoch, for both arms together"
    assert script.asked.count("new_i0") == script.asked.count("old_i0") == 2
    assert result.baseline is not None


async def test_a_grader_that_refuses_is_no_result() -> None:
    script = Graded(new_i0="yes, please", **{"grader default_i0": "refuse"})
    with pytest.raises(Infrastructure, match=r"the grader default \(claude-opus-5-5\), .* refuses to grade"):
        await evaluate(rubric("llm-rubric"), arms("new"), script, GATE, once(1, graders=[GRADER]))


async def test_a_grader_of_its_own_answers_is_told_before_anything_is_asked() -> None:
    script = Graded()
    own = GRADER.model_copy(update={"model": "claude-haiku-5-5"})
    with pytest.raises(InvalidPattern, match="is also the model of new, and models prefer their own answers"):
        await evaluate(rubric("llm-rubric"), arms("new"), script, GATE, once(1, graders=[own]))
    assert script.asked == []
    await evaluate(items(1), arms("new"), script, GATE, once(1, graders=[own]))


async def test_grades_are_kept_and_not_paid_again(tmp_path: Path) -> None:
    script = Graded(new_i0="yes, please", new_i1="long and good", old_i1="short")
    three, both = GRADER.model_copy(update={"votes": 3}), rubric("llm-rubric", "select-best")
    runs = []
    for _ in range(2):
        run = once(1, epochs=2, graders=[three], keeper=Keeper(Folder(tmp_path)))
        result = await evaluate(both, arms("new", "old"), script, GATE, run)
        runs.append((result.better, [one.outcome.failed for arm in run.graded for name in arm for one in arm[name]]))
        asked, script.asked = script.asked, []
        if not asked:
            assert run.budget.paid == 0.0
    assert runs[0] == runs[1]
    assert asked == [], "the second run asks nobody"


async def test_a_grade_that_cannot_be_read_is_not_kept(tmp_path: Path) -> None:
    class Silent(Graded):
        async def __call__(self, arm: PreparedArm, item: Item) -> Answer:
            answer = await super().__call__(arm, item)
            return replace(answer, text="") if arm.arm.revision == "grader default" else answer

    for script, asked in ((Silent(new_i0="please"), 3), (Graded(new_i0="please"), 1)):
        run = once(1, graders=[GRADER], keeper=Keeper(Folder(tmp_path)))
        with pytest.raises(Infrastructure) if asked == 3 else nullcontext():
            await evaluate(rubric("llm-rubric"), arms("new"), script, GATE, run)
        assert script.asked.count("grader default_i0") == asked


async def test_graders_are_part_of_the_estimate() -> None:
    heard: list[Estimate] = []
    for graders in ([], [GRADER]):
        run = once(1, graders=graders, estimated=heard.append)
        await evaluate(rubric("llm-rubric") if graders else items(1), arms("new"), Graded(new_i0="please"), GATE, run)
    without, with_graders = heard
    assert with_graders.usd > without.usd + 300 * 20e-6, "a grader's answer alone costs so much"


async def test_calls_are_checked_against_the_arms_own_tools() -> None:
    tool = {"name": "f", "input_schema": {"type": "object", "required": ["x"]}}
    arm = prepare(Arm("new", "canary", 0, {"model": "claude-haiku-5-5", "tools": [tool]}), {})

    async def ask(arm: PreparedArm, item: Item) -> Answer:
        return Answer(
            "", "tool_use", "claude-haiku-5-5", dict(USAGE), (ToolCall("f", {"x": 1} if item.id == "i0" else {}),)
        )

    valid = [Item(f"i{number}", b"[]", (Check("is-valid-tool-call"),)) for number in range(2)]
    run = once(1)
    await evaluate(valid, Arms(arm), ask, GATE, run)
    why = 'is-valid-tool-call ($ does not hold required ["x"])'
    assert [run.graded[0][name][0].outcome.failed for name in ("i0", "i1")] == ["", why]


async def test_an_answer_that_json_cannot_hold_is_graded_and_not_kept(tmp_path: Path) -> None:
    """Half a surrogate pair: the API sends it escaped."""
    script = Script(new_i0="\ud800")
    for _ in range(2):
        run = once(1, keeper=Keeper(Folder(tmp_path)))
        result = await evaluate(items(2), arms("new"), script, EvalGate(passRate=0.5), run)
        assert result.phase == "Passed"
    assert script.asked == ["new_i0", "new_i1", "new_i0"]
