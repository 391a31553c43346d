"""Random draws: for each request by its number, and for each known question the same one always."""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass

from claude_operator.simulator.profile import Profile

__all__ = ["Draw", "draw", "uniform"]

_Z95 = 1.6448536269514722  # of the standard normal distribution


@dataclass(frozen=True, slots=True)
class Draw:
    """The draw of one request: its error status or 200, refused, broken off, seconds to the first token."""

    status: int
    refused: bool
    broken: bool
    latency: float


def draw(profile: Profile, seed: int, number: int) -> Draw:
    """The draw for the request with this number among those of its profile.

    Each request takes the same random numbers whatever the rates are: raising one rate changes only the requests that
    it affects, and the order of other profiles' requests changes nothing.
    """
    stream = random.Random(f"{seed}/{profile.label}/{number}")
    failure, refusal, breaking, normal = (*(stream.random() for _ in range(3)), stream.gauss())
    return Draw(
        _status(profile, failure),
        refusal < profile.refusal_rate,
        breaking < profile.break_stream_rate,
        _latency(profile, normal),
    )


def uniform(*parts: object) -> float:
    """A number in [0, 1), always the same for these parts."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _status(profile: Profile, uniform: float) -> int:
    for rate, status in ((profile.error_rate, 500), (profile.overload_rate, 529), (profile.rate_limit_rate, 429)):
        if uniform < rate:
            return status
        uniform -= rate
    return 200


def _latency(profile: Profile, normal: float) -> float:
    if not profile.p95 or not profile.median:
        return profile.median
    return profile.median * math.exp(normal * math.log(profile.p95 / profile.median) / _Z95)
