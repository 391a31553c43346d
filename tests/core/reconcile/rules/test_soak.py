"""After promotion: what starts a soak and ends it, what takes a revision back, and what returns at once."""

from __future__ import annotations

from dataclasses import replace
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
    config_with,
    drafted,
    judgement,
    observed,
    raw,
    serving,
    told,
    trial,
)

from claude_operator.api.conditions import Condition, Reason, Type
from claude_operator.api.deployment import Soak
from claude_operator.api.evals import EvalRunStatus
from claude_operator.api.gateway import Settled
from claude_operator.api.status import (
    DeploymentStatus,
    Judgement,
    MetricState,
    Plan,
    Replaced,
    Rollout,
    RolloutRecord,
    SoakStatus,
)
from claude_operator.core.catalogue.table import Model
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.sample import Counts, Sample
from claude_operator.core.reconcile import progress
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.progress import reading_due, watched_by
from claude_operator.core.reconcile.promotion import promote
from claude_operator.core.reconcile.retention import outdated, revision_states
from claude_operator.core.reconcile.rules import soak
from claude_operator.core.reconcile.rules.intent import abort
from claude_operator.core.reconcile.rules.recover import recover
from claude_operator.core.reconcile.rules.rollout import begin, note_plan, retry_asked
from claude_operator.core.spec.plan import plan_of
from claude_operator.core.spec.validate import Problem

HISTORY = MetricState(name="errors", evidence=1.0, canary=[0, 0], stable=[800, 4])
SOAKED = PLAN.model_copy(update={"soak": Soak(duration="1h")})
WINDOW = {"canary": {"rollbackWindow": {"duration": "1h"}}}


def watched(**fields: Any) -> Judgement:
    known = {"verdict": "Inconclusive", "started_at": ago(480), "last_tick": ago(5), "message": "no evidence of harm"}
    return Judgement(**known | fields)


HARM = watched(
    verdict="Fail", leading="errors", reason="ErrorsIncreased", message="errors 31 of 900", evidence=140.0, requests=900
)


def soaking(judged: Judgement | None = None, left: float = 3120, **fields: Any) -> DeploymentStatus:
    """Status with NEW promoted eight minutes ago, for so many seconds of soak more."""
    records = [*serving().rollouts, RolloutRecord(revision=CANARY, outcome="Promoted", reason="Promoted")]
    running = SoakStatus(
        revision=CANARY,
        previous=STABLE,
        started_at=ago(480),
        until=ago(-left),
        max_increase=0.5,
        history=[HISTORY],
        judgement=judged or watched(),
    )
    known: dict[str, Any] = {
        "stable_revision": CANARY,
        "rollout": Rollout(revision=CANARY, plan=SOAKED, outcome="Promoted", reason="Promoted", message="Promoted it"),
        "rollouts": records,
        "soak": running,
        "replaced": Replaced(revision=STABLE, at=ago(480)),
        "judgement": judgement(),
    }
    return DeploymentStatus(**known | fields)


def tick(errors: int, requests: int = 100) -> Increments:
    counts = Counts(requests=requests, ok=requests - errors, errors=errors, bad_errors=errors)
    return Increments({(9, "other", CANARY): Sample(counts)}, requests)


def healthy(status: DeploymentStatus, **fields: Any) -> Condition:
    made = decide(observed(status, **fields), SITE).status
    return next(one for one in made.conditions if one.type == Type.CANARY_HEALTHY)


# -------------------------------------------------------------------------------------------------------- begin


def test_a_soak_begins_with_a_promotion() -> None:
    state = [MetricState(name="errors", evidence=0.4, canary=[90, 1], stable=[800, 4], logs=[0.0])]
    rollout = Rollout(revision=CANARY, plan=SOAKED, started_at=ago(200))
    done = promote(drafted(trial(6, rollout=rollout, judgement=judgement(state=state))))
    running = done.status.soak
    assert running
    assert (running.revision, running.previous, running.max_increase) == (CANARY, STABLE, 0.5)
    assert (running.started_at, running.until) == (NOW, ago(-3600))
    assert [(one.name, one.stable) for one in running.history] == [("errors", [800, 4])]
    assert running.judgement
    assert (running.judgement.evidence, running.judgement.last_tick) == (1.0, NOW)
    assert done.status.replaced == Replaced(revision=STABLE, at=NOW)
    assert done.events[0].note.endswith("500 canary requests judged; watched for 1 h more")
    assert progress.soaking(done.status) == running


