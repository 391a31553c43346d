"""The rules that are compared. Each says whether a candidate is let through, from what was right by item and epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from bench.evals.draws import Bools
from claude_operator.api.evals import EvalGate
from claude_operator.core.evals.gate import Result, RunReason, judge_run
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.evals.sets import Item
from claude_operator.core.evals.stats.bounded import Sample

__all__ = ["ALPHA", "EPOCHS", "MARGIN", "OTHERS", "Both", "Graded", "graded", "kind", "shipped", "t_quantile"]

EPOCHS = 3
MARGIN, ALPHA = 0.03, 0.05
_FLOOR = 0.85

Graded = Sequence[tuple[Outcome, Outcome]]
"""By item: the outcome of a wrong and of a right answer."""
Rule = Callable[[Bools, Bools], bool]
Both = tuple[Sequence[Sequence[Outcome]], Sequence[Sequence[Outcome]]]
"""Of the candidate and of the baseline: by item, an outcome an epoch."""


def floor(ours: Bools, _: Bools) -> bool:
    """A pass rate that is high enough."""
    return bool(ours.mean() >= _FLOOR)


def not_below(ours: Bools, theirs: Bools) -> bool:
    """A pass rate at least as high as the baseline's."""
    return bool(ours.mean() >= theirs.mean())


def every_item(ours: Bools, _: Bools) -> bool:
    """promptfoo's default, one epoch."""
    return bool(ours[:, 0].all())


def within_margin(ours: Bools, theirs: Bools) -> bool:
    """The rule of the gate before: the difference as it is, one epoch."""
    return bool(ours[:, 0].mean() - theirs[:, 0].mean() >= -MARGIN - 1e-9)


def not_significantly_worse(ours: Bools, theirs: Bools) -> bool:
    """Blocks only what a paired t test shows to be worse."""
    mean, error = _paired(ours, theirs)
    return mean + t_quantile(len(ours) - 1) * error >= 0


def paired_t(ours: Bools, theirs: Bools) -> bool:
    """Paired non-inferiority by Student's t."""
    mean, error = _paired(ours, theirs)
    return mean - t_quantile(len(ours) - 1) * error > -MARGIN


def betting(ours: Bools, theirs: Bools) -> bool:
    """Paired non-inferiority by bets that are fixed before: valid for bounded values (Waudby-Smith and Ramdas)."""
    values = ours.mean(axis=1) - theirs.mean(axis=1) + MARGIN
    shares = np.array([0.25, 0.5, 0.75, 0.95]) / (1 - MARGIN)
    capital = np.exp(np.log1p(np.outer(shares, values)).sum(axis=1)).mean()
    return bool(capital >= 1 / ALPHA)


def bounded(ours: Bools, theirs: Bools) -> bool:
    """The shipped test without looks, and without a rule for small sets."""
    values = ours.mean(axis=1) - theirs.mean(axis=1)
    return Sample.of(values.tolist(), -1, 1).p_at_most(-MARGIN) <= ALPHA


OTHERS: dict[str, Rule] = {
    "pass rate ≥ 85 %": floor,
    "pass rate ≥ stable's": not_below,
    "every item passes (promptfoo's default)": every_item,
    "difference as it is ≥ -3 points, one epoch": within_margin,
    "blocks only if significantly worse": not_significantly_worse,
    "paired, Student's t": paired_t,
    "paired, bets": betting,
    "paired, the shipped test": bounded,
}


def graded(outcomes: Graded, answers: tuple[Bools, Bools]) -> Both:
    """What a run makes of what is right."""
    ours, theirs = (
        [[both[one] for one in row] for both, row in zip(outcomes, arm.tolist(), strict=True)] for arm in answers
    )
    return ours, theirs


def shipped(items: Sequence[Item], first: Both, ask: Callable[[int], Both], name: str = "stable") -> Result:
    """The gate itself, from the answers of the first epochs and of as many more as it asks for."""
    candidate: dict[str, list[Outcome]] = {item.id: [] for item in items}
    baseline: dict[str, list[Outcome]] = {item.id: [] for item in items}
    answers = first
    while True:
        for outcomes, rows in zip((candidate, baseline), answers, strict=True):
            for item, row in zip(items, rows, strict=True):
                outcomes[item.id] += row
        result = judge_run(
            items, candidate, baseline, EvalGate(), baseline_name=name, epochs_left=True, planned_epochs=EPOCHS
        )
        if not result.more_epochs:
            return result
        answers = ask(result.more_epochs)


def kind(result: Result) -> str:
    """What came of a run: shown not to be worse, let through as too small a set, failed or inconclusive."""
    if result.phase == "Passed":
        return "too few" if result.reason is RunReason.TOO_FEW_ITEMS else "not worse"
    return result.phase


def _paired(ours: Bools, theirs: Bools) -> tuple[float, float]:
    values = ours.mean(axis=1) - theirs.mean(axis=1)
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))


@cache
def t_quantile(freedom: int, level: float = 1 - ALPHA) -> float:
    """Student's t, by integrating its density (Simpson's rule) and halving."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)

    def below(value: float) -> float:
        grid = np.linspace(0.0, value, 2001)
        density = (1 + grid**2 / freedom) ** (-(freedom + 1) / 2)
        weights = np.full(2001, 2.0)
        weights[1::2], weights[0], weights[-1] = 4.0, 1.0, 1.0
        return 0.5 + scale * float(weights @ density) * value / 6000

    low, high = 0.0, 50.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < level else (low, middle)
    return low
