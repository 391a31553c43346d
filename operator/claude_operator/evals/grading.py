"""Grades answers: tries each check of an item on an answer, and says in numbers what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from claude_operator.core.catalogue.cost import cost_usd
from claude_operator.core.evals.checks import REFUSAL, Context, Subject, grade
from claude_operator.core.evals.graders.kinds import second_trials, trials_of
from claude_operator.core.evals.outcomes import Answer, Outcome
from claude_operator.core.evals.sets import Item
from claude_operator.evals.patterns import Patterns

__all__ = ["Grading", "Tools"]

Tools = Callable[[str | None], Mapping[str, str]]
"""The tools that a request with a subagent declares: JSON of the input schema by name, empty where the API knows it."""

_INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class Grading:
    """Grades the answers of one arm. `patterns` tries regular expressions and schemas."""

    def __init__(self, patterns: Patterns, *, tools: Tools = lambda _subagent: {}) -> None:
        self._patterns, self._tools = patterns, tools

    async def grade(self, item: Item, answer: Answer) -> Outcome:
        """What the checks of an item make of an answer; its text is not kept."""
        cost = _cost(answer)
        tools = self._tools(item.subagent)
        trials = trials_of(item.checks, Subject(answer, Context(tools)))
        tried = await self._patterns.tried(trials) if trials else {}
        if again := second_trials(tried):
            tried |= await self._patterns.tried(again)
        subject = Subject(answer, Context(tools, cost, tried))
        failed, score, results = grade(item.checks, subject, item.threshold)
        return Outcome(
            failed=failed,
            score=score,
            refused=answer.stop_reason == REFUSAL,
            input_tokens=sum(_count(answer.usage, name) for name in _INPUT),
            output_tokens=_count(answer.usage, "output_tokens"),
            cost_usd=cost,
            seconds=answer.seconds,
            results=results,
        )


def _count(usage: Mapping[str, object], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) else 0


def _cost(answer: Answer) -> float | None:
    """US dollars at list price, None where the catalogue has none or the usage makes no sense."""
    try:
        return cost_usd(answer.model, answer.usage)
    except (TypeError, ValueError, AttributeError):
        return None
