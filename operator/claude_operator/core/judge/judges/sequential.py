"""The judge `Sequential`: an e-process a metric, combined into one decision that may be taken at every tick.

The combined evidence is a weighted mean, itself an e-process however the metrics depend on each other, so
falseRollbackRate covers all of them over the whole rollout.
"""

from __future__ import annotations

from collections.abc import Sequence

from claude_operator.api.analysis import Analysis
from claude_operator.api.status import Judgement, MetricState
from claude_operator.core.judge import sentences
from claude_operator.core.judge.evidence.context import Context
from claude_operator.core.judge.evidence.tick import Tick
from claude_operator.core.judge.judges import engine, promotion
from claude_operator.core.judge.judges.arms import compare_arms
from claude_operator.core.judge.judges.comparisons import Comparison
from claude_operator.core.judge.judges.protocol import Harm
from claude_operator.core.judge.metrics import KINDS, Watched, watched

__all__ = ["SequentialJudge"]


class SequentialJudge:
    """Evidence that may be looked at every tick without losing its error rate."""

    compares = True
    by_interval = False
    replayable = True

    def weigh(self, states: Sequence[MetricState], watches: Sequence[Watched]) -> tuple[float, str | None]:
        """An e-process again, and what contributes most to it."""
        return engine.combined(states, watches), engine.leading(states, watches)

    def advance(
        self, before: Judgement, tick: Tick, analysis: Analysis, context: Context
    ) -> tuple[Judgement, tuple[Comparison, ...]]:
        """Evidence of harm by the comparison of the arms, and evidence of harmlessness for the bakes."""
        watches = watched(analysis, context.price_ratio)
        judged, comparisons, strata = compare_arms(before, tick, analysis, watches, context)
        judged.evidence, judged.leading = self.weigh(judged.state, watches)
        judged.promotions, judged.stable_requests = promotion.advance(before, strata, tick, analysis, context)
        return judged, comparisons

    def find_harm(self, judgement: Judgement, analysis: Analysis) -> Harm | None:
        """The combined evidence at its threshold."""
        if judgement.evidence < judgement.threshold:
            return None
        leading = KINDS.get(judgement.leading or "")
        return Harm(leading.reason if leading else "", judgement.leading, self.summarise(judgement))

    def explain_missing(self, judgement: Judgement, analysis: Analysis, step: int, pace: float) -> str | None:
        """That harmlessness is not shown yet, and how long it may take."""
        shown = next((one for one in judgement.promotions if one.step == step), None)
        return promotion.explain_missing(shown, judgement, pace) if shown and not shown.shown else None

    def summarise(self, judgement: Judgement) -> str:
        """The leading metric's size and the evidence."""
        return sentences.evidence_sentence(judgement)
