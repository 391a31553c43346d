"""What holds a rollout. Each hold is one function; the first that has something to say is heard."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from claude_operator.api.base import seconds
from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import Step
from claude_operator.api.status import Rollout, StepStatus
from claude_operator.core.judge.diagnosis import diagnose, explain_failures, is_suspicious
from claude_operator.core.reconcile import grading
from claude_operator.core.reconcile.annotations import PROMOTE, handled_entry, promotion
from claude_operator.core.reconcile.bake import end_of, explain_missing, is_overdue, longest, requests_seen
from claude_operator.core.reconcile.draft import Draft, Hold
from claude_operator.core.reconcile.few_users import explain_few_users
from claude_operator.core.reconcile.gateway_config import desired_config
from claude_operator.core.reconcile.gateway_state import SOON, first_hold
from claude_operator.core.reconcile.notice import Notice
from claude_operator.core.reconcile.progress import canary_weight
from claude_operator.core.reconcile.service_levels import explain_breach
from claude_operator.core.reconcile.spending import explain_hold
from claude_operator.core.text import count, duration, percent

__all__ = ["always", "frozen", "gateways", "hold_step"]

_LAST_PART = 10.0  # seconds


def gateways(draft: Draft) -> Draft:
    """No step moves until every ready gateway pod serves the weights of before."""
    config = desired_config(draft.obs, draft.status, accepted=True)
    if config is None:
        return draft.hold_for(Reason.WAITING_FOR_GATEWAY, "the gateways' config is being written").requeue_in(SOON)
    found = first_hold(draft.obs, config)
    if found is None or found.holds is None:
        return draft
    return draft.hold_for(found.holds, found.message).requeue_in(found.look_again)


def frozen(draft: Draft) -> Draft:
    """`spec.paused` holds any step."""
    if draft.obs.spec is None or not draft.obs.spec.paused:
        return draft
    where = f"at {percent(draft.status.step.weight)}" if draft.status.step else "before its first weight"
    return draft.hold_for(Reason.PAUSED, f"spec.paused holds {draft.status.canary_revision} {where}")


def always(draft: Draft) -> Draft:
    """What holds any step but those that a person goes on from."""
    return _budget(_definitions(draft))


def _definitions(draft: Draft) -> Draft:
    """No step moves while the API server drops parts of the status: the judge forgets what it has seen at each look."""
    if not draft.obs.outdated:
        return draft
    return draft.hold_for(Reason.CRD_OUTDATED, f"{_where(draft)}: {draft.obs.outdated}")


def _budget(draft: Draft) -> Draft:
    """No canary begins or gets more traffic while the month's budget is spent, or while that is not known."""
    found = explain_hold(draft.obs)
    if found is None:
        return draft
    level, why = found
    rollout, step = draft.status.rollout, draft.status.step
    if rollout is not None:
        done = "go on" if step else "promote it to 100 %"
        go = draft.obs.ask_by(PROMOTE, promotion(rollout, step.index if step else "full"))
        why += f"; to {done} all the same: {go}"
    reason = Reason.COST_OVER_BUDGET if level == "Over" else Reason.COST_UNKNOWN
    return draft.hold_for(reason, f"{_where(draft)}: {why}")


def _where(draft: Draft) -> str:
    step = draft.status.step
    return f"step {step.index} at {percent(step.weight)} holds" if step else "the first weight waits"


def hold_step(draft: Draft, rollout: Rollout, present: StepStatus) -> Draft:
    """Hold the present step while something that it needs is missing."""
    draft = always(draft)
    step = rollout.plan.steps[present.index]
    if draft.hold or step.action == "setWeight":
        return draft
    for hold in _HOLDS:
        found = hold(draft, step, present)
        if found is not None:
            at = f"step {present.index} at {percent(present.weight)}"
            held = draft.hold_for(found.reason, f"{at} {found.message}")
            if hold is not _reading:  # which is there within an interval
                held = _overdue(held, rollout, step, present)
            return _wake(held, step, present)
    return draft


# --------------------------------------------------------------------------------------------------------- holds


