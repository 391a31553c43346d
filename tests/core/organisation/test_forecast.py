"""What a month will cost: its days so far, and the mean of the last seven full days for each that is left."""

from __future__ import annotations

import datetime as dt

import pytest

from claude_operator.core.organisation.forecast import forecast, in_month

NOVEMBER = dt.date(2026, 11, 1)


def november(*numbers: int) -> list[dt.date]:
    return [NOVEMBER.replace(day=number) for number in numbers]


def test_by_hand() -> None:
    cost = dict.fromkeys(november(*range(1, 14)), 10.0) | dict.fromkeys(november(*range(14, 21)), 20.0)
    # 13 × 10 + 7 × 20 so far, and the last seven days' 20 for each of the ten that are left
    assert forecast(cost, NOVEMBER, since=NOVEMBER, until=november(20)[0]) == pytest.approx(270 + 200)


def test_quiet_days_count_in_the_mean_and_days_before_the_first_known_one_do_not() -> None:
    cost = {november(18)[0]: 30.0}
    assert forecast(cost, NOVEMBER, since=november(18)[0], until=november(20)[0]) == pytest.approx(30 + 10 * 10.0)


def test_the_first_day_of_a_month_is_forecast_from_the_month_before() -> None:
    cost = dict.fromkeys(november(*range(24, 31)), 5.0)
    assert forecast(cost, dt.date(2026, 12, 1), since=november(24)[0], until=november(30)[0]) == pytest.approx(31 * 5.0)


def test_nothing_known_is_no_forecast() -> None:
    assert forecast({}, NOVEMBER, since=november(3)[0], until=november(2)[0]) is None


def test_of_a_month_only_its_known_days_count() -> None:
    cost = {dt.date(2026, 10, 31): 1.0, **dict.fromkeys(november(1, 2, 3), 2.0)}
    assert in_month(cost, NOVEMBER, november(2)[0]) == 4.0