@pytest.mark.parametrize(
    ("plan", "judged", "says"),
    [(PLAN, judgement(), False), (SOAKED, None, True), (SOAKED, judgement(), True)],
    ids=["not asked for", "no judgement", "nothing compared"],
)
def test_no_soak_begins(plan: Plan, judged: Judgement | None, says: bool) -> None:
    rollout = Rollout(revision=CANARY, plan=plan, started_at=ago(200))
    done = promote(drafted(trial(6, rollout=rollout, judgement=judged)))
    assert done.status.soak is None
    assert done.status.replaced == Replaced(revision=STABLE, at=NOW)
    assert ("nothing was compared with" in done.events[0].note) == says


def test_the_soak_is_part_of_the_plan() -> None:
    spec = raw(strategy={"canary": {"soak": {"duration": "2h", "maxIncrease": "25%"}}})
    started = begin(drafted(serving(), spec))
    assert started.status.rollout
    assert started.status.rollout.plan.soak == Soak(duration="2h", max_increase="25%")
    stored = DeploymentStatus.model_validate(started.status.to_dict())
    assert note_plan(drafted(stored, spec)).status == stored
    assert told(note_plan(drafted(stored))) == [Reason.PLAN_FIXED]
    assert Plan.model_validate({"steps": [], "analysis": {}}).soak is None  # as stored before there were any
    assert plan_of(drafted(serving()).obs.spec).soak is None  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------------------- watch


def test_a_tick_counts() -> None:
    draft = soak.watch(drafted(soaking(), increments=tick(1)))
    running = draft.status.soak
    assert running
    assert running.judgement
    assert (running.judgement.requests, running.judgement.last_tick) == (100, NOW)
    assert draft.again == 3120
    assert draft.status.judgement == judgement()
    assert soak.watch(drafted(soaking())).status == soaking()


def test_the_counters_are_read_while_it_runs() -> None:
    assert reading_due(soaking(watched(last_tick=ago(2))), NOW) == 3
    assert reading_due(soaking(watched(last_tick=ago(5))), NOW) == 0
    assert reading_due(soaking(watched(last_tick=None)), NOW) == 0
    assert reading_due(soaking(watched(last_tick=ago(-60))), NOW) == 0
    assert watched_by(soaking()) == SOAKED.analysis
    assert watched_by(trial(1)) == PLAN.analysis
    assert watched_by(serving()) is None
    assert watched_by(trial(None)) is None
    assert reading_due(serving(), NOW) is None


def test_it_ends_with_a_reading_and_says_so() -> None:
    assert soak.watch(drafted(soaking(left=0))).status.soak
    draft = soak.watch(drafted(soaking(left=0), increments=tick(0)))
    assert draft.status.soak is None
    assert [event.reason for event in draft.events] == [Reason.SOAKED]
    assert f"compared with the history of {STABLE}" in draft.events[0].note
    assert draft.status.rollout == soaking().rollout


def test_harm_in_the_last_tick_is_harm() -> None:
    draft = soak.roll_back(soak.watch(drafted(soaking(left=0), increments=tick(90))))
    assert draft.status.stable_revision == STABLE


@pytest.mark.parametrize(
    "fields",
    [
        {"rollout": Rollout(revision=THIRD)},
        {"rollout": Rollout(revision=CANARY, outcome="RolledBack")},
        {"stable_revision": STABLE},
        {"rollout": None},
    ],
)
def test_a_soak_of_a_rollout_that_is_no_more_does_nothing(fields: dict[str, Any]) -> None:
    status = soaking(HARM, **fields)
    draft = soak.roll_back(soak.watch(drafted(status, increments=tick(100))))
    assert draft.status.soak is None
    assert draft.status == status.model_copy(update={"soak": None})
    assert not draft.backward


