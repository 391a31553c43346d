"""One look at the gateways as the judge needs it: canary and stable side by side, stratum by stratum."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from claude_operator.api.status import to_millisecond
from claude_operator.core.judge.evidence.callers import Part
from claude_operator.core.judge.evidence.increments import NO_NAMING, Increments, Naming, Waiting
from claude_operator.core.judge.evidence.sample import NOTHING, Counts, Sample

__all__ = ["Arms", "Stratum", "Tick"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What is new since the last look. `strata` in order; where the canary has no weight, its samples are empty."""

    now: dt.datetime
    strata: Mapping[Stratum, Arms] = field(default_factory=dict)
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
        samples, everything = increments.samples, NOTHING
        found: dict[Stratum, Arms] = {}
        whole = _NOTHING
        for (generation, surface, name), sample in sorted(samples.items(), key=lambda item: item[0]):
            everything = everything.plus(sample.counts)
            if name not in (canary, stable):
                continue
            new = Arms(canary=sample) if name == canary else Arms(stable=sample)
            stratum = (generation, surface)
            found[stratum] = found[stratum].plus(new) if stratum in found else new
            whole = whole.plus(new)
        return cls(
            now=to_millisecond(now),
            strata=found,
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

    def conversations_since(self, generation: int) -> tuple[float, float]:
        """Of canary and stable, under that config or a later one: those of an earlier one say nothing of its weight.

        Each pod counts a conversation that it sees, so they are divided by the pods.
        """
        found = [arms for (config, _), arms in self.strata.items() if config >= generation]
        ours = sum(arms.canary.counts.conversations for arms in found)
        theirs = sum(arms.stable.counts.conversations for arms in found)
        return ours / self.pods, theirs / self.pods


def _overloaded(counts: Counts) -> bool:
    return counts.requests >= _OVERLOAD_REQUESTS and 2 * counts.overloads >= counts.requests
