"""What an answer has cost, by its usage."""

from __future__ import annotations

from claude_operator.core.catalogue.cost import LIST_PRICES, Book, at_standard_tier, cost_usd
from claude_operator.core.evals.outcomes import Answer

__all__ = ["cost_of", "input_tokens", "output_tokens"]

_INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def input_tokens(answer: Answer) -> int:
    """All input tokens, cached ones included."""
    return sum(_count(answer, name) for name in _INPUT)


def output_tokens(answer: Answer) -> int:
    """Output tokens."""
    return _count(answer, "output_tokens")


def cost_of(answer: Answer, book: Book = LIST_PRICES) -> float | None:
    """US dollars, None where there is no price or the usage makes no sense.

    An answer that a Priority Tier commitment covers counts as much as one that it does not.
    """
    return cost_usd(answer.model, at_standard_tier(answer.usage), book)


def _count(answer: Answer, name: str) -> int:
    value = answer.usage.get(name)
    return value if isinstance(value, int) else 0
