"""Buckets of time that the API reports usage and costs in, and which of them have to be read.

A bucket is read whole and replaces what was known of it, so it counts once however often it is read. The API learns of
usage late: a bucket is read again, the older the less often, until nothing more is added to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

__all__ = ["COST_DIMENSIONS", "USAGE_DIMENSIONS", "Bucket", "CostRow", "Marks", "Series", "Span", "UsageRow"]

USAGE_DIMENSIONS = (
    "api_key_id",
    "workspace_id",
    "account_id",
    "service_account_id",
    "model",
    "service_tier",
    "context_window",
    "inference_geo",
    "speed",
)
COST_DIMENSIONS = (
    "api_key_id",
    "workspace_id",
    "description",
    "cost_type",
    "token_type",
    "model",
    "service_tier",
    "context_window",
    "inference_geo",
)

Marks = Mapping[int, int]
"""By start of a bucket, when it was last read; both in seconds since the epoch."""

_AGE_SHARE = 8
"""A bucket is read again when it has grown older by an eighth."""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Tokens of one group in a bucket; `group` has a text for each of USAGE_DIMENSIONS, empty for null."""

    group: tuple[str, ...]
    counts: tuple[int, int, int, int, int, int]
    """Input, cache read, cache write of 5 minutes and of 1 hour, output, web searches."""


@dataclass(frozen=True, slots=True)
class CostRow:
    """US cents of one group in a bucket; `group` has a text for each of COST_DIMENSIONS, empty for null."""

    group: tuple[str, ...]
    cents: Decimal


@dataclass(frozen=True, slots=True)
class Bucket:
    """All that the API reports of one bucket; one without rows was read and is empty."""

    start: int
    rows: tuple[UsageRow, ...] | tuple[CostRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """Whole buckets from `start` up to `end`, in seconds since the epoch."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Series:
    """Buckets of one width, and how they are read. All times in seconds."""

    name: str
    width: int
    settle: int
    """After its end nothing is added to a bucket any more."""
    filled: int
    """How far back it is filled where nothing is known."""
    kept: int
    """After this time a bucket is deleted."""
    refresh: int
    """A bucket is not read more often than this."""
    longest: int
    """The longest span of one reading."""

    def floor(self, moment: float) -> int:
        """The start of the bucket that a moment is in."""
        return int(moment // self.width) * self.width

    def due(self, marks: Marks, now: float) -> Span | None:
        """What to read: from the first bucket that needs it up to now; None where none does."""
        end = self.floor(now)
        first = self.floor(now - self.filled)
        start = next((one for one in range(first, end, self.width) if self._needs(one, marks.get(one), now)), None)
        if start is None:
            return None
        return Span(start, min(end, start + self.longest // self.width * self.width))

    def final(self, start: int, read: int) -> bool:
        """Whether a bucket was read when nothing was added to it any more."""
        return read >= start + self.width + self.settle

    def complete(self, marks: Marks) -> Span | None:
        """The newest buckets without a gap that were read after their end; None where there are none."""
        known = [start for start, read in marks.items() if read >= start + self.width]
        if not known:
            return None
        start = newest = max(known)
        present = set(known)
        while start - self.width in present:
            start -= self.width
        return Span(start, newest + self.width)

    def final_to(self, marks: Marks) -> int | None:
        """The end of the last final bucket of those that are complete without a gap before it."""
        span = self.complete(marks)
        if span is None:
            return None
        end = span.start
        while end < span.end and self.final(end, marks[end]):
            end += self.width
        return end if end > span.start else None

    def _needs(self, start: int, read: int | None, now: float) -> bool:
        if read is None or read > now:  # a clock that was set back says nothing about what was read
            return True
        if self.final(start, read):
            return False
        age = now - (start + self.width)
        return age >= self.settle or now - read >= max(self.refresh, age / _AGE_SHARE)
