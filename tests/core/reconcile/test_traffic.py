"""What each revision should get and has got, in status; and users that are too few."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.core.reconcile.rules.sample import (
    ANSWERED,
    CANARY,
    PLAN,
    SITE,
    STABLE,
    ago,
    drafted,
    judgement,
    observed,
    raw,
    serving,
    trial,
)

from claude_operator.api.conditions import Reason
from claude_operator.api.gateway import Assigning, dump_config
from claude_operator.api.status import DeploymentStatus, GatewayStatus, Rollout, SampleRatio, Traffic
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.offset import CohortHistory
from claude_operator.core.judge.evidence.sample import Counts, Sample
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.few_users import explain_few_users
from claude_operator.core.reconcile.gateway_config import desired_config
from claude_operator.core.reconcile.rules.analysis import analyse
from claude_operator.core.reconcile.rules.canary import move

BY_USER = PLAN.model_copy(update={"unit": "User"})


def ticks(canary: int, stable: int, generation: int = 1) -> Increments:
    samples = {
        (generation, "other", CANARY): Sample(Counts(canary, canary)),
        (generation, "other", STABLE): Sample(Counts(stable, stable)),
    }
    return Increments(samples, traffic=canary + stable, seconds=5.0)


def rows(status: DeploymentStatus) -> list[tuple[str, float, float | None, int | None]]:
    return [(one.role, one.percent, one.requests, one.requests_seen) for one in status.traffic]


def told(generation: int, weights: int) -> GatewayStatus:
    return GatewayStatus(url="http://x", client_secret="x", config_generation=generation, weights_generation=weights)


def test_without_a_reading_only_what_they_should_get() -> None:
    assert rows(decide(observed(trial(1, 3)), SITE).status) == [
        ("stable", 90.0, None, None),
        ("canary", 10.0, None, None),
    ]


def test_requests_add_up_while_the_weight_stays() -> None:
    first = decide(observed(trial(1, 3), increments=ticks(30, 170)), SITE).status
    assert rows(first) == [("stable", 90.0, 85.0, 170), ("canary", 10.0, 15.0, 30)]
    again = trial(1, 3, traffic=first.traffic, gateway=first.gateway)
    second = decide(observed(again, increments=ticks(10, 190)), SITE).status
    assert rows(second) == [("stable", 90.0, 90.0, 360), ("canary", 10.0, 10.0, 40)]
    quiet = decide(observed(again), SITE).status
    assert rows(quiet) == rows(first)


def test_another_weight_begins_anew() -> None:
    """Also of requests that began under the one before and are read now."""
    before = [Traffic(revision=STABLE, role="stable", percent=90.0, requests_seen=100, requests=50.0)]
    status = trial(3, 3, traffic=before, gateway=told(5, 4))
    seen = observed(status, increments=ticks(30, 170))
    assert seen.config
    live = msgspec.structs.replace(seen.config, generation=9)
    decision = decide(replace(seen, config=live), SITE)
    assert rows(decision.status) == [("stable", 50.0, None, None), ("canary", 50.0, None, None)]


def test_the_share_of_conversations_is_the_judges() -> None:
    ratio = SampleRatio(weight=1000, canary=30.0, stable=170.0)
    seen = observed(trial(1, 3, judgement=judgement(split=ratio.model_dump())), increments=ANSWERED)
    found = {one.role: one.conversations for one in decide(seen, SITE).status.traffic}
    assert found == {"stable": 85.0, "canary": 15.0}
    other = trial(1, 3, judgement=judgement(split=SampleRatio(weight=100, canary=3.0, stable=17.0).model_dump()))
    assert {one.conversations for one in decide(observed(other, increments=None), SITE).status.traffic} == {None}


@pytest.mark.parametrize(
    ("stored", "index", "expected"),
    [(None, 1, 7), (told(7, 5), 1, 5), (told(7, 0), 1, 7), (told(7, 5), 3, 8)],
    ids=["nothing is known", "the same weights", "an operator of before", "other weights"],
)
def test_in_which_generation_the_weights_last_changed(stored: GatewayStatus | None, index: int, expected: int) -> None:
    live = observed(trial(1, 3)).config
    assert live
    live = msgspec.structs.replace(live, generation=7)
    after = decide(observed(trial(index, 3, gateway=stored), config=live), SITE).status.gateway
    assert after
    assert after.weights_generation == expected


# -------------------------------------------------------------------------------------------------- assignment


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"assignment": {"unit": "Conversation"}, "strategy": {"canary": {"rescueAfter": 3}}}, None),
        ({"assignment": {"unit": "User"}}, Assigning("User", 3)),
        ({"strategy": {"canary": {"rescueAfter": 0}}}, Assigning("Conversation", 0)),
    ],
)
def test_how_conversations_are_assigned_is_written_where_it_is_not_the_default(
    fields: dict[str, Any], expected: Assigning | None
) -> None:
    config = desired_config(observed(serving(), raw(**fields)), serving(), accepted=True)
    assert config
    assert ("assignment" in dump_config(config)) == (expected is not None)
    assert config.assignment == (expected or msgspec.UNSET)


def test_a_rollout_keeps_the_unit_that_it_began_with() -> None:
    config = desired_config(observed(trial(1), raw(assignment={"unit": "User"})), trial(1), accepted=True)
    assert config
    assert config.assignment is msgspec.UNSET


# --------------------------------------------------------------------------------------------------- few users


def by_user(busiest: float | None = None, index: int = 1) -> DeploymentStatus:
    return trial(index, rollout=Rollout(revision=CANARY, plan=BY_USER, started_at=ago(200), busiest=busiest))


def history(*requests: float) -> CohortHistory:
    return CohortHistory({n: (each, 0.0, 0.0, 0.0, 0.0, 0.0) for n, each in enumerate(requests)}, "")


@pytest.mark.parametrize(
    ("cohorts", "status", "expected"),
    [
        (history(500, *[1] * 500), by_user(), 0.502),
        (history(), by_user(), None),
        (None, by_user(), None),
        (history(9, 9), by_user(0.4), 0.4),
        (history(9, 9), trial(1), None),
    ],
    ids=["a giant", "nobody", "not read", "known already", "conversations are drawn"],
)
def test_the_busiest_users_are_noted(cohorts: Any, status: DeploymentStatus, expected: float | None) -> None:
    after = analyse(drafted(status, cohorts=cohorts, increments=ANSWERED)).status
    assert after.rollout
    assert after.rollout.busiest == expected


@pytest.mark.parametrize(
    ("busiest", "weight", "says"),
    [
        (0.5, 10.0, None),
        (None, 10.0, None),
        (0.8, 1.0, "at 1 % harm shows only once 2 or more users have failed on the canary"),
        (0.8, 10.0, "at 10 % harm shows only once 3 or more users"),
        (0.8, 50.0, "at 50 % harm shows only once 8 or more users"),
        (0.8, 0.0, "3 users had 80 % of the requests in the hour before the rollout: set spec.assignment.unit"),
    ],
)
def test_what_few_users_cannot_show(busiest: float | None, weight: float, says: str | None) -> None:
    found = explain_few_users(Rollout(revision=CANARY, plan=BY_USER, busiest=busiest), weight)
    assert (found is None) == (says is None)
    assert says is None or says in (found or "")


def test_few_users_hold_and_a_person_goes_on() -> None:
    held = move(drafted(by_user(0.8)))
    assert held.hold
    assert held.hold.reason == Reason.FEW_USERS
    go = f"kubectl -n demo annotate --overwrite cld support claudeops.dev/promote={CANARY}/1/1"
    assert held.hold.message.endswith(f", or go on without: {go}")
    asked = move(drafted(by_user(0.8), annotations={"promote": f"{CANARY}/1/1"}))
    assert asked.status.step
    assert asked.status.step.index == 2
    many = move(drafted(by_user(0.3)))
    assert many.hold
    assert many.hold.reason == Reason.WAITING_FOR_EVIDENCE
