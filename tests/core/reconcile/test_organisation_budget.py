"""A spent budget of an organisation: what it holds and refuses of the ClaudeDeployments that use its keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.core.reconcile.rules.sample import ANSWERED, CANARY, SITE, drafted, raw, serving, trial
from tests.core.reconcile.test_spending import MONTH_END, budgeted, seen, spent, throttled

from claude_operator.api.conditions import Reason, Type
from claude_operator.api.gateway import Throttle
from claude_operator.core.organisation.budget import NOT_LOOKED, OrganizationLimit
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.rules.canary import move
from claude_operator.core.reconcile.spending import throttle_to_serve

PLAIN = raw("Be kind.")
THEIRS, OWN = Throttle(MONTH_END, "500"), Throttle(MONTH_END, "2000")


def limit(action: Any, level: Any) -> OrganizationLimit:
    return OrganizationLimit("acme", "500", action, level, MONTH_END)


@pytest.mark.parametrize(
    ("found", "why", "says"),
    [
        (None, None, ""),
        (NOT_LOOKED, None, ""),
        (limit("HoldRollouts", "Near"), None, ""),
        (
            limit("HoldRollouts", "Over"),
            Reason.COST_OVER_BUDGET,
            "budget of ClaudeOrganization acme, $500, is spent; the next one begins",
        ),
        (
            limit("Throttle", "Over"),
            Reason.COST_OVER_BUDGET,
            "budget of ClaudeOrganization acme, $500, is spent; the next one begins",
        ),
        (
            limit("HoldRollouts", "Unknown"),
            Reason.COST_UNKNOWN,
            "how much of the month's budget of ClaudeOrganization acme",
        ),
    ],
)
@pytest.mark.parametrize("index", [None, 0, 1])
def test_no_canary_begins_or_rises(index: int | None, found: Any, why: Reason | None, says: str) -> None:
    status = trial(index)
    draft = drafted(status, raw("Be brief."), increments=ANSWERED, organization=found)
    draft = move(replace(draft, obs=throttled(draft.obs, throttle_to_serve(draft.obs))))
    if why is None:
        assert draft.status.step != status.step
        return
    assert draft.hold is not None
    assert (draft.hold.reason, draft.status.step) == (why, status.step)
    assert says in draft.hold.message
    what = "full" if index is None else index
    assert draft.hold.message.endswith(f"claudeops.dev/promote={CANARY}/1/{what}")


@pytest.mark.parametrize(
    ("spec", "found", "live", "expected"),
    [
        (PLAIN, None, THEIRS, msgspec.UNSET),
        (PLAIN, limit("Throttle", "Near"), THEIRS, msgspec.UNSET),
        (PLAIN, limit("Throttle", "Over"), msgspec.UNSET, THEIRS),
        (PLAIN, limit("HoldRollouts", "Over"), THEIRS, msgspec.UNSET),
        # What is not known begins nothing, and ends nothing.
        (PLAIN, limit("Throttle", "Unknown"), msgspec.UNSET, msgspec.UNSET),
        (PLAIN, limit("Throttle", "Unknown"), THEIRS, THEIRS),
        (PLAIN, NOT_LOOKED, msgspec.UNSET, msgspec.UNSET),
        (PLAIN, NOT_LOOKED, THEIRS, THEIRS),
        # Beside a budget of its own each holds.
        (budgeted("Throttle"), limit("Throttle", "Over"), OWN, OWN),
        (budgeted("Throttle", "3000"), limit("Throttle", "Over"), OWN, THEIRS),
        (budgeted("Warn"), limit("Throttle", "Over"), msgspec.UNSET, THEIRS),
    ],
)
def test_throttle(spec: dict[str, Any], found: Any, live: Any, expected: Any) -> None:
    obs = replace(throttled(seen(serving(), spec, spent("2000")), live), organization=found)
    assert throttle_to_serve(obs) == expected
    config = decide(obs, SITE).config
    assert config is not None
    assert config.throttle == expected


def test_that_calls_are_refused_is_told_with_whose_budget_it_is() -> None:
    obs = replace(seen(serving(), PLAIN, spent("0")), organization=limit("Throttle", "Over"))
    conditions = decide(throttled(obs, THEIRS), SITE).status.conditions
    ready = next(one for one in conditions if one.type == Type.READY)
    assert (ready.status, ready.reason) == ("False", Reason.COST_OVER_BUDGET)
    assert (
        "the month's budget of ClaudeOrganization acme, $500, is spent: gateways answer every new call" in ready.message
    )


def test_where_only_the_organisations_budget_is_spent_it_is_not_called_the_applications() -> None:
    obs = replace(seen(serving(), budgeted("Throttle"), spent("7")), organization=limit("Throttle", "Over"))
    conditions = decide(throttled(obs, THEIRS), SITE).status.conditions
    ready = next(one for one in conditions if one.type == Type.READY)
    assert "the month's budget of ClaudeOrganization acme, $500, is spent" in ready.message
