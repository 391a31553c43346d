"""Live grading in a rollout: the plan, what gateways sample, what a bake waits for, and what is missing."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.core.reconcile.rules.sample import (
    CANARY,
    NOW,
    SITE,
    STABLE,
    STEPS,
    ago,
    drafted,
    judgement,
    observed,
    raw,
    serving,
    trial,
)

from claude_operator.api.analysis import Analysis
from claude_operator.api.conditions import Reason, Type
from claude_operator.api.deployment import Bake, DeploymentSpec, Step
from claude_operator.api.evals import EvalSetSpec
from claude_operator.api.evidence import Counters, Evidence
from claude_operator.api.gateway import Live
from claude_operator.api.grading import dump_plan, parse_plan
from claude_operator.api.prices import TokenPrices
from claude_operator.api.samples import GraderNote
from claude_operator.api.status import DeploymentStatus, Plan, Rollout
from claude_operator.api.verdicts import ArmGrades, Grading
from claude_operator.core.catalogue.table import Model, Prices
from claude_operator.core.judge.assessment import unsupported
from claude_operator.core.judge.evidence.increments import Increments, Memory, PodReading
from claude_operator.core.judge.evidence.sample import Counts, Sample
from claude_operator.core.judge.evidence.seen import Seen
from claude_operator.core.judge.metrics import declared, watched
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.gateway_config import desired_config
from claude_operator.core.reconcile.grader import grader_plan
from claude_operator.core.reconcile.grading import (
    GRADES,
    advance,
    explain_few,
    explain_missing,
    graded_plan,
    latest_note,
    sampling,
    undecided,
)
from claude_operator.core.reconcile.observation import EvalSetView, GatewayView, Observation
from claude_operator.core.reconcile.plausible import plausible
from claude_operator.core.reconcile.rules.accept import check
from claude_operator.core.reconcile.rules.analysis import analyse
from claude_operator.core.reconcile.rules.canary import move

GRADERS = [{"name": "default", "model": "claude-haiku-4-5-20251001"}]
RUBRIC = {"rubric": ["The answer names a number."], "graders": GRADERS}
SET = EvalSetView("support-evals", "0123456789abcdef" * 4, 20)


def live_spec(
    live: dict[str, Any] | None = None, metrics: list[dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    analysis = {"metrics": metrics} if metrics is not None else {}
    analysis |= more
    return raw(
        evals={"setRef": {"name": "support-evals"}, "required": False, "live": RUBRIC if live is None else live},
        strategy={"canary": {"analysis": analysis}} if analysis else {},
    )


def parsed(spec: dict[str, Any]) -> DeploymentSpec:
    return DeploymentSpec.model_validate(spec)


def names(plan: Plan) -> list[str]:
    return [metric.name for metric in declared(plan.analysis)]


# ------------------------------------------------------------------------------------------------------- the plan


def test_the_metric_joins_the_plan_by_itself_and_the_weights_follow() -> None:
    plan = graded_plan(parsed(live_spec()))
    assert names(plan) == [*(metric.name for metric in declared(Analysis())), "judgeFail"]
    assert plan.grades == GRADES
    weights = {one.name: one.weight for one in watched(plan.analysis)}
    assert weights["judgeFail"] > 0.1
    assert sum(weights.values()) == pytest.approx(1.0)


def test_a_plan_without_live_grading_is_as_it_was() -> None:
    plan = graded_plan(parsed(raw()))
    assert (plan.analysis.metrics, plan.grades) == (None, None)
    plan = graded_plan(parsed(raw(evals={"setRef": {"name": "support-evals"}})))
    assert (plan.analysis.metrics, plan.grades) == (None, None)


@pytest.mark.parametrize(
    ("metrics", "more", "found", "grades"),
    [
        ([{"name": "errors"}], {}, ["errors", "judgeFail"], GRADES),
        ([{"name": "judgeFail", "weight": 2}, {"name": "errors"}], {}, ["judgeFail", "errors"], GRADES),
        ([{"name": "judgeFail", "mode": "DryRun"}], {}, ["judgeFail"], 0),
        ([{"name": "judgeFail", "mode": "Hold"}], {}, ["judgeFail"], GRADES),
        ([{"name": "errors", "threshold": {"max": 0.1}}], {"judge": "Threshold"}, ["errors"], None),
        ([{"name": "judgeFail", "threshold": {"max": 0.1}}], {"judge": "Threshold"}, ["judgeFail"], GRADES),
        ([{"name": "errors"}], {"judge": "MannWhitney"}, ["errors", "judgeFail"], GRADES),
    ],
)
def test_a_plan_that_names_the_metric_keeps_it(
    metrics: list[dict[str, Any]], more: dict[str, Any], found: list[str], grades: int | None
) -> None:
    plan = graded_plan(parsed(live_spec(metrics=metrics, **more)))
    assert (names(plan), plan.grades) == (found, grades)
    assert unsupported(plan.analysis) is None


def test_the_rollout_begins_with_it_and_a_later_edit_concerns_the_next() -> None:
    decision = decide(observed(serving(), live_spec(), eval_set=SET), SITE)
    assert decision.status.rollout is not None
    assert decision.status.rollout.plan.grades == GRADES
    again = decide(observed(trial(1), live_spec(), eval_set=SET), SITE)
    assert again.status.rollout is not None
    assert again.status.rollout.plan.grades is None
    assert Reason.PLAN_FIXED in [event.reason for event in again.events]


# ------------------------------------------------------------------------------------------------ what is sampled


def graded(grading: Grading | None = None, index: int = 1, **fields: Any) -> DeploymentStatus:
    """In mid-rollout, with a plan that is graded."""
    plan = graded_plan(parsed(live_spec())).model_copy(update={"steps": STEPS})
    plan = plan.model_copy(update={"analysis": plan.analysis.model_copy(update={"tolerated_increase": "100%"})})
    rollout = Rollout(revision=CANARY, plan=plan, started_at=ago(900), grading=grading)
    return trial(index, rollout=rollout, **fields)


def test_gateways_sample_while_there_is_a_canary() -> None:
    live = parsed(live_spec({**RUBRIC, "sampleRate": "0.25", "minPerMinute": 3}))
    assert sampling(live, graded()) == Live(0.25, 3)
    without = graded().model_copy(update={"canary_revision": None})
    for spec, status in (
        (live, serving()),
        (live, trial(1)),
        (live, without),
        (parsed(raw()), graded()),
        (None, graded()),
    ):
        assert sampling(spec, status) is None


def test_the_config_says_so_once_no_old_pod_is_left_and_then_to_the_end() -> None:
    """Pods of earlier versions refuse a config with a field that they do not know."""
    status, spec = graded(), live_spec()
    obs = observed(status, spec, eval_set=SET)
    bare = replace(obs, config=msgspec.structs.replace(obs.config, live=msgspec.UNSET))  # type: ignore[type-var]
    config = desired_config(replace(bare, gateway=GatewayView(settled=False)), status, accepted=True)
    assert config is not None
    assert config.live is msgspec.UNSET
    config = desired_config(replace(bare, gateway=GatewayView(settled=True)), status, accepted=True)
    assert config is not None
    assert config.live == Live(0.01, 6)
    told = replace(obs, config=config, gateway=GatewayView(settled=False))
    assert (desired_config(told, status, accepted=True) or config).live == Live(0.01, 6)
    assert (desired_config(told, status, accepted=False) or config).live == Live(0.01, 6)
    after = desired_config(told, serving(), accepted=True)
    assert after is not None
    assert after.live is msgspec.UNSET


# -------------------------------------------------------------------------------------------------- what is counted


def tick(
    canary: Counts, stable: Counts, undecided: dict[str, int] | None = None, now: dt.datetime = NOW
) -> Observation:
    samples = {(1, "other", CANARY): Sample(canary), (1, "other", STABLE): Sample(stable)}
    obs = observed(graded(), live_spec(), eval_set=SET)
    return replace(obs, increments=Increments(samples, traffic=9, seconds=5.0), undecided=undecided or {}, now=now)


def test_verdicts_are_counted_a_step_and_arm() -> None:
    rollout = graded().rollout
    assert rollout is not None
    obs = tick(Counts(9, 9, grades=3, bad_grades=1), Counts(9, 9, grades=5), {CANARY: 2})
    first = advance(rollout, 1, obs, STABLE)
    assert (first.canary.verdicts, first.stable.verdicts, first.canary.lately) == (3, 5, [3.0, 2.0])
    rollout = rollout.model_copy(update={"grading": first})
    assert advance(rollout, 1, obs, STABLE).canary.verdicts == 6
    following = advance(rollout, 2, obs, STABLE)
    assert (following.step, following.canary.verdicts, following.canary.lately) == (2, 3, [6.0, 4.0])


def test_an_arm_that_answers_without_a_verdict_is_waited_for_from_then_on() -> None:
    rollout = graded().rollout
    assert rollout is not None
    silent = tick(Counts(), Counts(9, 9))
    state = advance(rollout, 1, silent, STABLE)
    assert (state.canary.since, state.stable.since) == (None, NOW)
    rollout = rollout.model_copy(update={"grading": state})
    later = tick(Counts(9, 9), Counts(9, 9), now=NOW + dt.timedelta(seconds=9))
    state = advance(rollout, 1, later, STABLE)
    assert (state.canary.since, state.stable.since) == (NOW + dt.timedelta(seconds=9), NOW)
    rollout = rollout.model_copy(update={"grading": state})
    assert advance(rollout, 1, tick(Counts(9, 9, grades=1), Counts(9, 9)), STABLE).canary.since is None


def test_what_was_undecided_long_ago_is_forgotten() -> None:
    rollout = graded(Grading(step=1, canary=ArmGrades(lately=[10.0, 60.0]))).rollout
    assert rollout is not None
    obs = tick(Counts(9, 9, grades=10), Counts(9, 9, grades=10))
    for _ in range(30):
        rollout = rollout.model_copy(update={"grading": advance(rollout, 1, obs, STABLE)})
    assert rollout.grading is not None
    decided, other = rollout.grading.canary.lately
    assert other < 0.1 * decided
    assert decided + other <= 121


def memory(**pods: int | None) -> Memory:
    """What was seen of pods: so many undecided samples of the canary."""
    key = (1, CANARY, "canary", "other", "none")
    return Memory({
        name: None if count is None else Seen(name, 9.0, {key: Counters(grades={"unknown": count, "pass": 7})})
        for name, count in pods.items()
    })  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (memory(a=1), memory(a=3), {CANARY: 2}),
        (memory(a=1, b=0), memory(a=3, b=4), {CANARY: 6}),
        (memory(a=1), memory(a=1), {}),
        (memory(a=3), memory(a=1), {}),
        (memory(), memory(a=2), {CANARY: 2}),
        (memory(a=None), memory(a=2), {}),
        (memory(a=2), memory(a=None), {}),
        (None, memory(a=2), {}),
    ],
)
def test_undecided_samples_are_those_since_the_last_look(
    before: Memory | None, after: Memory, found: dict[str, int]
) -> None:
    assert undecided(before, after) == found


def test_a_pass_counts_them_and_the_judge_has_the_verdicts() -> None:
    status = graded()
    obs = replace(tick(Counts(9, 9, grades=4, bad_grades=4), Counts(9, 9, grades=4), {STABLE: 1}), status=status)
    draft = analyse(Draft(obs, status))
    assert draft.status.rollout is not None
    assert draft.status.rollout.grading is not None
    assert draft.status.rollout.grading.canary.verdicts == 4
    assert draft.status.rollout.grading.stable.lately == [4.0, 1.0]
    ungraded = analyse(Draft(obs, trial(1)))
    assert ungraded.status.rollout is not None
    assert ungraded.status.rollout.grading is None


def test_numbers_that_no_pass_can_have_written_are_dropped() -> None:
    good = graded(Grading(step=1, canary=ArmGrades(verdicts=3, since=ago(5))))
    assert plausible(good, NOW)[1] == ()
    for arm in (
        ArmGrades(verdicts=-1),
        ArmGrades(lately=[1.0]),
        ArmGrades(lately=[1.0, float("nan")]),
        ArmGrades(since=NOW + dt.timedelta(days=30)),
    ):
        assert plausible(graded(Grading(step=1, stable=arm)), NOW)[1] == ("rollout",)
    wrong = good.rollout.plan.model_copy(update={"grades": 10**9})  # type: ignore[union-attr]
    assert plausible(good.model_copy(update={"rollout": good.rollout.model_copy(update={"plan": wrong})}), NOW)[1]  # type: ignore[union-attr]


# --------------------------------------------------------------------------------------------------------- holds


def arms(canary: ArmGrades, stable: ArmGrades | None = None, step: int = 1) -> Grading:
    return Grading(step=step, canary=canary, stable=stable or ArmGrades(verdicts=GRADES))


ENOUGH = ArmGrades(verdicts=GRADES)
LATE, EARLY = ArmGrades(verdicts=GRADES, since=ago(300)), ArmGrades(verdicts=GRADES, since=ago(299))
UNSURE, SURE = ArmGrades(verdicts=GRADES, lately=[8.0, 3.0]), ArmGrades(verdicts=GRADES, lately=[8.0, 2.0])
FEW = ArmGrades(verdicts=GRADES, lately=[4.0, 5.0])
ALIVE = GraderNote(3.0)


def held(grading: Grading | None, spec: dict[str, Any] | None = None, index: int = 1, **fields: Any) -> Draft:
    status = graded(grading, index)
    increments = Increments({(1, "other", CANARY): Sample(Counts(9, 9))}, traffic=9, seconds=5.0)
    known = {"increments": increments, "grader": ALIVE, "eval_set": SET, **fields}
    draft = drafted(status, live_spec() if spec is None else spec, **known)
    return move(draft)


@pytest.mark.parametrize(
    ("grading", "reason", "says"),
    [
        (arms(ENOUGH), Reason.PROGRESSING, "goes from 10 % to 50 %"),
        (
            arms(ArmGrades(verdicts=12)),
            Reason.WAITING_FOR_EVIDENCE,
            "at 10 % has verdicts of live grading on 12 of 30 answers of the canary and 30 of 30 answers of stable",
        ),
        (arms(ENOUGH, ArmGrades(verdicts=29)), Reason.WAITING_FOR_EVIDENCE, "29 of 30 answers of stable"),
        (arms(ENOUGH, step=0), Reason.WAITING_FOR_EVIDENCE, "0 of 30 answers of the canary and 0 of 30"),
        (None, Reason.WAITING_FOR_EVIDENCE, "0 of 30 answers of the canary and 0 of 30 answers of stable"),
        (
            arms(LATE),
            Reason.GRADES_MISSING,
            "step 1 at 10 % holds: live grading has given no verdict on an answer of the canary for 5 min",
        ),
        (arms(EARLY), Reason.PROGRESSING, "goes from 10 % to 50 %"),
        (arms(ENOUGH, LATE), Reason.GRADES_MISSING, "no verdict on an answer of stable for 5 min"),
        (arms(UNSURE), Reason.GRADES_MISSING, "could not decide 27 % of the last 11 answers of the canary"),
        (arms(SURE), Reason.PROGRESSING, "goes from 10 % to 50 %"),
        (arms(FEW), Reason.PROGRESSING, "goes from 10 % to 50 %"),
    ],
)
def test_a_bake_waits_for_its_share_of_verdicts(grading: Grading | None, reason: Reason, says: str) -> None:
    draft = held(grading)
    assert draft.hold is not None
    assert (draft.hold.reason, says in draft.hold.message) == (reason, True), draft.hold.message


@pytest.mark.parametrize(
    ("note", "says"),
    [
        (None, "Deployment support-grader has asked no gateway for samples yet: see why with kubectl -n demo logs"),
        (GraderNote(240.0), "Deployment support-grader has asked no gateway for samples for 4 min"),
        (
            ALIVE,
            "raise sampleRate or minPerMinute in spec.evals.live, or wait; otherwise see kubectl -n demo logs",
        ),
        (GraderNote(2.0, "maxCostUSDPerDay of $10 is spent"), "the grader says: maxCostUSDPerDay of $10 is spent"),
    ],
)
def test_the_message_names_the_cause_and_what_to_do(note: GraderNote | None, says: str) -> None:
    draft = held(arms(LATE), grader=note)
    assert draft.hold is not None
    assert says in draft.hold.message
    assert f"claudeops.dev/promote={CANARY}/1/1" in draft.hold.message


def test_gateways_that_do_not_sample_yet_are_named() -> None:
    obs = observed(graded(arms(LATE)), live_spec(), eval_set=SET, grader=ALIVE)
    assert obs.config is not None
    assert obs.status.rollout is not None
    old = replace(obs, config=msgspec.structs.replace(obs.config, live=msgspec.UNSET))
    assert "once all their pods are of this operator's version" in (explain_missing(obs.status.rollout, old) or "")


def test_a_timed_pause_holds_where_verdicts_are_missing_and_waits_for_no_number_of_them() -> None:
    missing = held(arms(LATE, step=4), index=4)
    assert missing.hold is not None
    assert missing.hold.reason == Reason.GRADES_MISSING
    few = held(arms(ArmGrades(verdicts=1), ArmGrades(), step=4), index=4)
    assert few.hold is not None
    assert few.hold.reason == Reason.PROGRESSING


def test_a_person_goes_on_without_verdicts() -> None:
    draft = held(arms(LATE), annotations={"promote": f"{CANARY}/1/1"})
    assert draft.hold is not None
    assert draft.hold.reason == Reason.PROGRESSING


def test_nothing_waits_for_verdicts_that_nobody_wants_any_more() -> None:
    """`live` was taken out of the spec in mid-rollout, and its grader with it."""
    draft = held(arms(LATE, ArmGrades()), spec=raw(evals={"setRef": {"name": "support-evals"}, "required": False}))
    assert draft.hold is not None
    assert draft.hold.reason == Reason.PROGRESSING


def test_where_the_canary_has_all_new_conversations_only_its_own_verdicts_count() -> None:
    rollout = graded(arms(ENOUGH, ArmGrades(since=ago(400)))).rollout
    assert rollout is not None
    whole = [Step(set_weight=100), Step(bake=Bake())]
    all_of_it = rollout.model_copy(update={"plan": rollout.plan.model_copy(update={"steps": whole})})
    obs = observed(graded(), live_spec(), eval_set=SET)
    assert explain_few(all_of_it, obs.spec, 1) is None
    assert explain_missing(all_of_it, obs) is None
    assert "no verdict on an answer of stable" in (explain_missing(rollout, obs) or "")
    few = all_of_it.model_copy(update={"grading": arms(ArmGrades(verdicts=3))})
    assert explain_few(few, obs.spec, 1) == "has verdicts of live grading on 3 of 30 answers of the canary"


def test_a_plan_in_dry_run_waits_for_none() -> None:
    rollout = graded().rollout
    assert rollout is not None
    dry = rollout.model_copy(update={"plan": rollout.plan.model_copy(update={"grades": 0})})
    assert explain_few(dry, parsed(live_spec()), 1) is None
    late = dry.model_copy(update={"grading": arms(LATE)})
    assert explain_missing(late, observed(graded(), live_spec(), eval_set=SET)) is None


def test_a_bake_past_its_time_without_verdicts_is_inconclusive() -> None:
    status = graded(arms(ArmGrades(verdicts=3)))
    assert status.step is not None
    late = status.model_copy(update={"step": status.step.model_copy(update={"started_at": ago(301)})})
    increments = Increments({(1, "other", CANARY): Sample(Counts(9, 9))}, traffic=9, seconds=5.0)
    draft = move(drafted(late, live_spec(), increments=increments, grader=ALIVE, eval_set=SET))
    assert draft.hold is not None
    assert draft.hold.reason == Reason.INCONCLUSIVE
    assert "is inconclusive after 5 min: has verdicts of live grading on 3 of 30" in draft.hold.message


def test_the_condition_shows_it() -> None:
    status = graded(arms(LATE))
    decision = decide(observed(status, live_spec(), eval_set=SET, grader=None), SITE)
    for type_ in (Type.PROMOTED, Type.CANARY_HEALTHY):
        (found,) = (one for one in decision.status.conditions if one.type == type_)
        assert (found.status, found.reason) == ("Unknown", "GradesMissing")


def test_harm_is_told_before_verdicts_that_are_missing() -> None:
    harm = judgement(shared="31 % of stable's requests fail")
    decision = decide(observed(graded(arms(LATE), judgement=harm), live_spec(), eval_set=SET, grader=None), SITE)
    (found,) = (one for one in decision.status.conditions if one.type == Type.CANARY_HEALTHY)
    assert (found.status, found.reason) == ("Unknown", "SharedIncident")


def test_the_gateway_that_was_asked_last_knows_of_the_grader() -> None:
    def reading(pod: str, note: GraderNote | None) -> PodReading:
        return PodReading(pod, True, Evidence(boot_id=pod, config_generation=1, uptime=9.0, grader=note))

    newest = GraderNote(1.0, "newest")
    found = [
        reading("a", GraderNote(9.0, "old")),
        reading("b", newest),
        reading("c", None),
        PodReading("d", True, None),
    ]
    assert latest_note(found) == newest
    assert latest_note(found[2:]) is None


# ------------------------------------------------------------------------------------------------------- the spec


@pytest.mark.parametrize(
    ("live", "shared", "says"),
    [
        (RUBRIC, {}, None),
        ({}, {"defaultTest": {"assert": [{"type": "contains", "value": "42"}]}}, None),
        ({"rubric": ["It is right."]}, {"graders": GRADERS}, None),
        ({}, {}, "evals.live: nothing is checked: write rubric"),
        ({"rubric": ["It is right."]}, {}, "llm-rubric needs a model that grades"),
        ({"assert": [{"type": "latency", "threshold": 5}]}, {}, "latency is measured for all answers"),
        ({"assert": [{"type": "cost", "threshold": 5}]}, {}, "cost is measured for all answers"),
        ({"assert": [{"type": "factuality", "value": "x"}]}, {}, "factuality compares with a reference"),
        ({"assert": [{"type": "not-factuality", "value": "x"}]}, {}, "not-factuality compares with a reference"),
        ({"assert": [{"type": "select-best", "value": "x"}]}, {}, "select-best compares two answers"),
        (
            {"assert": [{"type": "tool-call", "value": [{"name": "x"}]}]},
            {},
            "live answers that call one are not graded",
        ),
        ({"assert": [{"type": "equals", "value": "{{target}}"}]}, {}, "a live answer has no target"),
        ({"assert": [{"type": "contains-any", "value": ["a", "{{b}}"]}]}, {}, "a live answer has no target"),
        (
            {},
            {"defaultTest": {"assert": [{"type": "equals", "value": "{{target}}"}]}},
            "defaultTest of the set: equals:",
        ),
        ({"assert": [{"type": "contains", "value": ""}]}, {}, "the value is empty"),
        ({**RUBRIC, "graders": [{"name": "default", "model": "claude-haiku-4-5"}]}, {}, "is an alias"),
        ({**RUBRIC, "graders": [{"name": "default", "model": "claude-opus-5-5"}]}, {}, "is also a model that answers"),
        ({**RUBRIC, "graders": [{"name": "default", "model": "claude-opus-5-5", "ownModel": True}]}, {}, None),
        ({**RUBRIC, "graders": [{"name": "default", "model": "some-model-1"}]}, {}, "has no price"),
    ],
)
def test_a_combination_that_cannot_be_graded_is_refused_with_a_sentence(
    live: dict[str, Any], shared: dict[str, Any], says: str | None
) -> None:
    draft = drafted(serving(), live_spec(live), eval_set=replace(SET, shared=EvalSetSpec.model_validate(shared)))
    problem = check(draft).problem
    if says is None:
        assert problem is None
        return
    assert problem is not None
    assert problem.reason == Reason.INVALID_SPEC
    assert problem.message.startswith("spec.evals.live")
    assert says in problem.message


def test_a_grader_with_a_price_of_ones_own_may_grade_and_is_told_of_it() -> None:
    own = {"some-model-1": TokenPrices(1.0, 5.0)}
    live = {**RUBRIC, "graders": [{"name": "default", "model": "some-model-1"}]}
    draft = drafted(serving(), live_spec(live), eval_set=replace(SET, shared=EvalSetSpec.model_validate({})))
    assert draft.obs.config is not None
    priced = replace(draft.obs, config=msgspec.structs.replace(draft.obs.config, prices=own))
    assert check(replace(draft, obs=priced)).problem is None
    models = {"some-model-1": Model(id="some-model-1", prices=Prices(1.0, 5.0))}
    plan = grader_plan(replace(priced, models=models), serving())
    assert plan is not None
    assert parse_plan(dump_plan(plan)).own_prices == own
    # It is accepted, and told to the grader, as soon as the price is known: gateways have it only afterwards.
    later = replace(draft.obs, models=models)
    assert check(replace(draft, obs=later)).problem is None
    plan = grader_plan(later, serving())
    assert plan is not None
    assert parse_plan(dump_plan(plan)).own_prices == own
    unpriced = grader_plan(draft.obs, serving())
    assert unpriced is not None
    assert "prices" not in dump_plan(unpriced)  # as before there were any: no pod is replaced
