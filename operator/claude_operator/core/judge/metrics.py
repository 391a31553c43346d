"""What the judge can watch: which events of an arm are bad among which requests, or which quantity may not grow.

What is special to a metric is a field of its row in METRICS, and nowhere is one asked for by its name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from claude_operator.api.analysis import Analysis, Metric
from claude_operator.api.base import fraction
from claude_operator.api.conditions import Reason
from claude_operator.api.evidence import Period
from claude_operator.core.judge.evidence.sample import BUDGET, Counts
from claude_operator.core.judge.kinds import CACHES, Binary, Mode, Quantity

__all__ = [
    "CACHES",
    "EARLIER_DEFAULT",
    "EARLIER_WEIGHTS",
    "KINDS",
    "MAIN_SHARE",
    "METRICS",
    "PERIODS",
    "Binary",
    "Quantity",
    "Watched",
    "declared",
    "metric_of",
    "mode_of",
    "quantities",
    "valued",
    "watched",
    "weight_of",
]


def _ok(counts: Counts) -> int:
    return counts.ok


METRICS: Mapping[str, Binary | Quantity] = {
    # Overloads are the upstream's: neither bad nor good. The same holds for clients that went away.
    "errors": Binary(
        0.7,
        Reason.ERRORS_INCREASED,
        "errors",
        "error",
        lambda counts: counts.judged,
        lambda counts: counts.errors,
        lambda counts: counts.bad_errors,
        exposure=lambda offsets: offsets.errors,
        headline=True,
    ),
    "timeToFirstToken": Quantity(
        0.2,
        Reason.TIME_TO_FIRST_TOKEN_INCREASED,
        "time to first token",
        "seconds",
        by_cache=True,
        offset=lambda offsets: offsets.time_to_first_token,
    ),
    # Among complete answers only: a failed request never came to where the model could have refused.
    "refusals": Binary(
        0.03,
        Reason.REFUSALS_INCREASED,
        "refusals",
        "refusal",
        _ok,
        lambda counts: counts.refusals,
        lambda counts: counts.bad_refusals,
    ),
    "maxTokens": Binary(
        0.03,
        Reason.MAX_TOKENS_INCREASED,
        "answers cut off at max_tokens",
        "max_tokens",
        _ok,
        lambda counts: counts.max_tokens,
        lambda counts: counts.bad_max_tokens,
    ),
    # Priced at stable's cache hit ratio, so cache states are not strata of it.
    "cost": Quantity(
        0.1,
        Reason.COST_INCREASED,
        "cost",
        "US dollars",
        by_cache=False,
        raw=True,
        max_increase="25%",
        offset=lambda offsets: offsets.cost,
        priced=True,
    ),
    "contextWindow": Binary(
        0.1,
        Reason.CONTEXT_WINDOW_INCREASED,
        "answers cut off at the context window",
        "model_context_window_exceeded",
        _ok,
        lambda counts: counts.context_window,
        lambda counts: counts.bad_context_window,
    ),
    "toolUse": Binary(
        0.1,
        Reason.TOOL_USE_CHANGED,
        "answers that call a tool",
        "tool_use",
        _ok,
        lambda counts: counts.tool_use,
        two_sided=True,
    ),
    "latencyBudget": Binary(0.2, Reason.OVER_BUDGET, "requests over budget", needs_budget=True, flags=BUDGET),
    "cacheMiss": Binary(
        0.1,
        Reason.CACHE_MISSES_INCREASED,
        "cache misses",
        "cache_write",
        lambda counts: counts.cache_reads + counts.cache_writes,
        lambda counts: counts.cache_writes,
        warms_up=True,
    ),
    "judgeFail": Binary(
        0.2,
        Reason.GRADES_WORSENED,
        "answers that live grading fails",
        "",
        lambda counts: counts.grades,
        lambda counts: counts.bad_grades,
    ),
    # Counted while it waits: a client that leaves would take the failure with it.
    "hung": Binary(0.02, Reason.HUNG, "requests that wait longer than stable's ever do", "hung", by_conversation=True),
    # A rate limit of the canary's own is nobody's fault, and the canary does not stand more traffic with it.
    "overloads": Binary(
        0.1,
        Reason.OVERLOADED,
        "answers of 429 or 529",
        "overload",
        mode="Hold",
        by_conversation=True,
        held=Reason.OVERLOADED,
        remedy="its model has a rate limit of its own: raise it before the canary gets more",
    ),
    "duration": Quantity(
        0.1,
        Reason.DURATION_INCREASED,
        "duration",
        "seconds",
        by_cache=True,
        max_increase="25%",
        offset=lambda offsets: offsets.time_to_first_token,
    ),
    "outputTokens": Quantity(
        0.1,
        Reason.OUTPUT_TOKENS_INCREASED,
        "output tokens",
        "tokens",
        by_cache=False,
        max_increase="25%",
        offset=lambda offsets: offsets.cost,
        ways=("answers", "longer", "shorter"),
    ),
    "timePerOutputToken": Quantity(
        0.02,
        Reason.TIME_PER_OUTPUT_TOKEN_INCREASED,
        "time per output token",
        "seconds",
        by_cache=False,
        max_increase="25%",
        by_conversation=True,
    ),
}

PERIODS: Mapping[Period, tuple[str, float, str]] = {
    "opening": ("", 0.8, ""),
    "early": (" early", 0.1, " of turns 2 to 8"),
    "late": (" late", 0.1, " of later turns"),
}
"""Of a metric that goes by values: what each period of a conversation adds to its name, its share of the metric's
weight, and what it adds to its label. Requests of gateways that do not count conversations count with the first."""

KINDS: Mapping[str, Binary | Quantity] = {
    f"{name}{suffix}": replace(kind, label=f"{kind.label}{label}")
    for name, kind in METRICS.items()
    for suffix, _, label in PERIODS.values()
    if not suffix or isinstance(kind, Quantity) or kind.flags
}
"""What is compared, by the name that status has for it."""

EARLIER_DEFAULT = tuple(Metric(name=name) for name in ("errors", "timeToFirstToken", "refusals", "maxTokens", "cost"))
"""What was watched by default before ledgers named it."""

EARLIER_WEIGHTS: Mapping[str, float] = {
    "errors": 0.5,
    "refusals": 0.1,
    "maxTokens": 0.1,
    "hung": 0.05,
    "timePerOutputToken": 0.05,
}
"""Weights that were others before ledgers named them."""

_DEFAULT = (
    *EARLIER_DEFAULT,
    *(Metric(name=name) for name in ("hung", "timePerOutputToken", "overloads")),
    Metric(name="outputTokens", mode="Hold"),
)


class Watched(NamedTuple):
    """What is compared of a metric of the plan.

    `weight`: normalised, 0 where it only reports. `margin`: of ln, 0 for none. `conversations`: of gateways that do not
    draw them, whether one with several bad requests is one event.
    """

    name: str
    kind: Binary | Quantity
    weight: float
    margin: float
    conversations: bool
    quantity: str = ""
    """The quantity that it is about."""
    period: Period | None = None
    """Of conversations; None where a conversation counts once in all."""
    hold: float = 0.0
    """Its share of the rate of false holds, 0 where it does not hold."""

    @property
    def counts_requests(self) -> bool:
        """Whether requests count here where conversations are not known."""
        return self.period in (None, "opening")

    @property
    def both_ways(self) -> bool:
        """Whether it is a quantity that should neither rise nor fall."""
        return self.hold > 0.0 and isinstance(self.kind, Quantity) and self.kind.ways is not None


def watched(analysis: Analysis, price_ratio: float = 1.0, *, by_period: bool = True) -> tuple[Watched, ...]:
    """What is compared between the arms of the built-in metrics, the default ones where none are declared.

    `price_ratio`: how many times as dear the canary's model is by the price lists; that is not harm, it was chosen.
    `by_period`: whether values are compared by the period of a conversation, as it was not always.
    """
    # Frozen models of plain fields: what is derived of them every tick is derived once.
    return _watched(declared(analysis), True, price_ratio, by_period)


@lru_cache(maxsize=256)
def _watched(
    metrics: tuple[Metric, ...], conversations: bool, price_ratio: float, by_period: bool
) -> tuple[Watched, ...]:
    found = [metric for metric in metrics if metric.name in METRICS]
    weights = {metric.name: weight_of(metric) for metric in found}
    wholes = {
        mode: math.fsum(weights[metric.name] for metric in found if mode_of(metric) == mode)
        for mode in ("Enforce", "Hold")
    }
    return tuple(
        one._replace(
            weight=one.weight * (weights[metric.name] / wholes["Enforce"]) if mode_of(metric) == "Enforce" else 0.0,
            hold=one.weight * (weights[metric.name] / wholes["Hold"]) if mode_of(metric) == "Hold" else 0.0,
        )
        for metric in found
        for one in _parts(metric, conversations, price_ratio, by_period)
    )


def _parts(metric: Metric, conversations: bool, price_ratio: float, by_period: bool) -> Iterator[Watched]:
    """With their shares of the metric's weight."""
    kind = METRICS[metric.name]
    margin = _margin(metric, kind, price_ratio)
    if isinstance(kind, Binary) and not kind.flags:
        yield Watched(metric.name, kind, 1.0, margin, conversations)
        return
    if not by_period:
        yield Watched(metric.name, kind, 1.0, margin, conversations, metric.name, "opening")
        return
    for period, (suffix, share, _) in PERIODS.items():
        name = f"{metric.name}{suffix}"
        yield Watched(name, KINDS[name], share, margin, conversations, metric.name, period)


