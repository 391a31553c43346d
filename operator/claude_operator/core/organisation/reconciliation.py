"""The gateways' own measure against the organisation's: the same keys, and the same closed days.

In tokens, which both count exactly; dollars follow from them by prices. Days are compared from the first on that all
gateways with the key measured as a whole, up to the last one that the organisation has closed.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from claude_operator.api.evidence import OTHER
from claude_operator.core.catalogue.cost import PRIORITY
from claude_operator.core.organisation.attribution import Holder, Usage

__all__ = ["TOLERANCE", "KeyDifference", "Reconciled", "reconcile"]

TOLERANCE = 0.02
"""Share of the organisation's tokens; a larger difference is explained, or told."""
_DAYS = 7
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class KeyDifference:
    """Of one key: tokens that the organisation counts, and that the gateways with this key measured."""

    key: str
    organization: int
    gateways: int
    foreign: tuple[str, ...] = ()
    """Models that the key was used with, and that no gateway was answered by: surely around them."""

    @property
    def around(self) -> int:
        """What the organisation counts beyond the gateways' measure."""
        return self.organization - self.gateways


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What was compared. `keys` are those that differ, the largest difference first."""

    since: dt.date
    until: dt.date
    organization: int
    gateways: int
    keys: tuple[KeyDifference, ...] = ()
    priority: int = 0
    """Tokens of Priority Tier among them: in usage, and never in cost."""
    batched: int = 0
    """Tokens of Message Batches, which gateways do not measure: they are not compared."""

    @property
    def ratio(self) -> float:
        """By how much the organisation counts more, as a share of what it counts."""
        if not self.organization:
            return -1.0 if self.gateways else 0.0
        return (self.organization - self.gateways) / self.organization


def reconcile(usage: Iterable[Usage], holders: Sequence[Holder], closed: tuple[dt.date, dt.date]) -> Reconciled | None:
    """Compare the days that the organisation has closed, from the first to the last; None where there is nothing to."""
    earliest, until = closed
    holding: dict[str, list[Holder]] = defaultdict(list)
    for holder in holders:
        if holder.key:
            holding[holder.key].append(holder)
    begins = {key: begin for key, ones in holding.items() if (begin := _begin(ones)) is not None and begin <= until}
    if not begins:
        return None
    first = max(earliest, until - (_DAYS - 1) * _DAY)
    since = {key: max(begin, first) for key, begin in begins.items()}
    organization: dict[str, int] = defaultdict(int)
    models: dict[str, set[str]] = defaultdict(set)
    priority = batched = 0
    for one in usage:
        if one.key not in since or not since[one.key] <= one.slot.day <= until:
            continue
        if one.slot.batched:
            batched += one.tokens.all
        else:
            organization[one.key] += one.tokens.all
            models[one.key].add(one.slot.model)
            priority += one.tokens.all if one.slot.tier == PRIORITY else 0
    found = [
        _compare(key, organization[key], models[key], holding[key], (begin, until)) for key, begin in since.items()
    ]
    differing = sorted((one for one in found if one.around), key=lambda one: (-abs(one.around), one.key))
    return Reconciled(
        min(since.values()),
        until,
        sum(one.organization for one in found),
        sum(one.gateways for one in found),
        tuple(differing),
        priority,
        batched,
    )


def _begin(holders: Iterable[Holder]) -> dt.date | None:
    """The first day that all of them measured; None where one's measure is not known."""
    begins = [holder.since if holder.measured is not None else None for holder in holders]
    known = [one for one in begins if one is not None]
    return max(known) if len(known) == len(begins) else None


def _compare(
    key: str, organization: int, models: set[str], holders: Sequence[Holder], days: tuple[dt.date, dt.date]
) -> KeyDifference:
    measured: dict[str, int] = defaultdict(int)
    for holder in holders:
        for (day, model), tokens in _known(holder).items():
            if days[0] <= day <= days[1]:
                measured[model] += tokens
    foreign = () if OTHER in measured else tuple(sorted(models - measured.keys()))
    return KeyDifference(key, organization, sum(measured.values()), foreign)


def _known(holder: Holder) -> Mapping[tuple[dt.date, str], int]:
    return {slot: tokens.all for slot, tokens in (holder.measured or {}).items()}
