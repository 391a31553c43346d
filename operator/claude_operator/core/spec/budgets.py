"""The service levels that a spec's budgets ask for, and what is wrong with them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args, get_type_hints

from claude_operator.api import gateway as wire
from claude_operator.api.base import DURATION_PATTERN, seconds
from claude_operator.api.budgets import Budget

__all__ = ["THROUGHPUT", "ServiceLevel", "budget_problems", "is_judged", "limits", "service_levels"]

_CALLS: tuple[str, ...] = get_args(get_type_hints(wire.Limit)["metric"])
THROUGHPUT = "throughput"
_METRICS = (*_CALLS, THROUGHPUT)
_PERCENTILE = 95.0
_WINDOW = "1h"
_WINDOWS = ("5m", "168h")  # a reading a minute tells nothing of less; more is what Prometheus is for
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)/(s|m|h)")
_PER = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """A budget with its values read."""

    surface: str
    metric: str
    percentile: float
    bound: float
    """The most seconds, or of throughput the least requests a second."""
    limit: str
    """The same in words."""
    window: str

    @property
    def allowance(self) -> float:
        """The share of calls that may be over the limit."""
        return (100.0 - self.percentile) / 100.0

    @property
    def least_calls(self) -> int:
        """Calls from which on it can be said whether it is kept: below, one call would decide."""
        return max(20, math.ceil(round(1.0 / self.allowance, 6)))


def service_levels(budgets: Sequence[Budget] | None) -> list[ServiceLevel]:
    """Those that can be read; the others are reported with the spec."""
    return [found for budget in budgets or () if (found := _level(budget)) is not None]


def limits(budgets: Sequence[Budget] | None) -> list[wire.Limit]:
    """What the gateways count calls against, each limit once."""
    found = [
        wire.Limit(one.surface, one.metric, one.bound)  # type: ignore[arg-type]
        for one in service_levels(budgets)
        if one.metric != THROUGHPUT
    ]
    return list(dict.fromkeys(found))


def is_judged(budget: Budget) -> bool:
    """Whether the judge's latencyBudget compares it: throughput is of batches, which no arm is drawn for."""
    return budget.metric in _CALLS and _most(budget) is not None


def budget_problems(budgets: Sequence[Budget] | None) -> Iterator[str]:
    """What cannot be a service level, and what to write."""
    seen: set[tuple[str, str, float]] = set()
    for number, budget in enumerate(budgets or ()):
        path = f"budgets[{number}]"
        if budget.metric not in _METRICS:
            yield f"{path}.metric: {budget.metric!r} has no budget: write {', '.join(_CALLS)} or {THROUGHPUT}"
            continue
        yield from (f"{path}.{text}" for text in _limit_problems(budget))
        if budget.window is not None:
            yield from (f"{path}.window: {text}" for text in _window_problems(budget.window))
        percentile = _PERCENTILE if budget.percentile is None else budget.percentile
        key = (budget.surface, budget.metric, percentile)
        if key in seen:
            yield (
                f"{path}: {budget.metric} of surface {budget.surface} has two budgets at percentile {percentile:g}:"
                " remove one, or give it another percentile"
            )
        seen.add(key)


def _limit_problems(budget: Budget) -> Iterator[str]:
    if budget.metric == THROUGHPUT:
        if budget.max is not None:
            yield "max: throughput has a least value: remove max, and write for example min: 1000/h"
        elif budget.min is None:
            yield "min: is missing: write the least throughput, for example min: 1000/h"
        elif _least(budget) is None:
            yield f"min: {budget.min!r} is not a rate: write for example 1000/h"
    elif budget.min is not None:
        yield f"min: only throughput has a least value: remove min, and write for example max: {_example(budget)}"
    elif budget.max is None:
        yield f"max: is missing: write the most that {budget.metric} may be, for example max: {_example(budget)}"
    elif _most(budget) is None:
        yield f"max: {budget.max!r} is not a duration: write for example {_example(budget)}"


def _example(budget: Budget) -> str:
    return "50ms" if budget.metric == "timePerOutputToken" else "1500ms"


def _window_problems(window: str) -> Iterator[str]:
    least, most = _WINDOWS
    if not re.fullmatch(DURATION_PATTERN, window):
        yield f"{window!r} is not a duration: write for example {_WINDOW}"
    elif not seconds(least) <= seconds(window) <= seconds(most):
        yield f"{window} is not between {least} and {most}: write for example {_WINDOW}"


def _level(budget: Budget) -> ServiceLevel | None:
    window = _WINDOW if budget.window is None else budget.window
    is_throughput = budget.metric == THROUGHPUT
    bound = _least(budget) if is_throughput else _most(budget)
    if bound is None or budget.metric not in _METRICS or any(_window_problems(window)):
        return None
    limit = f"at least {budget.min}" if is_throughput else f"at most {budget.max}"
    percentile = _PERCENTILE if budget.percentile is None else budget.percentile
    return ServiceLevel(budget.surface, budget.metric, percentile, bound, limit, window)


def _most(budget: Budget) -> float | None:
    if not budget.max or not re.fullmatch(DURATION_PATTERN, budget.max):
        return None
    return seconds(budget.max) or None


def _least(budget: Budget) -> float | None:
    """Requests a second."""
    found = _RATE.fullmatch(budget.min or "")
    return float(found[1]) / _PER[found[2]] or None if found else None
