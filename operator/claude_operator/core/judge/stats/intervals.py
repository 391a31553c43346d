"""95 % intervals of shares, for the sentences and for what a soak holds a revision against."""

from __future__ import annotations

import math

__all__ = ["Z", "newcombe", "wilson"]

Z = 1.96
"""Standard errors to either side."""


def wilson(requests: int, bad: int) -> tuple[float, float]:
    """Wilson's interval of a share; from 0 to 1 without requests."""
    if requests <= 0:
        return 0.0, 1.0
    share, z2 = min(bad / requests, 1.0), Z * Z
    middle = (share + z2 / (2 * requests)) / (1 + z2 / requests)
    half = Z / (1 + z2 / requests) * math.sqrt(share * (1 - share) / requests + z2 / (4 * requests * requests))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def newcombe(canary: tuple[int, int], stable: tuple[int, int]) -> tuple[float, float]:
    """Interval of the difference of two shares, (requests, bad ones) each, from Wilson's (Newcombe 1998, method 10)."""
    (low, high), (low_q, high_q) = wilson(*canary), wilson(*stable)
    p, q = (min(bad / requests, 1.0) for requests, bad in (canary, stable))
    return p - q - math.hypot(p - low, high_q - q), p - q + math.hypot(high - p, q - low_q)
