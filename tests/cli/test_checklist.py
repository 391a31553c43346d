"""`kubectl claude checklist`: what it shows, and what it refuses to sign."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from tests.cli.test_views import check
from tests.core.reconcile.rules.sample import CANARY, owner
from tests.core.reconcile.test_checklist import decided, spec, waiting

from claude_operator.cli.commands.checklist import expiry
from claude_operator.cli.failure import Failure
from claude_operator.cli.view.checklist import checklist_facts, checklist_view
from claude_operator.core.checklist.case import Sight

NOW = dt.datetime(2026, 11, 24, 10, 0, tzinfo=dt.UTC)
Object = dict[str, Any]


def stored(**fields: Any) -> Object:
    """The ClaudeDeployment after a pass."""
    after = decided(waiting(), **fields).status
    return {**owner(spec(checklist={"mode": "Enforce"})), "status": after.to_dict()}


def test_all_passed() -> None:
    facts = checklist_facts(stored())
    assert (facts["passed"], facts["mode"], facts["revision"]) == (True, "Enforce", CANARY)
    check(checklist_view(facts), facts, "checklist_passed")


def test_what_is_open_says_how_to_fulfil_it() -> None:
    facts = checklist_facts(stored(usage=None, checklist=Sight()))
    assert not facts["passed"]
    check(checklist_view(facts), facts, "checklist_open")


def test_of_a_spec_that_nobody_has_looked_at_nothing_is_known() -> None:
    old = stored()
    old["metadata"]["generation"] += 1
    facts = checklist_facts(old)
    assert not facts["passed"], "what was passed may no longer be"
    check(checklist_view(facts), facts, "checklist_stale")
    never = checklist_facts(owner())
    assert not never["passed"]
    check(checklist_view(never), never, "checklist_never_seen")


@pytest.mark.parametrize(
    ("until", "end"),
    [
        ("1d", "2026-11-25T10:00:00+00:00"),
        ("366d", "2027-11-25T10:00:00+00:00"),
        ("2026-11-24", "2026-11-24T23:59:59+00:00"),
        ("2027-03-01", "2027-03-01T23:59:59+00:00"),
    ],
)
def test_when_a_signature_ends(until: str, end: str) -> None:
    assert expiry(until, NOW).isoformat() == end


@pytest.mark.parametrize("until", ["0d", "367d", "90", "d", "-1d", "soon", "2026-11-23", "2028-01-01", "9" * 400 + "d"])
def test_no_end_at_all(until: str) -> None:
    with pytest.raises(Failure, match=r"use e\.g\. 90d"):
        expiry(until, NOW)
