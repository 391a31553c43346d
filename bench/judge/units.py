"""Sticky units: users or conversations that differ from each other and are wholly on one arm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.judge.scenarios import Scenario
from bench.judge.ticks import Floats, Ints, PrePeriod, Units

__all__ = ["UnitRates", "UnitTicks"]

_PRE_SECONDS = 3600.0


class UnitRates:
    """What each sticky unit is like, and on which arm it is."""

    def __init__(self, scenario: Scenario, random: np.random.Generator) -> None:
        count = scenario.units
        self.rank = random.uniform(size=count)
        self.errors = np.full(count, scenario.errors)
        if scenario.units_cv:
            shape = 1.0 / scenario.units_cv**2
            self.errors = np.minimum(random.gamma(shape, scenario.errors / shape, count), 0.5)
        self.ttft = random.normal(0.0, scenario.units_ttft_sd, count)
        self.cost = random.normal(0.0, scenario.units_cost_sd, count)

    def pre_period(self, scenario: Scenario, random: np.random.Generator) -> PrePeriod:
        """One hour on stable. Sums of the logarithms are drawn from their exact distribution."""
        requests = random.poisson(scenario.requests_per_second * _PRE_SECONDS / scenario.units, scenario.units)
        errors = random.binomial(requests, self.errors)
        served = random.binomial(requests - errors, scenario.hit_ratio if scenario.cached else 1.0)
        ttft = _normal_sums(served, math.log(scenario.ttft_median) + self.ttft, scenario.ttft_sigma, random)
        cost = _normal_sums(served, math.log(scenario.cost_median) + self.cost, scenario.cost_sigma, random)
        return PrePeriod(self.rank, requests, errors, served, *ttft, served, *cost)

    def draw(self, scenario: Scenario, weights: Floats, seconds: float, random: np.random.Generator) -> UnitTicks:
        mean = scenario.requests_per_second * seconds / scenario.units
        requests = random.poisson(mean, (len(weights), scenario.units))
        on_canary = self.rank < weights[:, None]
        errors = random.binomial(requests, self.errors + scenario.excess_errors * on_canary)
        return UnitTicks(self, on_canary, requests, errors)


def _normal_sums(count: Ints, mean: Floats, sigma: float, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Sum and sum of squares of `count` normal samples each."""
    average = mean + sigma * random.standard_normal(len(count)) / np.sqrt(np.maximum(count, 1))
    inner = sigma**2 * random.chisquare(np.maximum(count - 1, 1))
    return count * average, count * average**2 + np.where(count > 1, inner, 0.0)


@dataclass(frozen=True, slots=True)
class UnitTicks:
    """Per-unit draws, (tick, unit)."""

    rates: UnitRates
    on_canary: NDArray[np.bool_]
    requests: Ints
    errors: Ints

    def by_arm(self, counts: Ints) -> Ints:
        canary = np.where(self.on_canary, counts, 0).sum(axis=1)
        return np.stack([canary, counts.sum(axis=1) - canary], axis=1)

    def of(self, row: int, arm: int) -> Units:
        ids = np.flatnonzero(self.on_canary[row] == (arm == 0))
        return Units(ids, self.requests[row, ids], self.errors[row, ids])

    def shuffled(self, ok: Ints, random: np.random.Generator) -> Ints:
        """The unit of every successful request, in the order of (tick, arm) and otherwise at random."""
        parts = []
        for row, on_canary in enumerate(self.on_canary):
            for arm in (0, 1):
                ids = np.flatnonzero(on_canary == (arm == 0))
                left = np.repeat(ids, (self.requests - self.errors)[row, ids])
                parts.append(random.permutation(left)[: ok[row, arm]])  # overloads strike at random
        return np.concatenate(parts)
