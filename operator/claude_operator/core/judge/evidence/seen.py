"""What one gateway process has reported last, and what has grown since it was last looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from claude_operator.api.evidence import Counters, Evidence, GenerationEvidence, UnitCounters

__all__ = ["FRESH", "Key", "Live", "Seen", "counters_of", "grown", "grown_units", "seen_after", "units_of"]

_Any = TypeVar("_Any", Counters, UnitCounters)
_AnyKey = TypeVar("_AnyKey")

Key = tuple[int, str, str, str, str]
"""Config generation, revision, role, surface, cache state."""
Live = tuple[tuple[str, int], ...] | None
"""Weights by revision in basis points, in order; None where they are not known."""
UnitsKey = tuple[int, Live, str, str, str, str, str]
"""Era, its weights, revision, role, surface, period, cache state."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The last that one gateway process has reported, and its age in seconds then."""

    boot_id: str
    uptime: float
    counters: Mapping[Key, Counters]
    bad: int = 0
    """How many bad conversations it had counted one by one."""
    reading: int = 0
    """The number under which the process keeps this reading, 0 where it does not."""
    units: Mapping[UnitsKey, UnitCounters] = field(default_factory=dict)
    by_unit: bool = False
    """Whether it counts by conversation: one of an older version does not."""
    eras: tuple[tuple[int, Live], ...] = ()


FRESH = Seen("", 0.0, {})
_NO_COUNTERS, _NO_UNITS = Counters(), UnitCounters()


def seen_after(evidence: Evidence, before: Seen | None) -> Seen:
    """What is known after `evidence`: `before` itself where it tells of an earlier moment of the same process.

    A generation that the gateway no longer reports is forgotten: it would start from zero if it came back.
    """
    same = before if before and before.boot_id == evidence.boot_id else None
    if same and evidence.uptime < same.uptime:
        return same
    found = counters_of(evidence.generations, same.counters if same else {})
    units = units_of(evidence.generations, same.units if same else {})
    bad = max(evidence.bad_first + len(evidence.bad), same.bad if same else 0)
    by_unit = counts_units(evidence.generations)
    eras = tuple((one.generation, _live(one)) for one in evidence.generations if one.weights is not None)
    return Seen(evidence.boot_id, evidence.uptime, found, bad, evidence.reading, units, by_unit, eras)


def counts_units(generations: Iterable[GenerationEvidence]) -> bool:
    """Whether their gateway counts by conversation: then it knows the weights of each era."""
    return any(one.weights is not None or one.units for one in generations)


def counters_of(generations: Iterable[GenerationEvidence], old: Mapping[Key, Counters]) -> dict[Key, Counters]:
    """Requests of all generations; `old` are those of the same process before."""
    found: dict[Key, Counters] = {}
    for generation in generations:
        for each in generation.strata:
            key = (generation.generation, each.revision, each.role, each.surface, each.cache)
            now, earlier = each.counters, old.get(key)
            # Most counters stand still, and then the same object says so. None ever goes down in one process.
            keep = earlier is not None and (now == earlier or now.requests < earlier.requests)
            found[key] = earlier if keep and earlier is not None else now
    return found


def units_of(
    generations: Iterable[GenerationEvidence], old: Mapping[UnitsKey, UnitCounters]
) -> dict[UnitsKey, UnitCounters]:
    """Conversations of all eras, in the same way."""
    found: dict[UnitsKey, UnitCounters] = {}
    for era in generations:
        live = _live(era)
        for each in era.units:
            key = (era.generation, live, each.revision, each.role, each.surface, each.period, each.cache)
            now, earlier = each.counters, old.get(key)
            keep = earlier is not None and (now == earlier or now.entries < earlier.entries)
            found[key] = earlier if keep and earlier is not None else now
    return found


def _live(era: GenerationEvidence) -> Live:
    return None if era.weights is None else tuple(sorted(era.weights.items()))


def grown(seen: Seen, before: Seen) -> Iterator[tuple[Key, Counters, Counters]]:
    """Every key that has changed since `before`, with what it was; another boot counts from zero."""
    return _grown(seen.counters, before.counters if before.boot_id == seen.boot_id else {}, _NO_COUNTERS)


def grown_units(seen: Seen, before: Seen) -> Iterator[tuple[UnitsKey, UnitCounters, UnitCounters]]:
    """The same of conversations."""
    return _grown(seen.units, before.units if before.boot_id == seen.boot_id else {}, _NO_UNITS)


def _grown(
    now: Mapping[_AnyKey, _Any], before: Mapping[_AnyKey, _Any], nothing: _Any
) -> Iterator[tuple[_AnyKey, _Any, _Any]]:
    for key, counters in now.items():
        earlier = before.get(key, nothing)
        if counters is not earlier:
            yield key, counters, earlier
