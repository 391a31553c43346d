"""How far two raters agree beyond chance: Cohen's kappa (Educational and Psychological Measurement 20, 1960)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

__all__ = ["Agreement", "cohens_kappa"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of so many pairs of labels so many agree. `kappa` is None where both raters gave one label only: then chance
    alone would agree as often."""

    pairs: int
    agreed: int
    kappa: float | None


def cohens_kappa(pairs: Sequence[tuple[Hashable, Hashable]]) -> Agreement:
    """The agreement of two raters on the same items: 1 is perfect, 0 what chance gives, below 0 less than that."""
    if not pairs:
        raise ValueError("no labels to compare: label some items")
    total = len(pairs)
    agreed = sum(one == other for one, other in pairs)
    ours, theirs = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    by_chance = sum(number * theirs[label] for label, number in ours.items())  # times total squared
    if by_chance == total * total:
        return Agreement(total, agreed, None)
    return Agreement(total, agreed, (agreed * total - by_chance) / (total * total - by_chance))
