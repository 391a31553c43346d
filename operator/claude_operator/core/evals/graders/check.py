"""A check as a set has it, and an answer made ready for all of its checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from claude_operator.api.graders import NOT
from claude_operator.core.evals.graders.texts import composed, folded, plain
from claude_operator.core.evals.outcomes import Answer

__all__ = ["REFUSAL", "Check", "Context", "Finding", "Runner", "Subject", "Trial", "Tried", "Value", "reaches"]

REFUSAL = "refusal"
_ROUNDING = 1e-9
_SHOWN = 80  # characters of a check's value in a message
Value = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold of an answer. `value` is text, texts, or a line of JSON, as its type has it."""

    type: str
    value: Value = ""
    negated: bool = False
    weight: float = 1.0
    threshold: float | None = None
    metric: str = ""
    grader: str = ""

    @property
    def name(self) -> str:
        """The type as the set has it."""
        return f"{NOT}{self.type}" if self.negated else self.type

    @property
    def texts(self) -> tuple[str, ...]:
        """The value as texts."""
        return (self.value,) if isinstance(self.value, str) else self.value

    def __str__(self) -> str:
        """The check as a result names it."""
        shown = ", ".join(self.texts)[:_SHOWN] or (f"{self.threshold:g}" if self.threshold is not None else "")
        return f"{self.name}: {shown}" if shown else self.name


Runner = Literal["pattern", "schema"]


class Trial(NamedTuple):
    """What has to run in a process that can be killed: a user's pattern or schema, on a text."""

    worker: Runner
    program: str
    text: str


class Tried(NamedTuple):
    """What came of a trial; `unknown` where it could not be carried out. `why` does not quote the answer."""

    outcome: Literal["found", "missing", "unknown"]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a check holds, before it is turned round. What is not known holds neither way."""

    holds: bool
    score: float
    why: str = ""
    known: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What a check needs to know beside the answer.

    `tools`: JSON of the declared input schema by name, empty where the API itself knows the input. `cost_usd` is None
    where it is not known. `tried` and `graded` hold what was found before the checks are evaluated.
    """

    tools: Mapping[str, str] = field(default_factory=dict)
    cost_usd: float | None = None
    tried: Mapping[Trial, Tried] = field(default_factory=dict)
    graded: Mapping[Check, Finding] = field(default_factory=dict)


class Subject:
    """An answer and its context."""

    def __init__(self, answer: Answer, context: Context) -> None:
        self.answer, self.context = answer, context

    @cached_property
    def text(self) -> str:
        """The answer's text, plain."""
        return plain(self.answer.text)

    @cached_property
    def composed(self) -> str:
        """The answer's text with its line ends as they are, for regular expressions."""
        return composed(self.answer.text)

    @cached_property
    def folded(self) -> str:
        """The answer's text in no case."""
        return folded(self.text)


def reaches(score: float, threshold: float | None) -> bool:
    """Whether a score is at least this, but for rounding: a score of 0 reaches nothing."""
    return score >= (threshold or 0) * (1 - _ROUNDING)
