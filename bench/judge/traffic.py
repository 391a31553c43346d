"""Simulated traffic of a canary rollout, tick by tick, drawn request by request with numpy.

Requests arrive as a Poisson process. Every request is drawn: none of the sums of either arm is approximated.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bench.judge.samples import draw
from bench.judge.scenarios import Scenario
from bench.judge.ticks import Arm, Floats, Ints, Tick
from bench.judge.units import UnitRates

__all__ = ["CACHE_SECONDS", "Rollout"]

CACHE_SECONDS = 300.0
"""Seconds that a prompt cache keeps a prefix after its last use."""

_PART_SECONDS = 300.0  # traffic is drawn this much at a time
_AGAIN = 60.0  # seconds after which a conversation that goes on failing counts again, as the gateways have it
_BURST_GAP = 5.0  # mean seconds between the failures of one conversation


class Tail:
    """Counts of bursts beyond the ticks that have been drawn, (what is counted, tick, arm)."""

    def __init__(self) -> None:
        self._left = np.zeros((3, 0, 2), dtype=np.int64)

    def added(self, counts: Ints, ticks: int) -> Ints:
        """`counts` of the next ticks and beyond, and what was left for them; so many ticks of it."""
        whole = np.zeros((3, max(counts.shape[1], self._left.shape[1], ticks), 2), dtype=np.int64)
        whole[:, : counts.shape[1]] += counts
        whole[:, : self._left.shape[1]] += self._left
        self._left = whole[:, ticks:]
        return whole[:, :ticks]


class Rollout:
    """The traffic of one rollout: the same for every rule, and the same again for the same seed and number."""

    def __init__(self, scenario: Scenario, *, seed: int, number: int, tick_seconds: float | None = None) -> None:
        tick_seconds = tick_seconds or scenario.tick_seconds
        if 60.0 % tick_seconds:
            raise ValueError(f"a tick of {tick_seconds} s does not divide a minute; write 5, 10, 15, 20, 30 or 60")
        self.scenario = scenario
        self.tick_seconds = tick_seconds
        self._key = [seed, zlib.crc32(scenario.name.encode()), number]
        random = self._random(0)
        planned = scenario.planned_seconds
        self._incident = random.uniform(0.0, planned - scenario.incident_seconds)
        self._slowdown = random.uniform(0.2, 0.6) * planned
        self._units = UnitRates(scenario, random) if scenario.units else None
        self.pre_period = self._units.pre_period(scenario, random) if self._units else None

    def fixed(self) -> Iterator[Tick]:
        """The ticks of a rollout with steps of fixed length, drawn as they are needed."""
        done: list[Floats] = []
        tail = Tail()
        for step, weight in enumerate(self.scenario.weights):
            for count, first, last in self.parts():
                before = np.concatenate(done) if done else np.empty(0)
                ticks = self.part(step, first + step * self._step_ticks, count, before, tail)
                done.append(np.full(count, weight))
                if last:
                    ticks[-1] = replace(ticks[-1], last_of_step=True)
                yield from ticks

    @property
    def _step_ticks(self) -> int:
        return round(self.scenario.step_seconds / self.tick_seconds)

    def parts(self) -> Iterator[tuple[int, int, bool]]:
        """How a step is drawn: number of ticks, the first one's number within the step, whether the step ends there."""
        limit, size = self._step_ticks, round(_PART_SECONDS / self.tick_seconds)
        for first in range(0, limit, size):
            yield min(size, limit - first), first, first + size >= limit

    def part(self, step: int, first: int, count: int, weights_before: Floats, tail: Tail | None = None) -> list[Tick]:
        """`count` ticks from number `first` on at one step's weight, after ticks of `weights_before`.

        `tail`: bursts that go on from the part before, and then those of this one.
        """
        weights = np.full(count, self.scenario.weights[step])
        return self._ticks(weights, step, first, self._random(2, step, first), weights_before, tail or Tail())

    def _random(self, *part: int) -> np.random.Generator:
        return np.random.Generator(np.random.SFC64(np.random.SeedSequence([*self._key, *part])))

    def _ticks(
        self,
        weights: Floats,
        step: int,
        first: int,
        random: np.random.Generator,
        before: Floats,
        tail: Tail,
    ) -> list[Tick]:
        scenario, seconds = self.scenario, self.tick_seconds
        index = first + np.arange(len(weights))
        start = index * seconds
        share = np.stack([weights, 1.0 - weights], axis=1)  # (tick, arm): the canary is arm 0
        rates = self._error_rates(start)
        slow = self._slowness(start)
        hits = np.full(share.shape, scenario.hit_ratio)
        if scenario.cold_prefixes:
            hits[:, 0] *= _warmth(scenario, np.concatenate([before, weights]), seconds)[-len(weights) :]
        units = self._units.draw(scenario, weights, seconds, random) if self._units else None
        if units:
            requests, errors = units.by_arm(units.requests), units.by_arm(units.errors)
            bad = by_pod = errors
        elif scenario.burst:
            requests = random.poisson(scenario.requests_per_second * seconds * share)
            errors, bad, by_pod = tail.added(_bursts(scenario, requests, rates, seconds, random), len(weights))
            requests = np.maximum(requests, errors)
        else:
            requests = random.poisson(scenario.requests_per_second * seconds * share)
            errors = bad = by_pod = random.binomial(requests, rates)
        overloads = random.binomial(requests - errors, scenario.overloads)
        ok = requests - errors - overloads
        refusals = random.binomial(ok, scenario.refusals)
        max_tokens = random.binomial(ok - refusals, scenario.max_tokens)
        samples = draw(scenario, ok, hits, slow, units, random)
        counted = np.stack([requests, errors, overloads, refusals, max_tokens, bad, by_pod], axis=2).tolist()
        excess = (requests[:, 0] * (rates[:, 0] - rates[:, 1])).tolist()
        ticks = []
        for row in range(len(weights)):
            arms = [
                Arm(
                    *counted[row][arm],
                    ttft=samples.by_cache("ttft", row, arm),
                    cost=samples.by_cache("cost", row, arm),
                    normalized_cost=samples.over_all("normalized" if scenario.cached else "cost", row, arm),
                    units=units.of(row, arm) if units else None,
                )
                for arm in (0, 1)
            ]
            ticks.append(
                Tick(first + row, float(start[row]), seconds, step, float(weights[row]), False, *arms, excess[row])
            )
        return ticks

    def _error_rates(self, start: Floats) -> Floats:
        """Shares of failing requests, (tick, arm)."""
        scenario = self.scenario
        shared = np.full(len(start), scenario.errors)
        if scenario.drift_to is not None:
            shared += (scenario.drift_to - scenario.errors) * np.minimum(start / scenario.planned_seconds, 1.0)
        middle = start + self.tick_seconds / 2
        shared[(middle >= self._incident) & (middle < self._incident + scenario.incident_seconds)] += (
            scenario.incident_errors
        )
        return np.minimum(np.stack([shared + scenario.excess_errors, shared], axis=1), 1.0)

    def _slowness(self, start: Floats) -> Floats:
        """ln of what both arms' times to first token are multiplied by, one a tick."""
        scenario = self.scenario
        slow = np.zeros(len(start))
        if scenario.drift_to is not None:
            slow += math.log(1.5) * np.minimum(start / scenario.planned_seconds, 1.0)
        slow[start >= self._slowdown] += math.log(scenario.shared_slowdown)
        return slow


