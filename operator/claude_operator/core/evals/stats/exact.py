"""Whether these very items got worse, exactly: in how many epochs each arm passed them, given how many did in all.

Under "no item changed" an item's outcomes in both arms are exchangeable, so how many of its passes are the candidate's
is hypergeometric (Fisher), and over all items the sum of such counts. It tests "no difference", not a margin, and
speaks of these items, not of others like them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Item", "item_p", "items_that_can_tell", "total_p"]

_NEVER = 1e-30  # all chances that are left out add up to far less than any alpha


@dataclass(frozen=True, slots=True)
class Item:
    """In how many epochs each arm passed an item, of how many."""

    passed: int
    epochs: int
    baseline_passed: int
    baseline_epochs: int

    @property
    def chances(self) -> tuple[int, list[float]]:
        """The fewest passes that can be the candidate's, and the chance of that many and of each higher number."""
        passes, both = self.passed + self.baseline_passed, self.epochs + self.baseline_epochs
        least, most = max(0, passes - self.baseline_epochs), min(self.epochs, passes)
        ways = math.comb(both, passes)
        counts = [
            math.comb(self.epochs, k) * math.comb(self.baseline_epochs, passes - k) for k in range(least, most + 1)
        ]
        return least, [count / ways for count in counts]


def item_p(item: Item) -> float:
    """The chance of so few passes of the candidate or fewer, if the item has not changed."""
    least, chances = item.chances
    return min(1.0, math.fsum(chances[: item.passed - least + 1]))


def items_that_can_tell(items: Sequence[Item]) -> int:
    """How many items have passes and failures: the others can never be significant (Tarone), so they cost nothing."""
    return sum(0 < one.passed + one.baseline_passed < one.epochs + one.baseline_epochs for one in items)


def total_p(items: Sequence[Item]) -> float:
    """The chance of so few passes of the candidate over all items or fewer, if no item has changed."""
    parts = [item.chances for item in items]
    while len(parts) > 1:  # in pairs, or the work takes the square of the number of items
        pairs = zip(parts[::2], parts[1::2], strict=False)
        parts = [_sum_of(one, other) for one, other in pairs] + (parts[-1:] if len(parts) % 2 else [])
    [(least, chances)] = parts
    return min(1.0, math.fsum(chances[: max(0, sum(item.passed for item in items) - least + 1)]))


Counts = tuple[int, list[float]]
"""The fewest that can be, and the chance of that many and of each higher number."""


def _sum_of(one: Counts, other: Counts) -> Counts:
    """The distribution of the sum of two independent counts, without what is too unlikely at its ends."""
    (low, few), (least, many) = sorted((one, other), key=lambda counts: len(counts[1]))
    found = [0.0] * (len(few) + len(many) - 1)
    for shift, chance in enumerate(few):
        for place, value in enumerate(many, shift):
            found[place] += chance * value
    start, end = 0, len(found)
    while found[start] < _NEVER:
        start += 1
    while found[end - 1] < _NEVER:
        end -= 1
    return low + least + start, found[start:end]