# ---------------------------------------------------------------------------------------------------- roll back


def test_harm_brings_the_former_revision_back() -> None:
    draft = soak.roll_back(soak.watch(drafted(soaking(), increments=tick(20))))
    status = draft.status
    assert draft.backward
    assert (status.stable_revision, status.canary_revision, status.soak, status.replaced) == (STABLE, None, None, None)
    assert status.rollout
    assert (status.rollout.revision, status.rollout.outcome) == (CANARY, "RolledBack")
    assert status.rollout.reason == Reason.ERRORS_INCREASED
    assert [(one.revision, one.outcome) for one in status.rollouts] == [
        (STABLE, "Promoted"),
        (CANARY, "Promoted"),
        (CANARY, "RolledBack"),
    ]
    assert (status.rollouts[-1].requests, status.rollouts[-1].attempt) == (100, 1)
    assert [(one.reason, one.type) for one in draft.events] == [(Reason.ROLLED_BACK, "Warning")]
    note, effect = draft.events[0].note, "errors 20 of the last 100 requests against 0.5 %"
    assert note.startswith(f"Rolled back {CANARY} after its promotion: {effect} of {STABLE} before, evidence ")
    assert status.judgement
    assert status.judgement.verdict == "Fail"
    assert [one.outcome for one in draft.ended] == ["RolledBack"]


@pytest.mark.parametrize(
    "harm",
    [
        {},
        {"spec": raw(paused=True)},
        {"problems": (Problem(Reason.SECRET_NOT_FOUND, "spec.env: there is no Secret; create it"),)},
        {"spec": raw("Be polite.")},
        {"annotations": {"abort": f"{THIRD}/7", "promote": "x/1", "retry": "y"}},
        {"eval_set": None},
    ],
    ids=["all well", "paused", "invalid", "another wanted", "annotations", "no set"],
)
def test_a_whole_pass_takes_the_traffic_back(harm: dict[str, Any]) -> None:
    decision = decide(observed(soaking(), increments=tick(40), **harm), SITE)
    assert decision.backward
    assert decision.creations == ()
    assert decision.config
    assert [(arm.revision, arm.role, arm.weight) for arm in decision.config.arms] == [(STABLE, "stable", 10_000)]
    settled = decision.config.settled
    assert settled
    assert (settled.revision, settled.attempt, settled.outcome) == (CANARY, 1, "RolledBack")
    said = {one.type: one for one in decision.status.conditions}
    assert (said["Promoted"].status, said["CanaryHealthy"].reason) == ("False", Reason.ERRORS_INCREASED)
    if "problems" not in harm:
        assert said["Promoted"].reason == Reason.ROLLED_BACK
        assert said["Promoted"].message.endswith(f"claudeops.dev/retry={CANARY}/1")


def test_the_same_revision_is_not_tried_again_by_itself() -> None:
    back = soak.roll_back(drafted(soaking(HARM))).status
    assert begin(drafted(back)).status == back
    _, again = retry_asked(drafted(back, annotations={"retry": f"{CANARY}/1"}))
    assert again
    second = begin(drafted(back, annotations={"retry": f"{CANARY}/1"})).status.rollout
    assert second
    assert (second.attempt, second.outcome) == (2, None)


def test_the_states_of_revisions_follow() -> None:
    back = soak.roll_back(drafted(soaking(HARM)))
    states = {one.name: one.state for one in revision_states(back)}
    assert states == {STABLE: "Stable", CANARY: "Failed", THIRD: "Old"}


