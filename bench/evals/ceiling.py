"""How often any valid rule can pass a candidate that is equal, at most: what the likelihood ratio test does against
the candidate at the margin that is hardest to tell from it (Neyman and Pearson)."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench.evals.draws import draw

__all__ = ["ceiling"]

_DRAWS = 40_000
_ITEMS = 1_000_000


@cache
def ceiling(size: int, margin: float, alpha: float, epochs: int) -> float:
    """The share of gates, by simulation."""
    steps, equal = _values(epochs)
    hardest, evidence = _hardest(steps, equal, margin)
    chance = np.random.default_rng((3, size))
    against = chance.multinomial(size, hardest, size=_DRAWS) @ evidence
    in_favour = chance.multinomial(size, equal, size=_DRAWS) @ evidence
    return float((in_favour > np.quantile(against, 1 - alpha)).mean())


@cache
def _values(epochs: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values that an item can have, and their shares for an equal candidate."""
    chance = np.random.default_rng(2)
    ours, theirs = draw(chance, _ITEMS, 0.0).ask(chance, epochs)
    counts = np.bincount(ours.sum(axis=1) - theirs.sum(axis=1) + epochs, minlength=2 * epochs + 1).astype(float)
    return np.arange(-epochs, epochs + 1) / epochs, (counts + counts[::-1]) / counts.sum() / 2


def _hardest(
    steps: NDArray[np.float64], equal: NDArray[np.float64], margin: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The shares with mean -margin that are closest to `equal`, and the logarithm of the ratio by value."""
    low, high = 0.0, 1 / (1 - margin) * (1 - 1e-9)
    for _ in range(60):
        bet = (low + high) / 2
        slope = float((equal * (steps + margin) / (1 + bet * (steps + margin))).sum())
        low, high = (bet, high) if slope > 0 else (low, bet)
    shares = equal / (1 + low * (steps + margin))
    return shares / shares.sum(), np.log1p(low * (steps + margin))