def _warmth(scenario: Scenario, weights: Floats, seconds: float) -> Floats:
    """Chance that a prefix was used on the canary within the cache's lifetime, one a tick."""
    uses = np.concatenate([[0.0], np.cumsum(weights) * seconds * scenario.requests_per_second / scenario.cold_prefixes])
    now = np.arange(len(weights)) + 0.5
    then = np.maximum(now - CACHE_SECONDS / seconds, 0.0)
    ticks = np.arange(len(uses))
    return -np.expm1(np.interp(then, ticks, uses) - np.interp(now, ticks, uses))


def _bursts(scenario: Scenario, requests: Ints, rates: Floats, seconds: float, random: np.random.Generator) -> Ints:
    """Failed requests, and bad conversations over all pods and by pod, (which of these, tick, arm).

    A burst is of one conversation, and may go on beyond the ticks of `requests`.
    """
    bursts = random.poisson(requests * rates / scenario.burst).ravel()
    origin = np.repeat(np.arange(bursts.size), bursts)
    sizes = random.geometric(1.0 / scenario.burst, origin.size)
    burst = np.repeat(np.arange(origin.size), sizes)
    gaps = random.exponential(_BURST_GAP, burst.size)
    starts = np.cumsum(sizes) - sizes
    gaps[starts] = random.uniform(0.0, seconds, origin.size)
    elapsed = np.cumsum(gaps)
    elapsed -= np.repeat(elapsed[starts] - gaps[starts], sizes)
    tick = origin[burst] // 2 + (elapsed // seconds).astype(np.int64)
    cell = tick * 2 + origin[burst] % 2
    at_pod = burst * scenario.pods + random.integers(0, scenario.pods, burst.size)

    size = 2 * (int(tick.max(initial=0)) + 1)
    counted = (np.arange(burst.size), _anew(burst, elapsed), _anew(at_pod, elapsed))
    return np.stack([np.bincount(cell[which], minlength=size).reshape(-1, 2) for which in counted])


def _anew(group: Ints, elapsed: Floats) -> Ints:
    """Which failures count: the first of a group, the first 60 s after it, the first 120 s after that and so on.

    After as long a pause again as the wait has been, the next wait is 60 s anew.
    """
    order = np.lexsort((elapsed, group))
    _, starts, sizes = np.unique(group[order], return_index=True, return_counts=True)
    times = elapsed[order]
    span = 2.0 * (times.max(initial=0.0) + 1.0)
    line = np.repeat(np.arange(len(starts)), sizes) * span + times  # groups one after the other
    at, end, number = starts, starts + sizes, np.arange(len(starts))
    wait = np.full(len(starts), _AGAIN)
    found = [at]
    while at.size:
        again = times[at] + wait
        at = np.searchsorted(line, number * span + again)
        going = at < end
        at, end, number, wait, again = at[going], end[going], number[going], wait[going], again[going]
        wait = np.where(times[at] < again + wait, 2.0 * wait, _AGAIN)
        found.append(at)
    return order[np.concatenate(found)]