def _judged(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    """What keeps the judge from judging. A pod that answers again may still have something to report."""
    judgement = draft.status.judgement
    if judgement is None or not canary_weight(draft.status):
        return None
    found = next((one for one in diagnose(judgement) if one.holds), None)
    if found is None:
        return None
    return Hold(found.reason, f"holds: {found.message}{_by_hand(draft, present) if found.asks else ''}")


def _by_hand(draft: Draft, present: StepStatus) -> str:
    """How a person lets something pass."""
    rollout = draft.status.rollout
    return f"; to go on: {draft.obs.ask_by(PROMOTE, promotion(rollout, present.index))}" if rollout else ""


def _person(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    rollout = draft.status.rollout
    if step.pause is None or step.pause.duration is not None or rollout is None:
        return None
    go = promotion(rollout, present.index)
    # One that was done or refused before says nothing new until it has gone.
    stale = f"{draft.obs.annotate} {PROMOTE}- && " if draft.has_handled(handled_entry(PROMOTE, go)) else ""
    return Hold(Reason.PAUSED, f"waits for a person: {stale}{draft.obs.ask_by(PROMOTE, go)}")


def _time(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    left = (end_of(step, present) - draft.obs.now).total_seconds()
    if left <= 0:
        return None
    if step.bake is None:
        return Hold(Reason.PAUSED, f"continues in {duration(left)}")
    have = requests_seen(step.bake, present)
    return Hold(Reason.WAITING_FOR_EVIDENCE, f"bakes for {duration(left)} more; {have}")


def _reading(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    """The pass that moves on has read the gateways itself, after the step's end, and its last part has no gap."""
    if not canary_weight(draft.status):
        return None
    judgement, end = draft.status.judgement, end_of(step, present)
    tick = judgement.last_tick if judgement else None
    if judgement is None or draft.obs.increments is None or tick is None or tick < end:
        return Hold(Reason.WAITING_FOR_EVIDENCE, "waits for the next reading of the gateways' counters")
    since, needed = judgement.seen_since or tick, _last_part(draft, step, present)
    if (tick - since).total_seconds() < needed:
        missing = f"the current ones begin at {since.astimezone(dt.UTC):%H:%M:%SZ}"
        return Hold(Reason.WAITING_FOR_EVIDENCE, f"needs {duration(needed)} of readings without a gap; {missing}")
    return None


def _answers(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    """A canary that does not answer may not move on: each step ends with an answer in the reading that ends it."""
    judgement = draft.status.judgement
    if judgement is None or not canary_weight(draft.status) or judgement.last_answer == judgement.last_tick:
        return None
    wait = f"; {count(judgement.waiting, 'request')} in flight" if judgement.waiting else ""
    return Hold(Reason.WAITING_FOR_EVIDENCE, f"waits for the canary to answer a request{wait}")


def _failing(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    """At a large weight it takes the judge a while to tell a canary that has begun to fail from bad luck."""
    judgement = draft.status.judgement
    failing = explain_failures(judgement) if judgement and canary_weight(draft.status) else None
    return Hold(Reason.WAITING_FOR_EVIDENCE, f"waits until it is clear why {failing}") if failing else None


def _last_part(draft: Draft, step: Step, present: StepStatus) -> float:
    """Seconds at a step's end of which nothing may be missing."""
    rollout = draft.status.rollout
    interval = seconds(rollout.plan.analysis.interval) if rollout else 0.0
    return min((end_of(step, present) - present.started_at).total_seconds(), max(_LAST_PART, 3.0 * interval))


def _evidence(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    """A bake ends when it is shown that the next weight is harmless, or as onInconclusive has it."""
    rollout, judgement = draft.status.rollout, draft.status.judgement
    if step.bake is None or rollout is None or judgement is None or not canary_weight(draft.status):
        return None
    missing = explain_missing(step.bake, present, judgement, rollout, draft.obs)
    if missing is None:
        return None
    if not is_overdue(step, present, draft.obs.now):
        return Hold(Reason.WAITING_FOR_EVIDENCE, missing)
    if step.bake.on_inconclusive == "Promote" and present.requests and not is_suspicious(judgement):
        return None
    return Hold(Reason.INCONCLUSIVE, f"is inconclusive after {duration(longest(step.bake))}: {missing}")


def _few_users(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    """Where whole users are drawn and a few of them are the traffic, no share of it is what the weight says."""
    rollout = draft.status.rollout
    few = explain_few_users(rollout, present.weight) if rollout else None
    if rollout is None or few is None:
        return None
    go = draft.obs.ask_by(PROMOTE, promotion(rollout, present.index))
    return Hold(Reason.FEW_USERS, f"holds: {few}, or go on without: {go}")


def _verdicts(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    """Where live answers are graded, nothing moves on while no verdicts come: nobody knows how good they are."""
    rollout = draft.status.rollout
    if rollout is None or not canary_weight(draft.status):
        return None
    missing = grading.explain_missing(rollout, draft.obs)
    if missing is None:
        return None
    go = draft.obs.ask_by(PROMOTE, promotion(rollout, present.index))
    return Hold(Reason.GRADES_MISSING, f"holds: {missing}; to go on without: {go}")


def _over_budget(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    """While a latency budget is over nothing moves on, whichever arm it is: it says nothing of who is to blame."""
    rollout = draft.status.rollout
    breach = explain_breach(draft.obs, draft.status)
    if rollout is None or breach is None:
        return None
    go = draft.obs.ask_by(PROMOTE, promotion(rollout, present.index))
    return Hold(Reason.OVER_BUDGET, f"holds, and blames no arm: {breach}; to go on without: {go}")


_HOLDS: tuple[Callable[[Draft, Step, StepStatus], Hold | None], ...] = (
    _judged,
    _over_budget,
    _few_users,
    _verdicts,
    _person,
    _time,
    _evidence,
    _failing,
    _reading,
    _answers,
)


def _wake(draft: Draft, step: Step, present: StepStatus) -> Draft:
    left = (end_of(step, present) - draft.obs.now).total_seconds()
    return draft.requeue_in(left) if left > 0 else draft


def _overdue(draft: Draft, rollout: Rollout, step: Step, present: StepStatus) -> Draft:
    """Say once that a bake is past its longest time; it keeps holding."""
    if step.bake is None or draft.hold is None:
        return draft
    left = longest(step.bake) - (draft.obs.now - present.started_at).total_seconds()
    notice = Notice("held", rollout.trial, str(present.index))
    if left > 0:
        return draft.requeue_in(left)
    if draft.has_handled(notice):
        return draft
    late = "" if draft.hold.reason == Reason.INCONCLUSIVE else f"past maxDuration {duration(longest(step.bake))}: "
    note = f"{late}{draft.hold.message}"
    return draft.handle(notice).record_event(Reason.STEP_HELD, note, warning=True)
