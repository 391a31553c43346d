"""The spend of a ClaudeDeployment by day, from counters that gateways keep since boot.

Of each process a mark remembers what it had counted when it was last read, so what it tells again counts once, however
often and in whatever order its readings come. A mark outlives its pod by an hour. What comes on top of a mark belongs
to the day (UTC) on which it is read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from claude_operator.core.usage.amounts import NOTHING, REST, Amounts, Key, by_key, total
from claude_operator.core.usage.reading import PodUsage, UsageReading

__all__ = ["DAYS", "Mark", "Process", "Rows", "Spend", "absorb", "counted_at", "day_of", "largest"]

DAYS = 40
"""Days that are kept: this month, and the one before while it is compared."""
_ROWS = 256  # of a day: what comes after them counts in one row
_OLD_ROWS = 64  # of a day once the next but one has begun: the dearest
_KEPT = dt.timedelta(hours=1)  # that a mark outlives its pod
_AFTER_MIDNIGHT = dt.timedelta(seconds=30)
_DAY_END = dt.timedelta(minutes=10)  # before midnight: an earlier reading is no neighbour of the one after it
_GONE = 64  # marks of processes that have ended: each has one row

Rows = Mapping[Key, Amounts]
Process = tuple[str, str]
"""Name of the pod, and boot id."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a process had counted when it was last read. `whole`: its rows are not kept apart, only their sum."""

    rows: Rows
    whole: bool = False
    gone: dt.datetime | None = None
    """Since when there is no such process, as far as is known."""

    def folded(self) -> Mark:
        """The same with one row: what it counts from now on is not kept apart."""
        return self if self.whole else Mark({REST: total(self.rows.values())}, whole=True, gone=self.gone)


@dataclass(frozen=True, slots=True)
class Spend:
    """What was used and paid by day (`2026-11-30`), and the marks of the processes that counted it."""

    began: dt.datetime | None = None
    """When the first reading was made; None: there was none."""
    days: Mapping[str, Rows] = field(default_factory=dict)
    marks: Mapping[Process, Mark] = field(default_factory=dict)


def absorb(state: Spend, reading: UsageReading, now: dt.datetime) -> Spend:
    """With what a reading adds: the same object where it adds nothing."""
    if not reading.pages:
        return _forgetting(state, reading, now)
    today = day_of(now)
    rows, marks = dict(state.days.get(today, {})), dict(state.marks)
    added = False
    for page in reading.pages:
        process = page.pod, page.usage.boot_id
        counted = by_key(page.usage.rows)
        before = marks.get(process) or _first(state, page, counted, now)
        moved = _moved(before, counted)
        if moved.rows != before.rows or process not in marks or before.gone:
            marks[process] = moved
        for key, amounts in _increments(before, counted).items():
            added = True
            place = key if key in rows or len(rows) < _ROWS else REST
            rows[place] = rows.get(place, NOTHING).plus(amounts)
    days = _kept({**state.days, today: rows}, today) if added else state.days
    after = _forgetting(Spend(state.began or now, days, marks), reading, now)
    return state if after == state else after


def counted_at(now: dt.datetime, last: dt.datetime | None) -> dt.datetime:
    """The moment that a reading counts at: the first one after midnight belongs to the day that it ends.

    `last` is when the gateways were read before. What was used while nobody read them may be of either day, and counts
    on the later one.
    """
    midnight = now.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if last is not None and last < midnight <= now < midnight + _AFTER_MIDNIGHT and midnight - last < _DAY_END:
        return midnight - dt.timedelta(microseconds=1)
    return now


def day_of(moment: dt.datetime) -> str:
    """The day in UTC."""
    return moment.astimezone(dt.UTC).date().isoformat()


def _first(state: Spend, page: PodUsage, counted: Rows, now: dt.datetime) -> Mark:
    """The mark of a process that was never read.

    A new ledger cannot say on which days an older process has counted: it begins with what comes from here on.
    """
    booted = now - dt.timedelta(seconds=min(page.usage.uptime, 1e9))
    if state.began is None and day_of(booted) != day_of(now):
        return Mark(counted)
    return Mark({})


def _moved(mark: Mark, counted: Rows) -> Mark:
    if mark.whole:
        return Mark({REST: mark.rows.get(REST, NOTHING).or_later(total(counted.values()))}, whole=True)
    return Mark({**mark.rows, **{key: one.or_later(mark.rows.get(key, NOTHING)) for key, one in counted.items()}})


def _increments(mark: Mark, counted: Rows) -> Rows:
    if mark.whole:
        counted = {REST: total(counted.values())}
    found = {key: one.since(mark.rows.get(key, NOTHING)) for key, one in counted.items()}
    return {key: one for key, one in found.items() if one != NOTHING}


def _kept(days: Mapping[str, Rows], today: str) -> Mapping[str, Rows]:
    """The newest days; of all but the last two the dearest rows."""
    newest = sorted(days)[-DAYS:]
    recent = {today, *newest[-2:]}
    return {day: days[day] if day in recent else largest(days[day], _OLD_ROWS) for day in newest}


def largest(rows: Rows, most: int) -> Rows:
    """The dearest rows; all others in one."""
    if len(rows) <= most:
        return rows
    ranked = sorted((key for key in rows if key != REST), key=lambda key: (-rows[key].nano, -rows[key].calls, key))
    named = {key: rows[key] for key in ranked[: max(most - 1, 0)]}
    return {**named, REST: total(one for key, one in rows.items() if key not in named)}


def _forgetting(state: Spend, reading: UsageReading, now: dt.datetime) -> Spend:
    """Without the marks of processes that ended long ago."""
    newer = {page.pod: page.usage.boot_id for page in reading.pages}
    marks: dict[Process, Mark] = {}
    for (pod, boot), mark in state.marks.items():
        ended = pod not in reading.present or newer.get(pod, boot) != boot
        one = mark
        if ended and mark.gone is None:
            one = replace(mark.folded(), gone=now)
        if one.gone is None or abs(now - one.gone) < _KEPT:
            marks[pod, boot] = one
    gone = sorted((process for process, mark in marks.items() if mark.gone), key=lambda one: marks[one].gone or now)
    for process in gone[:-_GONE]:
        del marks[process]
    return state if marks == state.marks else replace(state, marks=marks)
