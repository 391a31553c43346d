"""Keeps what graders said: a vote on the same answer, by the same grader and rubric, is paid once."""

from __future__ import annotations

from collections import Counter

from claude_operator.core.evals.kept import grade_key, pack_answer, read_answer, request_digest
from claude_operator.core.evals.outcomes import Answer
from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import PreparedArm
from claude_operator.evals.keeping import Keeper

__all__ = ["KeptGrades"]


class KeptGrades:
    """Votes by their question. The request holds the grader's model, the rubric, the question and the answer, so that a
    change of any of them is another key. Votes on the same answer are numbered; which is which does not matter."""

    def __init__(self, keeper: Keeper, url: str) -> None:
        self._keeper, self._url = keeper, url
        self._turns: Counter[bytes] = Counter()

    def next_key(self, arm: PreparedArm, asked: Item) -> bytes:
        """The key of the next vote on this question."""
        digest = request_digest(self._url, arm, asked)
        self._turns[digest] += 1
        return grade_key(digest, self._turns[digest])

    def find(self, key: bytes) -> Answer | None:
        """The vote that was kept."""
        found = self._keeper.find(key)
        return read_answer(found) if found is not None else None

    def add(self, key: bytes, answer: Answer) -> None:
        """Keep a vote that could be read."""
        if (packed := pack_answer(answer)) is not None:
            self._keeper.add(key, packed)