def test_nothing_is_better_than_what_is_gone() -> None:
    draft = drafted(soaking(HARM), revisions={CANARY: NEW})
    stays = soak.roll_back(soak.watch(draft))
    assert stays.status.stable_revision == CANARY
    assert not stays.backward
    assert told(stays) == [Reason.ERRORS_INCREASED]
    assert stays.events[0].note.endswith(
        f"keeps serving, since {STABLE} cannot come back: it no longer exists. errors 31 of 900"
    )
    assert told(soak.roll_back(drafted(stays.status, revisions={CANARY: NEW}))) == []
    said = healthy(soaking(HARM), revisions={CANARY: NEW})
    assert (said.status, said.reason) == ("False", Reason.ERRORS_INCREASED)
    over = drafted(soaking(HARM, left=-1), revisions={CANARY: NEW})
    assert soak.roll_back(soak.watch(over)).status.soak is None


BOTH = {STABLE: OLD, CANARY: NEW}
GONE = {"claude-opus-5-5": Model("claude-opus-5-5", stated="Retired")}


def test_a_revision_whose_model_is_retired_does_not_come_back() -> None:
    draft = drafted(soaking(HARM), models=GONE)
    stays = soak.roll_back(soak.watch(draft))
    assert (stays.status.stable_revision, stays.backward) == (CANARY, False)
    says = f"{CANARY} keeps serving, since {STABLE} cannot come back: its model claude-opus-5-5 is Retired. errors 31"
    assert [one.note[: len(says)] for one in stays.events] == [says]
    assert told(soak.roll_back(drafted(stays.status, models=GONE))) == []


def test_a_retired_model_that_both_revisions_ask_does_not_keep_a_harmful_one() -> None:
    gone = {"claude-old": Model("claude-old", stated="Retired")}
    asks = {"search": {"request": {"model": "claude-old"}}}
    both = {name: {**one, "spec": {**one["spec"], "subagents": asks}} for name, one in BOTH.items()}
    back = soak.roll_back(soak.watch(drafted(soaking(HARM), revisions=both, models=gone)))
    assert (back.status.stable_revision, back.backward) == (STABLE, True)
    asked = drafted(soaking(), revisions=both, models=gone, annotations={"abort": f"{CANARY}/1"})
    assert soak.abort(asked).status.stable_revision == STABLE


def test_a_person_does_not_take_it_back_to_a_retired_model() -> None:
    draft = abort(soak.abort(drafted(soaking(), annotations={"abort": f"{CANARY}/1"}, models=GONE)))
    assert told(draft) == [Reason.ANNOTATION_IGNORED]
    assert draft.status.stable_revision == CANARY
    assert "cannot come back: its model claude-opus-5-5 is Retired" in draft.events[0].note


def test_within_the_window_a_retired_model_has_to_show_that_it_answers() -> None:
    draft = back()
    tried = begin(replace(draft, obs=replace(draft.obs, models=GONE))).status
    assert tried.rollout
    assert (tried.stable_revision, tried.rollout.outcome, bool(tried.rollout.plan.steps)) == (CANARY, None, True)


# -------------------------------------------------------------------------------------------------------- abort


def test_a_person_takes_it_back() -> None:
    draft = abort(soak.abort(drafted(soaking(), annotations={"abort": f"{CANARY}/1"})))
    assert told(draft) == [Reason.ABORTED]
    assert (draft.status.stable_revision, draft.status.soak) == (STABLE, None)
    assert draft.status.rollouts[-1].outcome == "Aborted"
    assert draft.backward
    assert told(abort(soak.abort(drafted(draft.status, annotations={"abort": f"{CANARY}/1"})))) == []


@pytest.mark.parametrize(("value", "known"), [(f"{CANARY}/2", (OLD, NEW)), (f"{CANARY}/1", (NEW, OTHER))])
def test_an_abort_that_does_nothing_is_told(value: str, known: tuple[dict[str, Any], ...]) -> None:
    revisions = {one["metadata"]["name"]: one for one in known}
    draft = abort(soak.abort(drafted(soaking(), annotations={"abort": value}, revisions=revisions)))
    assert told(draft) == [Reason.ANNOTATION_IGNORED]
    assert draft.status.stable_revision == CANARY


