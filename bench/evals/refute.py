"""Looks for candidates at exactly -margin that the gate's test passes too often: nobody has proved that there are none.

Their values have the seven steps of three epochs. Distributions are drawn, and the worst of them changed at random
again and again; the worst that is found is counted anew, on draws of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from claude_operator.core.evals.stats.bounded import Sample

__all__ = ["Found", "search"]

_STEPS = np.arange(-3, 4) / 3
_FEW, _MANY = 300, 10_000
_KEPT = 6

Shares = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Found:
    """The worst distribution that was found, and how often the test passed it."""

    size: int
    margin: float
    alpha: float
    passed: float
    shares: tuple[float, ...]


def search(size: int, margin: float, alpha: float, seed: int, rounds: int = 3, drawn: int = 30) -> Found:
    """The distribution with mean -margin that passes most often, of those that were looked at."""
    chance = np.random.default_rng((seed, size))
    starts = [_lost(margin), *(_random(chance, margin) for _ in range(drawn))]
    kept = [_rated(shares, size, margin, alpha, chance) for shares in starts]
    for _ in range(rounds):
        kept = sorted(kept, key=lambda one: -one[0])[:_KEPT]
        changed = (_changed(shares, chance, margin) for _, shares in kept for _ in range(3))
        kept += [_rated(shares, size, margin, alpha, chance) for shares in changed]
    shares = max(kept, key=lambda one: one[0])[1]
    passed = _passed(shares, size, margin, alpha, chance, _MANY)
    return Found(size, margin, alpha, passed, tuple(float(share) for share in shares.round(4)))


def _rated(shares: Shares, size: int, margin: float, alpha: float, chance: np.random.Generator) -> tuple[float, Shares]:
    return _passed(shares, size, margin, alpha, chance, _FEW), shares


def _passed(shares: Shares, size: int, margin: float, alpha: float, chance: np.random.Generator, draws: int) -> float:
    counts, times = np.unique(chance.multinomial(size, shares, size=draws), axis=0, return_counts=True)
    passed = sum(
        int(number)
        for row, number in zip(counts.tolist(), times, strict=True)
        if _sample(row).p_at_most(-margin) <= alpha
    )
    return passed / draws


def _sample(counts: Sequence[int]) -> Sample:
    groups = tuple((float(step), 1, number) for step, number in zip(_STEPS, counts, strict=True) if number)
    return Sample(groups, -1, 1)


def _lost(margin: float) -> Shares:
    """A candidate that loses a few items altogether: there the test is exact."""
    return np.array([margin, 0, 0, 1 - margin, 0, 0, 0])


def _random(chance: np.random.Generator, margin: float) -> Shares:
    shares = chance.dirichlet(np.array([0.3, 0.2, 0.3, 3, 0.3, 0.2, 0.3]) * chance.choice([0.3, 1, 3]))
    if chance.random() < 0.4:
        shares = np.where(chance.random(7) < 0.5, 0.0, shares) + 1e-12
    return _with_mean(shares, -margin)


def _changed(shares: Shares, chance: np.random.Generator, margin: float) -> Shares:
    new = (chance.random(7) < 0.15) * chance.exponential(0.01, 7)
    return _with_mean(shares * np.exp(chance.normal(0, 0.5, 7)) + new, -margin)


def _with_mean(shares: Shares, mean: float) -> Shares:
    """These shares, mixed with as many losses or gains as give the mean."""
    shares = shares / shares.sum()
    now = float(shares @ _STEPS)
    edge = -1.0 if now > mean else 1.0
    part = (mean - now) / (edge - now)
    mixed = (1 - part) * shares
    mixed[0 if edge < 0 else -1] += part
    return mixed / mixed.sum()
