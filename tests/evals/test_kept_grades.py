"""Votes of graders are paid once."""

from __future__ import annotations

from pathlib import Path

from claude_operator.api.gateway import Arm
from claude_operator.core.evals.outcomes import Answer
from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import PreparedArm, prepare
from claude_operator.evals.keeping import Folder, Keeper
from claude_operator.evals.kept_grades import KeptGrades

ITEM = Item("a", b'[{"role":"user","content":"Grade this"}]', ())


def grader(model: str = "claude-opus-5-5", rubric: str = "polite") -> PreparedArm:
    return prepare(Arm("grader", "stable", 0, {"model": model, "max_tokens": 9, "system": rubric}), {})


class Votes:
    """Answers with numbers, and counts."""

    def __init__(self, text: str = '{"pass": %s}', stop_reason: str = "end_turn") -> None:
        self.text, self.stop_reason, self.count = text, stop_reason, 0

    async def __call__(self, arm: PreparedArm, item: Item) -> Answer:
        self.count += 1
        text = self.text % self.count if "%" in self.text else self.text
        return Answer(text, self.stop_reason, "claude-opus-5-5", {"input_tokens": 7})


async def votes(path: Path, ask: Votes, *asked: PreparedArm) -> list[Answer]:
    keeper = Keeper(Folder(path))
    async with keeper.open(lambda _: True):
        kept = KeptGrades(ask, keeper, "http://api")
        return [await kept(arm, ITEM) for arm in asked]


async def test_each_vote_is_kept_and_costs_nothing_the_second_time(tmp_path: Path) -> None:
    ask = Votes()
    first = await votes(tmp_path, ask, grader(), grader(), grader())
    again = await votes(tmp_path, ask, grader(), grader(), grader(), grader())
    assert ask.count == 4
    assert [one.text for one in again[:3]] == [one.text for one in first]
    assert [one.usage for one in again] == [{}, {}, {}, {"input_tokens": 7}]


async def test_another_snapshot_and_another_rubric_are_asked(tmp_path: Path) -> None:
    ask = Votes()
    await votes(tmp_path, ask, grader())
    await votes(tmp_path, ask, grader("claude-opus-5"), grader(rubric="short"))
    assert ask.count == 3


async def test_a_vote_that_cannot_be_read_is_asked_again(tmp_path: Path) -> None:
    """Else a run that ended for it would end for it again."""
    for ask in (Votes("no JSON"), Votes(stop_reason="max_tokens"), Votes(stop_reason="refusal")):
        await votes(tmp_path, ask, grader())
        await votes(tmp_path, ask, grader())
        assert ask.count == 2
