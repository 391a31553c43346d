"""What a gateway has seen used and paid, as it travels in JSON: the answer to `GET /-/usage` on its admin port.

It is strict: a document that does not parse is refused whole. All counts are cumulative since boot; a new `boot_id`
starts from zero.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from claude_operator.api.faults import decode
from claude_operator.api.gateway import Count, Text, Wire
from claude_operator.api.usage_cache import PrefixRow
from claude_operator.api.usage_latency import MOST_UNBUDGETED, BatchCounts, LatencyRow

__all__ = ["MOST_MODELS", "MOST_ROWS", "USAGE_PATH", "Usage", "UsageRow", "parse_usage"]

USAGE_PATH = "/-/usage"
MOST_ROWS = 512
"""Rows of a process with names of their own; what comes after them counts in one row named `other`."""
MOST_MODELS = 32
"""Answering models of a process that are named; the others are `other`."""

Dollars = Annotated[float, msgspec.Meta(ge=0.0, le=1e9)]


class UsageRow(Wire, frozen=True, array_like=True):
    """Calls of `POST /v1/messages` that are alike, as an array. Retries and pinned calls count: they cost money."""

    revision: Text
    role: Text
    surface: Text
    """A surface named in the config, or `other`."""
    subagent: Text
    """A subagent that the revision declares, else empty."""
    model: Text
    """The model that answered."""
    calls: Count = 0
    """Ended calls that an arm answered, whatever their outcome."""
    unpriced: Count = 0
    """Those of them whose cost is not known: `cost_usd` leaves them out, and they are not free."""
    input: Count = 0
    """Tokens of the prompt that were neither read from the cache nor written to it."""
    output: Count = 0
    cache_read: Count = 0
    cache_write_5m: Count = 0
    cache_write_1h: Count = 0
    cost_usd: Dollars = 0.0
    """US dollars, of calls whose price is known."""


class Usage(Wire, frozen=True, omit_defaults=True):
    """One gateway process's usage."""

    boot_id: Text
    uptime: Annotated[float, msgspec.Meta(ge=0.0)]
    """Seconds since boot."""
    config_generation: Count
    """The generation being served now."""
    rows: Annotated[list[UsageRow], msgspec.Meta(max_length=MOST_ROWS + 1)] = []
    prefixes: Annotated[list[PrefixRow], msgspec.Meta(max_length=4096)] = []
    latency: Annotated[list[LatencyRow], msgspec.Meta(max_length=4096)] = []
    batches: BatchCounts | None = None
    unbudgeted: Annotated[list[Text], msgspec.Meta(max_length=MOST_UNBUDGETED)] = []
    """Surfaces that clients send and no budget names."""


def parse_usage(data: bytes) -> Usage:
    """Read a usage document; raises `ValueError`."""
    return decode(data, Usage, "usage")
