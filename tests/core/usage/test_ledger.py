"""The spend by day: each count is taken once, whatever restarts, and in whatever order readings come."""

from __future__ import annotations

import datetime as dt
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.usage.readings import NOON, page, reading, row, spent

from claude_operator.api.usage import UsageRow
from claude_operator.core.usage import ledger, stored
from claude_operator.core.usage.amounts import REST, Amounts, Key
from claude_operator.core.usage.ledger import DAYS, Mark, Spend, absorb, counted_at
from claude_operator.core.usage.reading import PodUsage, UsageReading

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)
TODAY = "2026-11-30"


def test_counts_add_up_over_readings_pods_and_days() -> None:
    state = absorb(Spend(), reading(page("a", row(3, 0.5)), page("b", row(1, 0.5))), NOON)
    state = absorb(state, reading(page("a", row(5, 0.5)), page("b", row(1, 0.5))), NOON + MINUTE)
    state = absorb(state, reading(page("a", row(6, 0.5, surface="voice"), row(5, 0.5))), NOON + DAY)
    assert spent(state, TODAY) == Amounts(6, 0, 60, 60, nano=3_000_000_000)
    assert {key.surface: amounts.usd for key, amounts in state.days["2026-12-01"].items()} == {"voice": 3.0}


def test_the_same_again_changes_nothing_and_is_the_same_object() -> None:
    seen = reading(page("a", row(3, 0.5)))
    state = absorb(Spend(), seen, NOON)
    assert absorb(state, seen, NOON + HOUR) is state
    assert absorb(state, reading(page("a", row(2, 0.5))), NOON + HOUR) is state  # an earlier page that came late


def test_an_idle_deployment_changes_once() -> None:
    state = absorb(Spend(), reading(page("a")), NOON)
    assert state.began == NOON
    for hours in range(1, 200):
        assert absorb(state, reading(page("a")), NOON + hours * HOUR) is state


def test_a_process_that_starts_again_begins_from_zero() -> None:
    state = absorb(Spend(), reading(page("a", row(3), boot="one")), NOON)
    state = absorb(state, reading(page("a", row(2), boot="two")), NOON + MINUTE)
    state = absorb(state, reading(page("a", row(4), boot="two")), NOON + 2 * MINUTE)
    assert spent(state).calls == 7


def test_a_pod_that_is_not_seen_for_a_while_counts_once() -> None:
    """Its labels were changed, or the list was one of before: its process is the one that was read."""
    state = absorb(Spend(), reading(page("a", row(3)), page("b", row(1))), NOON)
    state = absorb(state, reading(page("b", row(1))), NOON + MINUTE)
    assert state.marks["a", "boot-a"].gone is not None
    state = absorb(state, reading(page("a", row(5)), page("b", row(1))), NOON + 30 * MINUTE)
    assert spent(state).calls == 6
    assert state.marks["a", "boot-a"].gone is None
    gone = absorb(state, reading(page("b", row(1))), NOON + HOUR)
    gone = absorb(gone, reading(page("b", row(2))), NOON + 3 * HOUR)
    assert set(gone.marks) == {("b", "boot-b")}


def test_a_silent_pod_keeps_its_mark_for_ever() -> None:
    state = absorb(Spend(), reading(page("a", row(3)), page("b", row(1))), NOON)
    for hours in range(1, 100):
        state = absorb(state, reading(page("b", row(1 + hours)), also=("a",)), NOON + hours * HOUR)
    state = absorb(state, reading(page("a", row(4)), also=("b",)), NOON + 100 * HOUR)
    assert spent(state).calls == 4 + 100


def test_a_new_ledger_takes_no_counts_of_other_days() -> None:
    young, old = page("a", row(3), uptime=60.0), page("b", row(700), uptime=3 * 86_400.0)
    state = absorb(Spend(), reading(young, old), NOON)
    assert spent(state).calls == 3
    state = absorb(state, reading(page("b", row(701), uptime=3 * 86_400.0), also=("a",)), NOON + MINUTE)
    assert spent(state).calls == 4
    # One that knows when it began takes all that it has not read: nobody else has.
    state = absorb(state, reading(page("c", row(50), uptime=3 * 86_400.0), also=("a", "b")), NOON + MINUTE)
    assert spent(state).calls == 54


@pytest.mark.parametrize(
    ("last", "now", "day"),
    [
        ("2026-11-30T23:59:10", "2026-12-01T00:00:01", "2026-11-30"),
        ("2026-11-30T23:55:10", "2026-12-01T00:00:20", "2026-11-30"),
        ("2026-11-30T23:40:00", "2026-12-01T00:00:01", "2026-12-01"),  # nobody read them: it may be of either day
        ("2026-11-30T23:59:10", "2026-12-01T00:00:40", "2026-12-01"),
        ("2026-12-01T00:00:01", "2026-12-01T00:00:10", "2026-12-01"),
        (None, "2026-12-01T00:00:01", "2026-12-01"),
        ("2026-12-02T00:00:01", "2026-12-01T00:00:10", "2026-12-01"),  # the clock was set back
    ],
)
def test_the_first_reading_after_midnight_ends_the_day(last: str | None, now: str, day: str) -> None:
    before = dt.datetime.fromisoformat(last).replace(tzinfo=dt.UTC) if last else None
    moment = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)
    assert ledger.day_of(counted_at(moment, before)) == day


