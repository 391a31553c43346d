"""The fast way: what all gateway pods together have counted after each tick, from arrays.

A test shows that the gateways' own code counts the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.judge.conversations.arms import Played, Step
from bench.judge.conversations.cases import Case
from bench.judge.conversations.firsts import BAD, PERIODS, bad_events, first_of, lives_of, periods_of, turn_buckets
from bench.judge.conversations.quantities import values_of
from bench.judge.conversations.sessions import ERROR, HUNG, LIMITED, MAX_TOKENS, OK, REFUSAL
from bench.judge.conversations.sums import Growing, by_tick, counted, grown
from bench.judge.ticks import Ints
from claude_operator.api.evidence import (
    MOVED,
    TURNS,
    Counters,
    Evidence,
    GenerationEvidence,
    Stratum,
    UnitCounters,
    UnitStratum,
)
from claude_operator.gateway.unit_accounting import FEWEST_TOKENS

__all__ = ["BOOT", "CANARY", "STABLE", "Tally"]

STABLE, CANARY = "app-stable", "app-canary"
BOOT = "all-pods"
_CACHES = ("none", "read", "write")
_OUTCOMES = {OK: "ok", REFUSAL: "ok", MAX_TOKENS: "ok", ERROR: "error", LIMITED: "overload", HUNG: "canceled"}
_QUANTITIES = ("ttft", "duration", "cost", "output_tokens", "time_per_output_token")


@dataclass
class _Unit:
    """One cell of `UnitCounters` that grows; `fresh` is what it was last shown as."""

    entries: int = 0
    first_bad: dict[str, int] = field(default_factory=dict)
    values: dict[str, Growing] = field(default_factory=lambda: defaultdict(Growing))
    fresh: UnitStratum | None = None


@dataclass
class _Arm:
    """One cell of `Counters` that grows."""

    outcomes: dict[str, int] = field(default_factory=dict)
    stops: dict[str, int] = field(default_factory=dict)
    values: dict[str, Growing] = field(default_factory=lambda: defaultdict(Growing))
    conversations: int = 0
    bad: dict[str, int] = field(default_factory=dict)
    fresh: Stratum | None = None


class Tally:
    """Evidence of one process that stands for all pods, tick by tick."""

    def __init__(self, case: Case, played: Played, steps: Sequence[Step], surfaces: Sequence[str]) -> None:
        self._case, self._played, self._steps = case, played, steps
        self._surfaces = (*surfaces, MOVED)
        self._tick = by_tick(played.time, case.tick_seconds)
        self._units: dict[tuple[int, ...], _Unit] = defaultdict(_Unit)
        self._arms: dict[tuple[int, ...], _Arm] = defaultdict(_Arm)
        self._events: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
        self._prepare()

    # ------------------------------------------------------------------------------------------ what happens when

    def _prepare(self) -> None:
        one = self._played
        answered = one.outcome <= ERROR
        complete = one.outcome < ERROR
        cache = self._cache(complete)
        surface = np.where(one.moved, len(self._surfaces) - 1, one.surface)
        period = periods_of(one)
        self._shape = (len(self._steps) + 1, 2, len(self._surfaces), len(PERIODS), len(_CACHES))
        cell = np.ravel_multi_index((one.era, one.canary.astype(np.int64), surface, period, cache), self._shape)
        self._request_shape = (len(self._steps) + 1, 2, len(self._surfaces), len(_CACHES))
        asked = np.where(one.moved, one.surface, surface)
        request = np.ravel_multi_index((one.step, one.canary.astype(np.int64), asked, cache), self._request_shape)
        life = lives_of(self._case, one, period)
        entered = first_of(life, answered)
        self._count("entries", entered, cell)
        self._first_bad(cell)
        for name in _QUANTITIES:
            first = first_of(
                life, complete & (one.output >= FEWEST_TOKENS) if name == "time_per_output_token" else complete
            )
            self._grow("unit", name, first, cell)
            if name != "time_per_output_token":
                self._grow("arm", name, np.flatnonzero(complete), request)
        self._requests(request, complete)

    def _cache(self, complete: np.ndarray) -> Ints:
        """What the prompt cache did, as it shows in a complete answer."""
        if not self._case.cached:
            return np.zeros(len(complete), dtype=np.int64)
        return np.where(complete, np.where(self._played.cold, 2, 1), 0)

    def _first_bad(self, cell: Ints) -> None:
        bucket = turn_buckets(self._played.turn)
        for kind, places, at in bad_events(self._case, self._played, self._tick):
            for tick, code, count in counted(at, cell[places] * len(TURNS) + bucket[places]):
                self._events[tick].append(("bad", code // len(TURNS), f"{kind}:{TURNS[code % len(TURNS)]}", count))

    def _requests(self, request: Ints, complete: np.ndarray) -> None:
        one = self._played
        for tick, code, count in counted(self._tick, request * 8 + one.outcome):
            self._events[tick].append(("outcome", code // 8, code % 8, count))
        asked = np.flatnonzero((one.outcome == OK) & ~one.last)
        for tick, code, count in counted(self._tick[asked], request[asked]):
            self._events[tick].append(("tool_use", code, count))
        new = first_of(one.unit * 2 + one.canary, np.ones(len(complete), dtype=bool))
        for tick, code, count in counted(self._tick[new], request[new]):
            self._events[tick].append(("new", code, count))

    def _count(self, what: str, places: Ints, cell: Ints) -> None:
        for tick, code, count in counted(self._tick[places], cell[places]):
            self._events[tick].append((what, code, count))

    def _grow(self, what: str, name: str, places: Ints, cell: Ints) -> None:
        values = values_of(self._case, self._played, name, places)
        for tick, code, count, sums, buckets in grown(self._tick[places], cell[places], values):
            self._events[tick].append((what, code, name, count, sums, buckets))

    # ------------------------------------------------------------------------------------------- what is shown then

    def ticks(self, last: int) -> Iterator[Evidence]:
        """What is there after each tick until before `last`, in order."""
        for number in range(last):
            for event in self._events.pop(number, ()):
                self._take(*event)
            yield self._evidence(number)

    def _take(self, what: str, code: int, *rest: Any) -> None:
        if what in ("entries", "bad", "unit"):
            unit = self._units[tuple(int(one) for one in np.unravel_index(code, self._shape))]
            unit.fresh = None
            if what == "entries":
                unit.entries += rest[0]
            elif what == "bad":
                unit.first_bad = {**unit.first_bad, rest[0]: unit.first_bad.get(rest[0], 0) + rest[1]}
            else:
                unit.values[rest[0]].add(*rest[1:])
            return
        arm = self._arms[tuple(int(one) for one in np.unravel_index(code, self._request_shape))]
        arm.fresh = None
        if what == "arm":
            arm.values[rest[0]].add(*rest[1:])
        elif what == "new":
            arm.conversations += rest[0]
        elif what == "tool_use":
            arm.stops["tool_use"] = arm.stops.get("tool_use", 0) + rest[0]
        else:
            name, count = _OUTCOMES[rest[0]], rest[1]
            arm.outcomes[name] = arm.outcomes.get(name, 0) + count
            stop = BAD.get(rest[0], "")
            if stop in ("refusal", "max_tokens"):
                arm.stops[stop] = arm.stops.get(stop, 0) + count
            if stop and stop != "overload":
                arm.bad[stop] = arm.bad.get(stop, 0) + count

    def _evidence(self, number: int) -> Evidence:
        now = (number + 1) * self._case.tick_seconds
        step = sum(one.start < now - 1e-9 for one in self._steps)
        strata: dict[int, list[Stratum]] = defaultdict(list)
        for key, arm in sorted(self._arms.items()):
            arm.fresh = arm.fresh or self._stratum(key, arm)
            strata[key[0]].append(arm.fresh)
        units: dict[int, list[UnitStratum]] = defaultdict(list)
        for key, unit in sorted(self._units.items()):
            unit.fresh = unit.fresh or self._unit_stratum(key, unit)
            units[key[0]].append(unit.fresh)
        shown = [one for one in range(step + 1) if one in strata or one in units]
        generations = [
            GenerationEvidence(one + 1, strata[one], weights=self._weights(one), units=units[one]) for one in shown
        ]
        return Evidence(BOOT, step + 1, now, generations, weights=self._weights(step))

    def _weights(self, step: int) -> dict[str, int]:
        if not step:
            return {STABLE: 10_000}
        canary = round(10_000 * self._steps[step - 1].weight)
        return {STABLE: 10_000 - canary, CANARY: canary}

    def _stratum(self, key: tuple[int, ...], arm: _Arm) -> Stratum:
        _, canary, surface, cache = key
        values = {name: one.snapshot() for name, one in arm.values.items()}
        counters = Counters(
            requests=sum(arm.outcomes.values()),
            outcomes=dict(arm.outcomes),
            stop_reasons=dict(arm.stops),
            conversations=arm.conversations,
            bad_conversations=dict(arm.bad),
            normalised_cost=values.get("cost", Growing().snapshot()),
            **values,
        )
        return Stratum(*_names(canary), self._surfaces[surface], _CACHES[cache], counters)  # type: ignore[arg-type]

    def _unit_stratum(self, key: tuple[int, ...], unit: _Unit) -> UnitStratum:
        _, canary, surface, period, cache = key
        values = {name: one.snapshot() for name, one in unit.values.items()}
        counters = UnitCounters(unit.entries, unit.first_bad, **values)
        names = _names(canary)
        return UnitStratum(*names, self._surfaces[surface], PERIODS[period], _CACHES[cache], counters)  # type: ignore[arg-type]


def _names(canary: int) -> tuple[str, str]:
    return (CANARY, "canary") if canary else (STABLE, "stable")
