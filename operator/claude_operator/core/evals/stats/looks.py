"""How the error is shared out where more epochs are asked of a set that could not tell.

Looks are taken after the planned epochs, after twice and after four times as many. Each look may err with a share that
was fixed before the first one, and the shares add up to alpha, so by Bonferroni's inequality all of them together err
in at most alpha, however much the looks have in common (alpha spending: Lan and DeMets, Biometrika 70, 1983). The last
look spends what is left, also where it comes early because no more can be paid: that depends on no grade. So a run that
is clear is over at once, and one that is not has most of alpha when the chance in its answers is smallest.
"""

from __future__ import annotations

__all__ = ["LOOKS", "alpha_at", "least_alpha", "look_of", "more_epochs"]

_EARLY = (0.3, 0.1)
LOOKS = len(_EARLY) + 1


def look_of(epochs: int, planned: int) -> int:
    """Which look it is after so many epochs, from 0."""
    return next((look for look in range(LOOKS - 1) if epochs <= planned << look), LOOKS - 1)


def alpha_at(look: int, alpha: float, *, last: bool) -> float:
    """What a look may spend."""
    return alpha * (1 - sum(_EARLY[:look]) if last else _EARLY[look])


def least_alpha(alpha: float) -> float:
    """What the last of all looks may spend."""
    return alpha_at(LOOKS - 1, alpha, last=True)


def more_epochs(epochs: int, planned: int) -> int:
    """How many epochs to add until the next look."""
    return (planned << (look_of(epochs, planned) + 1)) - epochs