def test_days_are_those_of_utc() -> None:
    evening = dt.datetime(2026, 11, 30, 20, 0, tzinfo=dt.timezone(dt.timedelta(hours=-8)))
    assert set(absorb(Spend(), reading(page("a", row(1))), evening).days) == {"2026-12-01"}


def test_a_clock_that_is_set_loses_nothing() -> None:
    state = Spend()
    for calls, moment in enumerate((NOON, NOON + 400 * DAY, NOON, NOON - 400 * DAY, NOON + MINUTE), start=1):
        state = absorb(state, reading(page("a", row(calls, 0.1))), moment)
    assert spent(state).calls == 5
    assert spent(state, TODAY).calls == 3


def test_forty_days_are_kept_and_old_ones_in_less_detail() -> None:
    state, counted = Spend(), [0] * 100
    for day in range(DAYS + 5):
        counted = [count + number + 1 for number, count in enumerate(counted)]
        rows = [row(count, 0.01, surface=f"s{number}") for number, count in enumerate(counted)]
        state = absorb(state, reading(page("a", *rows)), NOON + day * DAY)
    assert len(state.days) == DAYS
    sizes = [len(rows) for _, rows in sorted(state.days.items())]
    assert (sizes[-2:], set(sizes[:-2])) == ([100, 100], {64})
    for rows in state.days.values():
        assert sum(amounts.calls for amounts in rows.values()) == 5050
        assert Key("r1", "s99", "", "claude-opus-5-5") in rows


def test_a_day_has_a_bounded_number_of_rows() -> None:
    rows = [row(1, 0.01, surface=f"s{number}") for number in range(300)]
    state = absorb(Spend(), reading(page("a", *rows)), NOON)
    (day,) = state.days.values()
    assert (len(day), day[REST].calls) == (257, 44)
    state = absorb(state, reading(page("a", *rows)), NOON + MINUTE)
    assert spent(state).calls == 300


def full(pods: int) -> tuple[Spend, UsageReading]:
    """A ledger that has all it may have, and the last reading that it took in."""
    draw = random.Random(14)
    state, counts, last = Spend(), [[0] * 400 for _ in range(pods)], reading()
    for day in range(DAYS):
        counts = [[count + draw.randrange(1, 10**6) for count in counted] for counted in counts]
        pages = [
            page(f"support-gateway-{pod:010x}", *(_wide(number, count) for number, count in enumerate(counted)))
            for pod, counted in enumerate(counts)
        ]
        last = reading(*pages)
        state = absorb(state, last, NOON + day * DAY)
    return state, last


def _wide(number: int, calls: int) -> UsageRow:
    return row(calls, 0.0123, revision=f"support-{number:010x}", surface=f"surface-{number}")


@pytest.mark.parametrize("pods", [1, 30])
def test_it_fits_into_its_part_of_the_configmap_and_no_sum_changes(pods: int) -> None:
    state, last = full(pods)
    data = stored.encode(state)
    assert 1000 < len(data) <= stored.SIZE
    again = stored.decode(data)
    assert {day: spent(again, day) for day in again.days} == {day: spent(state, day) for day in state.days}
    assert absorb(again, last, NOON + DAYS * DAY).days == again.days


def test_what_is_stored_is_what_was_known() -> None:
    state = absorb(Spend(), reading(page("a", row(3, 0.1)), page("b", row(2, 0.3))), NOON)
    state = absorb(state, reading(page("a", row(4, 0.1), boot="two")), NOON + MINUTE)
    assert stored.decode(stored.encode(state)) == state
    assert stored.encode(Spend()) == b""
    assert stored.decode(b"") == Spend()


@pytest.mark.parametrize("number", range(4))
def test_what_cannot_be_read_is_an_error(number: int) -> None:
    good = stored.encode(absorb(Spend(), reading(page("a", row(3, 0.1))), NOON))
    bad = [b"no gzip", good[:-9], stored.pack(b'{"version": 2}'), stored.pack(b"[]")][number]
    with pytest.raises(ValueError, match="spend: "):
        stored.decode(bad)


