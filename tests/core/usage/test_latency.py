"""Rolling windows from counters that gateways keep since boot, and service levels by hand-computed cases."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_operator.api.budgets import Budget
from claude_operator.api.usage import Usage
from claude_operator.api.usage_latency import BatchCounts, BatchRow, LatencyRow
from claude_operator.core.spec.budgets import ServiceLevel, service_levels
from claude_operator.core.usage import latency
from claude_operator.core.usage.latency import SIZE, Counted, LatencyUsage, Series, absorb, decode, encode
from claude_operator.core.usage.reading import PodUsage, UsageReading
from claude_operator.core.usage.service_level import Standing, short_window, standing

NOW = dt.datetime(2026, 11, 30, 12, 0, tzinfo=dt.UTC)
CHAT = Series("a", "chat", "timeToFirstToken", 1.5)
HOUR = 3600.0


def level(**fields: Any) -> ServiceLevel:
    known = {"surface": "chat", "metric": "timeToFirstToken", "max": "1500ms"}
    (found,) = service_levels([Budget.model_validate(known | fields)])
    return found


def row(within: int, over: int, revision: str = "a") -> LatencyRow:
    return LatencyRow(revision, "stable", "chat", "timeToFirstToken", 1.5, within, over)


def page(boot: str, uptime: float, *rows: LatencyRow, pod: str = "", **fields: Any) -> PodUsage:
    return PodUsage(pod or f"pod-{boot}", Usage(boot, uptime, 1, latency=list(rows), **fields))


def read(state: LatencyUsage, at: float, *pages: PodUsage, since: float | None = None) -> LatencyUsage:
    """With a reading `at` seconds after NOW; `since`: the one before."""
    moment = None if since is None else NOW + dt.timedelta(seconds=since)
    reading = UsageReading(pages, frozenset(one.pod for one in pages))
    return absorb(state, reading, NOW + dt.timedelta(seconds=at), last=moment)


def counted(state: LatencyUsage, at: float, recent: float = HOUR, window: float = HOUR) -> Counted:
    return state.counted(CHAT, at=NOW.timestamp() + at, window=window, recent=recent)


def test_counters_become_a_rolling_window() -> None:
    state = read(LatencyUsage(), 0, page("x", 60, row(90, 10)))
    state = read(state, 60, page("x", 120, row(190, 10)), since=0)
    state = read(state, 120, page("x", 180, row(290, 60)), since=60)
    assert counted(state, 120) == (290, 60)
    assert counted(state, 120, recent=60) == (100, 50)
    assert counted(state, 120, recent=120) == (200, 50)
    assert counted(state, 3600 + 30) == (200, 50)  # what ended more than an hour ago is out
    assert counted(state, 3600 + 120) == (0, 0)


def test_each_count_is_taken_once_whatever_restarts() -> None:
    state = read(LatencyUsage(), 0, page("x", 60, row(10, 1)), page("y", 60, row(20, 2)))
    for _ in range(2):  # the same again, by another leader say
        state = read(decode(encode(state)), 60, page("x", 120, row(10, 1)), page("y", 120, row(20, 2)))
    state = read(state, 120, page("z", 30, row(5, 0), pod="pod-x"), page("y", 180, row(21, 2)), since=60)
    assert counted(state, 120) == (36, 3)
    state = read(state, 180, page("y", 240, row(21, 2)), since=120)  # a list of pods that lacks one for a moment
    state = read(state, 240, page("z", 150, row(6, 0), pod="pod-x"), page("y", 300, row(21, 2)), since=180)
    assert counted(state, 240) == (37, 3)


def test_an_older_page_after_a_newer_one_counts_nothing() -> None:
    """Another operator has written meanwhile, and this one's pages are taken in on top."""
    state = read(LatencyUsage(), 0, page("x", 60, row(10, 1)))
    state = read(state, 60, page("x", 120, row(50, 5)), since=0)
    assert read(state, 61, page("x", 119, row(30, 5)), since=0) is state
    state = read(state, 120, page("x", 180, row(60, 5)), since=60)
    assert counted(state, 120) == (60, 5)


