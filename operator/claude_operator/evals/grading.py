"""Grades answers: tries each check of an item on an answer, and says in numbers what came of it."""

from __future__ import annotations

from collections.abc import Mapping

from claude_operator.core.catalogue.cost import cost_usd
from claude_operator.core.evals.checks import REFUSAL, grade, wanted_patterns
from claude_operator.core.evals.outcomes import Answer, Outcome
from claude_operator.core.evals.sets import Item
from claude_operator.evals.patterns import Patterns

__all__ = ["Grading"]

_INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class Grading:
    """Grades the answers of one arm. `patterns` tries the regular expressions."""

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns

    async def grade(self, item: Item, answer: Answer) -> Outcome:
        """What the checks of an item make of an answer; its text is not kept."""
        wanted = wanted_patterns(item.checks, answer.text, answer.stop_reason)
        matches = await self._patterns.search(wanted, answer.text) if wanted else {}
        failed = grade(item.checks, answer.text, answer.stop_reason, matches)
        return Outcome(
            failed=failed,
            score=0.0 if failed else 1.0,
            refused=answer.stop_reason == REFUSAL,
            input_tokens=sum(_count(answer.usage, name) for name in _INPUT),
            output_tokens=_count(answer.usage, "output_tokens"),
            cost_usd=_cost(answer),
            seconds=answer.seconds,
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
