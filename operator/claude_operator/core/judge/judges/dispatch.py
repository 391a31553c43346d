"""Which judge an analysis asks for: the only place that knows their names."""

from __future__ import annotations

from collections.abc import Mapping

from claude_operator.api.analysis import Analysis
from claude_operator.core.judge.judges.mann_whitney import MannWhitneyJudge
from claude_operator.core.judge.judges.protocol import Judge
from claude_operator.core.judge.judges.sequential import SequentialJudge
from claude_operator.core.judge.judges.threshold import ThresholdJudge

__all__ = ["judge_of"]

_JUDGES: Mapping[str, Judge] = {
    "Sequential": SequentialJudge(),
    "MannWhitney": MannWhitneyJudge(),
    "Threshold": ThresholdJudge(),
}


def judge_of(analysis: Analysis) -> Judge:
    """The judge by its name."""
    return _JUDGES[analysis.judge]
