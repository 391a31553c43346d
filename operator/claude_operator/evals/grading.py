"""Grades answers: tries each check of an item on an answer, and says in numbers what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from claude_operator.core.catalogue.cost import LIST_PRICES, Book
from claude_operator.core.evals.checks import REFUSAL, Check, Context, Finding, Subject, grade
from claude_operator.core.evals.graders.check import Trial, Tried
from claude_operator.core.evals.graders.kinds import KINDS, second_trials, trials_of
from claude_operator.core.evals.outcomes import Answer, Outcome
from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import PreparedArm
from claude_operator.core.request.prepare import Part
from claude_operator.evals.costs import cost_of, input_tokens, output_tokens
from claude_operator.evals.graders import Graders, Spent

__all__ = ["Grading", "Tools", "declared_tools", "is_compared"]

Tools = Callable[[str | None], Mapping[str, str]]
"""The tools that a request with a subagent declares: JSON of the input schema by name, empty where the API knows it."""


class Tries(Protocol):
    """Tries regular expressions and schemas."""

    async def tried(self, trials: Iterable[Trial], /) -> dict[Trial, Tried]: ...


class Grading:
    """Grades the answers of one arm. `patterns` tries regular expressions and schemas."""

    def __init__(
        self,
        patterns: Tries,
        *,
        tools: Tools = lambda _subagent: {},
        graders: Graders | None = None,
        prices: Book = LIST_PRICES,
    ) -> None:
        self._patterns, self._tools, self._graders, self._prices = patterns, tools, graders, prices

    async def grade(self, item: Item, answer: Answer, other: Answer | None = None) -> Outcome:
        """What the checks of an item make of an answer; its text is not kept.

        `other` is the other arm's answer, where `is_compared` says that the item needs it. Raises Infrastructure where
        a grader does not decide.
        """
        cost = cost_of(answer, self._prices)
        tools = self._tools(item.subagent)
        trials = trials_of(item.checks, Subject(answer, Context(tools)))
        tried = await self._patterns.tried(trials) if trials else {}
        if again := second_trials(tried):
            tried |= await self._patterns.tried(again)
        graded, spent = await self._by_models(item, answer, other)
        subject = Subject(answer, Context(tools, cost, tried, graded))
        failed, score, results = grade(item.checks, subject, item.threshold)
        return Outcome(
            failed=failed,
            score=score,
            refused=answer.stop_reason == REFUSAL,
            input_tokens=input_tokens(answer),
            output_tokens=output_tokens(answer),
            cost_usd=cost,
            seconds=answer.seconds,
            grader_cost_usd=spent.cost_usd,
            results=results,
            grader_input_tokens=spent.input_tokens,
            grader_output_tokens=spent.output_tokens,
        )

    def expected(self, item: Item) -> list[tuple[bytes, int]]:
        """The requests that an answer to an item is graded with, about, and how often each is sent."""
        return list(self._graders.expected(item)) if self._graders else []

    async def _by_models(
        self, item: Item, answer: Answer, other: Answer | None
    ) -> tuple[Mapping[Check, Finding], Spent]:
        checks = [check for check in item.checks if KINDS[check.type].graded]
        if not checks or self._graders is None:
            return {}, Spent()
        return await self._graders.grade(checks, item, answer, other)


def is_compared(item: Item) -> bool:
    """Whether an item's grade needs the answers of both arms."""
    return any(check.type == "select-best" for check in item.checks)


def declared_tools(arm: PreparedArm) -> Tools:
    """The tools that an arm's requests declare."""
    found = {name: dict(map(_tool, variant.lists.get("tools", ()))) for name, variant in arm.variants.items()}
    return lambda subagent: found.get(subagent or "", found[""])


def _tool(part: Part) -> tuple[str, str]:
    fields = msgspec.json.decode(part.plain)
    schema = fields.get("input_schema")
    return str(fields.get("name")), msgspec.json.encode(schema).decode() if schema is not None else ""
