"""A whole pass: what is made, thrown away and waited for; and that nothing stands in a rollback's way."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from tests.core.reconcile.rules.sample import (
    ANSWERED,
    CANARY,
    NEW,
    NOW,
    OLD,
    SITE,
    STABLE,
    THIRD,
    UNPROVEN,
    ago,
    ended,
    failed,
    judgement,
    observed,
    raw,
    serving,
    trial,
)

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import Step
from claude_operator.api.evals import EvalRunStatus
from claude_operator.api.status import DeploymentStatus, Plan, Rollout
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.progress import reading_due
from claude_operator.core.spec.validate import Problem

MISSING = Problem(Reason.SECRET_NOT_FOUND, "spec.env: there is no Secret docs; create it")


def run(status: DeploymentStatus, spec: Any = None, **fields: Any) -> Any:
    return decide(observed(status, spec, **fields), SITE)


@pytest.mark.parametrize(
    ("status", "due"),
    [
        (serving(), None),
        (trial(None), None),
        (ended("RolledBack"), None),
        (trial(1, judgement=None), 0.0),
        (trial(1, judgement=judgement(last_tick=ago(2))), 3.0),
        (trial(1, judgement=judgement(last_tick=ago(5))), 0.0),
        (trial(1, judgement=judgement(last_tick=ago(3600))), 0.0),
        # A leader whose clock was ahead must not silence the judge of the next.
        (trial(1, judgement=judgement(last_tick=ago(-3600))), 0.0),
    ],
)
def test_reading_due(status: DeploymentStatus, due: float | None) -> None:
    assert reading_due(status, NOW) == due


def test_a_new_revision_is_made_before_it_goes_on_trial() -> None:
    decision = run(serving(), revisions={STABLE: OLD})
    (made,) = decision.creations
    assert (made["kind"], made["metadata"]["name"], made["spec"]) == ("ClaudeRevision", CANARY, NEW["spec"])
    assert decision.requeue == 0
    assert not decision.backward
    assert decision.status.canary_revision is None


def test_what_takes_traffic_back_is_backward_and_all_else_forward() -> None:
    assert run(trial(1, judgement=failed())).backward
    assert run(trial(1), annotations={"abort": f"{CANARY}/1"}).backward
    assert run(trial(1), raw("Be polite.")).backward
    assert not run(trial(1)).backward
    last = trial(6, rollout=Rollout(revision=CANARY, plan=UNPROVEN, started_at=ago(200)))
    promotes = run(last, increments=ANSWERED)
    assert not promotes.backward
    assert promotes.status.stable_revision == CANARY
    assert run(last).status.stable_revision == STABLE  # without a reading


@pytest.mark.parametrize(
    "harm",
    [
        {"problems": (MISSING,)},
        {"spec": raw(paused=True)},
        {"spec": raw(upstream={"baseURL": "https://a.example/v1"})},
        {"spec": raw("Be polite.")},
        {"revisions": {}},
        {"annotations": {"promote": f"{CANARY}/1/full"}},
    ],
)
def test_a_rollback_happens_whatever_else_is_the_case(harm: dict[str, Any]) -> None:
    spec = harm.pop("spec", None)
    live = observed(trial(1)).config
    decision = run(trial(1, judgement=failed()), spec, config=live, **harm)
    assert decision.backward
    assert decision.config
    assert decision.config.settled
    assert decision.config.settled.outcome == "RolledBack"
    assert {arm.revision: arm.weight for arm in decision.config.arms}[STABLE] == 10_000
    assert decision.status.stable_revision == STABLE


def test_an_error_behind_a_rollback_does_not_stop_it() -> None:
    decision = run(trial(1, judgement=failed()), models=None)  # what no rule can digest
    assert decision.backward
    assert decision.error
    assert decision.config
    assert decision.config.settled
    assert [arm.weight for arm in decision.config.arms] == [10_000]


def test_traffic_in_percent() -> None:
    shares = {one.revision: one.percent for one in run(trial(1, age=3)).status.traffic}
    assert shares == {STABLE: 90.0, CANARY: 10.0}
    status = trial(0)
    assert status.step
    assert status.rollout
    plan = Plan(steps=[Step(set_weight=64.1)])
    rollout = status.rollout.model_copy(update={"plan": plan})
    odd = trial(0, step=status.step.model_copy(update={"weight": 64.1}), rollout=rollout)
    assert {one.percent for one in run(odd, raw(paused=True)).status.traffic} == {35.9, 64.1}


def test_an_unaccepted_spec_makes_no_children() -> None:
    decision = run(serving(), problems=(MISSING,))
    assert decision.children == ()
    assert decision.requeue == 15
    assert run(serving()).children


@pytest.mark.parametrize(
    ("limit", "status", "gone"),
    [
        (10, serving(), []),
        (0, serving(), [THIRD]),
        (0, trial(1), [THIRD]),
        (0, ended("RolledBack"), [THIRD]),
        (1, serving(), []),
    ],
)
def test_the_history(limit: int, status: DeploymentStatus, gone: list[str]) -> None:
    decision = run(status, raw(revisionHistoryLimit=limit))
    assert [body["metadata"]["name"] for body in decision.deletions] == gone


def test_of_large_revisions_fewer_are_kept() -> None:
    """Every pass reads them all."""
    named = (f"support-{n}" for n in range(9))
    old = {name: {**OLD, "metadata": {**OLD["metadata"], "name": name}} for name in named}
    revisions = {STABLE: OLD, CANARY: NEW, **old}
    sizes = dict.fromkeys(revisions, 900_000)
    decision = run(serving(), raw(revisionHistoryLimit=100), revisions=revisions, revision_sizes=sizes)
    gone = {one["metadata"]["name"] for one in decision.deletions}
    assert len(revisions) - len(gone) == 2 + 4, "what serves, what is wanted, and four old ones"
    assert not gone & {STABLE, CANARY}
    few = run(serving(), raw(revisionHistoryLimit=100), revisions=revisions, revision_sizes={})
    assert few.deletions == ()


def test_the_oldest_goes_first_and_takes_its_eval_run_with_it() -> None:
    def dated(name: str, day: int) -> dict[str, Any]:
        return {**OLD, "metadata": {**OLD["metadata"], "name": name, "creationTimestamp": f"2026-11-{day}T00:00:00Z"}}

    revisions = {STABLE: OLD, CANARY: NEW} | {f"support-{n}": dated(f"support-{n}", 10 + n) for n in (3, 1, 2)}
    runs = {f"support-{n}-01234567": EvalRunStatus(phase="Passed") for n in (1, 2, 3)}
    decision = run(serving(), raw(revisionHistoryLimit=2), revisions=revisions, eval_runs=runs)
    names = [(body["kind"], body["metadata"]["name"]) for body in decision.deletions]
    assert names == [("ClaudeRevision", "support-1"), ("ClaudeEvalRun", "support-1-01234567")]


def test_the_states_of_revisions() -> None:
    def states(status: DeploymentStatus) -> dict[str, str]:
        return {one.name: one.state for one in run(status).revision_states}

    assert states(trial(1)) == {STABLE: "Stable", CANARY: "Canary", THIRD: "Old"}
    assert states(ended("RolledBack")) == {STABLE: "Stable", CANARY: "Failed", THIRD: "Old"}
    assert states(trial(None, canary_revision=None, revisions={}))[CANARY] == "Canary"


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ("Old", "Old"),
        ("Stable", "Old"),
        ("Candidate", "Superseded"),
        ("Canary", "Superseded"),
        ("Superseded", "Superseded"),
        ("Failed", "Failed"),
        ("", "Old"),
    ],
)
def test_a_revision_remembers_whether_it_failed_or_has_served(told: str, state: str) -> None:
    known = {"metadata": {**OLD["metadata"], "name": THIRD}, "spec": OLD["spec"], "status": {"state": told}}
    decision = run(serving(), revisions={STABLE: OLD, CANARY: NEW, THIRD: known})
    assert {one.name: one.state for one in decision.revision_states}[THIRD] == state


def test_marks_are_forgotten_with_their_annotation() -> None:
    status = serving(handled=[f"promote={CANARY}/1", f"abort={CANARY}/1"])
    decision = run(status, raw("Be kind."), annotations={"abort": f"{CANARY}/1"})
    assert decision.status.handled == [f"abort={CANARY}/1"]


def test_a_pass_at_any_time_zone_is_the_same() -> None:
    east = dt.timezone(dt.timedelta(hours=9))
    seen = observed(trial(1, age=3))
    assert decide(replace(seen, now=NOW.astimezone(east)), SITE).status.to_dict() == decide(seen, SITE).status.to_dict()
