"""Conversations as gateways count them: what is new of each arm since the last look.

A conversation was drawn when it began, with the weights that were live then, and belongs to them for good. It enters
each period of its turns once, with one value of each quantity, and goes bad once of a kind: so what is counted here is
independent from one conversation to the next, and says which arm was drawn before anything else was known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from claude_operator.api.evidence import MOVED, PINNED, TURNS, Histogram, UnitCounters
from claude_operator.api.gateway import BASIS_POINTS
from claude_operator.core.judge.evidence.duplicates import AT_ONCE, Duplicates
from claude_operator.core.judge.evidence.sample import (
    BUDGET,
    NO_VALUES,
    Counts,
    Sample,
    Values,
    flags_since,
    values_since,
)
from claude_operator.core.judge.evidence.seen import Live, Seen, grown_units

__all__ = [
    "EARLY_TURNS",
    "NO_UNITS",
    "UnitKey",
    "UnitSample",
    "drawn_share",
    "has_all",
    "unit_history",
    "unit_samples",
]

EARLY_TURNS = 7
"""Turns of the period `early`: a conversation that entered `late` has gone through all of them."""

_TURNS = frozenset(map(str, TURNS))
_HISTOGRAMS = {
    "timeToFirstToken": attrgetter("ttft"),
    "duration": attrgetter("duration"),
    "cost": attrgetter("cost"),
    "outputTokens": attrgetter("output_tokens"),
    "timePerOutputToken": attrgetter("time_per_output_token"),
}


class UnitKey(NamedTuple):
    """Conversations that are alike: `live` are the weights that they were drawn with."""

    era: int
    live: Live
    surface: str
    period: str
    revision: str


@dataclass(frozen=True, slots=True)
class UnitSample:
    """Of one arm: conversations that entered a period, first bad events by (kind, turn), and one value of each."""

    entries: int = 0
    first_bad: Mapping[tuple[str, int], int] = field(default_factory=dict)
    values: Mapping[tuple[str, str], Values] = field(default_factory=dict)
    """By quantity and cache state."""

    def bad(self, event: str) -> int:
        """First bad events of a kind."""
        return sum(count for (kind, _), count in self.first_bad.items() if kind == event)

    def plus(self, other: UnitSample) -> UnitSample:
        """Both together."""
        first_bad = dict(self.first_bad)
        for key, count in other.first_bad.items():
            first_bad[key] = first_bad.get(key, 0) + count
        values = dict(self.values)
        for place, more in other.values.items():
            values[place] = values.get(place, NO_VALUES).plus(more)
        return UnitSample(self.entries + other.entries, first_bad, values)

    def as_sample(self) -> Sample:
        """Its values, and how many there are of the quantity that has most."""
        counts: dict[str, int] = {}
        for (quantity, _), values in self.values.items():
            counts[quantity] = counts.get(quantity, 0) + values.count
        most = max(counts.values(), default=0)
        return Sample(Counts(requests=most, ok=most), self.values)


NO_UNITS = UnitSample()


def drawn_share(live: Live, *, canary: str, stable: str) -> float:
    """The canary's share of the conversations that were drawn under these weights, 0 where none were."""
    weights = dict(live or ())
    ours, theirs = weights.get(canary, 0), weights.get(stable, 0)
    return ours / (ours + theirs) if ours > 0 and theirs > 0 else 0.0


def has_all(live: Live, canary: str) -> bool:
    """Whether the canary got every conversation under these weights."""
    return dict(live or ()).get(canary) == BASIS_POINTS


def unit_samples(
    looks: Iterable[tuple[Seen, Seen]], quantities: Collection[str], duplicates: Mapping[str, Duplicates]
) -> dict[UnitKey, UnitSample]:
    """What is new over all pods, without conversations that chose their revision; `duplicates` are used up."""
    found: dict[UnitKey, UnitSample] = {}
    wanted = [(name, get) for name, get in _HISTOGRAMS.items() if name in quantities]
    for seen, before in looks:
        twice = duplicates.get(seen.boot_id)
        for (era, live, revision, _, surface, period, cache), now, earlier in grown_units(seen, before):
            if surface == PINNED:
                continue
            first_bad = dict(_first_bad(now, earlier))
            if twice:
                _take_off(first_bad, (AT_ONCE, surface, revision), twice)
            values = {(name, cache): one for name, get in wanted if (one := values_since(get(now), get(earlier))).count}
            if BUDGET in quantities and (flags := flags_since(now.budget, earlier.budget)).count:
                values[BUDGET, cache] = flags
            new = UnitSample(max(now.entries - earlier.entries, 0), first_bad, values)
            key = UnitKey(era, live, surface, period, revision)
            found[key] = found[key].plus(new) if key in found else new
    return found


def unit_history(seen: Iterable[Seen], revision: str, quantity: str, period: str) -> Values:
    """All values of a quantity and period that processes have reported of a revision."""
    whole, empty, get = NO_VALUES, Histogram(), _HISTOGRAMS[quantity]
    for one in seen:
        for (_, _, name, _, surface, of, _), counters in one.units.items():
            if name == revision and of == period and surface not in (PINNED, MOVED):
                whole = whole.plus(values_since(get(counters), empty))
    return whole


def _first_bad(now: UnitCounters, before: UnitCounters) -> Iterator[tuple[tuple[str, int], int]]:
    """By kind and turn; a key of another form is nothing that can be judged."""
    for key, count in now.first_bad.items():
        new = count - before.first_bad.get(key, 0)
        kind, _, turn = key.rpartition(":")
        if new > 0 and turn in _TURNS:
            yield (kind, int(turn)), new


def _take_off(first_bad: dict[tuple[str, int], int], stratum: tuple[int, str, str], duplicates: Duplicates) -> None:
    """Conversations that another pod had counted a moment before."""
    for kind, turn in sorted(first_bad):
        many = min(duplicates.get((stratum, kind), 0), first_bad[kind, turn])
        if many:
            duplicates[stratum, kind] -= many
            first_bad[kind, turn] -= many
