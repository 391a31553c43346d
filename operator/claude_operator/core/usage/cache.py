"""What is kept of prompt caching: the last day, in slots of ten minutes for the last hour and of an hour before it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

import msgspec

from claude_operator.api.evidence import OTHER
from claude_operator.api.packing import pack
from claude_operator.api.usage import Usage
from claude_operator.api.usage_cache import ColdRow, PrefixRow
from claude_operator.core.usage.packed import read_packed
from claude_operator.core.usage.reading import UsageReading

__all__ = ["DAY", "HOUR", "CacheUsage", "Sums", "absorb", "decode", "encode", "total", "within"]

HOUR, DAY = 3600, 86_400
_SLOT = 600
_YOUNG = 900.0  # seconds of uptime up to which all that a new process has counted is new
_MOST_MARKS = 256  # processes
_GONE = 16  # of them that belong to no pod: a list of pods may have been an old one
_MOST_ENTRIES = 32  # rows of a slot; the smallest are put together
_SMALLER = (16, 8, 4, 2)  # the same, where the whole is too large to be kept
_SIZE = 24 * 1024  # bytes, packed
_LARGEST = 8 * 1024 * 1024  # bytes, unpacked


class Lost(msgspec.Struct, frozen=True, array_like=True):
    """What was not read for one cause; `where` and `hint` as the last call had them."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    unpriced: int = 0
    where: str = ""
    hint: str = ""

    def plus(self, other: Lost) -> Lost:
        """Both together; `other` is the later one."""
        later = other if other.calls else self
        return Lost(
            self.calls + other.calls,
            self.tokens + other.tokens,
            self.usd + other.usd,
            self.unpriced + other.unpriced,
            later.where,
            later.hint,
        )


class Sums(msgspec.Struct, frozen=True, array_like=True):
    """Calls, and the tokens of their prompts."""

    calls: int = 0
    input: int = 0
    read: int = 0
    written: int = 0
    cold: dict[str, Lost] = {}

    def plus(self, other: Sums) -> Sums:
        """Both together; `other` is the later one."""
        cold = {name: self.cold.get(name, Lost()).plus(lost) for name, lost in other.cold.items()}
        return Sums(
            self.calls + other.calls,
            self.input + other.input,
            self.read + other.read,
            self.written + other.written,
            {**self.cold, **cold},
        )


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """The sums of one prefix, under a revision and surface."""

    revision: str
    surface: str
    prefix: str
    sums: Sums

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is told apart by."""
        return self.revision, self.surface, self.prefix


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """What a process had counted when it was last read."""

    pod: str
    entries: tuple[Entry, ...]


class CacheUsage(msgspec.Struct, frozen=True):
    """The last day. `slots` by the second since the epoch at which they begin."""

    marks: dict[str, Mark] = {}
    slots: dict[int, tuple[Entry, ...]] = {}


def absorb(state: CacheUsage, reading: UsageReading, now: dt.datetime) -> CacheUsage:
    """With what a reading adds: the same object where it adds nothing.

    A process that is not known is counted from here on, unless it is so young that no earlier reading can have seen it.
    """
    marks = dict(state.marks)
    news: list[Entry] = []
    for page in reading.pages:
        entries, before = _entries(page.usage), marks.get(page.usage.boot_id)
        if before is not None:
            added = _since(entries, before.entries)
        else:
            added = _since(entries, ()) if page.usage.uptime <= _YOUNG else []
        if added or (before is None and entries):
            marks.pop(page.usage.boot_id, None)  # those that were read last stand last
            marks[page.usage.boot_id] = Mark(page.pod, entries)
        news += added
    if not news and marks.keys() == state.marks.keys():
        return state
    gone = [boot for boot, mark in marks.items() if mark.pod not in reading.present]
    for boot in gone[:-_GONE]:
        del marks[boot]
    second = int(now.timestamp())
    slots = _aged(state.slots, second)
    if news:
        slot = second // _SLOT * _SLOT
        slots[slot] = _folded([*slots.get(slot, ()), *news], _MOST_ENTRIES)
    return CacheUsage(dict(list(marks.items())[-_MOST_MARKS:]), slots)


def within(state: CacheUsage, now: dt.datetime, seconds: int) -> tuple[Entry, ...]:
    """What was counted in the last `seconds`, to a slot."""
    since = int(now.timestamp()) - seconds
    recent = [entries for begin, entries in sorted(state.slots.items()) if begin >= since]
    return _summed(entry for entries in recent for entry in entries)


def total(entries: Iterable[Entry]) -> Sums:
    """All together."""
    sums = Sums()
    for entry in entries:
        sums = sums.plus(entry.sums)
    return sums


def encode(state: CacheUsage) -> bytes:
    """As it is stored, empty for nothing.

    Where there is no room for all of it, fewer prefixes of each slot are kept apart, and at last none.
    """
    if state == CacheUsage():
        return b""
    data = pack(msgspec.json.encode(state))
    for most in _SMALLER:
        if len(data) <= _SIZE:
            break
        slots = {begin: _folded(entries, most) for begin, entries in state.slots.items()}
        data = pack(msgspec.json.encode(CacheUsage(state.marks, slots)))
    return data if len(data) <= _SIZE else pack(msgspec.json.encode(CacheUsage(slots=slots)))


def decode(data: bytes) -> CacheUsage:
    """As it was stored; raises `ValueError`."""
    if not data:
        return CacheUsage()
    return read_packed(data, CacheUsage, "cache", largest=_LARGEST)


def _entries(usage: Usage) -> tuple[Entry, ...]:
    """A process's counts."""
    return _summed(Entry(row.revision, row.surface, row.prefix, _sums(row)) for row in usage.prefixes)


