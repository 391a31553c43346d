"""How hard the items are, and what the arms answer: drawn anew each epoch, from a difficulty that both arms share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["EASY", "HARD", "MEAN", "SHARE", "Arms", "draw"]

EASY, HARD = (60.0, 0.8), (1.2, 1.2)  # Beta distributions of the chance of a right answer
SHARE = 0.82  # of easy items
MEAN = SHARE * EASY[0] / sum(EASY) + (1 - SHARE) / 2
"""Share of right answers of a candidate that is as good as the baseline."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Arms:
    """The chance of a right answer by item."""

    candidate: NDArray[np.float64]
    baseline: NDArray[np.float64]

    def ask(self, chance: np.random.Generator, epochs: int) -> tuple[Bools, Bools]:
        """What is right, by item and epoch."""
        shape = (len(self.baseline), epochs)
        return chance.random(shape) < self.candidate[:, None], chance.random(shape) < self.baseline[:, None]


def draw(chance: np.random.Generator, items: int, worse: float) -> Arms:
    """Items at random; the candidate is worse by so much because it never gets a random share of them right."""
    easy = chance.random(items) < SHARE
    right = np.where(easy, chance.beta(*EASY, items), chance.beta(*HARD, items))
    lost = chance.random(items) < worse / MEAN
    return Arms(np.where(lost, 0.0, right), right)