# ------------------------------------------------------------------------------------------------------ recover


@pytest.mark.parametrize(("outcome", "reason"), [("RolledBack", Reason.ROLLED_BACK), ("Aborted", Reason.ABORTED)])
def test_an_end_that_was_written_is_an_end(outcome: str, reason: Reason) -> None:
    draft = drafted(soaking())
    settled = Settled(CANARY, 1, outcome, "ErrorsIncreased", "Rolled back it")
    found = recover(replace(draft, obs=replace(draft.obs, config=config_with(draft, settled))))
    assert found.backward
    assert (found.status.stable_revision, found.status.soak) == (STABLE, None)
    assert found.status.rollout
    assert (found.status.rollout.outcome, found.status.rollout.message) == (outcome, "Rolled back it")
    assert told(found) == [reason]


@pytest.mark.parametrize("ended", [(CANARY, 1, "Promoted"), (STABLE, 1, "Promoted")])
def test_any_other_end_is_none_of_its(ended: tuple[str, int, str]) -> None:
    draft = drafted(soaking())
    settled = Settled(*ended, "Promoted")
    draft = replace(draft, obs=replace(draft.obs, config=config_with(draft, settled)))
    assert recover(draft) == draft


# ---------------------------------------------------------------------------------------------------- condition


def test_the_condition_says_how_long() -> None:
    said = healthy(soaking(watched(message="900 requests, no evidence of harm (evidence 1.2)")))
    assert (said.status, said.reason) == ("True", Reason.SOAKING)
    expected = f"{CANARY} serves 100 % and is compared with the history of {STABLE} for 52 min 5 s more: 900 requests, "
    assert said.message == f"{expected}no evidence of harm (evidence 1.2)"
    overloaded = healthy(soaking(watched(overloaded=True)))
    assert (overloaded.status, overloaded.reason) == ("Unknown", Reason.OVERLOADED)
    assert overloaded.message.endswith(f"history of {STABLE} for 52 min 5 s more; time in this state does not count")
    empty = healthy(soaking(watched(recent=[10, 0, 0, 10, 0, 0, 0, 0, 10, 0, 0, 0])))
    assert (empty.status, empty.reason) == ("Unknown", Reason.ACCOUNT_EXHAUSTED)
    silent = healthy(soaking(watched(unreachable=["gateway-0"])))
    assert (silent.status, silent.reason) == ("Unknown", Reason.METRICS_UNREACHABLE)


def test_promoted_stays_true() -> None:
    made = decide(observed(soaking(), increments=tick(0)), SITE)
    said = next(one for one in made.status.conditions if one.type == Type.PROMOTED)
    assert (said.status, said.reason) == ("True", Reason.PROMOTED)
    assert made.requeue == 5
    assert made.status.soak


# --------------------------------------------------------------------------------------------------- superseded


def test_a_new_trial_ends_it() -> None:
    draft = begin(replace(drafted(soaking()), wanted=THIRD))
    assert draft.status.soak is None
    assert draft.status.stable_revision == CANARY
    assert draft.events[0].note == (
        f"Rollout of {THIRD} against {CANARY} started, attempt 1; the soak of {CANARY} ends 52 min early"
    )


# ---------------------------------------------------------------------------------------------- rollback window


def back(spec: dict[str, Any] | None = None, age: float = 480, **fields: Any) -> Any:
    """A draft in which the spec asks for what NEW replaced `age` seconds ago."""
    status = soaking(**{"replaced": Replaced(revision=STABLE, at=ago(age))} | fields)
    return replace(drafted(status, spec or raw("Be kind.", strategy=WINDOW)), wanted=STABLE)


