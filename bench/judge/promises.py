"""What the judge promises, and whether the simulation bears it out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.judge.intervals import wilson
from bench.judge.ours import Ours
from bench.judge.runner import Cell
from bench.judge.scenarios import SCENARIOS, Scenario, find
from claude_operator.api.base import fraction
from claude_operator.core.judge.stats.detectable import promotion_needed, ratio_needed, requests_needed

__all__ = ["PROMISES", "Promise", "Verdict", "floor_minutes", "judged"]

Figure = Literal["rolled back", "promoted", "requests", "excess", "minutes"]
"""Share rolled back, share promoted, median canary requests until the rollback, mean failed requests, median minutes
until the promotion."""

_ALPHA = Ours.analysis.false_rollback_rate
_BETA = Ours.analysis.false_promotion_rate
_TOLERATED = fraction(Ours.analysis.tolerated_increase)
_ENOUGH_ROLLOUTS = {"rolled back": 400, "promoted": 400, "requests": 100, "excess": 100, "minutes": 100}
_DECIMALS = 1e-9


@dataclass(frozen=True, slots=True)
class Promise:
    """One figure of one cell. `most`, `least`: limits, without any it is for information.

    `most_high`: limit of the upper end of the interval.
    """

    number: int
    scenario: str
    figure: Figure
    most: float = math.inf
    least: float = -math.inf
    most_high: float = math.inf
    rule: str = "ours"
    rollouts: int = 0
    """How many it takes at least to say that it is kept."""
    floor: float | None = None
    """What no test of the same false alarm rate could do better on average, where theory tells."""

    @property
    def limited(self) -> bool:
        """Whether anything is promised."""
        return math.isfinite(self.most) or math.isfinite(self.least)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A promise with what was found. `kept` is None where so few rollouts cannot tell."""

    promise: Promise
    cell: Cell
    found: float | None
    interval: tuple[float, float] | None
    kept: bool | None


def judged(cells: Sequence[Cell]) -> list[Verdict]:
    """The promises that the cells say something of, in order."""
    known = {(cell.scenario, cell.rule): cell for cell in cells}
    return [
        _judged(promise, known[promise.scenario, promise.rule])
        for promise in PROMISES
        if (promise.scenario, promise.rule) in known
    ]


def _judged(promise: Promise, cell: Cell) -> Verdict:
    found, interval = _figure(promise, cell)
    if found is None:
        return Verdict(promise, cell, None, None, False if cell.rollouts >= promise.rollouts else None)
    within = promise.least - _DECIMALS <= found <= promise.most + _DECIMALS
    within = within and (interval is None or interval[1] <= promise.most_high)
    low, high = interval or (-math.inf, math.inf)
    refuted = low > promise.most or high < promise.least
    enough = cell.rollouts >= max(promise.rollouts, _ENOUGH_ROLLOUTS[promise.figure])
    return Verdict(promise, cell, found, interval, within if enough else False if refuted else None)


def _figure(promise: Promise, cell: Cell) -> tuple[float | None, tuple[float, float] | None]:
    if promise.figure == "rolled back":
        return cell.rate, cell.rate_interval
    if promise.figure == "promoted":
        return cell.promoted / cell.rollouts, wilson(cell.promoted, cell.rollouts)
    if promise.figure == "requests":
        return cell.median_requests, cell.median_requests_interval
    if promise.figure == "excess":
        return cell.mean_excess, cell.mean_excess_interval
    return cell.median_minutes_to_promotion, cell.median_minutes_to_promotion_interval


# ------------------------------------------------------------------------------------------------------- floors


