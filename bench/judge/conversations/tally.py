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
from bench.judge.conversations.hangs import hang_limits, seen_hanging
from bench.judge.conversations.sessions import ERROR, HUNG, LIMITED, MAX_TOKENS, OK, REFUSAL
from bench.judge.conversations.sums import Growing, by_tick, counted, grown
from bench.judge.ticks import Floats, Ints
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
from claude_operator.core.catalogue.cost import cost_usd
from claude_operator.gateway.unit_accounting import FEWEST_TOKENS

__all__ = ["BOOT", "CANARY", "MODEL", "STABLE", "Tally", "price"]

STABLE, CANARY = "app-stable", "app-canary"
BOOT = "all-pods"
MODEL = "claude-opus-5-5"
_PERIODS = ("opening", "early", "late")
_LATE = 8
_CACHES = ("none", "read", "write")
_OUTCOMES = {OK: "ok", REFUSAL: "ok", MAX_TOKENS: "ok", ERROR: "error", LIMITED: "overload", HUNG: "canceled"}
_BAD = {ERROR: "error", REFUSAL: "refusal", MAX_TOKENS: "max_tokens", LIMITED: "overload"}
_WARM = 0.123  # of the price of a prompt, where most of it is read from the cache
_QUANTITIES = ("ttft", "duration", "cost", "output_tokens", "time_per_output_token")


def price(prompt: Floats | Ints, output: Ints) -> Floats:
    """US dollars of an answer, without a prompt cache."""
    each = [cost_usd(MODEL, {f"{kind}_tokens": 1000}) or 0.0 for kind in ("input", "output")]
    return prompt * (each[0] / 1000.0) + output * (each[1] / 1000.0)


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
        period = np.where(one.turn == 0, 0, np.where(one.turn < _LATE, 1, 2))
        self._shape = (len(self._steps) + 1, 2, len(self._surfaces), len(_PERIODS), len(_CACHES))
        cell = np.ravel_multi_index((one.era, one.canary.astype(np.int64), surface, period, cache), self._shape)
        self._request_shape = (len(self._steps) + 1, 2, len(self._surfaces), len(_CACHES))
        asked = np.where(one.moved, one.surface, surface)
        request = np.ravel_multi_index((one.step, one.canary.astype(np.int64), asked, cache), self._request_shape)
        era = one.era if self._case.unit == "User" else 0  # a user begins anew with each
        life = (one.unit * self._shape[0] + era) * len(_PERIODS) + period
        values = self._values()
        entered = _first(life, answered)
        self._count("entries", entered, cell)
        self._first_bad(cell)
        for name in _QUANTITIES:
            first = _first(
                life, complete & (one.output >= FEWEST_TOKENS) if name == "time_per_output_token" else complete
            )
            self._grow("unit", name, first, cell, values[name])
            if name != "time_per_output_token":
                self._grow("arm", name, np.flatnonzero(complete), request, values[name])
        self._requests(request, complete)

    def _cache(self, complete: np.ndarray) -> Ints:
        """What the prompt cache did, as it shows in a complete answer."""
        if not self._case.cached:
            return np.zeros(len(complete), dtype=np.int64)
        return np.where(complete, np.where(self._played.cold, 2, 1), 0)

    def _values(self) -> dict[str, Floats]:
        one = self._played
        slower = np.where(one.cold, 2.1, 1.0) if self._case.cached else 1.0
        ttft = one.ttft * slower
        return {
            "ttft": ttft,
            "duration": one.duration - one.ttft + ttft,
            "cost": price(one.prompt * (_WARM if self._case.cached else 1.0), one.output),
            "output_tokens": one.output.astype(np.float64),
            "time_per_output_token": (one.duration - one.ttft) / np.maximum(one.output - 1, 1),
        }

    def _first_bad(self, cell: Ints) -> None:
        one = self._played
        bucket = np.searchsorted(np.array(TURNS), one.turn, "right") - 1
        bad = np.isin(one.outcome, list(_BAD))
        kinds = [(code, name, one.outcome == code) for code, name in _BAD.items() if (one.outcome[bad] == code).any()]
        complete = one.outcome < ERROR
        kinds.append((-1, "tool_use", (one.outcome == OK) & ~one.last))
        if self._case.cached:
            kinds.append((-2, "cache_write", complete & one.cold))
        self._hung(cell, bucket)
        for _, name, struck in kinds:
            # A user that went bad under an earlier weight of the canary does not go bad again.
            first = _first(one.unit * 2 + (one.era > 0), struck)
            for tick, code, count in counted(self._tick[first], cell[first] * len(TURNS) + bucket[first]):
                self._events[tick].append(("bad", code // len(TURNS), f"{name}:{TURNS[code % len(TURNS)]}", count))

    def _hung(self, cell: Ints, bucket: Ints) -> None:
        """What waits longer than stable's requests ever did counts when it has waited so long."""
        one, seconds = self._played, self._case.tick_seconds
        limits = hang_limits(one, self._tick, self._case)
        hanging = one.outcome == HUNG
        places = np.flatnonzero(hanging | ((one.outcome <= ERROR) & (one.ttft > limits[one.pod, self._tick])))
        tick = self._tick[places]
        still = hanging[places]
        tick[still] = seen_hanging(one.time[hanging], one.pod[hanging], limits, seconds)
        order = np.lexsort((one.time[places], tick))
        order = order[tick[order] <= int(self._tick.max(initial=0))]
        places, tick = places[order], tick[order]
        first = _first(one.unit[places] * 2 + (one.era[places] > 0), np.ones(len(places), dtype=bool))
        chosen = places[first]
        for number, code, count in counted(tick[first], cell[chosen] * len(TURNS) + bucket[chosen]):
            self._events[number].append(("bad", code // len(TURNS), f"hung:{TURNS[code % len(TURNS)]}", count))

    def _requests(self, request: Ints, complete: np.ndarray) -> None:
        one = self._played
        for tick, code, count in counted(self._tick, request * 8 + one.outcome):
            self._events[tick].append(("outcome", code // 8, code % 8, count))
        asked = np.flatnonzero((one.outcome == OK) & ~one.last)
        for tick, code, count in counted(self._tick[asked], request[asked]):
            self._events[tick].append(("tool_use", code, count))
        new = _first(one.unit * 2 + one.canary, np.ones(len(complete), dtype=bool))
        for tick, code, count in counted(self._tick[new], request[new]):
            self._events[tick].append(("new", code, count))

    def _count(self, what: str, places: Ints, cell: Ints) -> None:
        for tick, code, count in counted(self._tick[places], cell[places]):
            self._events[tick].append((what, code, count))

    def _grow(self, what: str, name: str, places: Ints, cell: Ints, values: Floats) -> None:
        for tick, code, count, sums, buckets in grown(self._tick[places], cell[places], values[places]):
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
            stop = _BAD.get(rest[0], "")
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
        return UnitStratum(*names, self._surfaces[surface], _PERIODS[period], _CACHES[cache], counters)  # type: ignore[arg-type]


def _names(canary: int) -> tuple[str, str]:
    return (CANARY, "canary") if canary else (STABLE, "stable")


def _first(group: Ints, among: np.ndarray) -> Ints:
    """The first place of each group among some, places being in the order of time."""
    places = np.flatnonzero(among)
    firsts = np.full(int(group.max(initial=0)) + 1, -1)
    firsts[group[places][::-1]] = places[::-1]  # of several the one that is written last stays, which is the earliest
    return np.sort(firsts[firsts >= 0])
