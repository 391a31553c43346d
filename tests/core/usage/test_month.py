"""Calendar months are those of UTC."""

from __future__ import annotations

import datetime as dt

import pytest

from claude_operator.core.usage.month import month_of, next_month


@pytest.mark.parametrize(
    ("moment", "begins", "ends"),
    [
        ("2026-11-30T23:59:59+00:00", "2026-11-01", "2026-12-01"),
        ("2026-12-01T00:00:00+00:00", "2026-12-01", "2027-01-01"),
        ("2026-12-01T00:30:00+01:00", "2026-11-01", "2026-12-01"),
        ("2028-02-29T12:00:00+00:00", "2028-02-01", "2028-03-01"),
    ],
)
def test_the_month_of_a_moment(moment: str, begins: str, ends: str) -> None:
    at = dt.datetime.fromisoformat(moment)
    assert (month_of(at), next_month(at)) == tuple(
        dt.datetime.fromisoformat(f"{day}T00:00:00+00:00") for day in (begins, ends)
    )
