"""Schedules: which moments a line of cron has, and what is said of one that is none."""

from __future__ import annotations

import datetime as dt

import pytest

from claude_operator.core.spec.cron import latest, parse_schedule


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("schedule", "now", "last", "following"),
    [
        ("0 10 * * 2", "2026-11-24T10:00", "2026-11-24T10:00", "2026-12-01T10:00"),
        ("0 10 * * 2", "2026-11-24T09:59:59", "2026-11-17T10:00", "2026-11-24T10:00"),
        ("*/15 * * * *", "2026-12-31T23:50", "2026-12-31T23:45", "2027-01-01T00:00"),
        ("5/20 * * * *", "2026-11-24T10:30", "2026-11-24T10:25", "2026-11-24T10:45"),
        ("30 8-10,17 * * 1-5", "2026-11-28T12:00", "2026-11-27T17:30", "2026-11-30T08:30"),
        ("0 0 * * 7", "2026-11-24T00:00", "2026-11-22T00:00", "2026-11-29T00:00"),
        ("0 0 * * 0", "2026-11-24T00:00", "2026-11-22T00:00", "2026-11-29T00:00"),
        ("0 0 1 * 1", "2026-11-24T00:00", "2026-11-23T00:00", "2026-11-30T00:00"),  # either day
        ("0 0 1 * *", "2026-11-24T00:00", "2026-11-01T00:00", "2026-12-01T00:00"),
        ("0 0 29 2 *", "2026-11-24T00:00", "2024-02-29T00:00", "2028-02-29T00:00"),
        ("0 0 31 */2 *", "2026-11-24T00:00", "2026-07-31T00:00", "2027-01-31T00:00"),
    ],
)
def test_the_moments_around_now(schedule: str, now: str, last: str, following: str) -> None:
    assert latest(schedule, at(now)) == (at(last), at(following))


def test_now_may_be_of_another_zone() -> None:
    now = dt.datetime(2026, 11, 24, 11, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert latest("0 9,10 * * *", now)[0] == at("2026-11-24T09:00")


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ("", "has 0 fields"),
        ("0 10 * *", "has 4 fields"),
        ("@weekly", "has 1 fields"),
        ("60 * * * *", "the minute '60' is outside 0 to 59"),
        ("0 24 * * *", "the hour '24' is outside 0 to 23"),
        ("0 0 0 * *", "the day of the month '0' is outside 1 to 31"),
        ("0 0 * 13 *", "the month '13' is outside 1 to 12"),
        ("0 0 * * 8", "the day of the week '8' is outside 0 to 7"),
        ("0 0 * * TUE", "the day of the week 'TUE' is not a number"),
        ("*-5 * * * *", "is not a number"),
        ("5-1 * * * *", "outside"),
        ("*/0 * * * *", "outside"),
        ("1,,2 * * * *", "is not a number"),
        ("\u0661 * * * *", "is not a number"),
        ("0 0 30 2 *", "names a day that never comes"),
    ],
)
def test_what_is_no_schedule_is_told_with_an_example(schedule: str, says: str) -> None:
    with pytest.raises(ValueError, match="0 10 \\* \\* 2 for each Tuesday") as error:
        parse_schedule(schedule)
    assert says in str(error.value)
    assert latest(schedule, at("2026-11-24T10:00")) == (None, None)
