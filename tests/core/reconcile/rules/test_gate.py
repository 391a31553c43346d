"""The gate: nothing passes it before its eval run has, and each end of a run leads somewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.core.reconcile.rules.sample import (
    CANARY,
    NEW,
    PLAN,
    SET,
    STABLE,
    asked_run,
    drafted,
    owner,
    raw,
    serving,
    told,
    trial,
)

from claude_operator.api.conditions import Reason
from claude_operator.api.evals import EvalRunStatus
from claude_operator.api.status import DeploymentStatus, Rollout
from claude_operator.core.evals.asked import spec_hash
from claude_operator.core.names import eval_run_name
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.observation import EvalSetView
from claude_operator.core.reconcile.rules.gate import gate

RUN = eval_run_name(CANARY, SET.hash)
OTHER_SET = EvalSetView("support-evals", "fedcba9876543210" * 4, 21)
OTHER_RUN = eval_run_name(CANARY, OTHER_SET.hash)
EVALS = raw(evals={"setRef": {"name": "support-evals"}})


RUN_OBJECT = asked_run(owner(EVALS), serving(), RUN)
ASKED = spec_hash(RUN_OBJECT["spec"])


def before(run: str | None = RUN, spec: str | None = None, **fields: object) -> DeploymentStatus:
    rollout = Rollout(revision=CANARY, plan=PLAN, eval_run=run, eval_run_spec=spec)
    return trial(None, canary_revision=None, rollout=rollout, **fields)


def gated(phase: str | None, run: str | None = RUN, spec: str | None = None, **fields: object) -> Draft:
    runs = {RUN: EvalRunStatus(phase=phase, message="the scores", done=3, total=20)} if phase else {}  # type: ignore[arg-type]
    return gate(drafted(before(run, spec), EVALS, **{"eval_runs": runs} | fields))  # type: ignore[arg-type]


def another(**spec: object) -> dict[str, dict[str, object]]:
    """The run's name, on a run that asks something else."""
    return {RUN: {**RUN_OBJECT, "spec": {**RUN_OBJECT["spec"], **spec}}}


def test_without_evals_there_is_no_gate() -> None:
    assert gate(drafted(before(None))).status.canary_revision == CANARY


def test_passed() -> None:
    draft = gated("Passed")
    assert draft.status.canary_revision == CANARY
    assert draft.status.step is None
    assert not draft.done


@pytest.mark.parametrize(
    ("phase", "why", "says"),
    [
        (None, Reason.WAITING_FOR_EVAL, f"{RUN} is being created"),
        ("Pending", Reason.WAITING_FOR_EVAL, f"{RUN} is running, 3 of 20 items"),
        ("Running", Reason.WAITING_FOR_EVAL, f"{RUN} is running, 3 of 20 items"),
        ("Inconclusive", Reason.EVAL_INCONCLUSIVE, "the scores"),
        ("Error", Reason.EVAL_ERROR, "the scores"),
    ],
)
def test_it_holds(phase: str | None, why: Reason, says: str) -> None:
    draft = gated(phase)
    assert draft.done
    assert draft.hold
    assert draft.hold.reason == why
    assert says in draft.hold.message
    assert draft.status.canary_revision is None


def test_an_inconclusive_run_that_is_allowed_goes_on() -> None:
    """`gate.onInconclusive: Allow`; the condition EvalPassed stays Unknown."""
    runs = {RUN: EvalRunStatus(phase="Inconclusive", allowed=True, message="the scores")}
    draft = gate(drafted(before(), EVALS, eval_runs=runs))
    assert not draft.done
    assert draft.status.canary_revision == CANARY


def test_failed() -> None:
    draft = gated("Failed")
    assert draft.done
    assert draft.backward
    assert draft.status.rollout
    assert (draft.status.rollout.outcome, draft.status.rollout.message) == ("EvalFailed", f"{RUN}: the scores")
    assert draft.status.stable_revision == STABLE


OTHERS = [
    {"upstream": {"baseURL": "https://yes.example.com", "apiKeySecretRef": {"name": "anthropic", "key": "api-key"}}},
    {"upstream": {"apiKeySecretRef": {"name": "database", "key": "password"}}},
    {"baselineRevision": CANARY},
    {"setRef": "easy"},
    {"setHash": SET.hash[:8] + "0" * 56},
    {"revision": STABLE},
]


@pytest.mark.parametrize("spec", [ASKED, None], ids=["asked", "before specs were compared"])
@pytest.mark.parametrize("other", OTHERS, ids=lambda one: next(iter(one)))
@pytest.mark.parametrize("phase", ["Pending", "Running", "Passed", "Failed", "Error"])
def test_a_run_that_was_not_asked_for_does_not_count_and_is_made_again(phase: str, other: dict, spec: str) -> None:
    draft = gated(phase, spec=spec, run_objects=another(**other))
    assert draft.done
    assert draft.stray_run == {
        "kind": "ClaudeEvalRun",
        "metadata": {"name": RUN, "namespace": "demo", "uid": f"uid-{RUN}"},
    }
    assert (told(draft), draft.again, draft.new_run) == ([Reason.EVAL_RUN_REPLACED], 0.0, None)
    rollout = draft.status.rollout
    assert rollout
    assert (rollout.eval_run, rollout.eval_run_spec, rollout.outcome) == (RUN, None, None)
    assert draft.status.canary_revision is None


def test_what_was_asked_is_written_beside_the_runs_name() -> None:
    for phase in (None, "Running", "Passed"):  # where it is there already: from before this was written
        rollout = gated(phase).status.rollout
        assert rollout
        assert rollout.eval_run_spec == ASKED


