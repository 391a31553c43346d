"""What a spend comes to, and what status says of it."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from tests.core.usage.readings import NOON, page, reading, row

from claude_operator.core.reconcile.cost import cost_status
from claude_operator.core.usage.amounts import Amounts, Key
from claude_operator.core.usage.figures import are_fresh, dollars, figures
from claude_operator.core.usage.ledger import Spend, absorb
from claude_operator.core.usage.state import Coverage, Usages, UsageState

DAY, MINUTE = dt.timedelta(days=1), dt.timedelta(minutes=1)
DAYS = [f"2026-11-{day:02d}" for day in range(1, 21)]
KEY = Key("r1", "chat", "", "m")


def spend(usd: dict[str, float], began: dt.datetime) -> Spend:
    return Spend(began, {day: {KEY: Amounts(10, 1, nano=round(cost * 1e9))} for day, cost in usd.items()})


@pytest.mark.parametrize(
    ("began", "usd", "now", "expected"),
    [
        # Three whole days and half of one, a dollar each: a dollar a day for the half and the 26 days that are left.
        ("2026-11-01T00:00", {"2026-11-01": 1.0, "2026-11-02": 1.0, "2026-11-03": 1.0, "2026-11-04": 0.5},
         "2026-11-04T12:00", 3.5 + 26.5),
        # Of older days the month counts, the mean does not: 6 days and a half at 2 dollars.
        ("2026-10-01T00:00", dict.fromkeys(DAYS[:13], 10.0) | dict.fromkeys(DAYS[13:19], 2.0) | {"2026-11-20": 1.0},
         "2026-11-20T12:00", 130 + 12 + 1 + 10.5 * 2),
        # The mean reaches back into the last month.
        ("2026-10-01T00:00", {"2026-10-28": 7.0, "2026-10-29": 7.0, "2026-11-01": 0.0}, "2026-11-01T12:00",
         14 / 6.5 * 29.5),
        ("2026-11-04T12:00", {"2026-11-04": 1.0, "2026-11-05": 1.0}, "2026-11-05T12:00", 2.0 + 25.5 * 2.0),
        ("2026-11-04T12:00", {"2026-11-04": 1.0, "2026-11-05": 1.0}, "2026-11-05T11:59", None),
        ("2026-12-30T00:00", {"2026-12-31": 2.0}, "2026-12-31T12:00", 2.0 + 2.0 / 1.5 * 0.5),
    ],
)  # fmt: skip
def test_the_forecast_is_what_arithmetic_says(
    began: str, usd: dict[str, float], now: str, expected: float | None
) -> None:
    times = [dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC) for text in (began, now)]
    found = figures(spend(usd, times[0]), times[1])
    assert found.forecast == (None if expected is None else pytest.approx(expected))


def test_months_and_days_are_of_utc_and_what_a_wrong_clock_recorded_ahead_waits() -> None:
    usd = {"2026-10-31": 5.0, "2026-11-01": 1.0, "2026-11-30": 2.0, "2026-12-01": 4.0, "2027-11-30": 100.0}
    state = spend(usd, NOON - 40 * DAY)
    evening = dt.datetime(2026, 11, 30, 20, 0, tzinfo=dt.timezone(dt.timedelta(hours=-8)))
    assert [(figures(state, at).today.usd, figures(state, at).month.usd) for at in (NOON, evening)] == [(2, 3), (4, 4)]


@pytest.mark.parametrize(
    ("usd", "text"),
    [(0.0, "$0.00"), (0.00001, "<$0.0001"), (0.0012, "$0.0012"), (0.01, "$0.01"), (1234.567, "$1,234.57")],
)
def test_dollars(usd: float, text: str) -> None:
    assert dollars(usd) == text


def known(calls: int, at: dt.datetime, coverage: Coverage | None = None) -> UsageState:
    state = absorb(Spend(), reading(page("a", row(calls, 0.5))), NOON)
    return UsageState(Usages(state), at, coverage or Coverage(2))


def test_status_says_what_is_known_and_is_not_written_for_every_cent() -> None:
    first = cost_status(known(2, NOON), None, changes=False)
    assert first is not None
    assert (first.today, first.month, first.forecast, first.gateways) == ("$1.00", "$1.00", None, "2 of 2")
    assert cost_status(known(3, NOON + MINUTE), first, changes=False) is first
    later = cost_status(known(3, NOON + 5 * MINUTE), first, changes=False)
    assert later is not None
    assert (later.today, later.at) == ("$1.50", NOON + 5 * MINUTE)
    at_once = cost_status(known(3, NOON + MINUTE), first, changes=True)
    assert at_once is not None
    assert at_once.today == "$1.50"
    assert cost_status(known(2, NOON + 60 * MINUTE), first, changes=False) is first


def test_a_day_that_ends_is_written_at_once() -> None:
    late = dt.datetime(2026, 11, 30, 23, 59, tzinfo=dt.UTC)
    before = cost_status(known(2, late), None, changes=False)
    after = cost_status(known(2, late + 2 * MINUTE), before, changes=False)
    assert after is not None
    assert (after.today, after.month) == ("$0.00", "$0.00")


def test_what_is_not_known_stays_as_it_was_said() -> None:
    before = cost_status(known(2, NOON), None, changes=False)
    assert cost_status(None, before, changes=True) is before
    assert cost_status(None, None, changes=True) is None
    assert cost_status(UsageState(Usages(), NOON), None, changes=True) is None
    silent = cost_status(known(2, NOON + 6 * MINUTE, Coverage(1, ("b",))), before, changes=False)
    assert silent is not None
    assert silent.gateways == "1 of 2"


@pytest.mark.parametrize(("later", "stay"), [(0, True), (4, True), (5, False), (-1, False)])
def test_figures_stay_for_five_minutes_and_not_when_the_clock_was_set_back(later: int, stay: bool) -> None:
    assert are_fresh(NOON, NOON + later * MINUTE) == stay


def test_trouble_with_the_record_is_said_at_once() -> None:
    before = cost_status(known(2, NOON), None, changes=False)
    fault = "the usage record had to begin again: spend: not gzip"
    troubled = dataclasses.replace(known(2, NOON + MINUTE), fault=fault)
    after = cost_status(troubled, before, changes=False)
    assert after is not None
    assert after.note == fault
