"""What is counted of prompt caching by prefix, cumulative since boot."""

from __future__ import annotations

from collections.abc import Mapping

from claude_operator.api.usage_cache import PrefixRow
from claude_operator.gateway.call import Call

__all__ = ["PrefixStore"]


class PrefixStore:
    """The prefixes of one gateway process."""

    def record(self, call: Call, tokens: Mapping[str, int], cost: float | None) -> None:
        """Take in an ended `POST /v1/messages` that an arm answered."""

    def rows(self) -> list[PrefixRow]:
        """As `Usage.prefixes`."""
        return []
