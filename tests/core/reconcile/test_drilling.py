"""What gateways say of a drill, as the status takes it."""

from __future__ import annotations

import datetime as dt

import pytest

from claude_operator.api.drill import RunningDrill
from claude_operator.api.evidence import DrillNote
from claude_operator.core.reconcile.drilling import with_notes
from claude_operator.core.reconcile.observation import GatewayPod

STARTED = dt.datetime(2026, 11, 24, 10, 0, tzinfo=dt.UTC)
NOW = STARTED + dt.timedelta(seconds=10)


@pytest.mark.parametrize(
    ("first", "since_start"),
    [(4.0, 6.0), (0.0, 10.0), (10.0, 0.0), (11.0, 0.0), (1e12, 0.0), (1e300, 0.0)],
)
def test_no_request_failed_before_the_drill_began(first: float, since_start: float) -> None:
    drill = RunningDrill(
        id="support-drill-1",
        revision="support-1",
        mode="Live",
        phase="Running",
        started_at=STARTED,
        allowed={"boot": 5},
    )
    pod = GatewayPod(name="pod", ready=True, boot_id="boot", drill=DrillNote("", drill.id, 1, first))
    assert with_notes(drill, [pod], NOW).first_fault_at == STARTED + dt.timedelta(seconds=since_start)
