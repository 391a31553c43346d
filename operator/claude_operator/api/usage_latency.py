"""What `GET /-/usage` says of latency budgets and of batches."""

from __future__ import annotations

from typing import Annotated

import msgspec

from claude_operator.api.gateway import Count, Counted, Role, Text, Wire

__all__ = ["MOST_BATCHES", "MOST_LATENCY_ROWS", "MOST_UNBUDGETED", "BatchCounts", "BatchRow", "LatencyRow"]

MOST_LATENCY_ROWS = 512
MOST_BATCHES = 512
MOST_UNBUDGETED = 8
"""Names of surfaces that clients send and no budget names."""

Seconds = Annotated[float, msgspec.Meta(ge=0)]


class LatencyRow(Wire, frozen=True, array_like=True):
    """Calls of one revision and surface on either side of one limit, cumulative since boot."""

    revision: Text
    role: Role
    surface: Text
    metric: Text
    max: Seconds
    within: Count
    over: Count


class BatchRow(Wire, frozen=True, array_like=True):
    """A batch as an answer last showed it. Times are Unix seconds; `ended` is 0 while it goes on."""

    id: Text
    """A hash of the API's id."""
    surface: Text
    created: Seconds
    seen: Seconds
    ended: Seconds
    requests: Count
    succeeded: Count


class BatchCounts(Wire, frozen=True):
    """Batches whose answers have passed by, cumulative since boot, and the last of them."""

    submitted: Count = 0
    ended: Count = 0
    requests: Counted = {}
    """Requests of ended batches by result: succeeded, errored, canceled, expired."""
    recent: Annotated[list[BatchRow], msgspec.Meta(max_length=MOST_BATCHES)] = []