def test_what_served_before_returns_at_once() -> None:
    draft = begin(back())
    status = draft.status
    assert (status.stable_revision, status.canary_revision, status.soak) == (STABLE, None, None)
    assert status.replaced == Replaced(revision=CANARY, at=NOW)
    assert status.rollout
    assert (status.rollout.attempt, status.rollout.outcome, status.rollout.plan.steps) == (2, "Promoted", [])
    assert not draft.backward
    assert draft.done
    message = (
        f"Returned to {STABLE}, which served until 8 min ago: it has 100 % at once;"
        f" the soak of {CANARY} ends 52 min early"
    )
    assert [(one.reason, one.note) for one in draft.events] == [(Reason.PROMOTED, message)]
    assert status.rollout.message == message


@pytest.mark.parametrize(
    ("fields", "spec"),
    [
        ({"age": 3600}, None),
        ({}, raw("Be kind.")),
        ({"replaced": Replaced(revision=THIRD, at=ago(10))}, None),
        ({"replaced": None}, None),
    ],
    ids=["too late", "no window", "another", "nothing known"],
)
def test_otherwise_it_is_a_rollout(fields: dict[str, Any], spec: dict[str, Any] | None) -> None:
    rollout = begin(back(spec, **fields)).status.rollout
    assert rollout
    assert (rollout.outcome, bool(rollout.plan.steps)) == (None, True)


def test_a_revision_whose_object_is_gone_cannot_return_at_once() -> None:
    draft = back()
    gone = begin(replace(draft, obs=replace(draft.obs, revisions={CANARY: NEW})))
    assert gone.status.stable_revision == CANARY


def test_it_finds_the_result_of_its_gate_and_does_not_wait_for_another() -> None:
    spec = raw("Be kind.", strategy=WINDOW, evals={"setRef": {"name": "support-evals"}})
    earlier = f"{STABLE}-aaaaaaaa"
    draft = back(spec)
    runs = {earlier: EvalRunStatus(phase="Passed"), f"{CANARY}-aaaaaaaa": EvalRunStatus(phase="Passed")}
    returned = begin(replace(draft, obs=replace(draft.obs, eval_runs=runs)))
    assert returned.status.rollout
    assert (returned.status.rollout.eval_run, returned.status.stable_revision) == (earlier, STABLE)
    now = f"{STABLE}-{SET.hash[:8]}"
    both = begin(replace(draft, obs=replace(draft.obs, eval_runs=runs | {now: EvalRunStatus(phase="Passed")})))
    assert both.status.rollout
    assert both.status.rollout.eval_run == now


def test_paused_holds_a_return() -> None:
    decision = decide(observed(back().status, raw("Be kind.", strategy=WINDOW, paused=True)), SITE)
    assert decision.status.stable_revision == CANARY
    assert decision.status.soak
    said = next(one for one in decision.status.conditions if one.type == Type.PROMOTED)
    assert (said.status, said.reason) == ("Unknown", Reason.PAUSED)
    assert said.message.startswith(f"{STABLE}, which served before, returns to 100 % at once when spec.paused")


def test_a_whole_pass_returns() -> None:
    decision = decide(observed(back().status, raw("Be kind.", strategy=WINDOW)), SITE)
    assert decision.config
    assert [(arm.revision, arm.weight) for arm in decision.config.arms] == [(STABLE, 10_000)]
    assert not decision.backward
    assert decision.config.settled
    assert (decision.config.settled.revision, decision.config.settled.outcome) == (STABLE, "Promoted")


@pytest.mark.parametrize(
    ("status", "spec", "kept"),
    [
        (soaking(), {}, True),
        (soaking(soak=None), {}, False),
        (soaking(soak=None), {"strategy": WINDOW}, True),
        (soaking(soak=None, replaced=Replaced(revision=STABLE, at=ago(3601))), {"strategy": WINDOW}, False),
    ],
    ids=["soak", "neither", "window", "past the window"],
)
def test_what_may_come_back_is_kept(status: DeploymentStatus, spec: dict[str, Any], kept: bool) -> None:
    draft = drafted(status, raw(revisionHistoryLimit=0, **spec))
    gone = {one["metadata"]["name"] for one in outdated(draft)}
    assert gone == ({THIRD} if kept else {THIRD, STABLE})
