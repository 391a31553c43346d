"""Tests on counts, looked at each minute: repeated z-test, mixture SPRT and a group-sequential design."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bench.judge.rules import Context, EveryMinute, Minute

__all__ = ["GroupSequential", "MixtureSprt", "RepeatedZTest", "boundaries", "spent"]

_NORMAL = NormalDist()
_LARGEST_BOUND = 8.0  # as common software: a bound beyond it spends nothing that matters


class _Pooled(EveryMinute):
    """All requests since the rollout began, whatever the weight was."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._canary, self._stable = [0, 0], [0, 0]  # requests, errors

    def _add(self, minute: Minute) -> tuple[float, float, float] | None:
        """Difference of the error rates, pooled error rate, and 1/n_canary + 1/n_stable; None without requests."""
        for total, new in ((self._canary, minute.canary), (self._stable, minute.stable)):
            total[0] += new.requests
            total[1] += new.errors
        (n, x), (m, y) = self._canary, self._stable
        return (x / n - y / m, (x + y) / (n + m), 1.0 / n + 1.0 / m) if n and m else None


class RepeatedZTest(_Pooled):
    """The usual one-sided test of two proportions, done each minute as if it were the only time."""

    def __init__(self, context: Context, alpha: float = 0.05) -> None:
        super().__init__(context)
        self._bound = _NORMAL.inv_cdf(1.0 - alpha)

    def look(self, minute: Minute) -> bool:
        found = self._add(minute)
        if found is None:
            return False
        difference, rate, scale = found
        variance = rate * (1.0 - rate) * scale
        return variance > 0 and difference > self._bound * math.sqrt(variance)


class MixtureSprt(_Pooled):
    """Johari et al. 2017: normal mixture over the difference of two proportions, standard deviation `tau`."""

    def __init__(self, context: Context, alpha: float = 0.05, tau: float = 0.01) -> None:
        super().__init__(context)
        self._bound, self._tau2 = math.log(1.0 / alpha), tau * tau

    def look(self, minute: Minute) -> bool:
        found = self._add(minute)
        if found is None:
            return False
        difference = found[0]
        (n, x), (m, y) = self._canary, self._stable
        variance = x / n * (1 - x / n) / n + y / m * (1 - y / m) / m
        if variance <= 0 or difference <= 0:
            return False
        total = variance + self._tau2
        return 0.5 * math.log(variance / total) + self._tau2 * difference**2 / (2 * variance * total) >= self._bound


class GroupSequential(EveryMinute):
    """Lan-DeMets spending like O'Brien-Fleming, one-sided, on the stratified score: one stratum and look a minute.

    The looks are planned over the whole rollout, their information in proportion to weight x (1 - weight).
    """

    def __init__(self, context: Context, alpha: float = 0.05) -> None:
        super().__init__(context)
        looks = round(context.step_seconds / 60.0)
        self._bounds = iter(boundaries(_fractions(context.weights, looks), alpha))
        self._score = self._variance = 0.0

    def look(self, minute: Minute) -> bool:
        bound = next(self._bounds)
        n, m = minute.canary.requests, minute.stable.requests
        bad, total = minute.canary.errors + minute.stable.errors, n + m
        if total > 1:
            self._score += minute.canary.errors - bad * n / total
            self._variance += bad * (total - bad) * n * m / (total * total * (total - 1))
        return self._variance > 0 and self._score >= bound * math.sqrt(self._variance)


def _fractions(weights: tuple[float, ...], looks: int) -> tuple[float, ...]:
    information = np.repeat([weight * (1.0 - weight) for weight in weights], looks).cumsum()
    return tuple((information / information[-1]).tolist())


def spent(fraction: float, alpha: float) -> float:
    """Chance of a false rollback allowed up to this fraction of the information."""
    return 2.0 * _NORMAL.cdf(_NORMAL.inv_cdf(alpha / 2.0) / math.sqrt(fraction))


@lru_cache(maxsize=16)
def boundaries(fractions: tuple[float, ...], alpha: float = 0.05) -> tuple[float, ...]:
    """Bounds on the z-score at each look, by integrating the density of the score that has not crossed yet."""
    bounds = [_first_bound(spent(fractions[0], alpha))]
    edge = bounds[0] * math.sqrt(fractions[0])
    grid, weight = _grid(fractions[0], edge)
    mass = np.exp(-0.5 * grid**2 / fractions[0]) / math.sqrt(2 * math.pi * fractions[0]) * weight
    for before, now in pairwise(fractions):
        spread = math.sqrt(now - before)
        wanted = spent(now, alpha) - spent(before, alpha)
        edge = _edge(grid, mass, spread, wanted, _LARGEST_BOUND * math.sqrt(now))
        bounds.append(edge / math.sqrt(now))
        new, weight = _grid(now, edge)
        steps = (new[:, None] - grid[None, :]) / spread
        mass = np.exp(-0.5 * steps**2) @ mass / (spread * math.sqrt(2 * math.pi)) * weight
        grid = new
    return tuple(bounds)


def _first_bound(alpha: float) -> float:
    return min(-_NORMAL.inv_cdf(alpha), _LARGEST_BOUND) if alpha > 1e-15 else _LARGEST_BOUND


def _grid(fraction: float, edge: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points up to the bound and their weights in the trapezoidal rule."""
    points = np.linspace(-8.0 * math.sqrt(fraction), edge, 601)
    weights = np.full(len(points), points[1] - points[0])
    weights[[0, -1]] /= 2.0
    return points, weights


def _edge(grid: NDArray[np.float64], mass: NDArray[np.float64], spread: float, wanted: float, largest: float) -> float:
    """Where the score's chance of crossing for the first time is `wanted`, by bisection."""
    low, high = 0.0, largest
    for _ in range(60):
        middle = (low + high) / 2.0
        crossing = float(mass @ np.array([_NORMAL.cdf(value) for value in ((grid - middle) / spread).tolist()]))
        low, high = (middle, high) if crossing > wanted else (low, middle)
    return high
