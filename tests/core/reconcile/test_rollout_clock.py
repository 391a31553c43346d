"""A rollout's time is what was lived through, whatever wall clocks say."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.reconcile.rules.sample import STABLE, serving, trial
from tests.core.reconcile.rules.test_soak import soaking

from claude_operator.api.status import DeploymentStatus, Draining
from claude_operator.core.reconcile.rollout_clock import counted, rollout_time, told_every

SEEN = dt.datetime(2026, 11, 24, 10, 0, tzinfo=dt.UTC)


def seconds(wall: float, lived: float | None, *, unknown: float = 5.0) -> float:
    now = rollout_time(SEEN, SEEN + dt.timedelta(seconds=wall), lived, unknown=unknown)
    return (now - SEEN).total_seconds()


@pytest.mark.parametrize(
    ("wall", "lived", "now"),
    [
        (5.0, 5.0, 5.0),
        (5.3, 5.0, 5.3),  # clocks that are set alike: the wall's
        (7205.0, 5.0, 5.0),
        (-7195.0, 5.0, 5.0),
        (-1.0, 0.5, 0.0),  # never before what was counted
        (60.0, 60.0, 60.0),  # an outage that the gateways saw
        (3.0, None, 3.0),
        (60.0, None, 5.0),  # nobody knows: as little as may be
        (7205.0, None, 5.0),
        (-60.0, None, 0.0),
    ],
)
def test_rollout_time(wall: float, lived: float | None, now: float) -> None:
    assert seconds(wall, lived) == pytest.approx(now)


def test_without_anything_timed_the_wall_clock_holds() -> None:
    wall = SEEN + dt.timedelta(hours=2)
    assert rollout_time(None, wall, 3.0, unknown=5.0) == wall


@given(st.floats(-1e7, 1e7), st.one_of(st.none(), st.floats(0, 1e5)), st.floats(0, 60))
def test_no_clock_makes_more_time_than_was_lived(wall: float, lived: float | None, unknown: float) -> None:
    now = seconds(wall, lived, unknown=unknown)
    assert 0.0 <= now <= (unknown if lived is None else lived) + 2.001


@pytest.mark.parametrize(
    ("status", "often"), [(serving(), None), (trial(1), 15.0), (soaking(), 15.0)], ids=["at rest", "step", "soak"]
)
def test_how_often_elapsed_time_is_written_down(status: DeploymentStatus, often: float | None) -> None:
    assert told_every(status) == often
    drains = status.model_copy(update={"draining": Draining(revision=STABLE, since=SEEN, until=SEEN)})
    assert told_every(drains) == (often or 60.0)


def test_the_time_of_a_drain_is_written_down_once_a_minute() -> None:
    before = serving(draining=Draining(revision=STABLE, since=SEEN, until=SEEN), seen_at=SEEN)
    for age, moves in ((59.0, False), (60.0, True)):
        now = SEEN + dt.timedelta(seconds=age)
        assert counted(before, before, now, read=False, watched=False) == (now if moves else SEEN)
    assert counted(before, serving(), SEEN, read=False, watched=False) is None
