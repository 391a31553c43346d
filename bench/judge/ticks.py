"""What a rule gets to see of the traffic: what a gateway counts, and no single samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BUCKETS", "CACHE", "LOWEST", "RATIO", "Arm", "Floats", "Ints", "PrePeriod", "Sums", "Tick", "Units"]

CACHE = ("read", "write", "none")
"""Strata of successful requests by what the prompt cache did; `none` where it is not used."""
RATIO = 1.25
LOWEST, BUCKETS = -70, 140
"""Lowest ×1.25 bucket kept, and how many: from 1.6e-7 to 6e6; what lies outside is put into the outermost."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sums:
    """A positive quantity over the requests of one arm and stratum in one tick: seconds or US dollars."""

    count: int
    sum: float
    sum_sq: float
    ln_sum: float
    ln_sum_sq: float
    histogram: Ints
    """Counts a bucket; entry i is bucket i + `LOWEST`."""

    @property
    def buckets(self) -> dict[int, int]:
        """Counts by floor(ln(value) / ln 1.25), without empty buckets."""
        found = np.flatnonzero(self.histogram)
        return dict(zip((found + LOWEST).tolist(), self.histogram[found].tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Units:
    """Per-unit counts of one arm in one tick, arrays of one length."""

    ids: Ints
    requests: Ints
    errors: Ints


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm in one tick. `refusals` and `max_tokens` are among `ok`, overloads are neither ok nor errors.

    `bad_conversations`: conversations that failed, each once whatever pods saw it; one that goes on failing counts
    again after 60 s, then after 120 s and so on. `bad_conversations_by_pod`: the same, counted by each pod for itself.
    `ttft` and `cost` by what the cache did, only strata that have requests; `normalized_cost` is what the same
    requests would have cost at stable's steady hit ratio, whatever the cache did.
    """

    requests: int
    errors: int
    overloads: int
    refusals: int
    max_tokens: int
    bad_conversations: int
    bad_conversations_by_pod: int
    ttft: Mapping[str, Sums]
    cost: Mapping[str, Sums]
    normalized_cost: Sums
    units: Units | None

    @property
    def ok(self) -> int:
        """Requests with a whole answer."""
        return self.requests - self.errors - self.overloads


@dataclass(frozen=True, slots=True)
class Tick:
    """What happened in `seconds` from `start`, counted from the rollout's beginning, at one weight."""

    index: int
    start: float
    seconds: float
    step: int
    weight: float
    last_of_step: bool
    canary: Arm
    stable: Arm
    excess: float
    """Expected number of canary requests that failed because they were on the canary."""


@dataclass(frozen=True, slots=True)
class PrePeriod:
    """One hour before the rollout, a row a unit, all of them on stable. `rank`: on the canary while below its weight.

    Logarithms are of requests that the cache served, where they use it.
    """

    rank: Floats
    requests: Ints
    errors: Ints
    ttft_count: Ints
    ttft_ln_sum: Floats
    ttft_ln_sum_sq: Floats
    cost_count: Ints
    cost_ln_sum: Floats
    cost_ln_sum_sq: Floats

    def on_canary(self, weight: float) -> NDArray[np.bool_]:
        """Which units the canary has at a weight between 0 and 1."""
        return self.rank < weight
