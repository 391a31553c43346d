"""Breakpoints where there are none, an hour where five minutes are too short, the revision's blocks first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from claude_operator.api.evidence import OTHER
from claude_operator.core.advice.advice import LEAST_SAVED, Advice, gate_risk
from claude_operator.core.advice.bills import KINDS, Line, Move
from claude_operator.core.advice.case import Case, Confidence
from claude_operator.core.advice.patches import objections
from claude_operator.core.catalogue.cost import prices_at
from claude_operator.core.catalogue.table import Prices
from claude_operator.core.request.breakpoints import breakpoint_ttl
from claude_operator.core.usage.cache import DAY, Entry, Lost, Sums, total, within
from claude_operator.core.usage.cache_verdict import judge_cache
from claude_operator.core.usage.cold import Cause

__all__ = ["better_caching", "is_unmarked", "with_breakpoint"]

_LEAST_HOURS = 6.0  # that the cache's record has to be of
_LEAST_CALLS = 20
_WRITES = {"5m": 288, "1h": 24}  # of a prefix in a day, one call's each time: an entry lives as long after each use
_KIND = {"5m": "cache_write_5m", "1h": "cache_write_1h"}
_UNMARKED = (Cause.NOT_CACHED, Cause.PREFIX_UNMARKED)

Patch = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Day:
    """The last day of the stable revision's prompts, and what its tokens cost."""

    sums: Sums
    named: Sums
    """Of prefixes that are kept apart, since a breakpoint is only worth it where one comes again."""
    prefixes: int
    """How many of those there are, or would be with a breakpoint."""
    hours: float
    prices: Prices
    factor: float

    def scaled(self, number: float) -> float:
        """To a whole day."""
        return number * 24.0 / self.hours

    def line(self, kind: str, tokens: float) -> Line:
        """Tokens of a kind."""
        return Line(self.scaled(tokens), getattr(self.prices, kind) * self.factor)


def better_caching(case: Case) -> Iterator[Advice | str]:
    """What a change of the spec would have read from the cache; or what stands in the way."""
    day = _day(case)
    if isinstance(day, str):
        yield day
        return
    sums = {cause: day.named if cause in _UNMARKED else day.sums for cause in _FOR}
    lost = {cause: one.cold[cause] for cause, one in sums.items() if cause in one.cold}
    lost = {cause: one for cause, one in lost.items() if one.calls >= _LEAST_CALLS}
    done = False
    for cause, one in lost.items():
        advice = _FOR[cause](case, day, one)
        if advice is not None and not objections(case, advice.patch) and (advice.saves or 0.0) >= LEAST_SAVED:
            done = True
            yield advice
    verdict = judge_cache(case.usages.cache, case.stable, None, case.now)
    if verdict.is_effective is False and not done:
        yield f"cache: no field of the spec changes this: {verdict.message}"


def with_breakpoint(case: Case, ttl: str) -> Patch | None:
    """The patch that sets a breakpoint behind tools and system; None where there is one, or nothing to set it on.

    The last block of all has to be the revision's: behind its tools, or its blocks that come first, may be a client's
    system, which such a breakpoint would not cover.
    """
    if case.spec.overrides is not None and case.spec.overrides.system == "Prepend":
        return None
    control = {"type": "ephemeral", **({"ttl": ttl} if ttl != "5m" else {})}
    request = case.raw.get("request") or {}
    for where, holder in (("system", request), ("promptFrom", case.raw)):
        parts = holder.get(where)
        if parts and _is_marked(parts):
            return None
        if parts:
            marked = {where: _mark(parts, control)}
            own = _mark_subagents(case, control)
            spec = marked if where == "promptFrom" else {"request": marked}
            return {"spec": {**spec, **({"subagents": own} if own else {})}}
    return None


def is_unmarked(sums: Sums) -> bool:
    """Whether enough calls found nothing in the cache for lack of a breakpoint."""
    return sum(sums.cold[cause].calls for cause in _UNMARKED if cause in sums.cold) >= _LEAST_CALLS


