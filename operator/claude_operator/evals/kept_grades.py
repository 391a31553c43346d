"""Asks graders through what is kept: a vote on the same answer, by the same grader and rubric, is paid once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import msgspec

from claude_operator.core.evals.kept import grade_key, pack_answer, read_answer, request_digest
from claude_operator.core.evals.outcomes import Answer
from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import PreparedArm
from claude_operator.evals.graders import Ask
from claude_operator.evals.keeping import Keeper

__all__ = ["KeptGrades"]


class KeptGrades:
    """Asks as `ask` does. The request holds the grader's model, the rubric, the question and the answer, so that a
    change of any of them is another key. Votes on the same answer are numbered; which is which does not matter."""

    def __init__(self, ask: Ask, keeper: Keeper | None, url: str) -> None:
        self._ask, self._keeper, self._url = ask, keeper, url
        self._votes: Counter[bytes] = Counter()

    async def __call__(self, arm: PreparedArm, item: Item) -> Answer:
        """A vote; one that was kept has cost nothing."""
        if self._keeper is None:
            return await self._ask(arm, item)
        digest = request_digest(self._url, arm, item)
        key = grade_key(digest, self._votes[digest])
        self._votes[digest] += 1
        found = self._keeper.find(key)
        kept = read_answer(found) if found is not None else None
        if kept is not None:
            return replace(kept, usage={})
        answer = await self._ask(arm, item)
        if answer.stop_reason == "end_turn" and _is_json(answer.text):  # else it is asked again, also in another run
            self._keeper.add(key, pack_answer(answer))
        return answer


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return False
    return True
