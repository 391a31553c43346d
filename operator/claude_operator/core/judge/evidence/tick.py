"""One look at the gateways as the judge needs it: canary and stable side by side, stratum by stratum."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from claude_operator.api.evidence import MOVED
from claude_operator.api.gateway import BASIS_POINTS
from claude_operator.api.status import to_millisecond
from claude_operator.core.judge.evidence.callers import Part
from claude_operator.core.judge.evidence.duplicates import StratumKey
from claude_operator.core.judge.evidence.increments import NO_NAMING, Increments, Naming
from claude_operator.core.judge.evidence.lately import Waiting
from claude_operator.core.judge.evidence.sample import NOTHING, Counts, Sample
from claude_operator.core.judge.evidence.units import NO_UNITS, UnitKey, UnitSample, drawn_share, has_all

__all__ = ["Arms", "Stratum", "Tick", "UnitArms", "UnitStratum"]

Stratum = tuple[int, str]
"""Config generation and surface: only requests of one stratum are compared with each other."""

_OVERLOAD_REQUESTS = 5
_EMPTY = Sample()
_NO_WAITING = Waiting()


class Arms(NamedTuple):
    """What is new of both arms."""

    canary: Sample = _EMPTY
    stable: Sample = _EMPTY

    def plus(self, other: Arms) -> Arms:
        """Both together."""
        return Arms(self.canary.plus(other.canary), self.stable.plus(other.stable))


_NOTHING = Arms()


class UnitStratum(NamedTuple):
    """Conversations that are compared with each other: drawn with the same weights, at the same age."""

    era: int
    share: float
    """The canary's, of those that were drawn."""
    surface: str
    period: str


class UnitArms(NamedTuple):
    """What is new of the conversations of both arms."""

    canary: UnitSample = NO_UNITS
    stable: UnitSample = NO_UNITS

    def plus(self, other: UnitArms) -> UnitArms:
        """Both together."""
        return UnitArms(self.canary.plus(other.canary), self.stable.plus(other.stable))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What is new since the last look. `strata` in order; where the canary has no weight, its samples are empty."""

    now: dt.datetime
    strata: Mapping[Stratum, Arms] = field(default_factory=dict)
    alone: Mapping[Stratum, Arms] = field(default_factory=dict)
    """The part of `strata` that is compared by requests: of gateways that do not count conversations, and grades."""
    units: Mapping[UnitStratum, UnitArms] = field(default_factory=dict)
    """Conversations that were drawn."""
    undrawn: UnitSample = NO_UNITS
    """The canary's that began while it had all of the weight: they say how it fares, and compare nothing."""
    by_unit: bool = False
    """Whether any gateway counts by conversation."""
    rescued: int = 0
    """Conversations that are on stable, and were not at first, or may not have been."""
    whole: Arms = _NOTHING
    """Over all strata."""
    overloaded: bool = False
    """Half or more of the canary's requests or of all were overloads, with at least five."""
    traffic: int = 0
    unreachable: tuple[str, ...] = ()
    baseline: bool = False
    """Something is not known: a first look cannot tell silence from traffic."""
    seconds: float = 0.0
    """Time since the last look by the gateways' own clocks, as far as they know it."""
    naming: Naming = NO_NAMING
    pods: int = 1
    callers: Sequence[Mapping[str, Part]] = ()
    """Of both revisions, the canary first: whose requests there are."""
    assignments: frozenset[str] = frozenset()
    unlisted: int = 0
    waiting_canary: Waiting = _NO_WAITING
    waiting_stable: Waiting = _NO_WAITING

    @classmethod
    def of(cls, increments: Increments, *, stable: str, canary: str, now: dt.datetime) -> Tick:
        """`stable` and `canary` are revision names. Other revisions only count for an overload."""
        everything = NOTHING
        for sample in increments.samples.values():
            everything = everything.plus(sample.counts)
        found = _side_by_side(increments.samples, stable=stable, canary=canary)
        whole = _NOTHING
        for arms in found.values():
            whole = whole.plus(arms)
        alone = increments.alone
        since = _since_the_last_start(increments, stable=stable, canary=canary)
        return cls(
            now=to_millisecond(now),
            strata=found,
            alone=found if alone is None else _side_by_side(alone, stable=stable, canary=canary),
            units=_drawn(since, stable=stable, canary=canary),
            undrawn=_undrawn(since, canary),
            by_unit=alone is not None,
            rescued=sum(
                one.entries for key, one in increments.units.items() if (key.surface, key.revision) == (MOVED, stable)
            ),
            whole=whole,
            overloaded=_overloaded(everything) or _overloaded(whole.canary.counts),
            traffic=increments.traffic,
            unreachable=increments.unreachable,
            baseline=increments.baseline,
            seconds=increments.seconds or 0.0,
            naming=increments.naming,
            pods=increments.pods,
            callers=[increments.callers.get(name, {}) for name in (canary, stable)],
            assignments=increments.assignments,
            unlisted=increments.unlisted,
            waiting_canary=increments.waiting.get(canary, _NO_WAITING),
            waiting_stable=increments.waiting.get(stable, _NO_WAITING),
        )

    def conversations_at(self, weight: int, generation: int) -> tuple[float, float]:
        """Of canary and stable: those that were drawn at this weight, in basis points.

        A gateway of an older version tells of those under a config, `generation` or a later one. Each counts a
        conversation that it sees, so they are divided by the pods.
        """
        drawn = [
            arms
            for at, arms in self.units.items()
            if at.period == "opening" and round(at.share * BASIS_POINTS) == weight
        ]
        ours, theirs = (sum(arms[place].entries for arms in drawn) for place in (0, 1))
        alone = [arms for (config, _), arms in self.alone.items() if config >= generation]
        mine, its = (sum(arms[place].counts.conversations for arms in alone) for place in (0, 1))
        return ours + mine / self.pods, theirs + its / self.pods


