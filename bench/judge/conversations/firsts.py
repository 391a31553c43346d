"""By which requests conversations are counted: the first of each period of their turns, and the first bad of a kind."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.judge.conversations.arms import Played
from bench.judge.conversations.cases import Case
from bench.judge.conversations.hangs import hang_limits, seen_hanging
from bench.judge.conversations.sessions import ERROR, HUNG, LIMITED, MAX_TOKENS, OK, REFUSAL
from bench.judge.ticks import Ints
from claude_operator.api.evidence import TURNS

__all__ = ["BAD", "KINDS", "PERIODS", "Bad", "bad_events", "first_of", "lives_of", "periods_of", "turn_buckets"]

PERIODS = ("opening", "early", "late")
BAD = {ERROR: "error", REFUSAL: "refusal", MAX_TOKENS: "max_tokens", LIMITED: "overload"}
"""Outcomes that are bad, and what gateways call them."""

KINDS = ("hung", *BAD.values(), "tool_use", "cache_write")

_LATE = 8


class Bad(NamedTuple):
    """First bad events of a kind: places in `Played`, and the tick in which each is counted."""

    kind: str
    places: Ints
    tick: Ints


def periods_of(played: Played) -> Ints:
    """The place in `PERIODS` of each request's turn."""
    return (played.turn > 0).astype(np.int64) + (played.turn >= _LATE)


def lives_of(case: Case, played: Played, period: Ints) -> Ints:
    """A number for each unit and period, which it enters once; a user begins anew with each weight of the canary."""
    unit = played.unit
    if case.unit == "User":
        unit = unit * (int(played.era.max(initial=0)) + 1) + played.era
    return unit * len(PERIODS) + period


def first_of(group: Ints, among: NDArray[np.bool_]) -> Ints:
    """The first place of each group among some, places being in the order of time."""
    places = np.flatnonzero(among)
    found = group[places]
    firsts = np.full(int(found.max(initial=0)) + 1, -1)
    firsts[found[::-1]] = places[::-1]  # of several the one that is written last stays, which is the earliest
    return np.sort(firsts[firsts >= 0])


def bad_events(case: Case, played: Played, tick: Ints, kinds: Collection[str] = KINDS) -> Iterator[Bad]:
    """Of some kinds; a user that went bad under an earlier weight of the canary does not go bad again."""
    life = played.unit * 2 + (played.era > 0)
    for kind in kinds:
        if kind == "hung":
            places, at = _hung(case, played, tick)
        else:
            places = first_of(life, _struck(case, played, kind))
            at = tick[places]
        if len(places):
            yield Bad(kind, places, at)


def _struck(case: Case, played: Played, kind: str) -> NDArray[np.bool_]:
    """Requests with an event that is known when they end."""
    if kind == "tool_use":
        return (played.outcome == OK) & ~played.last
    if kind == "cache_write":
        return (played.outcome < ERROR) & played.cold & case.cached
    return played.outcome == next(code for code, name in BAD.items() if name == kind)


def turn_buckets(turn: Ints) -> Ints:
    """The place in `TURNS` under which each turn is counted."""
    return np.searchsorted(np.array(TURNS), turn, "right") - 1


def _hung(case: Case, played: Played, at: Ints) -> tuple[Ints, Ints]:
    """What waits longer than stable's requests ever did counts when it has waited so long."""
    one, seconds = played, case.tick_seconds
    limits = hang_limits(one, at, case)
    hanging = one.outcome == HUNG
    places = np.flatnonzero(hanging | ((one.outcome <= ERROR) & (one.ttft > limits[one.pod, at])))
    tick = at[places]
    still = hanging[places]
    tick[still] = seen_hanging(one.time[hanging], one.pod[hanging], limits, seconds)
    order = np.lexsort((one.time[places], tick))
    order = order[tick[order] <= int(at.max(initial=0))]
    places, tick = places[order], tick[order]
    first = first_of(one.unit[places] * 2 + (one.era[places] > 0), np.ones(len(places), dtype=bool))
    return places[first], tick[first]
