"""What of status is believed: one step ahead of the live config at most, and only of what may serve."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from tests.core.reconcile.rules.sample import (
    CANARY,
    NEW,
    NOW,
    OLD,
    OTHER,
    PLAN,
    SET,
    SITE,
    STABLE,
    THIRD,
    ago,
    ended,
    judgement,
    observed,
    raw,
    serving,
    step,
    trial,
)

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import Soak, Step
from claude_operator.api.evals import EvalRunStatus
from claude_operator.api.gateway import GatewayConfig
from claude_operator.api.served import GatewayStatus
from claude_operator.api.status import (
    DeploymentStatus,
    MetricState,
    Plan,
    Replaced,
    Rollout,
    RolloutRecord,
    SoakStatus,
)
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.sample import Counts, Sample
from claude_operator.core.names import eval_run_name
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.decision import Decision
from claude_operator.core.reconcile.gateway_config import desired_config
from claude_operator.core.reconcile.observation import GatewayPod, GatewayView

EVALS = raw(evals={"setRef": {"name": "support-evals"}}, strategy={"canary": {"rollbackWindow": {"duration": "1h"}}})
UNKNOWN = "support-0000000000"
PASSED = {
    eval_run_name(name, SET.hash): EvalRunStatus(phase="Passed", message="it passed") for name in (STABLE, CANARY)
}
TOLD = {STABLE: "Stable", CANARY: "Canary", THIRD: "Candidate"}


def revisions(**told: str) -> dict[str, Any]:
    """All three, and what they say of themselves: `CANARY`, `STABLE` or `THIRD`."""
    states = TOLD | {{"CANARY": CANARY, "STABLE": STABLE, "THIRD": THIRD}[name]: state for name, state in told.items()}
    return {
        one["metadata"]["name"]: one | {"status": {"state": states[one["metadata"]["name"]]}}
        for one in (OLD, NEW, OTHER)
    }


def live(status: DeploymentStatus) -> GatewayConfig:
    """The config that this status asks for."""
    config = desired_config(observed(status), status, accepted=True)
    assert config
    return config


def run(status: DeploymentStatus, config: GatewayConfig | None, spec: Any = EVALS, **fields: Any) -> Decision:
    known: dict[str, Any] = {"revisions": revisions(), "eval_runs": PASSED, "config": config}
    return decide(observed(status, spec, **known | fields), SITE)


def weights(decision: Decision) -> dict[str, int]:
    assert decision.config
    return {arm.revision: arm.weight for arm in decision.config.arms if arm.weight}


def reasons(decision: Decision) -> list[Reason]:
    return [event.reason for event in decision.events]


def forged(revision: str, **fields: Any) -> DeploymentStatus:
    """A trial of any revision at 50 %."""
    known = {"rollout": Rollout(revision=revision, plan=PLAN, started_at=ago(200)), "canary_revision": revision}
    return trial(3, **known | fields)


REST = live(serving())
PROMOTED = [*serving().rollouts, RolloutRecord(revision=CANARY, outcome="Promoted", reason="Promoted")]


def promoted(revision: str, **fields: Any) -> DeploymentStatus:
    known = {
        "stable_revision": revision,
        "rollout": Rollout(revision=revision, plan=PLAN, outcome="Promoted", reason="Promoted", message="Promoted it"),
        "rollouts": [*serving().rollouts, RolloutRecord(revision=revision, outcome="Promoted", reason="Promoted")],
    }
    return DeploymentStatus(**known | fields)


@pytest.mark.parametrize(
    ("status", "config"),
    [
        (forged(THIRD), REST),
        (forged(CANARY), REST),
        (forged(UNKNOWN), REST),
        (forged(STABLE, rollout=Rollout(revision=STABLE, attempt=2, plan=PLAN)), REST),
        (forged(THIRD), live(trial(1))),
        (trial(None, canary_revision=THIRD, rollout=Rollout(revision=THIRD, plan=PLAN)), REST),
        (forged(CANARY, canary_revision=THIRD), REST),
        (promoted(THIRD), REST),
        (promoted(CANARY), REST),
        (promoted(UNKNOWN), REST),
        (serving(stable_revision=UNKNOWN), REST),
        (serving(stable_revision=THIRD), REST),
        (serving(stable_revision=""), REST),
        (promoted(CANARY, rollout=None, rollouts=[]), REST),
        (serving(replaced=Replaced(revision=THIRD, at=ago(5))), REST),
        (serving(replaced=Replaced(revision=CANARY, at=ago(5))), REST),  # gated, but it never had all traffic
    ],
)
def test_only_what_is_live_goes_on_serving(status: DeploymentStatus, config: GatewayConfig) -> None:
    decision = run(status, config)
    assert weights(decision) == {STABLE: 10_000}
    assert decision.status.stable_revision == STABLE
    assert decision.status.step is None
    assert Reason.STATUS_NOT_TRUSTED in reasons(decision)
    again = run(decision.status, decision.config)
    assert Reason.STATUS_NOT_TRUSTED not in reasons(again)


STEP = step(1)


@pytest.mark.parametrize(
    "change",
    [
        {"index": 99},
        {"index": 2**40},
        {"index": -1},
        {"weight": 1e9},
        {"weight": -5.0},
        {"weight": 50.0},
        {"index": 3, "action": "pause", "weight": 50.0},  # two steps ahead of 10 %
        {"action": "pause"},
        {"requests": -1},
        {"started_at": dt.datetime(9999, 12, 31, tzinfo=dt.UTC)},
        {"started_at": NOW + dt.timedelta(days=400)},
    ],
)
def test_a_step_that_cannot_be_begins_the_steps_again(change: dict[str, Any]) -> None:
    status = trial(1, step=STEP.model_copy(update=change))
    decision = run(status, live(trial(1)))
    assert weights(decision) == {STABLE: 10_000}
    assert decision.backward
    assert decision.status.rollout
    assert (decision.status.rollout.revision, decision.status.rollout.outcome) == (CANARY, None)
    assert Reason.STATUS_NOT_TRUSTED in reasons(decision)


@pytest.mark.parametrize(
    ("status", "config", "expected"),
    [
        (trial(1, age=3), live(trial(1)), {STABLE: 9000, CANARY: 1000}),
        (trial(2), live(trial(1)), {STABLE: 5000, CANARY: 5000}),  # told, and not yet written
        (trial(0), live(trial(None)), {STABLE: 9000, CANARY: 1000}),
        (trial(1, age=3), live(trial(3)), {STABLE: 9000, CANARY: 1000}),  # a config that was edited
        (trial(None), REST, {STABLE: 10_000}),
        (promoted(CANARY), live(trial(6)), {CANARY: 10_000}),
        (promoted(CANARY), live(promoted(CANARY)), {CANARY: 10_000}),
    ],
)
def test_what_is_one_step_ahead_is_believed(
    status: DeploymentStatus, config: GatewayConfig, expected: dict[str, int]
) -> None:
    decision = run(status, config)
    assert weights(decision) == expected
    assert Reason.STATUS_NOT_TRUSTED not in reasons(decision)


def test_a_promotion_that_was_cut_short_is_one_that_a_person_asked_for() -> None:
    assert weights(run(promoted(CANARY), live(trial(1)))) == {STABLE: 10_000}
    asked = run(promoted(CANARY), live(trial(1)), annotations={"promote": f"{CANARY}/1/full"})
    assert weights(asked) == {CANARY: 10_000}


def test_a_return_within_the_window_is_believed_of_what_has_served() -> None:
    spec = {**EVALS, "request": OLD["spec"]["request"]}
    before = live(promoted(CANARY))
    back = promoted(STABLE, replaced=Replaced(revision=CANARY, at=ago(1)), rollouts=[*PROMOTED, *serving().rollouts])
    assert weights(run(back, before, spec, revisions=revisions(STABLE="Old", CANARY="Stable"))) == {STABLE: 10_000}
    never = revisions(STABLE="Superseded", CANARY="Stable")
    assert weights(run(back, before, spec, revisions=never)) == {CANARY: 10_000}
    without = raw("Be kind.", evals={"setRef": {"name": "support-evals"}})
    assert weights(run(back, before, without, revisions=revisions(STABLE="Old", CANARY="Stable"))) == {CANARY: 10_000}


@pytest.mark.parametrize("told", ["Candidate", "Superseded", "Failed"])
def test_a_soak_brings_nothing_back_that_has_not_served(told: str) -> None:
    harm = judgement(verdict="Fail", reason="ErrorsIncreased", message="errors 31 of 900", leading="errors")
    running = SoakStatus(
        revision=CANARY, previous=THIRD, started_at=ago(60), until=ago(-60), max_increase=0.5, judgement=harm
    )
    plan = PLAN.model_copy(update={"soak": Soak(duration="1h")})
    rollout = Rollout(revision=CANARY, plan=plan, outcome="Promoted", reason="Promoted", message="Promoted it")
    status = promoted(CANARY, soak=running, rollout=rollout)
    known = revisions(CANARY="Stable", STABLE="Old", THIRD=told)
    decision = run(status, live(promoted(CANARY)), revisions=known)
    assert weights(decision) == {CANARY: 10_000}
    assert Reason.STATUS_NOT_TRUSTED in reasons(decision)
    served = revisions(CANARY="Stable", STABLE="Old", THIRD="Old")
    assert weights(run(status, live(promoted(CANARY)), revisions=served)) == {THIRD: 10_000}


def test_what_served_before_evals_were_declared_goes_on() -> None:
    assert weights(run(serving(), REST, eval_runs={})) == {STABLE: 10_000}
    assert weights(run(serving(), None, eval_runs={})) == {STABLE: 10_000}


# ------------------------------------------------------------------------------------------ what was taken back

TAKEN_BACK = live(ended("RolledBack"))
FAILED = revisions(CANARY="Failed")


@pytest.mark.parametrize(
    "status",
    [
        trial(3),
        trial(3, rollout=Rollout(revision=CANARY, attempt=2, plan=PLAN)),
        trial(3, rollout=Rollout(revision=CANARY, attempt=0, plan=PLAN)),
        trial(3, rollout=Rollout(revision=CANARY, attempt=10**12, plan=PLAN)),
        promoted(CANARY),
        promoted(CANARY, rollouts=[]),
        ended("RolledBack", stable_revision=CANARY),
        serving(replaced=Replaced(revision=CANARY, at=ago(5))),
        serving(),
        serving(rollout=None, rollouts=[]),
        DeploymentStatus(stable_revision=STABLE, rollouts=ended("RolledBack").rollouts),
    ],
)
def test_what_was_taken_back_stays_so(status: DeploymentStatus) -> None:
    decision = run(status, TAKEN_BACK, revisions=FAILED)
    assert weights(decision) == {STABLE: 10_000}
    assert decision.status.rollout
    assert decision.config
    assert decision.config.settled == TAKEN_BACK.settled
    assert (decision.status.rollout.revision, decision.status.rollout.outcome) == (CANARY, "RolledBack")
    assert CANARY not in {one.name for one in decision.revision_states if one.state != "Failed"}


def test_a_retry_that_was_asked_for_is_one() -> None:
    second = Rollout(revision=CANARY, attempt=2, plan=PLAN, eval_run=eval_run_name(CANARY, SET.hash))
    status = ended("RolledBack", rollout=second)
    asked = run(status, TAKEN_BACK, revisions=FAILED, annotations={"retry": f"{CANARY}/1"})
    begun = run(status, TAKEN_BACK, revisions=revisions(CANARY="Candidate"))
    for decision in (asked, begun):
        assert decision.status.rollout
        assert (decision.status.rollout.attempt, decision.status.rollout.outcome) == (2, None)
        assert decision.status.canary_revision == CANARY


# -------------------------------------------------------------------------------------------- without a config


@pytest.mark.parametrize(
    ("status", "known", "expected"),
    [
        (serving(), {}, STABLE),
        (DeploymentStatus(), {}, STABLE),
        (serving(stable_revision=THIRD), {}, STABLE),
        (serving(stable_revision=UNKNOWN), {}, STABLE),
        (promoted(THIRD), {}, STABLE),
        (promoted(CANARY), {}, CANARY),
        (promoted(CANARY), {"CANARY": "Failed"}, STABLE),
        (trial(3), {}, STABLE),
    ],
)
def test_without_a_config_the_revisions_tell(status: DeploymentStatus, known: dict[str, str], expected: str) -> None:
    decision = run(status, None, revisions=revisions(**known))
    assert weights(decision) == {expected: 10_000}
    assert decision.status.stable_revision == expected


def test_without_a_config_the_steps_begin_again() -> None:
    decision = run(trial(1), None)
    assert decision.status.step is None
    assert decision.status.canary_revision == CANARY  # it has passed its gate
    (event,) = [event for event in decision.events if event.reason == Reason.WEIGHT_CHANGED]
    assert event.note == (
        f"{CANARY} starts its steps again, because the gateways' configuration is missing or cannot be read"
    )


def test_without_config_and_status_what_failed_is_not_tried_again() -> None:
    decision = run(DeploymentStatus(), None, revisions=FAILED)
    assert weights(decision) == {STABLE: 10_000}
    assert decision.status.rollout
    assert (decision.status.rollout.revision, decision.status.rollout.outcome) == (CANARY, "RolledBack")


# ----------------------------------------------------------------------------------------- numbers of all kinds


@pytest.mark.parametrize(
    "fields",
    [
        {"rollout": Rollout(revision=CANARY, attempt=-1, plan=PLAN)},
        {"rollout": Rollout(revision=CANARY, plan=Plan(steps=[Step(set_weight=1)] * 60))},
        {
            "rollout": Rollout(
                revision=CANARY, plan=Plan(steps=[Step.model_validate({"pause": {"duration": "9" * 30 + "h"}})])
            )
        },
        {"rollouts": [RolloutRecord(revision=STABLE, outcome="Promoted")] * 1000},
        {"handled": ["x"] * 10_000},
        {"handled": ["x" * 100_000]},
        {"judgement": judgement(last_tick=dt.datetime(9999, 1, 1, tzinfo=dt.UTC))},
        {"judgement": judgement(evidence=float("nan"))},
        {"replaced": Replaced(revision=STABLE, at=dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=9))))},
        {"gateway": GatewayStatus(url="", client_secret="", config_generation=2**60)},
    ],
)
def test_values_out_of_range_are_dropped_once(fields: dict[str, Any]) -> None:
    decision = run(trial(1, age=3, **fields), live(trial(1)))
    assert Reason.STATUS_NOT_TRUSTED in reasons(decision)
    assert DeploymentStatus.model_validate(decision.status.to_dict())
    again = run(decision.status, decision.config)
    assert not any(event.note.endswith("were dropped") for event in again.events)


def test_a_judges_memory_that_no_pass_can_digest_is_dropped_and_then_ends_the_trial() -> None:
    odd = judgement(state=[MetricState(name="errors", evidence=1.0, canary=[], stable=[1])], stable_requests=[1])
    cells = {(1, "other", name): Sample(Counts(requests=90, ok=90)) for name in (STABLE, CANARY)}
    tick = Increments(cells, 180)
    status = trial(1, judgement=odd)
    first = run(status, live(trial(1)), increments=tick)
    assert first.error
    assert first.backward
    assert weights(first) == {STABLE: 10_000}
    assert first.status.judgement is None
    assert first.status.rollout
    assert first.status.rollout.outcome is None
    second = run(status.model_copy(update={"handled": first.status.handled}), live(trial(1)), increments=tick)
    assert second.status.rollout
    assert second.status.rollout.outcome == "Aborted"
    assert reasons(second) == [Reason.ABORTED]
    assert weights(second) == {STABLE: 10_000}


def test_a_run_of_another_revision_opens_no_gate() -> None:
    status = trial(
        None,
        canary_revision=None,
        rollout=Rollout(revision=THIRD, plan=PLAN, eval_run=eval_run_name(CANARY, SET.hash)),
    )
    decision = run(status, REST, {**EVALS, "request": OTHER["spec"]["request"]})
    assert decision.status.canary_revision is None
    assert decision.status.rollout
    assert decision.status.rollout.eval_run == eval_run_name(THIRD, SET.hash)


def test_what_gateways_remember_is_not_replaced_by_nothing() -> None:
    pods = GatewayView(True, 1, (GatewayPod("a", True, 7),))
    known = {CANARY: revisions(CANARY="Candidate")[CANARY]}
    decision = run(serving(), None, revisions=known, gateway=pods, eval_runs={})
    assert decision.config is None
    assert decision.status.stable_revision == STABLE
    assert Reason.REVISION_LOST in {one.reason for one in decision.status.conditions}
    assert Reason.REVISION_LOST in reasons(decision)
