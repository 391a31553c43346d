"""What the judge can watch: which events of an arm are bad among which requests, or which quantity may not grow.

What is special to a metric is a field of its row in METRICS, and nowhere is one asked for by its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from claude_operator.api.analysis import Analysis, Metric
from claude_operator.api.base import fraction
from claude_operator.api.conditions import Reason
from claude_operator.api.evidence import Period
from claude_operator.api.status import Offsets
from claude_operator.core.judge.evidence.context import Budget
from claude_operator.core.judge.evidence.sample import LN_WIDTH, Counts, Sample
from claude_operator.core.judge.stats import eprocess

__all__ = [
    "CACHES",
    "KINDS",
    "METRICS",
    "PERIODS",
    "Binary",
    "Quantity",
    "Watched",
    "declared",
    "metric_of",
    "quantities",
    "valued",
    "wants_tails",
    "watched",
]

CACHES = ("read", "write", "none")


@dataclass(frozen=True, slots=True)
class Binary:
    """Requests that went wrong in one way.

    `weight`: share of the false rollback rate, before normalisation. `event`: what gateways call a conversation's first
    such event. Where none counts conversations: `among` the requests that could, `bad` those that did,
    `bad_conversations` the conversations that did.
    """

    weight: float
    reason: Reason
    label: str
    event: str = ""
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
        0.1,
        Reason.REFUSALS_INCREASED,
        "refusals",
        "refusal",
        _ok,
        lambda counts: counts.refusals,
        lambda counts: counts.bad_refusals,
    ),
    "maxTokens": Binary(
        0.1,
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
    "latencyBudget": Binary(
        0.2, Reason.OVER_BUDGET, "requests over budget", budgets_of=("timeToFirstToken", "duration")
    ),
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
    if not suffix or isinstance(kind, Quantity) or kind.budgets_of
}
"""What is compared, by the name that status has for it."""

_DEFAULT = tuple(Metric(name=name) for name in ("errors", "timeToFirstToken", "refusals", "maxTokens", "cost"))


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

    @property
    def counts_requests(self) -> bool:
        """Whether requests count here where conversations are not known."""
        return self.period in (None, "opening")


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
    weights = {metric.name: metric.weight or METRICS[metric.name].weight for metric in found}
    enforced = math.fsum(weights[metric.name] for metric in found if metric.mode != "DryRun")
    return tuple(
        one._replace(weight=0.0 if metric.mode == "DryRun" else one.weight * (weights[metric.name] / enforced))
        for metric in found
        for one in _parts(metric, conversations, price_ratio, by_period)
    )


def _parts(metric: Metric, conversations: bool, price_ratio: float, by_period: bool) -> Iterator[Watched]:
    """With their shares of the metric's weight."""
    kind = METRICS[metric.name]
    margin = _margin(metric, kind, price_ratio)
    if isinstance(kind, Binary) and not kind.budgets_of:
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


def metric_of(name: str) -> str:
    """The metric of the plan that `name` of KINDS is compared for."""
    return name.partition(" ")[0]


def quantities(analysis: Analysis) -> tuple[str, ...]:
    """Quantities whose values the judge needs."""
    found: set[str] = set()
    for metric in declared(analysis):
        kind = METRICS.get(metric.name)
        found |= {metric.name} if isinstance(kind, Quantity) else set(kind.budgets_of) if kind else set()
    return tuple(sorted(found))


def wants_tails(analysis: Analysis) -> bool:
    """Whether requests over a limit are counted, which takes more than the sums of their values."""
    return any(getattr(METRICS.get(metric.name), "budgets_of", ()) for metric in declared(analysis))


def valued(analysis: Analysis) -> Mapping[str, tuple[str, Period]]:
    """By the name of what is compared, the quantity and period whose past tells where to look."""
    return {
        one.name: (one.quantity, one.period)
        for one in watched(analysis)
        if one.period and isinstance(one.kind, Quantity)
    }


def _margin(metric: Metric, kind: Binary | Quantity, price_ratio: float) -> float:
    if isinstance(kind, Binary):
        return math.log1p(fraction(metric.max_increase or "0%"))
    margin = math.log1p(fraction(metric.max_increase or kind.max_increase))
    return margin + math.log(price_ratio) if kind.priced else margin
