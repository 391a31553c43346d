"""Models that grade answers: asked as the arms are, and trusted with nothing but their decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from claude_operator.api.gateway import Arm
from claude_operator.api.graders import Grader
from claude_operator.core.catalogue.cost import LIST_PRICES, Book
from claude_operator.core.evals.checks import LONGEST_SEARCHED, REFUSAL, Check, Finding
from claude_operator.core.evals.graders.check import reaches
from claude_operator.core.evals.graders.kinds import KINDS
from claude_operator.core.evals.graders.rubrics import Opinion, Question, comparison, factuality, material, rubric
from claude_operator.core.evals.kept import first_request
from claude_operator.core.evals.live import same_model
from claude_operator.core.evals.outcomes import Answer
from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import PreparedArm, prepare
from claude_operator.evals.ask import Infrastructure, Rejected
from claude_operator.evals.costs import cost_of, input_tokens, output_tokens
from claude_operator.evals.kept_grades import KeptGrades
from claude_operator.evals.patterns import InvalidPattern

__all__ = ["Ask", "Graders", "InvalidGrader", "Spent", "check_models", "used_graders"]

_USUAL_ANSWER = 1200  # characters
_ATTEMPTS = 3  # to get an answer of the form that was asked for


class InvalidGrader(InvalidPattern):
    """A grader that must not grade these arms; told as a set that cannot be read is."""


class Ask(Protocol):
    """Asks one question; raises Rejected or Infrastructure."""

    async def __call__(self, arm: PreparedArm, item: Item, /) -> Answer: ...


@dataclass(slots=True)
class Spent:
    """What grading has taken. The cost is None once a part of it is not known."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0

    def add(self, answer: Answer, prices: Book = LIST_PRICES) -> None:
        """Count one answer of a grader."""
        self.input_tokens += input_tokens(answer)
        self.output_tokens += output_tokens(answer)
        cost = cost_of(answer, prices)
        self.cost_usd = None if cost is None or self.cost_usd is None else self.cost_usd + cost


def used_graders(graders: Iterable[Grader], items: Iterable[Item]) -> list[Grader]:
    """Those that items name."""
    names = {check.grader for item in items for check in item.checks}
    return [grader for grader in graders if grader.name in names]


def check_models(graders: Iterable[Grader], arms: Iterable[PreparedArm]) -> None:
    """Raise InvalidGrader where a model would grade its own answers, and the set does not say that it may."""
    for arm in arms:
        for variant in arm.variants.values():
            model = msgspec.json.decode(variant.fields["model"]) if "model" in variant.fields else None
            for grader in graders:
                if not grader.own_model and same_model(grader.model, str(model)):
                    raise InvalidGrader(
                        f"graders, {grader.name}: {grader.model} is also the model of {arm.arm.revision}, and models"
                        " prefer their own answers: name another model, or write ownModel: true"
                    )


