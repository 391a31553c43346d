"""What the judge can watch: which events of an arm are bad among which requests, or which quantity may not grow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from claude_operator.api.base import fraction
from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import Analysis, Metric
from claude_operator.core.judge.evidence.sample import Counts
from claude_operator.core.judge.stats import eprocess

__all__ = ["METRICS", "Binary", "Quantity", "Watched", "declared", "events", "quantities", "watched"]

CACHES = ("read", "write", "none")


@dataclass(frozen=True, slots=True)
class Binary:
    """Requests that went wrong in one way.

    `weight`: share of the false rollback rate, before normalisation. `among`: the requests that could, `bad` those
    that did, `bad_conversations` the conversations that did, where they are counted.
    """

    weight: float
    reason: Reason
    words: str
    among: Callable[[Counts], int]
    bad: Callable[[Counts], int]
    bad_conversations: Callable[[Counts], int] | None = None
    grid: eprocess.Grid = eprocess.RISE
    warms_up: bool = False


@dataclass(frozen=True, slots=True)
class Quantity:
    """A positive quantity. `by_cache`: answers from the prompt cache are compared with their like only."""

    weight: float
    reason: Reason
    words: str
    unit: str
    by_cache: bool
    raw: bool = False
    max_increase: str = "10%"


def _ok(counts: Counts) -> int:
    return counts.ok


METRICS: Mapping[str, Binary | Quantity] = {
    # Overloads are the upstream's: neither bad nor good. The same holds for clients that went away.
    "errors": Binary(
        0.5,
        Reason.ERRORS_INCREASED,
        "errors",
        lambda counts: counts.judged,
        lambda counts: counts.errors,
        lambda counts: counts.bad_errors,
    ),
    "timeToFirstToken": Quantity(
        0.2, Reason.TIME_TO_FIRST_TOKEN_INCREASED, "time to first token", "seconds", by_cache=True
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
    # Priced at stable's cache hit ratio, so cache states are no strata of it.
    "cost": Quantity(0.1, Reason.COST_INCREASED, "cost", "US dollars", by_cache=False, raw=True, max_increase="25%"),
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
        grid=eprocess.SIDES,
    ),
    "latencyBudget": Binary(0.2, Reason.OVER_BUDGET, "requests over budget", lambda counts: 0, lambda counts: 0),
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
    "duration": Quantity(0.1, Reason.DURATION_INCREASED, "duration", "seconds", by_cache=True, max_increase="25%"),
    "outputTokens": Quantity(
        0.1, Reason.OUTPUT_TOKENS_INCREASED, "output tokens", "tokens", by_cache=False, max_increase="25%"
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

    `price_ratio`: how many times as dear the canary's model is by the price lists; that is no harm, it was chosen.
    """
    if analysis.judge == "Threshold":
        return ()
    # Frozen models of plain fields: what is derived of them every tick is derived once.
    return _watched(declared(analysis), analysis.unit == "Conversation", price_ratio)


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
            _margin(metric, METRICS[metric.name]) + (math.log(price_ratio) if metric.name == "cost" else 0.0),
            conversations,
        )
        for metric in found
    )


def declared(analysis: Analysis) -> tuple[Metric, ...]:
    """The metrics of the plan."""
    return _DEFAULT if analysis.metrics is None else tuple(analysis.metrics)


def quantities(analysis: Analysis) -> tuple[str, ...]:
    """Quantities whose values the judge needs."""
    names = [metric.name for metric in declared(analysis)]
    wanted = {name for name in names if isinstance(METRICS.get(name), Quantity)}
    return tuple(sorted(wanted | ({"timeToFirstToken", "duration"} if "latencyBudget" in names else set())))


def events(watch: Watched, counts: Counts) -> tuple[int, int]:
    """(requests, bad events) of an arm. A conversation with several bad requests is one event."""
    kind = watch.kind
    assert isinstance(kind, Binary)  # noqa: S101  callers look at the kind first
    by_conversation = watch.conversations and kind.bad_conversations is not None
    count = kind.bad_conversations if by_conversation and kind.bad_conversations else kind.bad
    return kind.among(counts), count(counts)


def _margin(metric: Metric, kind: Binary | Quantity) -> float:
    text = metric.max_increase or (kind.max_increase if isinstance(kind, Quantity) else "0%")
    return math.log1p(fraction(text))
