"""What is kept of prompt caching."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from claude_operator.core.usage.reading import UsageReading

__all__ = ["CacheUsage", "absorb", "decode", "encode"]


@dataclass(frozen=True, slots=True)
class CacheUsage:
    """What is known of the cache."""


def absorb(state: CacheUsage, reading: UsageReading, now: dt.datetime) -> CacheUsage:
    """With what a reading adds: the same object where it adds nothing."""
    return state


def encode(state: CacheUsage) -> bytes:
    """As it is stored, in gzip (`api.packing`), empty for nothing; 24 KiB at most."""
    return b""


def decode(data: bytes) -> CacheUsage:
    """As it was stored; raises `ValueError`."""
    return CacheUsage()