@pytest.mark.parametrize(
    "text",
    [
        b'{"version":9,"began":null,"keys":[],"days":{},"marks":[]}',
        b'{"version":1,"began":null,"keys":[],"days":{"soon":[]},"marks":[]}',
        b'{"version":1,"began":null,"keys":[],"days":{"2026-11-30":[[0,1]]},"marks":[]}',
        b'{"version":1,"began":null,"keys":[["r","s","","m"]],"days":{"2026-11-30":[[0,-1]]},"marks":[]}',
        b'{"version":1,"began":null,"keys":[["r","s","","m"]],"days":{"2026-11-30":[[0,1,2,3,4,5,6,7,8,9]]},"marks":[]}',
        b'{"version":1,"began":"2026-11-30T12:00:00","keys":[],"days":{},"marks":[]}',
    ],
)
def test_what_makes_no_sense_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match="spend: "):
        stored.decode(stored.pack(text))


# ------------------------------------------------------------------------------- any order, any loss

PODS = ("pod-0", "pod-1", "pod-2")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("calls"), st.integers(0, 2), st.integers(1, 5)),
        st.tuples(st.just("read"), st.integers(0, 7), st.integers(0, 40)),  # of which pods, and minutes later
        st.tuples(st.just("late"), st.integers(0, 30), st.just(0)),  # a page of the last half hour once more
        st.tuples(st.just("lost"), st.just(0), st.just(0)),  # the operator ends before it writes
        st.tuples(st.just("write"), st.just(0), st.just(0)),
        st.tuples(st.just("restart"), st.integers(0, 2), st.just(0)),  # of a gateway's process
    ),
    max_size=40,
)


class World:
    """Three pods that count and restart, and an operator that reads, writes and is lost."""

    def __init__(self) -> None:
        self.counts, self.boots = [0, 0, 0], [0, 0, 0]
        self.memory, self.written, self.now = Spend(), Spend(), NOON
        self.told: dict[str, int] = {}
        self.durable: dict[str, int] = {}
        self.dead: dict[str, int] = {}
        self.pages: list[tuple[dt.datetime, PodUsage]] = []

    def page_of(self, pod: int) -> PodUsage:
        counted = row(self.counts[pod], 0.001)
        return page(PODS[pod], counted, boot=f"{pod}.{self.boots[pod]}", uptime=0.0)

    def take(self, *pages: PodUsage) -> None:
        self.memory = absorb(self.memory, reading(*pages, also=PODS), self.now)
        for one in pages:
            boot = one.usage.boot_id
            self.told[boot] = max(self.told.get(boot, 0), one.usage.rows[0].calls)

    def step(self, what: str, number: int, more: int) -> None:
        if what == "calls":
            self.counts[number] += more
        elif what == "read":
            self.now += more * MINUTE
            seen = [self.page_of(pod) for pod in range(3) if number >> pod & 1]
            self.pages += [(self.now, one) for one in seen]
            self.take(*seen)
        elif what == "late":
            recent = [one for at, one in self.pages if self.now - at <= 30 * MINUTE]
            self.take(*recent[number : number + 1])
        elif what == "lost":
            self.memory, self.told = stored.decode(stored.encode(self.written)), dict(self.durable)
        elif what == "write":
            self.written, self.durable = self.memory, dict(self.told)
        else:
            self.dead[f"{number}.{self.boots[number]}"] = self.counts[number]
            self.counts[number], self.boots[number] = 0, self.boots[number] + 1


@given(STEPS)
def test_nothing_counts_twice_and_no_more_is_lost_than_ended_processes_had_not_told(
    steps: list[tuple[str, int, int]],
) -> None:
    world = World()
    for step in steps:
        world.step(*step)
    world.take(*(world.page_of(pod) for pod in range(3)))
    untold = sum(count - world.told.get(boot, 0) for boot, count in world.dead.items())
    found = spent(world.memory)
    assert found.calls == sum(world.dead.values()) + sum(world.counts) - untold
    assert found.nano == found.calls * 1_000_000


def test_a_folded_mark_goes_on_counting_under_other() -> None:
    state = absorb(Spend(), reading(page("a", row(3, 0.1))), NOON)
    folded = Spend(state.began, state.days, {one: mark.folded() for one, mark in state.marks.items()})
    after = absorb(folded, reading(page("a", row(5, 0.1), row(1, 0.1, surface="voice"))), NOON + MINUTE)
    assert after.days[TODAY][REST] == Amounts(3, 0, 30, 30, nano=300_000_000)
    assert isinstance(after.marks["a", "boot-a"], Mark)
    assert spent(after).calls == 6


def test_rows_of_both_roles_of_a_revision_are_one() -> None:
    rows = [UsageRow("r1", role, "chat", "", "m", 2, cost_usd=0.5) for role in ("stable", "canary")]
    state = absorb(Spend(), reading(page("a", *rows)), NOON)
    assert {key: amounts.calls for key, amounts in state.days[TODAY].items()} == {Key("r1", "chat", "", "m"): 4}


def test_where_there_is_no_room_for_marks_the_days_keep_their_rows() -> None:
    state, _ = full(30)
    again = stored.decode(stored.encode(state))
    assert {len(rows) for rows in again.days.values()} >= {64}
    assert all(mark.whole for mark in again.marks.values())
