"""How the canary moves: one step at a time, and only while everything that it rests on is there."""

from __future__ import annotations

from claude_operator.api.conditions import Reason
from claude_operator.api.status import Rollout, StepStatus
from claude_operator.core.judge.judges.held import let_pass
from claude_operator.core.reconcile.annotations import PROMOTE, ask, asked_by, handled_entry, ignore, promotion
from claude_operator.core.reconcile.checklist import hold_open
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.gateway_state import SOON
from claude_operator.core.reconcile.holds import always, frozen, gateways, hold_step
from claude_operator.core.reconcile.progress import active
from claude_operator.core.reconcile.promotion import promote
from claude_operator.core.text import percent

__all__ = ["move"]


def move(draft: Draft) -> Draft:
    """Complete the present step and begin the next, or say what holds."""
    rollout = active(draft.status)
    if rollout is None or not draft.status.canary_revision or draft.obs.spec is None:
        return draft
    held = frozen(gateways(draft))
    if held.hold:
        return held
    step, value = draft.status.step, ask(draft, PROMOTE)
    if step is None:
        held = hold_open(draft)
        if held.hold:
            return ignore(held, PROMOTE, value, held.hold.message) if value else held
        draft = held  # what it reports
    if value == promotion(rollout, "full"):
        return promote(draft.handle(handled_entry(PROMOTE, value)), asked_by(draft, PROMOTE))
    if step is None:
        draft = always(draft)
        return draft if draft.hold else _enter(draft, rollout, 0)
    if value == promotion(rollout, step.index):
        who = asked_by(draft, PROMOTE)
        return _enter(_let_pass(draft.handle(handled_entry(PROMOTE, value))), rollout, step.index + 1, who)
    draft = hold_step(draft, rollout, step)
    return draft if draft.hold else _enter(draft, rollout, step.index + 1)


def _let_pass(draft: Draft) -> Draft:
    """What a person was asked and goes on from is not asked again."""
    judgement = draft.status.judgement
    return draft.set(judgement=let_pass(judgement, draft.obs.status.judgement)) if judgement else draft


def _enter(draft: Draft, rollout: Rollout, index: int, who: str = "") -> Draft:
    """Begin a step; past the last one the canary is promoted. `who` ended the one before, where a person did."""
    steps = rollout.plan.steps
    if index >= len(steps):
        return promote(draft, who)
    step, before = steps[index], draft.status.step
    was = before.weight if before else 0.0
    weight = step.set_weight if step.set_weight is not None else was
    present = StepStatus(index=index, action=step.action, weight=weight, started_at=draft.obs.now)
    moved = draft.set(step=present).requeue_in(SOON)
    if step.action != "setWeight":
        note = f"{rollout.revision} continues at {percent(weight)} (step {index}), {who}"
        return hold_step(moved.record_event(Reason.PROGRESSING, note) if who else moved, rollout, present)
    by = f", {who}" if who else ""
    note = f"{rollout.revision} goes from {percent(was)} to {percent(weight)} (step {index}){by}"
    return moved.record_event(Reason.WEIGHT_CHANGED, note).hold_for(Reason.PROGRESSING, note)
