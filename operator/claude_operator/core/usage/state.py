"""All that is kept of a ClaudeDeployment's usage: three parts, side by side in one ConfigMap."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from claude_operator.core.usage import cache, latency, ledger, stored
from claude_operator.core.usage.cache import CacheUsage
from claude_operator.core.usage.latency import LatencyUsage
from claude_operator.core.usage.ledger import Spend
from claude_operator.core.usage.reading import READ_EVERY, UsageReading

__all__ = ["PARTS", "Coverage", "UsageState", "Usages", "absorb", "decode", "encode"]

PARTS = ("spend", "cache", "latency")
"""Keys of the ConfigMap."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Usages:
    """What is stored."""

    spend: Spend = field(default_factory=Spend)
    cache: CacheUsage = field(default_factory=CacheUsage)
    latency: LatencyUsage = field(default_factory=LatencyUsage)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of it was read last."""

    read: int = 0
    silent: tuple[str, ...] = ()
    """Pods that serve, or have counted something, and did not answer: what they count is not known."""

    @property
    def pods(self) -> int:
        """All that should have answered."""
        return self.read + len(self.silent)


@dataclass(frozen=True, slots=True)
class UsageState:
    """What a pass knows of usage."""

    kept: Usages
    read_at: dt.datetime
    """When the gateways were read last, by the wall clock."""
    coverage: Coverage = field(default_factory=Coverage)
    fault: str = ""
    """Why what was stored could not be read, and was begun anew; or why it is not stored now. Empty: all is well."""
    interval: float = READ_EVERY
    """Seconds between two readings while calls come."""

    @property
    def spend(self) -> Spend:
        """By day."""
        return self.kept.spend

    @property
    def cache(self) -> CacheUsage:
        """Of the cache."""
        return self.kept.cache

    @property
    def latency(self) -> LatencyUsage:
        """Against budgets."""
        return self.kept.latency


def absorb(kept: Usages, reading: UsageReading, now: dt.datetime, *, last: dt.datetime | None = None) -> Usages:
    """With what a reading adds: the same object where it adds nothing. `last`: when the one before it was made."""
    after = Usages(
        ledger.absorb(kept.spend, reading, ledger.counted_at(now, last)),
        cache.absorb(kept.cache, reading, now),
        latency.absorb(kept.latency, reading, now, last=last),
    )
    same = after.spend is kept.spend and after.cache is kept.cache and after.latency is kept.latency
    return kept if same else after


def encode(kept: Usages) -> dict[str, str]:
    """`binaryData` of the ConfigMap, without parts that hold nothing."""
    parts = stored.encode(kept.spend), cache.encode(kept.cache), latency.encode(kept.latency)
    return {name: base64.b64encode(data).decode() for name, data in zip(PARTS, parts, strict=True) if data}


def decode(data: Mapping[str, str]) -> tuple[Usages, str]:
    """What was stored, and what could not be read of it: that part begins anew, nothing of it is guessed."""
    faults: list[str] = []

    def part(name: str, read: Callable[[bytes], T], nothing: T) -> T:
        try:
            return read(base64.b64decode(data.get(name) or "", validate=True))
        except ValueError as error:
            faults.append(str(error) if str(error).startswith(name) else f"{name}: {error}")
            return nothing

    found = Usages(
        part("spend", stored.decode, Spend()),
        part("cache", cache.decode, CacheUsage()),
        part("latency", latency.decode, LatencyUsage()),
    )
    return found, "; ".join(faults)