def _sums(row: PrefixRow) -> Sums:
    return Sums(row.calls, row.input, row.read, row.written, {one.cause: _lost(one) for one in row.cold})


def _lost(row: ColdRow) -> Lost:
    return Lost(row.calls, row.tokens, row.usd, row.unpriced, row.where, row.hint)


def _since(entries: Iterable[Entry], before: Iterable[Entry]) -> list[Entry]:
    """What has come on top of an earlier state; counts never fall."""
    known = {entry.key: entry.sums for entry in before}
    news = [Entry(*entry.key, _difference(entry.sums, known.get(entry.key, Sums()))) for entry in entries]
    return [entry for entry in news if entry.sums.calls > 0]


def _difference(now: Sums, before: Sums) -> Sums:
    cold = {}
    for name, lost in now.cold.items():
        old = before.cold.get(name, Lost())
        if lost.calls > old.calls:
            calls, tokens = lost.calls - old.calls, max(lost.tokens - old.tokens, 0)
            usd, unpriced = max(lost.usd - old.usd, 0.0), max(lost.unpriced - old.unpriced, 0)
            cold[name] = Lost(calls, tokens, usd, unpriced, lost.where, lost.hint)
    return Sums(
        calls=max(now.calls - before.calls, 0),
        input=max(now.input - before.input, 0),
        read=max(now.read - before.read, 0),
        written=max(now.written - before.written, 0),
        cold=cold,
    )


def _aged(slots: Mapping[int, tuple[Entry, ...]], second: int) -> dict[int, tuple[Entry, ...]]:
    """Without what is older than a day, and in slots of an hour before the last one."""
    kept: dict[int, tuple[Entry, ...]] = {}
    for begin, entries in sorted(slots.items()):
        if begin > second - DAY:
            slot = begin if begin > second - HOUR - _SLOT else begin // HOUR * HOUR
            kept[slot] = _folded([*kept.get(slot, ()), *entries], _MOST_ENTRIES)
    return kept


def _summed(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    sums: dict[tuple[str, str, str], Sums] = {}
    for entry in entries:
        sums[entry.key] = sums.get(entry.key, Sums()).plus(entry.sums)
    return tuple(Entry(*key, one) for key, one in sums.items())


def _folded(entries: Iterable[Entry], most: int) -> tuple[Entry, ...]:
    """At most `most` with a prefix of their own, the largest; those of each surface that are left are put together."""
    summed = sorted(_summed(entries), key=lambda entry: entry.sums.input, reverse=True)
    rest = (Entry(entry.revision, entry.surface, OTHER, entry.sums) for entry in summed[most:])
    return _summed([*summed[:most], *rest])
