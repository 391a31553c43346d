"""Runs a set: asks both arms the same items, several at a time, and grades each answer at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from claude_operator.api.evals import EvalGate
from claude_operator.core.evals.coverage import unexercised
from claude_operator.core.evals.gate import Result, judge_run, rejected
from claude_operator.core.evals.outcomes import Answer, Outcome
from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import PreparedArm
from claude_operator.evals.ask import Rejected, Reply
from claude_operator.evals.grading import Grading
from claude_operator.evals.patterns import Patterns

__all__ = ["Arms", "Ask", "evaluate"]


class Ask(Protocol):
    """Asks one question; raises Rejected or Infrastructure."""

    async def __call__(self, arm: PreparedArm, item: Item) -> Reply: ...


@dataclass(frozen=True, slots=True)
class Arms:
    """What is evaluated, and what it is compared with."""

    candidate: PreparedArm
    baseline: PreparedArm | None = None

    @property
    def all(self) -> tuple[PreparedArm, ...]:
        """The candidate first."""
        return (self.candidate,) if self.baseline is None else (self.candidate, self.baseline)


async def evaluate(
    items: Sequence[Item],
    arms: Arms,
    ask: Ask,
    gate: EvalGate,
    *,
    concurrency: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Result:
    """Ask, grade and judge. `progress` gets the number of items finished on all arms.

    Raises Infrastructure, and InvalidPattern before anything is asked.
    """
    async with Patterns() as patterns:
        await patterns.check(items)
        run = _Run(items, arms, ask, progress, Grading(patterns))
        result = await _judged(items, arms, run, gate, concurrency)
    baseline = arms.baseline.arm if arms.baseline else None
    untested = unexercised(items, arms.candidate.arm, baseline)
    return replace(result, message=f"{result.message}; {untested}") if untested else result


async def _judged(items: Sequence[Item], arms: Arms, run: _Run, gate: EvalGate, concurrency: int) -> Result:
    try:
        await run.ask_all(concurrency)
    except ExceptionGroup as group:
        refused = [error for error in _iter_errors(group) if isinstance(error, _Refused)]
        if not refused:
            raise next(_iter_errors(group)) from group
        return rejected(refused[0].item, refused[0].message)
    baseline = run.answers[1] if arms.baseline else None
    name = arms.baseline.arm.revision if arms.baseline else ""
    return judge_run(items, run.answers[0], baseline, gate, baseline_name=name)


class _Refused(Exception):  # noqa: N818  (what became of the candidate)
    def __init__(self, item: Item, message: str) -> None:
        super().__init__(message)
        self.item, self.message = item, message


class _Run:
    """Answers so far, by arm and item id."""

    def __init__(
        self, items: Sequence[Item], arms: Arms, ask: Ask, progress: Callable[[int], None], grading: Grading
    ) -> None:
        self._items, self._arms, self._ask, self._progress = items, arms.all, ask, progress
        self._grading = grading
        self.answers: tuple[dict[str, list[Outcome]], ...] = tuple({} for _ in self._arms)
        self._left = dict.fromkeys((item.id for item in items), len(self._arms))
        self._done = 0

    async def ask_all(self, concurrency: int) -> None:
        """Ask everything. The first item goes first: it writes the prompt cache that the others read."""
        questions = iter([(index, item) for item in self._items for index in range(len(self._arms))])
        await self._run_workers(iter([next(questions) for _ in self._arms] if self._items else []), concurrency)
        await self._run_workers(questions, concurrency)

    async def _run_workers(self, questions: Iterator[tuple[int, Item]], concurrency: int) -> None:
        """Workers that share one iterator; the first failure ends them all."""

        async def worker() -> None:
            for index, item in questions:
                await self._ask_one(index, item)

        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())

    async def _ask_one(self, index: int, item: Item) -> None:
        arm = self._arms[index]
        try:
            reply = await self._ask(arm, item)
        except Rejected as error:
            if index == 0:
                raise _Refused(item, str(error)) from error
        else:
            self.answers[index][item.id] = [await self._grade(item, reply)]
        self._left[item.id] -= 1
        if not self._left[item.id]:
            self._done += 1
            self._progress(self._done)

    async def _grade(self, item: Item, reply: Reply) -> Outcome:
        answer = Answer(reply.text, reply.stop_reason, reply.model, reply.usage)
        return await self._grading.grade(item, answer)


def _iter_errors(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _iter_errors(error)
        else:
            yield error
