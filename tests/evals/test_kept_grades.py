"""Votes of graders are paid once."""

from __future__ import annotations

from pathlib import Path

from claude_operator.api.gateway import Arm
from claude_operator.core.evals.kept import is_wanted
from claude_operator.core.evals.outcomes import Answer
from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import PreparedArm, prepare
from claude_operator.evals.keeping import Folder, Keeper
from claude_operator.evals.kept_grades import KeptGrades

ITEM = Item("a", b'[{"role":"user","content":"Grade this"}]', ())


def grader(model: str = "claude-opus-5-5", rubric: str = "polite") -> PreparedArm:
    return prepare(Arm("grader", "stable", 0, {"model": model, "max_tokens": 9, "system": rubric}), {})


async def votes(path: Path, *asked: PreparedArm) -> list[bool]:
    """Whether each was there; those that were not are kept."""
    keeper = Keeper(Folder(path))
    found = []
    async with keeper.open(lambda key: is_wanted(key, ())):
        kept = KeptGrades(keeper, "http://api")
        for arm in asked:
            key = kept.next_key(arm, ITEM)
            found.append(kept.find(key) is not None)
            if not found[-1]:
                kept.add(key, Answer("{}", "end_turn", "claude-opus-5-5", {"input_tokens": 7}))
    return found


async def test_each_vote_is_kept(tmp_path: Path) -> None:
    assert await votes(tmp_path, grader(), grader(), grader()) == [False] * 3
    assert await votes(tmp_path, grader(), grader(), grader(), grader()) == [True, True, True, False]


async def test_another_snapshot_and_another_rubric_are_asked(tmp_path: Path) -> None:
    assert await votes(tmp_path, grader()) == [False]
    assert await votes(tmp_path, grader("claude-opus-5"), grader(rubric="short"), grader()) == [False, False, True]
