"""What a gateway counts against latency budgets, and of batches that pass through, as it travels in `Usage`."""

from __future__ import annotations

from claude_operator.api.gateway import Count, Text, Wire

__all__ = ["BatchCounts", "LatencyRow"]


class LatencyRow(Wire, frozen=True, array_like=True):
    """One latency budget."""

    surface: Text


class BatchCounts(Wire, frozen=True, omit_defaults=True):
    """Batches that pass through."""

    submitted: Count = 0