def _mark_subagents(case: Case, control: Mapping[str, str]) -> Patch:
    """The system of each subagent that has one stands in place of the whole of the revision's."""
    requests = {name: one.get("request") or {} for name, one in (case.raw.get("subagents") or {}).items()}
    systems = {name: request.get("system") for name, request in requests.items()}
    return {
        name: {"request": {"system": _mark(parts, control)}}
        for name, parts in systems.items()
        if parts and not _is_marked(parts)
    }


def _is_marked(parts: Sequence[Mapping[str, Any]]) -> bool:
    return bool(parts[-1].get("cache_control"))


def _mark(parts: Sequence[Mapping[str, Any]], control: Mapping[str, str]) -> list[Mapping[str, Any]]:
    return [*parts[:-1], {**parts[-1], "cache_control": control}]


def _day(case: Case) -> _Day | str:
    scope = next(case.scopes())
    prices = prices_at(case.model(scope.model) or scope.model, 0, case.book)
    if prices is None:
        return f"cache: the price of {scope.model} is not known"
    unknown = [name for kind, name in KINDS.items() if getattr(prices, kind) is None]
    if unknown:
        return f"cache: the price of {scope.model} for {' and '.join(unknown)} is not known, so nothing can be compared"
    entries: tuple[Entry, ...] = tuple(
        one for one in within(case.usages.cache, case.now, DAY) if one.revision == case.stable
    )
    if not entries:
        return "cache: nothing is recorded of the stable revision's prompts yet"
    begins = [
        begin
        for begin, rows in case.usages.cache.slots.items()
        if any(one.revision == case.stable for one in rows) and begin >= case.now.timestamp() - DAY
    ]
    hours = min((case.now.timestamp() - min(begins)) / 3600.0, 24.0)
    if hours < _LEAST_HOURS:
        return f"cache: {hours:.1f} hours are recorded of the stable revision, and {_LEAST_HOURS:g} are needed"
    named = [one for one in entries if one.prefix != OTHER]
    own = 1 + len(case.spec.subagents or {})  # each subagent may have tools and system of its own
    prefixes = max(len({one.prefix for one in named}), own)
    return _Day(total(entries), total(named), prefixes, hours, prices, scope.factor)


def _breakpoints(case: Case, day: _Day, lost: Lost, kind: str) -> Advice | None:
    """Whichever of the two lives of an entry costs less, with a write each time that an unused entry would end."""
    each = lost.tokens / lost.calls
    best: tuple[Move, str, Patch] | None = None
    for ttl, most in _WRITES.items():
        patch = with_breakpoint(case, ttl)
        if patch is None or objections(case, patch):
            continue
        writes = min(float(lost.calls), most * day.prefixes * day.hours / 24.0)
        then = {
            _KIND[ttl]: day.line(_KIND[ttl], writes * each),
            "cache_read": day.line("cache_read", lost.tokens - writes * each),
        }
        move = Move({kind: day.line(kind, lost.tokens)}, then, "with a breakpoint")
        if best is None or move.after < best[0].after:
            best = move, ttl, patch
    if best is None:
        return None
    move, ttl, patch = best
    return Advice(
        lever="Caching",
        title=f"set a cache breakpoint of {ttl} behind tools and system",
        arithmetic=tuple(_sides(move)),
        confidence=_confidence(day, lost),
        assumes=(
            f"{_WRITES[ttl]} writes a day of {_prefixes(day)}, one for each {ttl}: fewer save more. Calls that are sent"
            " at the same time write once each, and that saves less",
            "tools and system blocks that clients send are the same in all calls",
            f"{next(case.scopes()).model} answers all of them",
        ),
        risk=_risk(case, "answers stay the same; a prompt that changes from call to call is written and never read"),
        patch=patch,
        saves=move.saved,
    )


def _not_cached(case: Case, day: _Day, lost: Lost) -> Advice | None:
    return _breakpoints(case, day, lost, "input")


def _unmarked(case: Case, day: _Day, lost: Lost) -> Advice | None:
    return _breakpoints(case, day, lost, "cache_write_5m")


