"""How large a difference between the arms is, as a sentence for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

from claude_operator.api.status import Judgement, MetricState
from claude_operator.core.judge.kinds import Quantity
from claude_operator.core.judge.metrics import KINDS, METRICS, metric_of
from claude_operator.core.judge.stats.intervals import Z, newcombe
from claude_operator.core.text import count

__all__ = ["effect", "explain_change", "number"]

_MANY_TIMES = 2.0  # a ratio from which on it is not a percentage


def effect(metric: MetricState) -> str:
    """The size of the difference with its 95 % interval."""
    kind = KINDS[metric.name]
    if isinstance(kind, Quantity):
        return _times(metric, kind)
    (n_canary, x_canary), (n_stable, x_stable) = (_all(arm) for arm in (metric.canary, metric.stable))
    ours, theirs = f"{x_canary} of {n_canary}", f"{x_stable} of {n_stable}"
    counts = f"{kind.label} {ours} against {theirs}"
    if metric.units.exposed:
        counts = f"{kind.label} in {ours} conversations against {theirs}"
    if not n_canary or not n_stable:
        return counts
    low, high = newcombe((n_canary, x_canary), (n_stable, x_stable))
    points = 100.0 * (x_canary / n_canary - x_stable / n_stable)
    return f"{counts} ({points:+.3g} points, 95 % interval {_points(low)} to {_points(high)})"


def explain_change(judgement: Judgement, name: str) -> str | None:
    """What has changed of a metric in mode Hold, and the remedy; None where nothing is known of it."""
    states = [state for state in judgement.state if metric_of(state.name) == name and state.name in KINDS]
    state = max(states, key=lambda one: one.evidence, default=None)
    if state is None:
        return None
    return f"{_change(state)}: {METRICS[name].remedy}"


def _change(state: MetricState) -> str:
    """`answers are 80 % shorter than stable's (...)`."""
    kind = KINDS[state.name]
    if not isinstance(kind, Quantity) or kind.ways is None or state.score.information <= 0.0:
        return effect(state)
    what, more, less = kind.ways
    ratio = math.exp(min(state.score.score / state.score.information, 50.0))
    change = f"{100.0 * abs(ratio - 1.0):.2g} % {more if ratio > 1.0 else less} than stable's"
    change = f"{ratio:.3g} times as long as stable's" if ratio >= _MANY_TIMES else change
    turns = kind.label.removeprefix(METRICS[metric_of(state.name)].label)
    return f"{what}{turns} are {change} ({effect(state)})"


def number(value: float) -> str:
    """Two or three digits, and powers of ten only where they help."""
    if value >= 1000:
        return f"{value:.1e}"
    return f"{value:.3g}" if value >= 10 else f"{value:.2g}" if value >= 0.01 else "0.00"


def _times(metric: MetricState, kind: Quantity) -> str:
    u, v = metric.score.score, metric.score.information
    unit = "conversation" if metric.units.stable else "request"
    who = f"over {count(metric.canary[0], f'canary {unit}')}"
    if v <= 0.0:
        return f"{kind.label} above stable's {who}"
    mean, half = u / v, Z / math.sqrt(v)
    ratio, low, high = (math.exp(min(one, 50.0)) for one in (mean, mean - half, mean + half))
    return f"{kind.label} {ratio:.3g} times stable's (95 % interval {low:.3g} to {high:.3g}) {who}"


def _points(share: float) -> str:
    return f"{100.0 * share:+.2g}" if abs(share) < 0.995 else f"{100.0 * share:+.0f}"


def _all(arm: Sequence[int]) -> tuple[int, int]:
    """Conversations and bad ones. One that was never answered is bad before it counts as one."""
    number, bad = arm
    return max(number, bad), bad
