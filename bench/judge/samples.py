"""Time to first token and cost of every successful request, summed as a gateway sums them."""

from __future__ import annotations

import math

import numpy as np

from bench.judge.scenarios import Scenario
from bench.judge.ticks import BUCKETS, CACHE, LOWEST, RATIO, Floats, Ints, Sums
from bench.judge.units import UnitTicks

__all__ = ["Samples", "draw"]

_LN_RATIO = math.log(RATIO)


class Samples:
    """Sums of the samples of every quantity a cell, cells being (tick, arm, cache state) or (tick, arm)."""

    def __init__(self, caches: tuple[str, ...]) -> None:
        self._caches = caches
        self._found: dict[str, tuple[list[list[float]], list[int], Ints]] = {}

    def add(self, name: str, cell: Ints, cells: int, ln: Floats) -> None:
        value = np.exp(ln)
        bucket = np.clip(np.floor(ln / _LN_RATIO).astype(np.int64) - LOWEST, 0, BUCKETS - 1)
        sums = np.stack([np.bincount(cell, each, cells) for each in (value, value * value, ln, ln * ln)], axis=1)
        histogram = np.bincount(cell * BUCKETS + bucket, minlength=cells * BUCKETS).reshape(cells, BUCKETS)
        self._found[name] = sums.tolist(), np.bincount(cell, minlength=cells).tolist(), histogram

    def by_cache(self, name: str, row: int, arm: int) -> dict[str, Sums]:
        place = (row * 2 + arm) * len(self._caches)
        counts = self._found[name][1]
        return {cache: self._sums(name, place + i) for i, cache in enumerate(self._caches) if counts[place + i]}

    def over_all(self, name: str, row: int, arm: int) -> Sums:
        return self._sums(name, row * 2 + arm)

    def _sums(self, name: str, place: int) -> Sums:
        sums, counts, histogram = self._found[name]
        return Sums(counts[place], *sums[place], histogram[place])


def draw(
    scenario: Scenario, ok: Ints, hits: Floats, slow: Floats, units: UnitTicks | None, random: np.random.Generator
) -> Samples:
    """Draw time to first token and cost of every successful request."""
    pairs = ok.size
    pair = np.repeat(np.arange(pairs), ok.ravel())  # tick * 2 + arm of every request
    total = pair.size
    canary = pair % 2 == 0
    shared = math.log(scenario.ttft_median) + slow
    ttft = random.standard_normal(total)
    ttft *= scenario.ttft_sigma
    ttft += shared[pair // 2]
    ttft[canary] += math.log(scenario.ttft_factor)
    cost = random.standard_normal(total)
    cost *= scenario.cost_sigma
    cost += math.log(scenario.cost_median)
    cost[canary] += math.log(scenario.cost_factor)
    if units:
        unit = units.shuffled(ok, random)
        ttft += units.rates.ttft[unit]
        cost += units.rates.cost[unit]
    if scenario.slow_share:
        late = canary & (random.random(total) < scenario.slow_share)
        ttft[late] = np.log(np.exp(ttft[late]) + scenario.slow_seconds)
    if not scenario.cached:
        found = Samples(CACHE[2:])
        found.add("ttft", pair, pairs, ttft)
        found.add("cost", pair, pairs, cost)
        return found
    found = Samples(CACHE[:2])
    missed = random.random(total) >= hits.ravel()[pair]
    cell = pair * 2 + missed
    ttft[missed] += math.log(scenario.miss_ttft)
    found.add("ttft", cell, pairs * 2, ttft)
    steady = math.log(scenario.hit_ratio + (1.0 - scenario.hit_ratio) * scenario.miss_cost)
    found.add("normalized", pair, pairs, cost + steady)
    cost[missed] += math.log(scenario.miss_cost)
    found.add("cost", cell, pairs * 2, cost)
    return found
