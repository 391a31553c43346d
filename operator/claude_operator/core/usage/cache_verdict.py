"""Whether prompt caching is effective, and what to change where it is not: sentences for people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from claude_operator.core.text import count, share
from claude_operator.core.usage.cache import DAY, HOUR, CacheUsage, Entry, Lost, Sums, total, within
from claude_operator.core.usage.cold import Cause
from claude_operator.core.usage.figures import dollars

__all__ = ["CacheVerdict", "PrefixFigures", "SurfaceFigures", "hit_ratios", "judge_cache"]

State = Literal["Warm", "Cold", "NotCached", "NoTraffic"]

_ENOUGH = 0.7
"""Share of what could have been read that has to be read."""
_CALLS = 20  # below which nothing is said
_TOKENS = 10_000  # that could have been read, below which nothing is worth a word
_TTL_TOKENS = 100_000  # the same of a day, for calls that come too far apart: nights are quiet
_PREFIXES = 10  # that are shown
_CENT = 0.005
_TURNS = ": where conversations have several turns, set cache_control in messages too"
_NOTHING = Lost()

_CAUSES = {
    Cause.VOLATILE_TEXT: (
        "text before a breakpoint differs from call to call{where}",
        "put what varies behind the last breakpoint, or into messages",
    ),
    Cause.TOOLS_REORDERED: ("the same tools come in another order{where}", "send tools in one order, e.g. by name"),
    Cause.TOOLS_CHANGED: (
        "the tools differ from call to call{where}",
        "send the same tools in every call; tool_choice says which may be used",
    ),
    Cause.CLIENT_BLOCK_FIRST: (
        "a block of the client's that differs from call to call stands before the revision's{where}",
        "set spec.overrides.{list} to Prepend",
    ),
    Cause.BREAKPOINT_DROPPED: (
        "a breakpoint of the revision gives way to the client's: four are allowed",
        "have the client set fewer cache_control",
    ),
    Cause.PREFIX_UNMARKED: (
        "breakpoints stand in messages alone, and each conversation writes tools and system again",
        "set cache_control on the last system block too",
    ),
    Cause.TTL_TOO_SHORT: (
        "calls come further apart than the 5 minutes that an entry lives{hint}",
        'set ttl: "1h" in cache_control',
    ),
    Cause.UNDER_MINIMUM: (
        "what stands before the last breakpoint is too short to be cached, about {tokens} tokens{hint}",
        "put the breakpoint behind more text, or remove cache_control",
    ),
    Cause.MODEL_CHANGED: (
        "the model differs from call to call, and each has a cache of its own",
        "name one model in spec.request, and others in subagents",
    ),
    Cause.MESSAGES_CHANGED: (
        "conversations change messages that were sent before",
        "add to the end of messages, and leave the earlier ones as they are",
    ),
    Cause.NOT_CACHED: (
        "no cache_control is set, and tools and system have about {tokens} tokens",
        "set cache_control on the last system block",
    ),
    Cause.UNEXPLAINED: (
        "a prefix that did not change is not found",
        "send diagnostics.previous_message_id, and the API says in its answers why",
    ),
}


@dataclass(frozen=True, slots=True)
class SurfaceFigures:
    """One surface of the stable revision, over a day at most."""

    surface: str
    calls: int
    input: int
    hit_ratio: float
    state: State
    cause: str = ""
    usd_per_hour: float = 0.0


@dataclass(frozen=True, slots=True)
class PrefixFigures:
    """One prefix of the stable revision."""

    prefix: str
    surface: str
    calls: int
    input: int
    hit_ratio: float


@dataclass(frozen=True, slots=True)
class CacheVerdict:
    """The whole; `hit_ratio` is None where there was no traffic."""

    state: State
    is_effective: bool | None
    message: str
    hit_ratio: float | None = None
    usd_per_hour: float = 0.0
    surfaces: tuple[SurfaceFigures, ...] = ()
    prefixes: tuple[PrefixFigures, ...] = ()


@dataclass(frozen=True, slots=True)
class _Surface:
    """What was found of one surface of one revision."""

    revision: str
    surface: str
    sums: Sums
    """Of the window that was judged."""
    hours: float
    state: State
    cause: Cause | None = None
    lost: Lost = _NOTHING

    @property
    def usd_per_hour(self) -> float:
        """What the cause costs."""
        return self.lost.usd / self.hours


def judge_cache(state: CacheUsage | None, stable: str | None, canary: str | None, now: dt.datetime) -> CacheVerdict:
    """The verdict on what serves. A canary has little traffic by intention: gaps between its calls are no fault."""
    if state is None:
        return CacheVerdict("NoTraffic", None, "what gateways have used has not been read yet")
    found = [*_surfaces(state, stable, now), *_surfaces(state, canary, now, is_canary=True)]
    day = [entry for entry in within(state, now, DAY) if entry.revision == stable]
    sums = total(day)
    if not found or all(one.state == "NoTraffic" for one in found):
        ratio = _ratio(sums) if sums.input else None
        return CacheVerdict("NoTraffic", None, f"fewer than {_CALLS} calls in 24 hours", ratio)
    cold = [one for one in found if one.cause is not None]
    worst = max(cold, key=lambda one: (one.usd_per_hour, one.lost.tokens), default=None)
    figures = tuple(_figures(one, day) for one in found if one.revision == stable)
    return CacheVerdict(
        state=worst.state if worst else _best(found),
        is_effective=worst is None,
        message=_explain(worst, len(cold) - 1) if worst else _praise(sums, _best(found)),
        hit_ratio=_ratio(sums) if sums.input else None,
        usd_per_hour=sum(one.usd_per_hour for one in cold),
        surfaces=figures,
        prefixes=_prefixes(day),
    )


def hit_ratios(state: CacheUsage, now: dt.datetime) -> dict[str, float]:
    """By surface, of all revisions, over a day."""
    day = within(state, now, DAY)
    return {surface: _ratio(_of(day, surface)) for surface in sorted({entry.surface for entry in day})}


def _surfaces(state: CacheUsage, revision: str | None, now: dt.datetime, *, is_canary: bool = False) -> list[_Surface]:
    if revision is None:
        return []
    day = [entry for entry in within(state, now, DAY) if entry.revision == revision]
    hour = [entry for entry in within(state, now, HOUR) if entry.revision == revision]
    began = min(
        (begin for begin, entries in state.slots.items() if any(e.revision == revision for e in entries)), default=0
    )
    hours = min(max((now.timestamp() - began) / HOUR, 1 / 6), DAY / HOUR)
    return [
        _judge(revision, surface, (_of(hour, surface), min(hours, 1.0)), (_of(day, surface), hours), is_canary)
        for surface in sorted({entry.surface for entry in day})
    ]


def _judge(revision: str, surface: str, hour: tuple[Sums, float], day: tuple[Sums, float], is_canary: bool) -> _Surface:
    """Judge a surface: by the last hour where that has enough calls. Whether calls come too far apart is judged by the
    day, since nights are quiet."""
    patience = () if is_canary else (Cause.TTL_TOO_SHORT,)
    others = [cause for cause in Cause if cause is not Cause.TTL_TOO_SHORT]
    recent, hours = hour if hour[0].calls >= _CALLS else day
    if day[0].calls < _CALLS:
        return _Surface(revision, surface, day[0], day[1], "NoTraffic")
    for sums, over, causes, least in ((recent, hours, others, _TOKENS), (*day, patience, _TTL_TOKENS)):
        cause = _main_cause(sums, causes, least)
        if cause is not None:
            state: State = "NotCached" if cause is Cause.NOT_CACHED else "Cold"
            return _Surface(revision, surface, sums, over, state, cause, sums.cold[cause])
    uses = recent.read or recent.written
    return _Surface(revision, surface, recent, hours, "Warm" if uses else "NotCached")


def _main_cause(sums: Sums, causes: Sequence[Cause], least: int) -> Cause | None:
    """The cause that most was lost for, None where enough was read."""
    lost = {cause: sums.cold[cause].tokens for cause in causes if cause in sums.cold}
    readable = sums.read + sum(lost.values())
    if not lost or readable < least or sums.read >= _ENOUGH * readable:
        return None
    return max(lost, key=lambda cause: lost[cause])


def _explain(worst: _Surface, others: int) -> str:
    cause, lost, sums = worst.cause or Cause.UNEXPLAINED, worst.lost, worst.sums
    what, remedy = _CAUSES[cause]
    details = ", ".join(filter(None, (lost.where, lost.hint)))
    where, hint = f" ({details})" if details else "", f" ({lost.hint})" if lost.hint else ""
    if cause is Cause.TTL_TOO_SHORT and lost.hint:
        hint = f" (the last after {lost.hint})"
    tokens = f"{lost.tokens // max(lost.calls, 1):,}"
    known = lost.where.partition("[")[0] or "system"
    said = what.format(where=where, hint=hint, tokens=tokens)
    more = f"; {count(others, 'other surface')} reads too little too" if others else ""
    return (
        f"surface {worst.surface} of {worst.revision} reads {share(_ratio(sums))} of its input tokens from the cache:"
        f" in {lost.calls:,} of {count(sums.calls, 'call')} {said}. {_price(worst)}{remedy.format(list=known)}{more}"
    )


def _price(worst: _Surface) -> str:
    usd = worst.usd_per_hour
    if usd >= _CENT:
        return f"It costs {dollars(usd)} an hour: "
    tokens = round(worst.lost.tokens / worst.hours)
    if worst.lost.calls and worst.lost.unpriced == worst.lost.calls:
        return f"It costs {tokens:,} tokens an hour, at a price that is not known: "
    return f"It costs less than a cent an hour, for {tokens:,} tokens: "


def _praise(sums: Sums, state: State) -> str:
    if state == "NotCached":
        return "no prompt has tools and system that are long enough for the cache: nothing is lost"
    ratio = _ratio(sums)
    rest = "" if ratio >= _ENOUGH else f"; the rest stands behind the last breakpoint{_TURNS}"
    return f"{share(ratio)} of the input tokens of {count(sums.calls, 'call')} were read from the cache{rest}"


def _best(found: Sequence[_Surface]) -> State:
    states = {one.state for one in found}
    return "Warm" if "Warm" in states else "NotCached"


def _figures(one: _Surface, day: Iterable[Entry]) -> SurfaceFigures:
    sums = _of(day, one.surface)
    return SurfaceFigures(
        one.surface, sums.calls, sums.input, _ratio(sums), one.state, one.cause or "", one.usd_per_hour
    )


def _prefixes(day: Iterable[Entry]) -> tuple[PrefixFigures, ...]:
    largest = sorted(day, key=lambda entry: entry.sums.input, reverse=True)[:_PREFIXES]
    return tuple(
        PrefixFigures(one.prefix, one.surface, one.sums.calls, one.sums.input, _ratio(one.sums)) for one in largest
    )


def _of(entries: Iterable[Entry], surface: str) -> Sums:
    return total(entry for entry in entries if entry.surface == surface)


def _ratio(sums: Sums) -> float:
    return sums.read / sums.input if sums.input else 0.0
