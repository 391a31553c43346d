"""What an arm answered to an item, and what the checks made of it: what the gate reads and what a report holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "CheckResult", "Outcome", "ToolCall"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool in an answer; `input` is decoded JSON."""

    name: str
    input: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """All that an arm answered to an item in one epoch, over all turns of its tool loop.

    `text` is the last turn's text blocks joined; `calls` are those of all turns in order; `usage` is summed over the
    turns; `seconds` and `first_token_seconds` are None where they were not measured in real time, as in a batch.
    """

    text: str
    stop_reason: str
    model: str
    usage: Mapping[str, Any]
    calls: tuple[ToolCall, ...] = ()
    seconds: float | None = None
    first_token_seconds: float | None = None
    turns: int = 1


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check on one answer. `why` says in a few words what a person needs to know beyond the check's own words.

    `why` does not quote the answer. `reason`, a grader's own words, may: it is shown only where answers are.
    """

    check: str
    holds: bool
    score: float
    why: str = ""
    metric: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A graded answer, in numbers. `failed` names the first check that does not hold, empty where the item passed.

    `score` is between 0 and 1; `cost_usd` is None where there is no price. What graders cost is counted apart.
    """

    failed: str
    score: float = 1.0
    refused: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    seconds: float | None = None
    grader_cost_usd: float | None = 0.0
    results: tuple[CheckResult, ...] = field(default=(), compare=False)
    grader_input_tokens: int = 0
    grader_output_tokens: int = 0

    @property
    def passed(self) -> bool:
        """Whether the item passed in this epoch."""
        return not self.failed
