"""Calls on either side of each budget's limit, by time, from counters that gateways keep since boot. Pure.

A slot is what was counted between two readings. It counts in a window where it ends in it; one that is longer than the
window, because nobody read for so long, says nothing of it. Older slots are put together, so that a week has room.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from claude_operator.api.packing import pack
from claude_operator.api.usage import Usage
from claude_operator.api.usage_latency import MOST_UNBUDGETED, BatchRow
from claude_operator.core.usage.packed import read_packed
from claude_operator.core.usage.reading import PodUsage, UsageReading

__all__ = ["Counted", "LatencyUsage", "Mark", "Series", "Slot", "absorb", "decode", "encode"]

SIZE = 24 * 1024
"""Bytes, packed."""
_LARGEST = 4 * 1024 * 1024  # bytes, unpacked
_VERSION = 1

_WEEK = 7 * 86_400
_STEPS = ((2 * 3600, 60), (86_400, 600), (_WEEK + 7200, 7200))  # by age, the seconds that slots of one are put together
_LONG = 900  # seconds: a slot that nobody read for longer is kept apart, so that it spoils no other
_AHEAD = 300  # seconds that a slot may end later than now: more is of a clock that was wrong, and has been set since
_BATCHES = 1024
_STORED = (  # age of slots, and batches, that are kept where there is no room for more
    (_WEEK, _BATCHES),
    (_WEEK, 512),
    (86_400, 512),
    (6 * 3600, 256),
    (2 * 3600, 256),
    (1800, 128),
    (300, 64),
)
_GONE = 16  # marks of processes that have ended


class Series(NamedTuple):
    """What calls are counted against."""

    revision: str
    surface: str
    metric: str
    max: float


class Slot(NamedTuple):
    """Calls of a time, in Unix seconds."""

    begin: int
    end: int
    within: int
    over: int


class Counted(NamedTuple):
    """Calls."""

    within: int = 0
    over: int = 0

    @property
    def calls(self) -> int:
        """All of them."""
        return self.within + self.over


class Mark(NamedTuple):
    """What a process had counted at a time."""

    pod: str
    at: int
    counts: Mapping[Series, Counted]


@dataclass(frozen=True, slots=True)
class LatencyUsage:
    """What is known of latency."""

    slots: Mapping[Series, tuple[Slot, ...]] = field(default_factory=dict)
    """Oldest first."""
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """By boot id."""
    batches: Mapping[str, BatchRow] = field(default_factory=dict)
    unbudgeted: tuple[str, ...] = ()
    """Surfaces that clients send and no budget names."""

    def counted(self, series: Series, *, at: float, window: float, recent: float) -> Counted:
        """Calls of the last `recent` seconds up to `at`, of slots that are no longer than `window`."""
        found = [one for one in self.slots.get(series, ()) if one.end > at - recent and one.end - one.begin <= window]
        return Counted(sum(one.within for one in found), sum(one.over for one in found))


def absorb(
    state: LatencyUsage, reading: UsageReading, now: dt.datetime, *, last: dt.datetime | None = None
) -> LatencyUsage:
    """With what a reading adds: the same object where it adds nothing.

    `last`: when the gateways were read before, None where this operator has not read them yet.
    """
    end = int(now.timestamp())
    since = int(last.timestamp()) if last is not None else None
    marks = _kept_marks(state.marks, reading)
    added: dict[Series, list[Slot]] = {}
    for page in reading.pages:
        usage = page.usage
        counts = _by_series(usage)
        before = state.marks.get(usage.boot_id)
        if before is None and not counts:
            continue
        first = end - int(min(usage.uptime, _WEEK)) if before is None else before.at
        begin = first if since is None else max(first, since)
        known = before.counts if before is not None else {}
        grown = {series: _grown(one, known.get(series, Counted())) for series, one in counts.items()}
        grown = {series: one for series, one in grown.items() if one.calls}
        for series, one in grown.items():
            added.setdefault(series, []).append(Slot(max(min(begin, end), 0), end, *one))
        told = {series: _later(one, known.get(series, Counted())) for series, one in counts.items()}
        marks[usage.boot_id] = Mark(page.pod, end, {**known, **told}) if before is None or grown else before
    batches = _batches(state.batches, reading.pages, end)
    unbudgeted = _unbudgeted(state, reading)
    slots = _put_together(state.slots, added, end) if added else state.slots
    after = LatencyUsage(slots, marks, batches, unbudgeted)
    return state if after == state else after


def _kept_marks(marks: Mapping[str, Mark], reading: UsageReading) -> dict[str, Mark]:
    """Those of processes that there are, and the newest of others: a list of pods may have been an old one."""
    newer = {page.pod: page.usage.boot_id for page in reading.pages}
    gone = sorted(
        (mark.at, boot)
        for boot, mark in marks.items()
        if mark.pod not in reading.present or newer.get(mark.pod, boot) != boot
    )
    dropped = {boot for _, boot in gone[:-_GONE]}
    return {boot: mark for boot, mark in marks.items() if boot not in dropped}


def _by_series(usage: Usage) -> dict[Series, Counted]:
    """A process's counts; arms are told apart by their revision."""
    found: dict[Series, Counted] = {}
    for row in usage.latency:
        series = Series(row.revision, row.surface, row.metric, row.max)
        before = found.get(series, Counted())
        found[series] = Counted(before.within + row.within, before.over + row.over)
    return found


def _grown(after: Counted, before: Counted) -> Counted:
    """What has come on top; nothing where this is the earlier state, as of a page that was read before another's."""
    return Counted(max(after.within - before.within, 0), max(after.over - before.over, 0))


