"""What a judge is: a way to tell from the traffic of both arms whether the canary does harm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from claude_operator.api.analysis import Analysis
from claude_operator.api.conditions import Reason
from claude_operator.api.status import Judgement, MetricState
from claude_operator.core.judge.evidence.context import Context
from claude_operator.core.judge.evidence.tick import Tick
from claude_operator.core.judge.judges.comparisons import Comparison
from claude_operator.core.judge.metrics import Watched, watched

__all__ = ["NO_HARM", "Harm", "Judge", "watches_of"]


class Harm(NamedTuple):
    """Evidence that takes traffic back: its reason, the metric that leads, and a sentence."""

    reason: Reason | str
    metric: str | None
    sentence: str


NO_HARM: tuple[float, str | None] = (1.0, None)
"""Evidence of a judge that has no e-process, and its leading metric."""


class Judge(Protocol):
    """One test. Metrics with a threshold are held against it beside every judge."""

    @property
    def compares(self) -> bool:
        """Whether it compares the arms, so that weight and maxIncrease of a metric mean something."""
        ...

    @property
    def by_interval(self) -> bool:
        """Whether it takes one value an interval of each metric."""
        ...

    @property
    def replayable(self) -> bool:
        """Whether its evidence can be computed again from a ledger."""
        ...

    def weigh(self, states: Sequence[MetricState], watches: Sequence[Watched]) -> tuple[float, str | None]:
        """The evidence of harm of all metrics together, and the metric with the most of it."""
        ...

    def advance(
        self, before: Judgement, tick: Tick, analysis: Analysis, context: Context
    ) -> tuple[Judgement, tuple[Comparison, ...]]:
        """The judgement after one more tick, and what was compared; `before` has what every judge observes."""
        ...

    def find_harm(self, judgement: Judgement, analysis: Analysis) -> Harm | None:
        """What takes traffic back; None while nothing does."""
        ...

    def explain_missing(self, judgement: Judgement, analysis: Analysis, step: int, pace: float) -> str | None:
        """What a bake has not shown yet, as the rest of a sentence; `pace`: canary requests a second."""
        ...

    def summarise(self, judgement: Judgement) -> str:
        """What was seen so far, as a sentence."""
        ...


def watches_of(
    judge: Judge, analysis: Analysis, price_ratio: float = 1.0, *, by_period: bool = True
) -> tuple[Watched, ...]:
    """What is compared between the arms."""
    return watched(analysis, price_ratio, by_period=by_period) if judge.compares else ()
