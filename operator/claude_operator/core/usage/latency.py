"""What is kept of latency against its budgets, and of batches."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from claude_operator.core.usage.reading import UsageReading

__all__ = ["LatencyUsage", "absorb", "decode", "encode"]


@dataclass(frozen=True, slots=True)
class LatencyUsage:
    """What is known of latency."""


def absorb(state: LatencyUsage, reading: UsageReading, now: dt.datetime) -> LatencyUsage:
    """With what a reading adds: the same object where it adds nothing."""
    return state


def encode(state: LatencyUsage) -> bytes:
    """As it is stored, in gzip (`api.packing`), empty for nothing; 24 KiB at most."""
    return b""


def decode(data: bytes) -> LatencyUsage:
    """As it was stored; raises `ValueError`."""
    return LatencyUsage()