def declared(analysis: Analysis) -> tuple[Metric, ...]:
    """The metrics of the plan."""
    return _DEFAULT if analysis.metrics is None else tuple(analysis.metrics)


def mode_of(metric: Metric) -> Mode:
    """What evidence of a metric does: takes traffic back, is only reported, or asks a person."""
    kind = METRICS.get(metric.name)
    return metric.mode or (kind.mode if kind else "Enforce")


def weight_of(metric: Metric) -> float:
    """Its share of the false rollback rate, before normalisation."""
    return metric.weight or METRICS[metric.name].weight


def metric_of(name: str) -> str:
    """The metric of the plan that `name` of KINDS is compared for."""
    return name.partition(" ")[0]


def quantities(analysis: Analysis) -> tuple[str, ...]:
    """Quantities whose values the judge needs."""
    found = {metric.name: METRICS[metric.name] for metric in declared(analysis) if metric.name in METRICS}
    return tuple(sorted({name if isinstance(kind, Quantity) else kind.flags for name, kind in found.items()} - {""}))


def valued(analysis: Analysis) -> Mapping[str, tuple[str, Period]]:
    """By the name of what is compared, the quantity and period whose past tells where to look."""
    return {
        one.name: (one.quantity, one.period)
        for one in watched(analysis)
        if one.period and isinstance(one.kind, Quantity) and not one.both_ways
    }


def _margin(metric: Metric, kind: Binary | Quantity, price_ratio: float) -> float:
    if isinstance(kind, Binary):
        return math.log1p(fraction(metric.max_increase or "0%"))
    margin = math.log1p(fraction(metric.max_increase or kind.max_increase))
    return margin + math.log(price_ratio) if kind.priced else margin


MAIN_SHARE = max(one.weight for one in watched(Analysis()))
"""Of the false rollback rate, what the metric with the largest share has by default."""
