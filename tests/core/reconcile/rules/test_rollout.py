"""When a rollout begins, gives way, and is found again after a lost write."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.core.reconcile.rules.sample import (
    CANARY,
    NOW,
    SET,
    STABLE,
    THIRD,
    ago,
    config_with,
    drafted,
    ended,
    failed,
    judgement,
    raw,
    serving,
    told,
    trial,
)

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.evals import EvalRunStatus
from claude_operator.api.gateway import Settled
from claude_operator.api.status import DeploymentStatus, RolloutRecord
from claude_operator.core.judge.evidence.callers import Part
from claude_operator.core.judge.evidence.increments import Counts, Increments, Sample
from claude_operator.core.names import eval_run_name
from claude_operator.core.reconcile.progress import active
from claude_operator.core.reconcile.rules.analysis import analyse, roll_back
from claude_operator.core.reconcile.rules.recover import recover
from claude_operator.core.reconcile.rules.rollout import begin, note_plan, supersede
from claude_operator.core.spec.plan import plan_of


def test_another_revision_goes_on_trial() -> None:
    draft = begin(drafted(serving()))
    rollout = draft.status.rollout
    assert rollout
    assert (rollout.revision, rollout.attempt, rollout.outcome) == (CANARY, 1, None)
    assert rollout.started_at == NOW
    assert draft.status.judgement is None
    assert draft.again == 0
    assert told(draft) == [Reason.ROLLOUT_STARTED]
    assert begin(drafted(draft.status)).status == draft.status


def test_what_makes_figures_hard_to_compare_is_told_once() -> None:
    draft = drafted(serving())
    canary = draft.obs.revisions[CANARY]
    older = {
        **canary,
        "spec": {**canary["spec"], "request": {**canary["spec"]["request"], "model": "claude-sonnet-4-6"}},
    }
    revisions = {**draft.obs.revisions, CANARY: older}
    begun = begin(replace(draft, obs=replace(draft.obs, revisions=revisions)))
    assert told(begun) == [Reason.ROLLOUT_STARTED, Reason.CANARY_DIFFERS]
    event = begun.events[-1]
    assert event.type == "Normal"
    assert event.note.startswith(f"{CANARY}: model: claude-sonnet-4-6 makes about 30 % fewer tokens of the same text")
    assert told(begin(replace(begun, obs=replace(begun.obs, revisions=revisions), events=()))) == []


@pytest.mark.parametrize("outcome", ["RolledBack", "Aborted", "EvalFailed"])
def test_what_failed_is_not_tried_again_by_itself(outcome: str) -> None:
    assert begin(drafted(ended(outcome))).status == ended(outcome)


def test_what_failed_is_tried_again_when_asked() -> None:
    draft = begin(drafted(ended("RolledBack"), annotations={"retry": f"{CANARY}/1"}))
    assert told(draft) == [Reason.RETRIED, Reason.ROLLOUT_STARTED]
    assert draft.status.rollout
    assert draft.status.rollout.attempt == 2
    assert active(draft.status)


def test_what_failed_is_tried_again_after_another_was_wanted() -> None:
    between = begin(replace(drafted(ended("RolledBack")), wanted=STABLE)).status
    assert between.rollout
    assert (between.rollout.revision, between.rollout.outcome) == (STABLE, "Promoted")
    again = begin(drafted(between)).status
    assert again.rollout
    assert (again.rollout.revision, again.rollout.attempt) == (CANARY, 2)


def test_what_gave_way_begins_again_when_it_is_wanted_again() -> None:
    """Though no other revision has begun in between."""
    draft = begin(drafted(ended("Superseded")))
    assert draft.status.rollout
    assert (draft.status.rollout.attempt, draft.status.rollout.outcome) == (2, None)


def test_back_to_stable_finds_its_eval_result_again() -> None:
    spec = raw("Be kind.", evals={"setRef": {"name": "support-evals"}})
    run = eval_run_name(STABLE, SET.hash)
    found = replace(drafted(ended("RolledBack"), spec, eval_runs={run: EvalRunStatus(phase="Passed")}), wanted=STABLE)
    assert begin(found).status.rollout.eval_run == run  # type: ignore[union-attr]
    none = replace(drafted(ended("RolledBack"), spec), wanted=STABLE)
    assert begin(none).status.rollout.eval_run is None  # type: ignore[union-attr]


def test_supersede() -> None:
    draft = supersede(replace(drafted(trial(1)), wanted=THIRD))
    assert draft.done
    assert draft.backward
    assert draft.again == 0
    assert told(draft) == [Reason.SUPERSEDED]
    assert draft.status.canary_revision is None
    assert draft.status.rollouts[-1].outcome == "Superseded"
    assert draft.status.stable_revision == STABLE


def test_nothing_goes_on_in_a_pass_that_takes_traffic_back() -> None:
    draft = supersede(replace(roll_back(drafted(trial(1, judgement=failed()))), wanted=THIRD))
    assert draft.done
    assert draft.again == 1.0
    assert draft.status.rollout
    assert (draft.status.rollout.revision, draft.status.rollout.outcome) == (CANARY, "RolledBack")


def test_nothing_gives_way_to_itself() -> None:
    for status in (trial(1), serving()):
        assert supersede(drafted(status)).status == status


def test_the_plan_is_fixed_and_told_once() -> None:
    draft = note_plan(drafted(trial(1)))
    assert told(draft) == [Reason.PLAN_FIXED]
    assert draft.status.rollout == trial(1).rollout
    assert told(note_plan(drafted(draft.status))) == []
    other = raw(strategy={"canary": {"steps": []}})
    assert told(note_plan(drafted(draft.status, other))) == [Reason.PLAN_FIXED]


def test_a_stored_plan_is_the_plan() -> None:
    """Else every rollout would say that its strategy was edited."""
    started = begin(drafted(serving())).status
    stored = DeploymentStatus.model_validate(started.to_dict())
    assert told(note_plan(drafted(stored))) == []


def test_a_last_step_to_100_is_implied() -> None:
    def plan(*steps: object) -> list[float | None]:
        spec = DeploymentSpec.model_validate(raw(strategy={"canary": {"steps": list(steps)}}))
        return [step.set_weight for step in plan_of(spec).steps]

    assert plan({"setWeight": 10}, {"setWeight": 100}) == [10]
    assert plan({"setWeight": 100}, {"bake": {}}) == [100, None]
    assert plan() == []


# ------------------------------------------------------------------------------------------------- recovery

SETTLED = Settled(CANARY, 1, "RolledBack", "ErrorsIncreased", "Rolled back it")


def test_an_end_that_was_written_is_an_end() -> None:
    draft = drafted(trial(1))
    draft = recover(replace(draft, obs=replace(draft.obs, config=config_with(draft, SETTLED))))
    assert draft.backward
    assert draft.status.canary_revision is None
    assert draft.status.rollout
    assert (draft.status.rollout.outcome, draft.status.rollout.reason) == ("RolledBack", "ErrorsIncreased")
    assert [(one.reason, one.type) for one in draft.events] == [(Reason.ROLLED_BACK, "Warning")]


def test_an_earlier_trial_than_one_that_has_ended_is_over_too() -> None:
    draft = drafted(trial(1))
    later = Settled(CANARY, 2, "RolledBack", "ErrorsIncreased")
    draft = recover(replace(draft, obs=replace(draft.obs, config=config_with(draft, later))))
    assert draft.status.rollout
    assert (draft.status.rollout.attempt, draft.status.rollout.outcome) == (2, "RolledBack")
    assert draft.status.canary_revision is None


def test_the_end_of_another_trial_is_none() -> None:
    draft = drafted(trial(1))
    draft = replace(draft, obs=replace(draft.obs, config=config_with(draft, None)))
    assert recover(draft) == draft
    other = Settled(THIRD, 1, "RolledBack", "ErrorsIncreased")
    found = recover(replace(draft, obs=replace(draft.obs, config=config_with(draft, other))))
    assert found.status == draft.status.model_copy(update={"rollouts": found.status.rollouts})
    assert [one.revision for one in found.status.rollouts] == [STABLE, THIRD]
    assert told(found) == [Reason.STATUS_NOT_TRUSTED]


def test_a_lost_status_is_taken_from_what_is_live() -> None:
    lost = DeploymentStatus()
    live = drafted(ended("RolledBack"))
    draft = recover(drafted(lost, config=config_with(live, SETTLED)))
    assert draft.status.stable_revision == STABLE
    assert draft.status.rollout
    assert (draft.status.rollout.revision, draft.status.rollout.outcome) == (CANARY, "RolledBack")
    assert [one.outcome for one in draft.status.rollouts] == ["RolledBack"]
    assert begin(draft).status == draft.status
    assert told(draft) == []


def test_without_a_config_there_is_nothing_to_recover() -> None:
    draft = drafted(DeploymentStatus(), config=None)
    assert recover(draft) == draft


# ------------------------------------------------------------------------------------------------- analysis


def increments(canary: Counts, stable: Counts) -> Increments:
    cells = {(1, "other", CANARY): Sample(canary), (1, "other", STABLE): Sample(stable)}
    return Increments(cells, canary.requests + stable.requests)


def test_a_tick_counts_for_judgement_and_step() -> None:
    new = increments(Counts(10, 9, 1), Counts(90, 90))
    draft = analyse(drafted(trial(1, requests=5), increments=new))
    assert draft.status.judgement
    assert draft.status.judgement.requests == 510
    assert draft.status.judgement.last_tick == NOW
    assert draft.status.step
    assert draft.status.step.requests == 15


@pytest.mark.parametrize("status", [trial(None), serving(), ended("Aborted")])
def test_nothing_is_judged_without_a_canary(status: DeploymentStatus) -> None:
    new = increments(Counts(10, 0, 10), Counts(90, 90))
    assert analyse(drafted(status, increments=new)).status == status


def test_nothing_is_judged_without_a_reading() -> None:
    assert analyse(drafted(trial(1))).status == trial(1)


def test_harm_takes_the_traffic_back() -> None:
    draft = roll_back(drafted(trial(1, judgement=failed())))
    assert draft.backward
    assert (draft.status.canary_revision, draft.status.step, draft.status.stable_revision) == (None, None, STABLE)
    assert draft.ended[0].latency == 12
    note = draft.events[0].note
    assert note.startswith(f"Rolled back {CANARY} at 10 %: errors 31 of 58 against 4 of 512 (+52.7 points")
    assert note.endswith("12 s after the first bad tick")
    assert draft.status.rollouts[-1].reason == Reason.ERRORS_INCREASED


def test_a_sick_stable_is_named() -> None:
    note = roll_back(drafted(trial(1, judgement=failed((500, 100))))).events[0].note
    assert note.endswith("; stable itself is unhealthy (errors 100 of 500)")
    assert "unhealthy" not in roll_back(drafted(trial(1, judgement=failed((500, 99))))).events[0].note


def test_a_rollback_quotes_the_canarys_commonest_error() -> None:
    """Of the canary alone, and only where errors are what took it back."""
    said = {CANARY: {"502 api_error": 2, "400 invalid_request_error: `temperature` is not supported": 29}}
    known = Increments(failures=said | {STABLE: {"500 api_error": 90}})
    note = roll_back(drafted(trial(1, judgement=failed()), increments=known)).events[0].note
    assert "; its commonest error: 400 invalid_request_error: `temperature` is not supported" in note
    slower = failed().model_copy(update={"leading": "timeToFirstToken", "reason": "TimeToFirstTokenIncreased"})
    slow = roll_back(drafted(trial(1, judgement=slower), increments=known))
    assert "commonest" not in slow.events[0].note


def test_a_rollback_says_that_most_errors_are_one_keys() -> None:
    parts = {CANARY: {"one": Part(60, 28, 28, 28), "other": Part(60, 3, 3, 3)}, STABLE: {"other": Part(60, 9, 9, 9)}}
    known = Increments(callers=parts, failures={CANARY: {"400 invalid_request_error": 31}})
    note = roll_back(drafted(trial(1, judgement=failed()), increments=known)).events[0].note
    assert "; 28 of 31 errors come from one key; its commonest error: 400 invalid_request_error" in note
    alone = Increments(callers={CANARY: {"one": Part(60, 28, 28, 28)}})
    assert "one key" not in roll_back(drafted(trial(1, judgement=failed()), increments=alone)).events[0].note


@pytest.mark.parametrize("verdict", ["Pass", "Inconclusive", "NoData", "Error"])
def test_nothing_else_takes_it_back(verdict: str) -> None:
    status = trial(1, judgement=judgement(verdict=verdict, evidence=99.0))
    assert roll_back(drafted(status)).status == status


def test_the_list_of_ended_rollouts_is_bounded() -> None:
    records = [RolloutRecord(revision=f"support-{n}", outcome="Promoted", finished_at=ago(n)) for n in range(10)]
    draft = roll_back(drafted(trial(1, judgement=failed(), rollouts=records)))
    assert len(draft.status.rollouts) == 10
    assert draft.status.rollouts[-1].revision == CANARY
