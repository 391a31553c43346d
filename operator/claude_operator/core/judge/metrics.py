"""What the judge can watch: which events of an arm are bad among which requests, or which quantity may not grow.

What is special to a metric is a field of its row in METRICS, and nowhere is one asked for by its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from claude_operator.api.analysis import Analysis, Metric
from claude_operator.api.base import fraction
from claude_operator.api.conditions import Reason
from claude_operator.api.status import Offsets
from claude_operator.core.judge.evidence.context import Budget
from claude_operator.core.judge.evidence.sample import LN_WIDTH, Counts, Sample
from claude_operator.core.judge.stats import eprocess

__all__ = ["CACHES", "METRICS", "Binary", "Quantity", "Watched", "declared", "quantities", "watched"]

CACHES = ("read", "write", "none")


@dataclass(frozen=True, slots=True)
class Binary:
    """Requests that went wrong in one way.

    `weight`: share of the false rollback rate, before normalisation. `among`: the requests that could, `bad` those
    that did, `bad_conversations` the conversations that did, where they are counted.
    """

    weight: float
    reason: Reason
    label: str
    among: Callable[[Counts], int] = lambda counts: 0
    bad: Callable[[Counts], int] = lambda counts: 0
    bad_conversations: Callable[[Counts], int] | None = None
    two_sided: bool = False
    """It should neither rise nor fall, and one such event alone is nothing bad."""
    warms_up: bool = False
    budgets_of: tuple[str, ...] = ()
    """Quantities whose values above the budget of their surface are the bad events; without any the counts are."""
    exposure: Callable[[Offsets], float] = lambda offsets: 1.0
    """How many times as likely as stable's the canary's users were to meet a bad event before there was a canary."""
    headline: bool = False
    """Its smallest increase that could be seen by now is reported."""

    @property
    def grid(self) -> eprocess.Grid:
        """Alternatives of its test."""
        return eprocess.SIDES if self.two_sided else eprocess.RISE

    def events(
        self,
        sample: Sample,
        *,
        conversations: bool = False,
        budget: Budget | None = None,
        caches: Sequence[str] = CACHES,
    ) -> tuple[int, int]:
        """(requests, bad events) of an arm on one surface.

        `conversations`: one with several bad requests is one event. `budget`: the surface's.
        """
        if self.budgets_of:
            return _over(sample, *budget, caches) if budget else (0, 0)
        count = self.bad_conversations if conversations and self.bad_conversations else self.bad
        return self.among(sample.counts), count(sample.counts)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A positive quantity. `by_cache`: answers from the prompt cache are compared with their like only."""

    weight: float
    reason: Reason
    label: str
    unit: str
    by_cache: bool
    raw: bool = False
    """Raw values count too, not only their logarithms."""
    max_increase: str = "10%"
    offset: Callable[[Offsets], float] = lambda offsets: 0.0
    """By how much the canary's users had a larger mean ln before there was a canary."""
    priced: bool = False
    """What the models' price lists explain of it is not harm."""


def _ok(counts: Counts) -> int:
    return counts.ok


def _over(sample: Sample, quantity: str, most: float, caches: Sequence[str]) -> tuple[int, int]:
    """(values, those over the budget), which is rounded up to the next edge of the buckets."""
    values = sample.quantity(quantity, caches)
    edge = math.ceil(math.log(most) / LN_WIDTH - 1e-9)
    return values.count, sum(count for index, count in values.buckets.items() if index >= edge)


METRICS: Mapping[str, Binary | Quantity] = {
    # Overloads are the upstream's: neither bad nor good. The same holds for clients that went away.
    "errors": Binary(
        0.5,
        Reason.ERRORS_INCREASED,
        "errors",
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
        0.1,
        Reason.REFUSALS_INCREASED,
        "refusals",
        _ok,
        lambda counts: counts.refusals,
        lambda counts: counts.bad_refusals,
    ),
    "maxTokens": Binary(
        0.1,
        Reason.MAX_TOKENS_INCREASED,
        "answers cut off at max_tokens",
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
        _ok,
        lambda counts: counts.context_window,
        lambda counts: counts.bad_context_window,
    ),
    "toolUse": Binary(
        0.1,
        Reason.TOOL_USE_CHANGED,
        "answers that call a tool",
        _ok,
        lambda counts: counts.tool_use,
        two_sided=True,
    ),
    "latencyBudget": Binary(
        0.2, Reason.OVER_BUDGET, "requests over budget", budgets_of=("timeToFirstToken", "duration")
    ),
    "cacheMiss": Binary(
        0.1,
        Reason.CACHE_MISSES_INCREASED,
        "cache misses",
        lambda counts: counts.cache_reads + counts.cache_writes,
        lambda counts: counts.cache_writes,
        warms_up=True,
    ),
    "judgeFail": Binary(
        0.2,
        Reason.GRADES_WORSENED,
        "answers that live grading fails",
        lambda counts: counts.grades,
        lambda counts: counts.bad_grades,
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
    ),
}

_DEFAULT = tuple(Metric(name=name) for name in ("errors", "timeToFirstToken", "refusals", "maxTokens", "cost"))


class Watched(NamedTuple):
    """A metric as the plan has it. `weight`: normalised, 0 where it only reports. `margin`: of ln, 0 for none."""

    name: str
    kind: Binary | Quantity
    weight: float
    margin: float
    conversations: bool


def watched(analysis: Analysis, price_ratio: float = 1.0) -> tuple[Watched, ...]:
    """The metrics that are compared between the arms: the built-in ones, the default where none are declared.

    `price_ratio`: how many times as dear the canary's model is by the price lists; that is not harm, it was chosen.
    """
    # Frozen models of plain fields: what is derived of them every tick is derived once.
    return _watched(declared(analysis), True, price_ratio)


@lru_cache(maxsize=256)
def _watched(metrics: tuple[Metric, ...], conversations: bool, price_ratio: float) -> tuple[Watched, ...]:
    found = [metric for metric in metrics if metric.name in METRICS]
    weights = {metric.name: metric.weight or METRICS[metric.name].weight for metric in found}
    enforced = math.fsum(weights[metric.name] for metric in found if metric.mode != "DryRun")
    return tuple(
        Watched(
            metric.name,
            METRICS[metric.name],
            0.0 if metric.mode == "DryRun" else weights[metric.name] / enforced,
            _margin(metric, METRICS[metric.name], price_ratio),
            conversations,
        )
        for metric in found
    )


def declared(analysis: Analysis) -> tuple[Metric, ...]:
    """The metrics of the plan."""
    return _DEFAULT if analysis.metrics is None else tuple(analysis.metrics)


def quantities(analysis: Analysis) -> tuple[str, ...]:
    """Quantities whose values the judge needs."""
    found: set[str] = set()
    for metric in declared(analysis):
        kind = METRICS.get(metric.name)
        found |= {metric.name} if isinstance(kind, Quantity) else set(kind.budgets_of) if kind else set()
    return tuple(sorted(found))


def _margin(metric: Metric, kind: Binary | Quantity, price_ratio: float) -> float:
    if isinstance(kind, Binary):
        return math.log1p(fraction(metric.max_increase or "0%"))
    margin = math.log1p(fraction(metric.max_increase or kind.max_increase))
    return margin + math.log(price_ratio) if kind.priced else margin
