"""What of a stratum each metric compares between the arms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from claude_operator.core.judge.evidence.sample import Values
from claude_operator.core.judge.evidence.strata import Closed
from claude_operator.core.judge.evidence.tick import Arms, UnitArms, UnitStratum
from claude_operator.core.judge.evidence.units import UnitSample
from claude_operator.core.judge.metrics import CACHES, PERIODS, Binary, Watched

__all__ = ["Arm", "Comparison", "Firsts", "pair_conversations", "pair_up"]


@dataclass(frozen=True, slots=True)
class Firsts:
    """Conversations of one arm: how many entered each period of their turns, and first bad events by turn."""

    entries: tuple[int, int, int] = (0, 0, 0)
    bad: Mapping[int, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """First bad events."""
        return sum(self.bad.values())


Arm = tuple[int, int] | Values | Firsts
"""(requests, bad events), values, or conversations."""


class Comparison(NamedTuple):
    """One stratum of one metric, both arms of it."""

    metric: str
    canary: Arm
    stable: Arm
    share: float = 0.0
    """The canary's, of the conversations that were drawn, where their first bad events are counted."""
    by_unit: bool = False
    """Whether the values are one a conversation."""


def pair_up(strata: Closed, watches: Sequence[Watched], *, warm: bool) -> tuple[Comparison, ...]:
    """Each metric's part of each stratum; nothing where one arm has nothing. A cold cache says nothing of latency."""
    caches = CACHES if warm else ("none",)
    return tuple(
        one
        for _, period, arms in strata
        for watch in watches
        if (watch.period == period if period else watch.counts_requests)
        for one in _of_metric(watch, arms, caches, warm=warm, by_unit=bool(period))
    )


def pair_conversations(
    units: Mapping[UnitStratum, UnitArms], watches: Sequence[Watched], *, warm: bool
) -> tuple[Comparison, ...]:
    """First bad events of conversations by metric and the share that they were drawn with: surfaces say no more."""
    shares: dict[float, list[tuple[str, UnitArms]]] = {}
    for at, arms in units.items():
        shares.setdefault(at.share, []).append((at.period, arms))
    found = []
    for share, parts in sorted(shares.items()):
        entries = [_entries([(period, arms[arm].entries) for period, arms in parts]) for arm in (0, 1)]
        for watch in watches:
            if not isinstance(watch.kind, Binary) or not watch.kind.event or (watch.kind.warms_up and not warm):
                continue
            ours, theirs = (
                Firsts(entries[arm], _first_bad(watch.kind.event, [arms[arm] for _, arms in parts])) for arm in (0, 1)
            )
            if any(ours.entries) or any(theirs.entries) or ours.bad or theirs.bad:
                found.append(Comparison(watch.name, ours, theirs, share))
    return tuple(found)


def _entries(parts: Iterable[tuple[str, int]]) -> tuple[int, int, int]:
    found: dict[str, int] = dict.fromkeys(PERIODS, 0)
    for period, entries in parts:
        found[period] += entries
    opening, early, late = found.values()
    return opening, early, late


def _first_bad(event: str, samples: Iterable[UnitSample]) -> dict[int, int]:
    found: dict[int, int] = {}
    for sample in samples:
        for (kind, turn), count in sample.first_bad.items():
            if kind == event and count:
                found[turn] = found.get(turn, 0) + count
    return dict(sorted(found.items()))


def _of_metric(watch: Watched, arms: Arms, caches: Sequence[str], *, warm: bool, by_unit: bool) -> Iterator[Comparison]:
    kind = watch.kind
    if isinstance(kind, Binary):
        if kind.warms_up and not warm:
            return
        ours, theirs = (kind.events(arm, conversations=watch.conversations, caches=caches) for arm in arms)
        if ours[0] or ours[1] or theirs[1]:
            yield Comparison(watch.name, ours, theirs, by_unit=by_unit)
        return
    for together in [(cache,) for cache in caches] if kind.by_cache else [caches]:
        own, its = (arm.quantity(watch.quantity, together) for arm in arms)
        if its.count:
            yield Comparison(watch.name, own, its, by_unit=by_unit)
