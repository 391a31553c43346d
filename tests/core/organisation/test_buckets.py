"""Which buckets have to be read."""

from __future__ import annotations

import pytest

from claude_operator.core.organisation.buckets import Series, Span

HOUR = 3600
NOW = 1_795_500_000.0  # 06:00:00 of a day
HOURS = Series("hours", HOUR, settle=24 * HOUR, filled=10 * HOUR, kept=99 * HOUR, refresh=300, longest=6 * HOUR)
END = int(NOW)


def marks(*ages: tuple[int, float]) -> dict[int, int]:
    """By how many hours ago a bucket ended: how many seconds ago it was read."""
    return {END - (hours + 1) * HOUR: int(NOW - ago) for hours, ago in ages}


def all_read(ago: float = 0.0) -> dict[int, int]:
    return marks(*((hours, ago) for hours in range(10)))


def test_an_empty_store_is_filled_from_the_oldest_on() -> None:
    assert HOURS.due({}, NOW) == Span(END - 10 * HOUR, END - 4 * HOUR)


def test_only_what_has_ended_is_read() -> None:
    assert HOURS.due(all_read(-3599), NOW + 3599) is None
    assert HOURS.due(all_read(-3600), NOW + 3600) == Span(END, END + HOUR)


@pytest.mark.parametrize(
    ("hours", "ago", "due"),
    [
        (0, 299, False),  # not more often than every five minutes
        (0, 300, True),
        (8, 3599, False),  # eight hours old: once an hour
        (8, 3600, True),
        (8, -60, True),  # the clock was set back: it is not known what was read
    ],
)
def test_a_bucket_is_read_again_the_older_the_less_often(hours: int, ago: float, due: bool) -> None:
    found = HOURS.due(all_read() | marks((hours, ago)), NOW)
    assert (found is not None) is due
    if found is not None:
        assert found.start == END - (hours + 1) * HOUR


def test_a_final_bucket_is_read_no_more() -> None:
    old = Series("hours", HOUR, settle=2 * HOUR, filled=10 * HOUR, kept=99 * HOUR, refresh=300, longest=6 * HOUR)
    read_when_final = {END - 10 * HOUR + n * HOUR: END - 10 * HOUR + n * HOUR + 3 * HOUR for n in range(8)}
    fresh = {END - 2 * HOUR: END, END - HOUR: END}
    assert old.due(read_when_final | fresh, NOW) is None
    # One that was last read before it was final is read once more.
    early = read_when_final | fresh | {END - 9 * HOUR: END - 9 * HOUR + 2 * HOUR}
    assert old.due(early, NOW) == Span(END - 9 * HOUR, END - 3 * HOUR)


def test_what_is_complete_ends_at_a_gap() -> None:
    assert HOURS.complete({}) is None
    gap = dict.fromkeys((END - 5 * HOUR, END - 3 * HOUR, END - 2 * HOUR), END)
    assert HOURS.complete(gap) == Span(END - 3 * HOUR, END - HOUR)
    assert HOURS.final_to(gap) is None
    late = dict.fromkeys(gap, END + 99 * HOUR)
    assert HOURS.final_to(late) == END - HOUR
    assert HOURS.final_to(gap | {END - 3 * HOUR: END + 99 * HOUR}) == END - 2 * HOUR
