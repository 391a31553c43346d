"""Runs a set: asks both arms the same items in several epochs, several at a time, and grades each answer at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace

from claude_operator.api.evals import EvalGate
from claude_operator.core.evals.budget import Estimate, Question, estimate, unpriced_tokens
from claude_operator.core.evals.calibration import doubt
from claude_operator.core.evals.coverage import unexercised
from claude_operator.core.evals.gate import Result, RunReason, judge_run, rejected
from claude_operator.core.evals.kept import (
    answer_key,
    first_request,
    is_wanted,
    pack_answer,
    read_answer,
    request_digest,
)
from claude_operator.core.evals.outcomes import Answer, Outcome
from claude_operator.core.evals.outside import left_out_sentence
from claude_operator.core.evals.report import Graded
from claude_operator.core.evals.sets import Item
from claude_operator.core.evals.stats.looks import more_epochs
from claude_operator.core.request.compose import PreparedArm
from claude_operator.evals.arms import Arms
from claude_operator.evals.ask import Infrastructure, Rejected
from claude_operator.evals.batches import Asked, Batcher
from claude_operator.evals.calibrating import calibrate
from claude_operator.evals.failures import OverBudget
from claude_operator.evals.graders import Ask, Graders, check_models, used_graders
from claude_operator.evals.grading import Grading, declared_tools, is_compared
from claude_operator.evals.keeping import Keeper
from claude_operator.evals.kept_grades import KeptGrades
from claude_operator.evals.patterns import Patterns
from claude_operator.evals.runs import Run

__all__ = ["Arms", "Ask", "Run", "evaluate", "foresee"]

_WORTH_A_BATCH = 50  # questions
_MOST_EPOCHS = 200  # four times as many as a set may ask for


async def evaluate(items: Sequence[Item], arms: Arms, ask: Ask, gate: EvalGate, run: Run) -> Result:
    """Ask, grade and judge.

    Raises Infrastructure, Waiting, and InvalidPattern before anything is asked.
    """

    async def ask_grader(arm: PreparedArm, item: Item) -> Answer:
        if why := run.budget.over():
            raise OverBudget(why)
        answer = await ask(arm, item)
        run.pay(answer, grader=True)
        return answer

    async with Patterns() as patterns:
        check_models(used_graders(run.graders, items), arms.all)
        await patterns.check(items)
        kept_grades = KeptGrades(run.keeper, run.url) if run.keeper else None
        graders = Graders(run.graders, ask_grader, kept_grades, prices=run.prices)
        gradings = [
            Grading(patterns, tools=declared_tools(arm), graders=graders, prices=run.prices) for arm in arms.all
        ]
        session = _Session(items, arms, ask, gradings, run)
        kept = run.keeper.open(lambda key: is_wanted(key, session.digests)) if run.keeper else nullcontext()
        async with kept:
            if run.batcher and run.keeper and items and (why := await session.ask_in_batches(run.batcher, run.keeper)):
                return _over_budget(why, 0, session.total)
            result = await _judged(session, items, arms, gate)
            if run.labels is not None:
                run.calibration = await calibrate(run.labels, items, graders, run.execution.max_concurrency)
    run.graded = session.graded()
    baseline = arms.baseline.arm if arms.baseline else None
    notes = [unexercised(items, arms.candidate.arm, baseline), left_out_sentence(arms.left_out), *run.notes]
    notes += [doubt(run.calibration)] if run.calibration else []
    if run.execution.mode != "realtime" and not run.keeper:
        notes.append("it was asked in real time: Message Batches need execution.keepAnswers")
    if run.keeper and run.keeper.trouble:
        notes.append(f"answers are not kept: {run.keeper.trouble}")
    return replace(result, message="; ".join([result.message, *(note for note in notes if note)]))


async def foresee(items: Sequence[Item], arms: Arms, run: Run) -> Estimate:
    """What `evaluate` would cost now; nothing is asked."""

    async def ask(_arm: PreparedArm, _item: Item) -> Answer:
        raise Infrastructure("an estimate asks nothing")

    graders, patterns = Graders(run.graders, ask, prices=run.prices), Patterns()
    gradings = [Grading(patterns, tools=declared_tools(arm), graders=graders, prices=run.prices) for arm in arms.all]
    session = _Session(items, arms, ask, gradings, run)
    async with run.keeper.open(lambda key: is_wanted(key, session.digests)) if run.keeper else nullcontext():
        return session.expected()


async def _judged(session: _Session, items: Sequence[Item], arms: Arms, gate: EvalGate) -> Result:
    name = arms.baseline.arm.revision if arms.baseline else ""
    try:
        if items and (why := session.estimate_cost()):
            return _over_budget(why, 0, session.total)
        epochs = planned = session.run.execution.epochs
        if items and (why := await session.ask_epochs(range(epochs))):
            return _over_budget(why, session.done, session.total)
        while True:
            left = session.epochs_left(_MOST_EPOCHS - epochs) >= more_epochs(epochs, planned)
            outcomes = session.outcomes()
            baseline = outcomes[1] if arms.baseline else None
            result = judge_run(
                items, outcomes[0], baseline, gate, baseline_name=name, epochs_left=left, planned_epochs=planned
            )
            more = result.more_epochs
            if not more:
                return result
            if why := await session.ask_epochs(range(epochs, epochs + more)):
                session.drop_epochs(epochs)
                return replace(result, more_epochs=0, message=f"{result.message}; {why}")
            epochs += more
    except _Refused as error:
        return rejected(error.item, error.message)


def _over_budget(why: str, done: int, total: int) -> Result:
    message = f"Inconclusive: {done} of {total} answers an arm were there when the run was stopped, because {why}"
    if not done:
        message = f"Inconclusive: nothing was asked, because {why}"
    return Result("Inconclusive", RunReason.BUDGET_REACHED, f"{message}, and delete the run to go on")


class _Refused(Exception):  # noqa: N818  (what became of the candidate)
    def __init__(self, item: Item, message: str) -> None:
        super().__init__(message)
        self.item, self.message = item, message


class _Session:
    """Graded answers so far, by arm, item id and epoch."""

    def __init__(self, items: Sequence[Item], arms: Arms, ask: Ask, gradings: Sequence[Grading], run: Run) -> None:
        self.run = run
        self._items, self._arms, self._ask, self._gradings = items, arms.all, ask, gradings
        kept = ((index, item) for index in range(len(self._arms)) for item in items if run.keeper)
        self._digests = {(index, item.id): request_digest(run.url, self._arms[index], item) for index, item in kept}
        self.digests = frozenset(self._digests.values())
        self._graded: tuple[dict[str, dict[int, Graded]], ...] = tuple({} for _ in self._arms)
        self._refused: set[str] = set()
        self._failure: Infrastructure | None = None
        self._over, self._open = "", 0
        self.done, self.total = 0, len(items) * run.execution.epochs
        self._left: dict[tuple[str, int], int] = {}

    def estimate_cost(self) -> str:
        """Say what the run will cost; why it may not begin, empty where it may."""
        expected = self.expected()
        self.run.estimated(expected)
        return self.run.budget.too_dear(expected)

    def expected(self) -> Estimate:
        """What the planned epochs will cost, without the answers that were kept."""
        epochs = range(self.run.execution.epochs)
        questions = (
            Question(body, times * missing)
            for index, arm in enumerate(self._arms)
            for item in self._items
            if (missing := sum(self._find(index, item, epoch) is None for epoch in epochs))
            for body, times in ((first_request(arm, item).body, 1), *self._gradings[index].expected(item))
        )
        return estimate(questions, self.run.prices)

    async def ask_in_batches(self, batcher: Batcher, keeper: Keeper) -> str:
        """Keep the answers of batches that are over, or else submit what is not kept; why that is too dear.

        Raises Waiting. What is left is asked in real time.
        """
        epochs = range(self.run.execution.epochs)
        places = {
            f"{self._digests[index, item.id].hex()[:40]}-{index}-{epoch}": (index, item, epoch)
            for index in range(len(self._arms))
            for item in self._items
            if item.max_turns == 1
            for epoch in epochs
        }
        if batcher.ids:
            for custom_id, answer in (await batcher.collect()).items():
                if custom_id in places and (packed := pack_answer(answer)) is not None:
                    keeper.add(self._key(*places[custom_id]), packed)
                    self.run.pay(answer)
                    self.run.reused -= 1  # found there in a moment, and paid for
            await keeper.flush()
            if not keeper.trouble:
                await batcher.forget()
            return ""
        missing = {name: place for name, place in places.items() if self._find(*place) is None}
        if len(missing) < (_WORTH_A_BATCH if self.run.execution.mode == "auto" else 1):
            return ""
        expected = estimate((Question(one.body) for one in self._requests(missing)), self.run.prices)
        self.run.estimated(expected)
        if why := self.run.budget.too_dear(replace(expected, least_usd=expected.usd / 2, least_tokens=expected.tokens)):
            return why
        await batcher.submit(self._requests(missing))
        return ""

    def _requests(self, places: Mapping[str, tuple[int, Item, int]]) -> Iterator[Asked]:
        """What a batch asks, one at a time: all of a large set, each with its arm's prompt, has no room in memory."""
        for name, (index, item, _) in places.items():
            request = first_request(self._arms[index], item, stream=False)
            yield Asked(name, request.body, request.betas)

    async def ask_epochs(self, epochs: range) -> str:
        """Ask everything so often; why the budget ended it, empty where it did not. Raises Infrastructure, _Refused.

        The first item goes first: it writes the prompt cache that the others read. Epochs go one after the other, so
        that the first ones are whole when the budget is used up.
        """
        self.total = len(self._items) * epochs.stop
        self._left |= {(item.id, epoch): len(self._arms) for item in self._items for epoch in epochs}
        questions = iter(
            [(index, item, epoch) for epoch in epochs for item in self._items for index in range(len(self._arms))]
        )
        try:
            if not epochs.start:
                await self._run_workers(iter([next(questions) for _ in self._arms]))
            await self._run_workers(questions)
        except ExceptionGroup as group:
            raise next(_iter_errors(group)) from group
        if self._failure:
            raise self._failure
        return self._over

    def epochs_left(self, most: int) -> int:
        """How many more epochs fit into the budget."""
        all_ = [one.outcome for arm in self._graded for epochs in arm.values() for one in epochs.values()]
        done = max(1, self.total // max(1, len(self._items)))
        usd = sum((one.cost_usd or 0.0) + (one.grader_cost_usd or 0.0) for one in all_)
        tokens = sum(map(unpriced_tokens, all_))
        return self.run.budget.epochs_left(most, usd / done, tokens // done)

    def graded(self) -> tuple[dict[str, list[Graded]], ...]:
        """By arm and item id, an answer an epoch."""
        return tuple(
            {name: [epochs[number] for number in sorted(epochs)] for name, epochs in arm.items()}
            for arm in self._graded
        )

    def outcomes(self) -> list[dict[str, list[Outcome]]]:
        """By arm, what the gate reads."""
        return [{name: [one.outcome for one in epochs] for name, epochs in arm.items()} for arm in self.graded()]

    def drop_epochs(self, first: int) -> None:
        """Forget these epochs and all later ones: they are not whole."""
        for arm in self._graded:
            for epochs in arm.values():
                for number in [number for number in epochs if number >= first]:
                    del epochs[number]

    async def _run_workers(self, questions: Iterator[tuple[int, Item, int]]) -> None:
        """Workers that share one iterator. After a failure nothing more is asked, and what is in flight is waited for:
        it is paid."""

        async def worker() -> None:
            for index, item, epoch in questions:
                if not await self._ask_one(index, item, epoch):
                    return

        async with asyncio.TaskGroup() as group:
            for _ in range(self.run.execution.max_concurrency):
                group.create_task(worker())

    async def _ask_one(self, index: int, item: Item, epoch: int) -> bool:
        """Whether the run can go on."""
        try:
            await self._settle(index, item, epoch)
        except Infrastructure as error:
            self._failure = self._failure or error
        except OverBudget as error:
            self._over = self._over or str(error)
        if self._failure or self._over:
            return False
        self._left[item.id, epoch] -= 1
        if not self._left[item.id, epoch]:
            self.done += 1
            self.run.progress(self.done, self.total)
        return True

    async def _settle(self, index: int, item: Item, epoch: int) -> None:
        """Grade the answer that was kept, or else a new one; of what compares both arms, with the last of them."""
        if len(self._arms) == 1 or not is_compared(item):
            await self._grade(index, item, epoch, await self._answer(index, item, epoch))
        elif index:
            ours = await self._answer(0, item, epoch)
            theirs = await self._answer(1, item, epoch)
            await self._grade(0, item, epoch, ours, theirs)
            await self._grade(1, item, epoch, theirs, ours)

    async def _answer(self, index: int, item: Item, epoch: int) -> tuple[Answer, bool] | None:
        """The answer that was kept, or else a new one, and whether it is paid for now."""
        if index and item.id in self._refused:
            return None
        if (kept := self._find(index, item, epoch)) is not None:
            return kept, False
        asked = await self._ask_anew(index, item, epoch)
        return None if asked is None else (asked, True)

    async def _grade(
        self,
        index: int,
        item: Item,
        epoch: int,
        answered: tuple[Answer, bool] | None,
        other: tuple[Answer, bool] | None = None,
    ) -> None:
        if answered is None:
            return
        answer, asked = answered
        outcome = await self._gradings[index].grade(item, answer, other[0] if other else None)
        self.run.reused += not asked
        shown = replace(answer, usage={}) if self.run.keep_text else replace(answer, text="", calls=(), usage={})
        if not (index and item.id in self._refused):
            self._graded[index].setdefault(item.id, {})[epoch] = Graded(outcome, shown)

    async def _ask_anew(self, index: int, item: Item, epoch: int) -> Answer | None:
        """An answer that is paid for; None where the budget or the API does not allow one."""
        if self._failure or self._over:
            return None
        self._over = self.run.budget.over(self._open)
        if self._over:
            return None
        self._open += 1
        try:
            answer = await self._ask(self._arms[index], item)
        except Rejected as error:
            if not index:
                raise _Refused(item, str(error)) from error
            self._refused.add(item.id)
            self._graded[index].pop(item.id, None)
            return None
        finally:
            self._open -= 1
        self.run.pay(answer)
        if self.run.keeper and (packed := pack_answer(answer)) is not None:
            self.run.keeper.add(self._key(index, item, epoch), packed)
        return answer

    def _find(self, index: int, item: Item, epoch: int) -> Answer | None:
        """The answer that was kept."""
        keeper = self.run.keeper
        found = keeper.find(self._key(index, item, epoch)) if keeper else None
        return read_answer(found) if found is not None else None

    def _key(self, index: int, item: Item, epoch: int) -> bytes:
        """Two arms that send the same request have answers of their own: shared ones would hide what is chance."""
        digest = self._digests[index, item.id]
        same = index and digest == self._digests[0, item.id]
        return answer_key(digest, epoch + _MOST_EPOCHS if same else epoch)


def _iter_errors(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _iter_errors(error)
        else:
            yield error
