"""How sure the simulation is of its own figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["median_interval", "wilson"]

_Z = 1.959963984540054


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    if not 0 <= successes <= trials or not trials:
        raise ValueError(f"{successes} of {trials} is no share; give at least one trial and no more successes")
    share = successes / trials
    scale = 1.0 + _Z**2 / trials
    middle = (share + _Z**2 / (2 * trials)) / scale
    half = _Z / scale * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))
    low = 0.0 if successes == 0 else middle - half
    return low, 1.0 if successes == trials else middle + half


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of a median from order statistics, None for fewer than six values."""
    count = len(values)
    if count < 6:
        return None
    ordered = sorted(values)
    rank = max(math.floor(count / 2 - _Z * math.sqrt(count) / 2) - 1, 0)
    return ordered[rank], ordered[count - 1 - rank]
