"""Which answers are examples that a client's program has written, and no turns of a conversation."""

from __future__ import annotations

from array import array
from collections import OrderedDict

__all__ = ["QUESTIONS", "Examples"]

QUESTIONS = 20  # that quote an answer which nobody had, before it is taken for an example
_KEPT = 10_000  # such answers


class Examples:
    """Answers that no conversation had, as far as is known, and the questions that came with each."""

    def __init__(self) -> None:
        self._questions: OrderedDict[int, array[int]] = OrderedDict()

    def add(self, quote: int, question: int) -> None:
        """Take in that a request quotes an answer; `question`: 32 bits that stand for what it asks."""
        questions = self._questions.pop(quote, None) or array("I")
        if len(questions) <= QUESTIONS and question not in questions:
            questions.append(question)
        self._questions[quote] = questions
        if len(self._questions) > _KEPT:
            self._questions.popitem(last=False)

    def has(self, quote: int) -> bool:
        """Whether an answer came with so many questions that it must be an example."""
        return len(self._questions.get(quote, ())) > QUESTIONS