def _hour(case: Case, day: _Day, lost: Lost) -> Advice | None:
    """All that is written now would be written for an hour, except what is written because five minutes passed."""
    patch = _for_an_hour(case)
    again = min(lost.tokens, day.sums.written)
    if patch is None:
        return None
    now = {"cache_write_5m": day.line("cache_write_5m", day.sums.written)}
    then = {
        "cache_write_1h": day.line("cache_write_1h", day.sums.written - again),
        "cache_read": day.line("cache_read", again),
    }
    move = Move(now, then, "for an hour")
    return Advice(
        lever="Caching",
        title="keep cache entries for an hour instead of five minutes",
        arithmetic=tuple(_sides(move)),
        confidence=_confidence(day, lost).at_most("Low"),
        assumes=(
            f"in {lost.calls:,} calls the prefix had been sent within the hour, but not within five minutes",
            "clients set no cache_control of five minutes before the revision's: behind one the API takes none of an"
            " hour, so the gateway drops the revision's",
            "what was written again is tools and system: cache_control that clients set in messages stays as it is, and"
            " what it covers is not read after five minutes. All that is written is reckoned at the price of an hour",
        ),
        risk=_risk(case, "answers stay the same; if calls come closer together, writes are dearer for nothing"),
        patch=patch,
        saves=move.saved,
    )


def _first(case: Case, day: _Day, lost: Lost) -> Advice | None:
    where = lost.where.partition("[")[0] or "system"
    overrides = case.spec.overrides
    if where not in ("system", "tools") or overrides is None or getattr(overrides, where) != "Append":
        return None
    now = {"cache_write_5m": day.line("cache_write_5m", lost.tokens)}
    move = Move(now, {"cache_read": day.line("cache_read", lost.tokens)}, "with the revision's first")
    return Advice(
        lever="Caching",
        title=f"put the revision's {where} before the client's",
        arithmetic=tuple(_sides(move)),
        confidence=_confidence(day, lost).at_most("Medium"),
        assumes=("what was written again stands before the client's block then, and is read",),
        risk=gate_risk(case, f"the order of {where} changes, and answers may with it"),
        patch={"spec": {"overrides": {where: "Prepend"}}},
        saves=move.saved,
    )


_FOR = {
    Cause.NOT_CACHED: _not_cached,
    Cause.PREFIX_UNMARKED: _unmarked,
    Cause.TTL_TOO_SHORT: _hour,
    Cause.CLIENT_BLOCK_FIRST: _first,
}


def _for_an_hour(case: Case) -> Patch | None:
    """Every breakpoint of the revision that lives five minutes made one of an hour; None where it has none."""
    request = case.raw.get("request") or {}
    lists = {name: request.get(name) or [] for name in ("tools", "system")}
    lists["promptFrom"] = case.raw.get("promptFrom") or []
    changed = {name: [_longer(part) for part in parts] for name, parts in lists.items() if any(map(_is_short, parts))}
    if not changed:
        return None
    own = changed.pop("promptFrom", None)
    spec: Patch = {"request": changed} if changed else {}
    return {"spec": {**spec, **({"promptFrom": own} if own else {})}}


def _is_short(part: Mapping[str, Any]) -> bool:
    return breakpoint_ttl(part.get("cache_control")) == "5m"


def _longer(part: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**part, "cache_control": {**part["cache_control"], "ttl": "1h"}} if _is_short(part) else part


def _sides(move: Move) -> Iterator[str]:
    """Both sides apart: tokens move from one kind to others."""
    yield "now: " + _side(move.now)
    yield f"{move.label}: " + _side(move.then)
    yield move.sentences()[-1]


def _side(bill: Mapping[str, Line]) -> str:
    return " + ".join(line.told(kind) for kind, line in bill.items() if line.tokens)


def _confidence(day: _Day, lost: Lost) -> Confidence:
    """One day is never more than Medium: the next may be another kind of day."""
    level = "Medium" if day.hours >= 23.0 and lost.calls >= 1_000 else "Low"
    return Confidence(level, f"{lost.calls:,} calls that could have read, in {day.hours:.0f} hours")


def _prefixes(day: _Day) -> str:
    return "the prefix" if day.prefixes == 1 else f"each of {day.prefixes} prefixes"


def _risk(case: Case, what: str) -> str:
    gate = "the eval gate and the canary see" if case.spec.evals else "the canary sees"
    return f"{what}; it is a new revision, whose costs {gate} first"
