"""A schedule as cron writes it: five fields in UTC, of which days of the month and of the week are alternatives."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Schedule", "latest", "parse_schedule"]

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_PART = re.compile(r"(\*|[0-9]{1,2})(?:-([0-9]{1,2}))?(?:/([0-9]{1,2}))?")
_YEARS = 366 * 5  # days: a 29th of February comes within them, but in 1900 and 2100
_EXAMPLE = "write five fields, for example 0 10 * * 2 for each Tuesday at 10:00 UTC"


class Schedule(NamedTuple):
    """The numbers that each field allows, and whether a day may be either of the month or of the week."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    either: bool

    def has_day(self, day: dt.date) -> bool:
        """Whether it is a day of the schedule."""
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.either else of_month and of_week


@lru_cache(maxsize=256)
def parse_schedule(text: str) -> Schedule:
    """Read a schedule; raises `ValueError` that says what to write."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"has {len(fields)} fields; {_EXAMPLE}")
    minutes, hours, days, months, weekdays = (
        _numbers(field, *known) for field, known in zip(fields, _FIELDS, strict=True)
    )
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    found = Schedule(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), either)
    if latest_of(found, dt.datetime(2033, 1, 1, tzinfo=dt.UTC)) is None:
        raise ValueError(f"names a day that never comes; {_EXAMPLE}")
    return found


def latest(text: str, now: dt.datetime) -> tuple[dt.datetime | None, dt.datetime | None]:
    """The last moment of a schedule up to now, and the next one after now; None where the text is no schedule."""
    try:
        schedule = parse_schedule(text)
    except ValueError:
        return None, None
    now = now.astimezone(dt.UTC)
    return latest_of(schedule, now), _next_of(schedule, now)


def latest_of(schedule: Schedule, now: dt.datetime) -> dt.datetime | None:
    """The last moment up to now."""
    for back in range(_YEARS):
        day = now.date() - dt.timedelta(days=back)
        if schedule.has_day(day):
            times = [one for one in _times(schedule, day) if one <= now]
            if times:
                return times[-1]
    return None


def _next_of(schedule: Schedule, now: dt.datetime) -> dt.datetime | None:
    for ahead in range(_YEARS):
        day = now.date() + dt.timedelta(days=ahead)
        if schedule.has_day(day):
            times = [one for one in _times(schedule, day) if one > now]
            if times:
                return times[0]
    return None


def _times(schedule: Schedule, day: dt.date) -> list[dt.datetime]:
    return [
        dt.datetime.combine(day, dt.time(hour, minute), dt.UTC)
        for hour in sorted(schedule.hours)
        for minute in sorted(schedule.minutes)
    ]


def _numbers(field: str, name: str, least: int, most: int) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None or (match[1] == "*" and match[2]):
            raise ValueError(
                f"the {name} {part!r} is not a number, a range such as 1-5 or a step such as */15; {_EXAMPLE}"
            )
        step = int(match[3] or 1)
        first = least if match[1] == "*" else int(match[1])
        last = most if match[1] == "*" or (match[3] and not match[2]) else int(match[2] or match[1])
        if not least <= first <= last <= most or not step:
            raise ValueError(f"the {name} {part!r} is outside {least} to {most}; {_EXAMPLE}")
        found.update(range(first, last + 1, step))
    return frozenset(found)