def _side_by_side(samples: Mapping[StratumKey, Sample], *, stable: str, canary: str) -> dict[Stratum, Arms]:
    found: dict[Stratum, Arms] = {}
    for (generation, surface, name), sample in sorted(samples.items(), key=lambda item: item[0]):
        if name in (canary, stable):
            new = Arms(canary=sample) if name == canary else Arms(stable=sample)
            stratum = (generation, surface)
            found[stratum] = found[stratum].plus(new) if stratum in found else new
    return found


def _since_the_last_start(increments: Increments, *, stable: str, canary: str) -> dict[UnitKey, UnitSample]:
    """Of those that did not change arm, those that began since the canary last had no weight.

    Before that, as in an attempt that was taken back, its conversations have moved.
    """
    without = (
        era
        for era, live in increments.eras
        if live and not drawn_share(live, canary=canary, stable=stable) and not has_all(live, canary)
    )
    since = max(without, default=-1)
    return {key: sample for key, sample in increments.units.items() if key.surface != MOVED and key.era >= since}


def _drawn(units: Mapping[UnitKey, UnitSample], *, stable: str, canary: str) -> dict[UnitStratum, UnitArms]:
    """Without conversations that began while one of both had no weight."""
    found: dict[UnitStratum, UnitArms] = {}
    for key, sample in units.items():
        share = drawn_share(key.live, canary=canary, stable=stable)
        if key.revision not in (canary, stable) or not share:
            continue
        new = UnitArms(canary=sample) if key.revision == canary else UnitArms(stable=sample)
        stratum = UnitStratum(key.era, share, key.surface, key.period)
        found[stratum] = found[stratum].plus(new) if stratum in found else new
    return dict(sorted(found.items()))


def _undrawn(units: Mapping[UnitKey, UnitSample], canary: str) -> UnitSample:
    found = NO_UNITS
    for key, sample in units.items():
        if key.revision == canary and has_all(key.live, canary):
            found = found.plus(sample)
    return found


def _overloaded(counts: Counts) -> bool:
    return counts.requests >= _OVERLOAD_REQUESTS and 2 * counts.overloads >= counts.requests
