"""Random draws: for each request by its number, for each known question always the same, or anew each time."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from claude_operator.simulator.profile import Profile
from claude_operator.simulator.scenario import Difficulty

__all__ = ["Draw", "chance_of", "draw", "uniform"]

_Z95 = 1.6448536269514722  # of the standard normal distribution


@dataclass(frozen=True, slots=True)
class Draw:
    """The draw of one request: its error status or 200 (400 for an empty account), refused, broken off, seconds to the
    first token, and whether an error ends its stream."""

    status: int
    refused: bool
    broken: bool
    latency: float
    overloaded: bool = False


def draw(profile: Profile, seed: int, number: int) -> Draw:
    """The draw for the request with this number among those of its profile.

    Each request takes the same random numbers whatever the rates are: raising one rate changes only the requests that
    it affects, and the order of other profiles' requests changes nothing.
    """
    stream = random.Random(f"{seed}/{profile.label}/{number}")
    failure, refusal, breaking, normal = (*(stream.random() for _ in range(3)), stream.gauss())
    overload = stream.random()
    return Draw(
        _status(profile, failure),
        refusal < profile.refusal_rate,
        breaking < profile.break_stream_rate,
        _latency(profile, normal),
        overload < profile.stream_error_rate,
    )


def chance_of(question: str, difficulty: Sequence[Difficulty], seed: int) -> float:
    """The chance that a question is answered right, the same for every prompt and model; 1 without difficulty."""
    if not difficulty:
        return 1.0
    stream = random.Random(f"{seed}/difficulty/{question}")
    part, left = difficulty[-1], stream.random()
    for one in difficulty:
        if left < one.share:
            part = one
            break
        left -= one.share
    return stream.betavariate(part.alpha, part.beta)


def uniform(*parts: object) -> float:
    """A number in [0, 1), always the same for these parts."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _status(profile: Profile, uniform: float) -> int:
    for rate, status in (
        (profile.error_rate, 500),
        (profile.overload_rate, 529),
        (profile.rate_limit_rate, 429),
        (profile.empty_account_rate, 400),
    ):
        if uniform < rate:
            return status
        uniform -= rate
    return 200


def _latency(profile: Profile, normal: float) -> float:
    if not profile.p95 or not profile.median:
        return profile.median
    return profile.median * math.exp(normal * math.log(profile.p95 / profile.median) / _Z95)