def test_an_upstream_that_is_edited_meanwhile_makes_no_other_run() -> None:
    spec = raw(evals=EVALS["evals"], upstream={"apiKeySecretRef": {"name": "other", "key": "api-key"}})
    runs = {RUN: EvalRunStatus(phase="Passed")}
    draft = gate(drafted(before(spec=ASKED), spec, eval_runs=runs, run_objects=another()))
    assert draft.status.canary_revision == CANARY


def test_a_result_that_an_earlier_rollout_asked_for_is_found_again() -> None:
    objects = another(baselineRevision="support-0000000000")
    known = EvalRunStatus(phase="Passed", spec_hash=spec_hash(objects[RUN]["spec"]))
    draft = gate(drafted(before(), EVALS, eval_runs={RUN: known}, run_objects=objects))
    assert draft.status.canary_revision == CANARY


def test_a_run_that_ended_before_it_was_asked_for_is_made_again() -> None:
    runs = {RUN: EvalRunStatus(phase="Error", reason="NotAsked")}
    assert gate(drafted(before(spec=ASKED), EVALS, eval_runs=runs)).stray_run


def test_a_run_is_made_once_and_against_what_serves() -> None:
    made = gated(None).new_run
    assert made
    assert made["metadata"]["name"] == RUN
    assert made["spec"]["baselineRevision"] == STABLE
    assert made["spec"]["setHash"] == SET.hash
    for phase in ("Pending", "Running", "Error", "Passed", "Failed", "Inconclusive"):
        assert gated(phase).new_run is None


@pytest.mark.parametrize(
    ("phase", "run"),
    [
        (None, OTHER_RUN),
        ("Running", OTHER_RUN),
        ("Error", OTHER_RUN),
        ("Inconclusive", OTHER_RUN),
        ("Passed", RUN),
    ],
)
def test_a_set_that_is_changed_is_run_anew_unless_there_is_a_result(phase: str | None, run: str) -> None:
    draft = gated(phase, spec=ASKED, eval_set=OTHER_SET)
    assert draft.status.rollout
    assert draft.status.rollout.eval_run == run
    assert (draft.new_run is None) == (run == RUN)


def test_evals_that_need_not_pass_hold_nothing() -> None:
    spec = raw(evals={"setRef": {"name": "support-evals"}, "required": False})
    draft = gate(drafted(before(), spec))
    assert draft.new_run
    assert draft.status.canary_revision == CANARY


def test_evals_taken_out_again() -> None:
    assert gate(drafted(before())).status.canary_revision == CANARY


def test_paused_holds_behind_the_gate() -> None:
    draft = gate(drafted(before(None), raw(paused=True)))
    assert draft.hold
    assert draft.hold.reason == Reason.PAUSED
    assert draft.status.canary_revision is None


def test_a_revision_that_is_not_there_yet() -> None:
    draft = gate(drafted(before(None), revisions={}))
    assert draft.done
    assert draft.again == 0
    assert draft.hold
    assert draft.hold.message == f"{CANARY} is being created"


def test_the_first_revision_serves_at_once() -> None:
    status = before(None, stable_revision=None)
    draft = gate(drafted(status))
    assert draft.status.stable_revision == CANARY
    assert told(draft) == [Reason.PROMOTED]
    assert not draft.backward
    waiting = gate(
        replace(drafted(status), obs=replace(drafted(status).obs, gateway=drafted(status).obs.gateway.__class__()))
    )
    assert waiting.status == status
    assert waiting.hold
    assert waiting.hold.reason == Reason.WAITING_FOR_GATEWAY


def test_nothing_is_asked_of_what_is_past_the_gate() -> None:
    draft = drafted(trial(1), EVALS, revisions={CANARY: NEW})
    assert gate(draft) == draft


DOCS = {"type": "url", "name": "docs", "url": "https://docs.example"}
CALLING = {"mcp_servers": [DOCS], "tools": [{"type": "mcp_toolset", "mcp_server_name": "docs"}]}


def calling(**evals: object) -> Draft:
    """Before its run is made, of a canary whose request has an MCP server."""
    stored = {"metadata": {"name": CANARY}, "spec": {"request": CALLING}}
    chosen = EvalSetView(SET.name, SET.hash, SET.items, asked={"": 240, "small": 12})
    spec = raw(evals={"setRef": {"name": "support-evals"}, **evals})
    return gate(drafted(before(), spec, revisions={CANARY: stored}, eval_set=chosen))


def test_a_run_that_calls_servers_is_told_of() -> None:
    draft = calling()
    [event] = draft.events
    assert (event.reason, event.type) == (Reason.EVAL_CALLS_SERVERS, "Warning")
    assert "really calls the MCP server docs in at most 252 requests" in event.note
    assert draft.new_run is not None
    assert "mcp" not in draft.new_run["spec"], "an earlier version knows nothing of it"


def test_a_run_without_servers() -> None:
    draft = calling(mcp="Off")
    assert draft.new_run is not None
    assert draft.new_run["spec"]["mcp"] == "Off"
    assert not draft.events


@pytest.mark.parametrize(("phase", "again"), [("Running", True), ("Error", True), ("Passed", False), ("Failed", False)])
def test_an_edit_of_mcp_replaces_a_run_that_has_no_result(phase: str, again: bool) -> None:
    runs = {RUN: EvalRunStatus(phase=phase)}  # type: ignore[arg-type]
    off = raw(evals={"setRef": {"name": "support-evals"}, "mcp": "Off"})
    draft = gate(drafted(before(RUN, ASKED), off, eval_runs=runs, run_objects={RUN: RUN_OBJECT}))
    assert (draft.stray_run is not None) == again
    assert not draft.events, "nobody else made the run"
