"""What is kept of prompt caching: each count once, a day long."""

from __future__ import annotations

import datetime as dt

import pytest

from claude_operator.api.packing import pack
from claude_operator.api.usage import Usage
from claude_operator.api.usage_cache import ColdRow, PrefixRow
from claude_operator.core.usage.cache import DAY, HOUR, CacheUsage, absorb, decode, encode, total, within
from claude_operator.core.usage.reading import PodUsage, UsageReading

NOON = dt.datetime(2026, 11, 30, 12, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


def row(
    calls: int, *, prefix: str = "p", revision: str = "r1", cold: int = 0, cause: str = "VolatileText"
) -> PrefixRow:
    lost = [ColdRow(cause, cold, 1000 * cold, 0.01 * cold, 0, "system[0]")] if cold else []
    return PrefixRow(revision, "stable", "chat", prefix, calls, 2000 * calls, 1000 * (calls - cold), 1000 * cold, lost)


def reading(*rows: PrefixRow, boot: str = "b", uptime: float = 60.0, pod: str = "a") -> UsageReading:
    page = PodUsage(pod, Usage(boot, uptime, 1, prefixes=list(rows)))
    return UsageReading((page,), frozenset({"a", "b"}))


def calls(state: CacheUsage, now: dt.datetime, seconds: int = DAY) -> int:
    return total(within(state, now, seconds)).calls


def test_each_count_is_taken_once() -> None:
    state = absorb(CacheUsage(), reading(row(3)), NOON)
    state = absorb(state, reading(row(5), row(2, prefix="q")), NOON + MINUTE)
    assert calls(state, NOON + MINUTE) == 7
    assert absorb(state, reading(row(5), row(2, prefix="q")), NOON + 2 * MINUTE) is state
    assert absorb(state, UsageReading((), frozenset({"a"})), NOON + 2 * MINUTE) is state


def test_a_new_process_counts_from_zero() -> None:
    state = absorb(CacheUsage(), reading(row(3)), NOON)
    state = absorb(state, reading(row(2), boot="later"), NOON + MINUTE)
    assert calls(state, NOON + MINUTE) == 5


def test_a_process_that_ran_before_anybody_read_it_counts_from_then_on() -> None:
    state = absorb(CacheUsage(), reading(row(3000), uptime=90_000.0), NOON)
    assert calls(state, NOON) == 0
    state = absorb(state, reading(row(3001), uptime=90_060.0), NOON + MINUTE)
    assert calls(state, NOON + MINUTE) == 1


def test_a_process_without_calls_adds_nothing() -> None:
    state = CacheUsage()
    assert absorb(state, reading(), NOON) is state


def test_causes_are_taken_once_too() -> None:
    state = absorb(CacheUsage(), reading(row(4, cold=1)), NOON)
    state = absorb(state, reading(row(10, cold=3)), NOON + MINUTE)
    lost = total(within(state, NOON + MINUTE, HOUR)).cold["VolatileText"]
    assert (lost.calls, lost.tokens, round(lost.usd, 9), lost.where) == (3, 3000, 0.03, "system[0]")


def test_the_last_hour_and_the_last_day() -> None:
    state = CacheUsage()
    for minutes in range(0, 30 * 60, 5):
        state = absorb(state, reading(row(minutes + 1), uptime=60.0 * minutes), NOON + minutes * MINUTE)
    end = NOON + 30 * 60 * MINUTE
    assert 50 <= calls(state, end, HOUR) <= 60
    assert 23 * 60 <= calls(state, end, DAY) <= 24 * 60
    assert len(state.slots) <= 24 + 8


def test_pods_that_are_gone_are_forgotten_in_time() -> None:
    state = CacheUsage()
    for number in range(40):
        state = absorb(state, reading(row(1), boot=f"boot-{number}", pod=f"gone-{number}"), NOON)
    state = absorb(state, reading(row(1), boot="here"), NOON + MINUTE)
    assert set(state.marks) == {"here", *(f"boot-{number}" for number in range(24, 40))}
    assert calls(state, NOON + MINUTE) == 41


def test_a_list_of_pods_that_is_old_has_nothing_counted_twice() -> None:
    state = absorb(CacheUsage(), reading(row(5), boot="young", pod="new"), NOON)
    state = absorb(state, reading(row(1), boot="other"), NOON + MINUTE)  # it leaves out the new one
    state = absorb(state, reading(row(6), boot="young", pod="new", uptime=180.0), NOON + 2 * MINUTE)
    assert calls(state, NOON + 2 * MINUTE) == 7


def test_each_of_a_hundred_pods_counts() -> None:
    state = CacheUsage()
    for minute in range(30):
        pages = [
            PodUsage(f"pod-{n}", Usage(f"boot-{n}", 60.0 * minute, 1, prefixes=[row(minute + 1)])) for n in range(100)
        ]
        state = absorb(state, UsageReading(tuple(pages), frozenset(page.pod for page in pages)), NOON + minute * MINUTE)
    assert calls(state, NOON + 30 * MINUTE) == 3000


def test_many_prefixes_are_put_together() -> None:
    rows = [row(number + 1, prefix=f"p{number}") for number in range(100)]
    state = absorb(CacheUsage(), reading(*rows), NOON)
    (slot,) = state.slots.values()
    assert len(slot) == 33
    assert calls(state, NOON) == 5050


def test_it_is_kept_as_it_was() -> None:
    state = absorb(CacheUsage(), reading(row(4, cold=1), row(2, prefix="q")), NOON)
    assert decode(encode(state)) == state
    assert (encode(CacheUsage()), decode(b"")) == (b"", CacheUsage())


def test_what_cannot_be_read_is_told() -> None:
    for data in (pack(b'{"marks": 3}'), b'{"marks": {}}', pack(b"{}")[:-1]):
        with pytest.raises(ValueError, match=r"^cache: "):
            decode(data)


def test_it_stays_small() -> None:
    state = CacheUsage()
    for hour in range(24):
        rows = [row(hour + 1, prefix=f"{n:016x}", revision=f"support-{n % 4:010x}", cold=hour) for n in range(48)]
        for pod in range(20):
            one = reading(*rows, boot=f"boot-{pod}", uptime=3600.0 * hour, pod="a")
            state = absorb(state, one, NOON + hour * 60 * MINUTE)
    assert len(encode(state)) <= 24 * 1024
    assert calls(decode(encode(state)), NOON + DAY * dt.timedelta(seconds=1)) > 0