PODS = st.sampled_from("abc")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("count"), PODS, st.integers(0, 50), st.integers(0, 9)),
        st.tuples(st.just("read"), st.sets(PODS), st.booleans(), st.booleans()),
        st.tuples(st.just("restart"), PODS, st.just(0), st.just(0)),
        st.tuples(st.just("lose"), st.just("a"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_each_count_is_taken_once(steps: list[tuple[str, Any, Any, Any]]) -> None:
    """Whatever pods count, whoever is read or ends, and if a page is taken in again late."""
    boots, counts = dict.fromkeys("abc", 0), {}
    told: dict[str, tuple[int, int]] = {}
    state = stored = LatencyUsage()
    at, late = 0, ()
    for what, who, first, second in steps:
        at += 60
        if what == "count":
            within, over = counts.get((who, boots[who]), (0, 0))
            counts[who, boots[who]] = within + first, over + second
        elif what == "restart":
            boots[who] += 1
        elif what == "lose":  # the operator ends before it has written; another goes on from what is stored
            state = decode(encode(stored))
            told = {boot: (mark.counts[CHAT].within, mark.counts[CHAT].over) for boot, mark in state.marks.items()}
        else:
            pages = tuple(
                page(f"{pod}{boots[pod]}", 30, row(*counts[pod, boots[pod]]), pod=pod)
                for pod in sorted(who)
                if (pod, boots[pod]) in counts
            )
            for each in (pages, late) if second else (pages,):
                now = NOW + dt.timedelta(seconds=at)
                reading = UsageReading(each, frozenset("abc"))
                state = absorb(state, reading, now, last=now - dt.timedelta(seconds=60))
                for one in each:
                    seen = one.usage.latency[0]
                    before = told.get(one.usage.boot_id, (0, 0))
                    told[one.usage.boot_id] = max(before[0], seen.within), max(before[1], seen.over)
            late = pages
            stored = state if first else stored
        week = counted(state, at, recent=7 * 86_400.0, window=7 * 86_400.0)
        assert week == (sum(one[0] for one in told.values()), sum(one[1] for one in told.values()))


def test_a_reading_that_adds_nothing_changes_nothing() -> None:
    state = read(LatencyUsage(), 0, page("x", 60, row(10, 1)))
    assert read(state, 300, page("x", 360, row(10, 1)), since=0) is state
    assert absorb(state, UsageReading(), NOW) is state
    assert read(LatencyUsage(), 0, page("x", 60)) == LatencyUsage()


def test_after_an_idle_time_calls_count_when_they_came() -> None:
    state = read(LatencyUsage(), 0, page("x", 60, row(10, 1)))
    state = read(state, 7200, page("x", 7260, row(10, 1)), since=6900)
    state = read(state, 7260, page("x", 7320, row(10, 21)), since=7200)
    assert counted(state, 7260) == (0, 20)


def test_what_nobody_read_for_longer_than_the_window_says_nothing_of_it() -> None:
    state = read(LatencyUsage(), 0, page("x", 60, row(10, 1)))
    state = read(state, 7200, page("x", 7260, row(900, 100)), page("y", 60, row(40, 0)))  # a new leader
    assert counted(state, 7200) == (40, 0)
    assert counted(state, 7200, recent=4 * HOUR, window=4 * HOUR) == (940, 100)


def test_arms_are_told_apart_by_their_revision() -> None:
    state = read(LatencyUsage(), 0, page("x", 60, row(99, 1), row(5, 95, revision="b")))
    at = NOW.timestamp()
    assert standing(state, level(), at=at).attainment == pytest.approx(104 / 200)
    assert standing(state, level(), at=at, revisions=["a"]).attainment == pytest.approx(0.99)
    assert standing(state, level(), at=at, revisions=["b"]).burn_rate == pytest.approx(0.95 / 0.05)


@pytest.mark.parametrize(
    ("percentile", "within", "over", "attainment", "burn"),
    [
        (95, 920, 80, 0.92, 1.6),  # 8 % over of 5 % allowed
        (95, 95, 5, 0.95, 1.0),
        (99, 9_856, 144, 0.9856, 1.44),
        (99, 8_560, 1_440, 0.856, 14.4),  # the page threshold of a 30-day budget
        (99.9, 999, 1, 0.999, 1.0),
        (50, 0, 40, 0.0, 2.0),  # at 50 no burn is above 2
    ],
)
def test_burn_rates(percentile: float, within: int, over: int, attainment: float, burn: float) -> None:
    found = Standing(level(percentile=percentile), Counted(within, over), Counted())
    assert found.attainment == pytest.approx(attainment)
    assert found.burn_rate == pytest.approx(burn)


@pytest.mark.parametrize(
    ("long", "short", "state"),
    [
        ((0, 0), (0, 0), "NoTraffic"),
        ((0, 19), (0, 19), "FewCalls"),
        ((19, 1), (1, 1), "Within"),  # exactly what is allowed
        ((18, 2), (0, 1), "Over"),
        ((18, 2), (19, 1), "Recovering"),
        ((18, 2), (0, 0), "Recovering"),
        ((1000, 0), (0, 0), "Within"),
    ],
)
def test_over_takes_both_windows(long: tuple[int, int], short: tuple[int, int], state: str) -> None:
    assert Standing(level(), Counted(*long), Counted(*short)).state == state


@pytest.mark.parametrize(
    ("window", "interval", "short"),
    [(300.0, 60.0, 120.0), (3600.0, 60.0, 300.0), (21_600.0, 60.0, 1800.0), (300.0, 10.0, 25.0), (300.0, 5.0, 25.0)],
)
def test_the_short_window_is_a_twelfth_and_two_readings(window: float, interval: float, short: float) -> None:
    assert short_window(window, interval) == short


def test_a_breach_shows_and_clears_where_arithmetic_says() -> None:
    """100 calls a minute; a budget of 95 over an hour stands 300 calls over."""
    state, within, over, seen = LatencyUsage(), 0, 0, []
    for minute in range(1, 121):
        slow = 20 if 61 <= minute <= 70 else 0
        within, over = within + 100 - slow, over + slow
        state = read(state, 60 * minute, page("x", 60 * minute, row(within, over)), since=60 * (minute - 1))
        seen.append(standing(state, level(), at=NOW.timestamp() + 60 * minute).state)
    # 200 of the last 6,000 calls are 3.3 %.
    assert set(seen) == {"Within"}
    for minute in range(121, 241):
        slow = 60 if minute <= 130 else 0
        within, over = within + 100 - slow, over + slow
        state = read(state, 60 * minute, page("x", 60 * minute, row(within, over)), since=60 * (minute - 1))
        seen.append(standing(state, level(), at=NOW.timestamp() + 60 * minute).state)
    changes = [(number, one) for number, one in enumerate(seen[1:], 2) if one != seen[number - 2]]
    # With each slow minute 60 come and 20 of an hour ago go: 320 after the third. Five minutes after the last one the
    # short window has none, and when five of the ten have left the hour, 300 are left.
    assert changes == [(123, "Over"), (135, "Recovering"), (185, "Within")]


def test_a_week_has_room_and_only_what_is_old_is_put_together() -> None:
    state = LatencyUsage()
    for hour in range(8 * 24):
        at = 3600.0 * hour
        state = read(state, at, page("x", at + 3600, row(10 * (hour + 1), hour + 1)), since=at - 600)
    slots = state.slots[CHAT]
    assert len(slots) < 24 * 8
    week = 7 * 86_400.0
    assert counted(state, 3600.0 * 191, recent=week, window=week).within == pytest.approx(7 * 24 * 10, abs=20)
    assert counted(state, 3600.0 * 191) == (10, 1)


def test_batches_that_have_no_room_go_the_oldest_first() -> None:
    at = NOW.timestamp()
    rows = [
        BatchRow(
            hashlib.sha256(b"%d" % n).hexdigest()[:24], "nightly", at - 7e5 + 97.3 * n, at, at - 6e5 + n * 313.7, n, n
        )
        for n in range(1024)
    ]
    data = encode(LatencyUsage(batches={row.id: row for row in rows}))
    assert len(data) <= SIZE
    kept = list(decode(data).batches.values())
    assert kept == rows[-len(kept) :]
    assert len(kept) >= 500


def test_what_was_counted_while_the_clock_was_ahead_goes_when_it_is_set() -> None:
    day = 86_400.0
    state = read(LatencyUsage(), 0, page("x", 60, row(100, 50)), since=-60)
    state = read(state, day, page("x", 120, row(100, 90)), since=0)
    state = read(state, day + 60, page("x", 180, row(100, 95)), since=day)
    assert counted(state, day + 60, recent=60.0) == (0, 5)
    state = read(state, 60, page("x", 240, row(150, 95)), since=day + 60)
    assert counted(state, 60.0) == (150, 50)


def test_a_batch_that_ends_in_times_to_come_is_none() -> None:
    far = BatchRow("far", "nightly", 0.0, NOW.timestamp(), 9e10, 10, 10)
    told = Usage("x", 60.0, 1, batches=BatchCounts(recent=[far]))
    state = absorb(LatencyUsage(), UsageReading((PodUsage("x", told),), frozenset({"x"})), NOW)
    assert not state.batches


def test_what_is_stored_is_bounded_and_keeps_the_newest() -> None:
    series = [Series(f"support-{n:010x}", f"surface-{n % 32}", "duration", 1.5) for n in range(96)]
    state = LatencyUsage()
    for minute in range(120):
        rows = [
            LatencyRow(one.revision, "stable", *one[1:], minute * 997 + n * n, minute * n)
            for n, one in enumerate(series)
        ]
        state = read(state, 60 * minute, page("x", 60 * minute, *rows), since=60 * (minute - 1))
    data = encode(state)
    assert len(data) <= SIZE
    again = decode(data)
    assert again.marks == state.marks
    at = NOW.timestamp() + 60 * 119
    assert again.counted(series[-1], at=at, window=HOUR, recent=300) == state.counted(
        series[-1], at=at, window=HOUR, recent=300
    )


@pytest.mark.parametrize("data", [b"x", encode(read(LatencyUsage(), 0, page("x", 60, row(1, 1))))[:-3]])
def test_what_cannot_be_read_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match="latency"):
        decode(data)
    assert decode(b"") == LatencyUsage()


def batch(name: str, *, minutes: float, requests: int, succeeded: int, ended: bool = True) -> BatchRow:
    """One that began an hour before NOW."""
    created = NOW.timestamp() - HOUR
    seen = created + 60 * minutes
    return BatchRow(name, "jobs", created, seen, seen if ended else 0.0, requests, succeeded)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (batch("a", minutes=30, requests=600, succeeded=500), (600, 0)),  # 1000 an hour
        (batch("a", minutes=30, requests=600, succeeded=499), (0, 600)),
        (batch("a", minutes=30, requests=600, succeeded=0, ended=False), (0, 0)),  # it may yet be in time
        (batch("a", minutes=40, requests=600, succeeded=0, ended=False), (0, 600)),  # 900 an hour at best
    ],
)
def test_throughput_counts_requests_by_whether_their_batch_kept_to_it(row: BatchRow, expected: Counted) -> None:
    pages = [page(boot, 60, batches=BatchCounts(recent=[row])) for boot in "xy"]  # two pods saw it
    state = read(LatencyUsage(), 0, *pages)
    wanted = level(surface="jobs", metric="throughput", max=None, min="1000/h")
    assert standing(state, wanted, at=NOW.timestamp()).counted == expected
    assert decode(encode(state)) == state


def test_surfaces_without_a_budget_are_those_that_are_sent_now() -> None:
    state = read(LatencyUsage(), 0, page("x", 60, unbudgeted=["voice"]), page("y", 60, unbudgeted=["beta", "voice"]))
    assert state.unbudgeted == ("beta", "voice")
    assert read(state, 60, page("x", 120, unbudgeted=["voice"])).unbudgeted == ("voice",)
    assert latency.absorb(state, UsageReading(), NOW) is state
