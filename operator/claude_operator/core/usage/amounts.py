"""What calls used and cost, as sums that are exact: whole numbers, of dollars the billionth part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from claude_operator.api.evidence import OTHER
from claude_operator.api.usage import UsageRow

__all__ = ["NOTHING", "REST", "Amounts", "Key", "by_key", "total"]

_NANO = 1_000_000_000


class Key(NamedTuple):
    """What calls are told apart by."""

    revision: str
    surface: str
    subagent: str
    """Empty: none."""
    model: str
    """The model that answered."""


REST = Key(OTHER, OTHER, "", OTHER)
"""Of all that is not kept apart."""


class Amounts(NamedTuple):
    """Sums over calls."""

    calls: int = 0
    unpriced: int = 0
    """Calls whose cost is not known; `nano` leaves them out."""
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    nano: int = 0
    """Billionths of a US dollar."""

    @property
    def usd(self) -> float:
        """US dollars."""
        return self.nano / _NANO

    def plus(self, other: Amounts) -> Amounts:
        """Both together."""
        return Amounts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def since(self, before: Amounts) -> Amounts:
        """What has come on top of an earlier state; nothing where this is the earlier one."""
        return Amounts(*(max(mine - theirs, 0) for mine, theirs in zip(self, before, strict=True)))

    def or_later(self, other: Amounts) -> Amounts:
        """The later one of two states of counters that only grow."""
        return Amounts(*map(max, self, other))


NOTHING = Amounts()


def total(amounts: Iterable[Amounts]) -> Amounts:
    """All together."""
    return Amounts(*map(sum, zip(*amounts, strict=True)))


def by_key(rows: Iterable[UsageRow]) -> Mapping[Key, Amounts]:
    """A process's counts; arms are told apart by their revision."""
    found: dict[Key, Amounts] = {}
    for row in rows:
        key = Key(row.revision, row.surface, row.subagent, row.model)
        tokens = row.input, row.output, row.cache_read, row.cache_write_5m, row.cache_write_1h
        amounts = Amounts(row.calls, row.unpriced, *tokens, round(row.cost_usd * _NANO))
        found[key] = found.get(key, NOTHING).plus(amounts)
    return found
