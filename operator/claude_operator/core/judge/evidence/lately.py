"""What gateways tell of this moment: requests that wait for an answer, and what recent errors say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from claude_operator.core.judge.evidence.pod_readings import PodReading

__all__ = ["Waiting", "failures_of", "waiting_of"]


class Waiting(NamedTuple):
    """Requests that have gone upstream and have had no answer yet, and the seconds that the longest has waited."""

    requests: int = 0
    oldest: float = 0.0


def waiting_of(readings: Iterable[PodReading]) -> dict[str, Waiting]:
    """By revision, over the pods that answered."""
    found: dict[str, Waiting] = {}
    for reading in readings:
        for one in reading.evidence.in_flight if reading.evidence else ():
            if one.waiting:
                known = found.get(one.revision, Waiting())
                found[one.revision] = Waiting(known.requests + one.waiting, max(known.oldest, one.oldest))
    return found


def failures_of(readings: Iterable[PodReading]) -> dict[str, dict[str, int]]:
    """By revision: what its errors say, and how often."""
    found: dict[str, dict[str, int]] = {}
    for reading in readings:
        for one in reading.evidence.failures if reading.evidence else ():
            errors = found.setdefault(one.revision, {})
            errors[one.error] = errors.get(one.error, 0) + one.requests
    return found