def _later(one: Counted, other: Counted) -> Counted:
    """The later one of two states of counters that only grow."""
    return Counted(max(one.within, other.within), max(one.over, other.over))


def _batches(known: Mapping[str, BatchRow], pages: Iterable[PodUsage], end: int) -> Mapping[str, BatchRow]:
    """The last that was seen of each batch, whichever pods saw it."""
    found = dict(known)
    for page in pages:
        for row in page.usage.batches.recent if page.usage.batches is not None else ():
            before = found.get(row.id)
            if before is None or (row.ended and not before.ended) or (not before.ended and row.seen > before.seen):
                found[row.id] = row
    kept = [row for row in found.values() if end - _WEEK < (row.ended or row.seen) <= end + _AHEAD]
    kept = sorted(kept, key=lambda row: (row.ended or row.seen, row.id))[-_BATCHES:]
    return {row.id: row for row in kept}


def _unbudgeted(state: LatencyUsage, reading: UsageReading) -> tuple[str, ...]:
    """Names that pods tell now; where not all have told, also those that were known."""
    told = {page.pod for page in reading.pages}
    found = set() if told and told >= reading.present else set(state.unbudgeted)
    found.update(*(page.usage.unbudgeted for page in reading.pages))
    return tuple(sorted(found)[:MOST_UNBUDGETED])


def _put_together(
    known: Mapping[Series, tuple[Slot, ...]], added: Mapping[Series, list[Slot]], now: int
) -> dict[Series, tuple[Slot, ...]]:
    found = {}
    for series in {**known, **added}:
        slots = _compact((*known.get(series, ()), *added.get(series, ())), now)
        if slots:
            found[series] = slots
    return found


def _compact(slots: Iterable[Slot], now: int) -> tuple[Slot, ...]:
    """Slots of one age's step as one, without those that are too old, or to come."""
    merged: dict[tuple[int, int, bool], Slot] = {}
    for one in slots:
        step = next((step for age, step in _STEPS if -_AHEAD <= now - one.end <= age), 0)
        if not step:
            continue
        place = (step, one.end // step, one.end - one.begin > _LONG and step <= _LONG)
        before = merged.get(place)
        if before is not None:
            one = Slot(
                min(before.begin, one.begin),
                max(before.end, one.end),
                before.within + one.within,
                before.over + one.over,
            )
        merged[place] = one
    return tuple(sorted(merged.values(), key=lambda slot: slot.end))


class _Document(msgspec.Struct, frozen=True):
    version: int
    series: list[Series]
    slots: list[list[int]]
    """Of each series: begin, end, within, over, begin, end, ..."""
    marks: dict[str, tuple[str, int, list[int]]]
    """By boot id: pod, time, and number of the series, within, over, number, ..."""
    batches: list[BatchRow]
    unbudgeted: list[str]


def encode(state: LatencyUsage) -> bytes:
    """As it is stored, empty for nothing. Where there is no room for all, the oldest slots and batches go first."""
    if state == LatencyUsage():
        return b""
    newest = max((one.end for slots in state.slots.values() for one in slots), default=0)
    for age, most in _STORED:
        slots = {
            series: kept
            for series, all_ in state.slots.items()
            if (kept := [one for one in all_ if one.end > newest - age])
        }
        data = pack(_written(state, slots, list(state.batches.values())[-most:]))
        if len(data) <= SIZE:
            break
    return data


def decode(data: bytes) -> LatencyUsage:
    """As it was stored; raises `ValueError`."""
    if not data:
        return LatencyUsage()
    found = read_packed(data, _Document, "latency", largest=_LARGEST)
    if found.version != _VERSION:
        raise ValueError(f"latency: it is of version {found.version}, and this operator reads {_VERSION}")
    series = found.series
    try:
        slots = {
            one: tuple(Slot(*numbers) for numbers in _groups(flat, 4))
            for one, flat in zip(series, found.slots, strict=True)
        }
        marks = {
            boot: Mark(pod, at, {series[number]: Counted(within, over) for number, within, over in _groups(flat, 3)})
            for boot, (pod, at, flat) in found.marks.items()
        }
    except (IndexError, ValueError) as error:
        raise ValueError(f"latency: {error}") from error
    slots = {one: kept for one, kept in slots.items() if kept}
    return LatencyUsage(slots, marks, {row.id: row for row in found.batches}, tuple(found.unbudgeted))


def _written(state: LatencyUsage, slots: Mapping[Series, Iterable[Slot]], batches: list[BatchRow]) -> bytes:
    series = list(dict.fromkeys((*slots, *(one for mark in state.marks.values() for one in mark.counts))))
    numbers = {one: number for number, one in enumerate(series)}
    marks = {
        boot: (mark.pod, mark.at, [part for one, counted in mark.counts.items() for part in (numbers[one], *counted)])
        for boot, mark in state.marks.items()
    }
    flat = [[part for slot in slots.get(one, ()) for part in slot] for one in series]
    return msgspec.json.encode(
        _Document(
            _VERSION,
            series,
            flat,
            marks,
            batches,
            list(state.unbudgeted),
        )
    )


def _groups(flat: list[int], size: int) -> Iterable[list[int]]:
    """Raises `ValueError` where there is a rest, or a number is negative."""
    if len(flat) % size or min(flat, default=0) < 0:
        raise ValueError("its numbers are not whole groups")
    return [flat[at : at + size] for at in range(0, len(flat), size)]
