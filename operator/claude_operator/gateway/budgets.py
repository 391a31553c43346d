"""What is counted against latency budgets, and of batches that pass through, cumulative since boot."""

from __future__ import annotations

from collections.abc import Mapping

from claude_operator.api.usage_latency import BatchCounts, LatencyRow
from claude_operator.gateway.call import Call

__all__ = ["BudgetStore"]


class BudgetStore:
    """The budgets and batches of one gateway process."""

    def record(self, call: Call, tokens: Mapping[str, int], cost: float | None) -> None:
        """Take in an ended `POST /v1/messages` that an arm answered."""

    def rows(self) -> list[LatencyRow]:
        """As `Usage.latency`."""
        return []

    def batches(self) -> BatchCounts | None:
        """As `Usage.batches`."""
        return None