def _floor(scenario: Scenario, margin: float = 0.0) -> float:
    """Canary requests before which no test can be expected to see what is wrong, at the first weight."""
    share, needed = scenario.weights[0], 1.0 / _ALPHA
    if scenario.ttft_factor != 1.0:
        return ratio_needed(scenario.ttft_sigma**2, scenario.ttft_factor / (1.0 + margin), share, needed)
    if scenario.cost_factor != 1.0:
        return ratio_needed(scenario.cost_sigma**2, scenario.cost_factor / (1.0 + margin), share, needed)
    if scenario.slow_share:
        z = math.log(scenario.slow_seconds / scenario.ttft_median) / scenario.ttft_sigma
        slower = math.erfc(z / math.sqrt(2.0)) / 2.0  # stable's share of requests that are as slow
        return requests_needed(slower, scenario.slow_share, share, needed)
    return max(requests_needed(scenario.errors, scenario.excess_errors, share, needed), 1.0)


def floor_minutes(scenario: Scenario) -> float:
    """Minutes before which no conditional test can be expected to have let an equal canary through all steps."""
    spent: list[float] = []  # canary requests a step
    for share, following in zip(scenario.weights, (*scenario.weights[1:], 1.0), strict=True):
        margin = _TOLERATED / following
        wanted = -math.log(_BETA)
        for earlier, requests in zip(scenario.weights, spent, strict=False):
            wanted -= requests * _gain(scenario.errors, margin, earlier)
        spent.append(max(wanted, 0.0) / _gain(scenario.errors, margin, share))
    rates = (scenario.requests_per_second * share for share in scenario.weights)
    return math.fsum(requests / rate for requests, rate in zip(spent, rates, strict=True)) / 60.0


def _gain(rate: float, margin: float, share: float) -> float:
    """Logarithm of the evidence that a canary request may be expected to add."""
    return -math.log(_BETA) / promotion_needed(rate, margin, share, 1.0 / _BETA)


def _caught(number: int, name: str, figure: Figure, *, margin: float = 0.0, **limits: float | str) -> Promise:
    scenario = find([name])[0]
    floor: float | None = _floor(scenario, margin)
    if figure == "excess" and floor is not None:
        floor *= scenario.excess_errors
    elif figure != "requests":
        floor = None
    return Promise(number, name, figure, floor=floor, **limits)  # type: ignore[arg-type]


_NO_MARGINS: Mapping[str, str] = {"rule": "ours-no-margins"}
_FALSE = tuple(
    Promise(1, one.name, "rolled back", most=0.01, most_high=0.015, rollouts=2000)
    for one in SCENARIOS
    if one.null and one.name != "slowdown"
)

PROMISES: tuple[Promise, ...] = (
    *_FALSE,
    _caught(2, "errors+20", "rolled back", least=1.0),
    _caught(2, "errors+20", "requests", most=20.0),
    _caught(2, "errors+20", "excess", most=5.0),
    _caught(2, "errors+2", "rolled back", least=0.995),
    _caught(2, "errors+2", "requests"),
    _caught(2, "errors+2", "excess", most=10.0),
    Promise(2, "quiet-adaptive+2", "promoted", most=0.005),
    _caught(2, "broken", "rolled back", least=1.0),
    _caught(2, "broken", "requests", most=3.0),
    _caught(3, "ttft-1.3", "requests", most=110.0, **_NO_MARGINS),
    _caught(3, "ttft-1.3", "requests", margin=0.10, most=240.0),
    _caught(3, "ttft-2", "requests", most=50.0, **_NO_MARGINS),
    _caught(3, "ttft-2", "requests", margin=0.10, most=50.0),
    _caught(3, "slow-tail", "rolled back", least=0.95, **_NO_MARGINS),
    _caught(3, "slow-tail", "requests", **_NO_MARGINS),
    _caught(3, "cost-2", "requests", most=110.0, **_NO_MARGINS),
    Promise(3, "null", "rolled back", most=0.01, **_NO_MARGINS),
    Promise(3, "slowdown", "rolled back", most=0.01),
    Promise(3, "slowdown", "rolled back", most=0.01, **_NO_MARGINS),
    Promise(4, "adaptive+0", "promoted", least=0.985),
    Promise(4, "adaptive+0", "minutes", most=10.0, floor=floor_minutes(find(["adaptive+0"])[0])),
    Promise(4, "adaptive+0.5", "promoted", most=0.03),
    Promise(4, "quiet-adaptive+0.5", "promoted", most=0.03),
)