class Graders:
    """The graders of a run, the same for both arms, asked through `ask`."""

    def __init__(
        self,
        graders: Sequence[Grader],
        ask: Ask,
        kept: KeptGrades | None = None,
        *,
        snapshots: dict[str, str] | None = None,
        prices: Book = LIST_PRICES,
    ) -> None:
        """`snapshots`: the model that each grader has answered as, which is added to; earlier ones where known."""
        self._graders = {grader.name: grader for grader in graders}
        self._prices = prices
        self._ask, self._kept = ask, kept
        self._arms: dict[tuple[str, str], PreparedArm] = {}
        self._models: dict[str, str] = {} if snapshots is None else snapshots
        self._comparisons: dict[tuple[object, ...], asyncio.Task[str]] = {}

    async def grade(
        self, checks: Iterable[Check], item: Item, answer: Answer, other: Answer | None
    ) -> tuple[Mapping[Check, Finding], Spent]:
        """What the graders find of an answer; `other` is the other arm's to the same question, None without one.

        Raises Infrastructure where a grader does not decide: what is not known is neither good nor bad.
        """
        spent, found = Spent(), dict[Check, Finding]()
        for check in checks:
            if answer.stop_reason == REFUSAL:
                continue
            if len(answer.text) > LONGEST_SEARCHED:
                found[check] = Finding(False, 0.0, f"an answer of over {LONGEST_SEARCHED:,} characters", known=False)
            else:
                found[check] = await self._of_kind(check, item, answer, other, spent)
        return found, spent

    def expected(self, item: Item) -> Iterator[tuple[bytes, int]]:
        """The requests that one answer to an item is graded with, about, and how often each is sent."""
        usual = Answer("x" * _USUAL_ANSWER, "end_turn", "", {})
        for check in item.checks:
            if check.grader in self._graders and KINDS[check.type].graded:
                grader = self._graders[check.grader]
                question = _question(check, material(item.messages), usual, usual)
                request = first_request(self._arm(grader, question), _asked(item, question))
                yield request.body, grader.votes // 2 + 1

    async def _of_kind(self, check: Check, item: Item, answer: Answer, other: Answer | None, spent: Spent) -> Finding:
        match check.type:
            case "llm-rubric":
                opinions = await self._vote(check, item, _question(check, material(item.messages), answer), spent)
                missed = [number for number, one in enumerate(opinions, 1) if not one.decision]
                score = 1 - len(missed) / len(opinions)
                why = f"criterion {', '.join(map(str, missed))} of {len(opinions)}" if len(opinions) > 1 else ""
                reason = " ".join(one.reason for one in opinions if not one.decision) or opinions[0].reason
                holds = reaches(score, check.threshold)
                return Finding(holds, score, why if missed else "", reason=reason)
            case "factuality":
                [opinion] = await self._vote(check, item, _question(check, material(item.messages), answer), spent)
                holds = bool(opinion.decision)
                why = "" if holds else "contradicts the reference"
                return Finding(holds, float(holds), why, reason=opinion.reason)
            case _:
                return await self._compared(check, item, answer, other, spent)

    async def _compared(self, check: Check, item: Item, answer: Answer, other: Answer | None, spent: Spent) -> Finding:
        """Whether the other arm's answer is not better: both orders must say the same, or it is a tie."""
        if other is None:
            return Finding(True, 1.0, "there is nothing to compare with")
        if other.stop_reason == REFUSAL:
            return Finding(True, 1.0)
        ours, theirs = _content(answer), _content(other)
        if ours == theirs:
            return Finding(True, 0.5, "a tie")
        pair = tuple(sorted((ours, theirs)))
        key = (check, item.id, pair)
        task = self._comparisons.pop(key, None)  # the other arm has asked the same
        if task is None:
            first, second = (answer, other) if ours == pair[0] else (other, answer)
            task = asyncio.ensure_future(self._prefer(check, item, first, second, spent))
            self._comparisons[key] = task
        better = await task
        if better == "equal":
            return Finding(True, 0.5, "a tie")
        won = (better == "first") == (ours == pair[0])
        return Finding(won, float(won), "" if won else "the other answer is better")

    async def _prefer(self, check: Check, item: Item, one: Answer, other: Answer, spent: Spent) -> str:
        """Which of two answers is better, `first` or `second`; `equal` where the two orders disagree."""
        asked = material(item.messages)
        [forth] = await self._vote(check, item, _question(check, asked, one, other), spent)
        if forth.decision == "equal":
            return "equal"
        [back] = await self._vote(check, item, _question(check, asked, other, one), spent)
        turned = {"first": "second", "second": "first"}.get(str(back.decision))
        return str(forth.decision) if forth.decision == turned else "equal"

    async def _vote(self, check: Check, item: Item, question: Question, spent: Spent) -> list[Opinion]:
        """The majority's decisions; as soon as there is one for each, nobody is asked any more."""
        grader = self._graders[check.grader]
        needed = grader.votes // 2 + 1
        ballots: list[tuple[Opinion, ...]] = []
        while True:
            left = grader.votes - len(ballots)
            asked = min(left, needed) if not ballots else min(left, 1)
            ballots += await asyncio.gather(*(self._decide(grader, item, question, spent) for _ in range(asked)))
            settled = [_majority([ballot[index] for ballot in ballots], needed) for index in range(len(ballots[0]))]
            decided = [one for one in settled if one is not None]
            if len(decided) == len(settled):
                return decided
            if len(ballots) >= grader.votes:  # of three words each has a third: no decision for any
                return [one or Opinion("equal", "the votes disagree") for one in settled]

    async def _decide(self, grader: Grader, item: Item, question: Question, spent: Spent) -> tuple[Opinion, ...]:
        """One vote."""
        asked, arm = _asked(item, question), self._arm(grader, question)
        key = self._kept.next_key(arm, asked) if self._kept else b""
        if self._kept and (before := self._kept.find(key)) is not None:
            with suppress(ValueError):  # damaged, or written by another version: it is asked again
                opinions = question.read(before.text)
                self._check_model(grader, before)
                return opinions
        why = ""
        for _ in range(_ATTEMPTS):
            answer = await self._answer(grader, item, arm, asked)
            spent.add(answer, self._prices)
            self._check_model(grader, answer)
            if answer.stop_reason == REFUSAL:
                raise Infrastructure(
                    f"{_named(grader, item)} refuses to grade: reword the check, or take another model"
                )
            if answer.stop_reason == "max_tokens":
                raise Infrastructure(
                    f"{_named(grader, item)} needs more tokens: raise its maxTokens of {grader.max_tokens}"
                )
            try:
                opinions = question.read(answer.text)
            except ValueError as error:
                why = str(error)
                continue
            if self._kept:
                self._kept.add(key, answer)
            return opinions
        raise Infrastructure(f"{_named(grader, item)} does not decide in {_ATTEMPTS} attempts: its answer {why}")

    async def _answer(self, grader: Grader, item: Item, arm: PreparedArm, asked: Item) -> Answer:
        try:
            return await self._ask(arm, asked)
        except Rejected as error:
            raise Infrastructure(f"the API refuses the request of {_named(grader, item)}: {error}") from error

    def _arm(self, grader: Grader, question: Question) -> PreparedArm:
        key = (grader.name, question.form)
        if key not in self._arms:
            request: dict[str, Any] = {
                "model": grader.model,
                "max_tokens": grader.max_tokens,
                "system": [{"type": "text", "text": question.system}],
                "output_config": {"format": {"type": "json_schema", "schema": msgspec.json.decode(question.form)}},
            }
            self._arms[key] = prepare(Arm(f"grader {grader.name}", "stable", 0, request), {})
        return self._arms[key]

    def _check_model(self, grader: Grader, answer: Answer) -> None:
        """Both arms are graded by one snapshot, or not at all."""
        first = self._models.setdefault(grader.name, answer.model)
        if answer.model != first:
            raise Infrastructure(
                f"the grader {grader.name} answers as {first} and as {answer.model}: its grades cannot be compared; pin"
                " its model"
            )


def _question(check: Check, asked: str, answer: Answer, other: Answer | None = None) -> Question:
    if check.type == "llm-rubric":
        return rubric(asked, answer, check.texts)
    if check.type == "factuality" or other is None:
        return factuality(asked, answer, check.texts[0])
    return comparison(asked, answer, other, check.texts[0])


def _asked(item: Item, question: Question) -> Item:
    return Item(item.id, msgspec.json.encode([{"role": "user", "content": question.text}]), ())


def _majority(opinions: Sequence[Opinion], needed: int) -> Opinion | None:
    """The first opinion of those that are `needed` times the same."""
    for one in opinions:
        if sum(other.decision == one.decision for other in opinions) >= needed:
            return one
    return None


def _content(answer: Answer) -> str:
    calls = [[call.name, call.input] for call in answer.calls]
    try:
        return answer.text + "\0" + msgspec.json.encode(calls).decode()
    except (TypeError, ValueError, RecursionError):
        return f"{answer.text}\0{len(calls)}"


def _named(grader: Grader, item: Item) -> str:
    return f"the grader {grader.name} ({grader.model}), asked about {item.shown},"
