"""When a rollout begins, and when it gives way to a newer revision."""

from __future__ import annotations

import hashlib

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.status import Plan, Replaced, Rollout
from claude_operator.core.names import eval_run_name
from claude_operator.core.reconcile.annotations import RETRY, ask, asked_by, handled_entry, ignore
from claude_operator.core.reconcile.differences import explain_differences, explain_rewrite
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.grading import graded_plan
from claude_operator.core.reconcile.models_used import explain_retired
from claude_operator.core.reconcile.notice import Notice
from claude_operator.core.reconcile.progress import active, attempts_of, window_left
from claude_operator.core.reconcile.promotion import end_soak
from claude_operator.core.text import duration

__all__ = ["begin", "note_plan", "retry_asked", "supersede"]


def supersede(draft: Draft) -> Draft:
    """The spec asks for another revision: the canary goes to 0 first, the next pass starts again."""
    if draft.backward:  # the same holds after a rollback
        return draft.requeue_in(1.0).stop()
    rollout = active(draft.status)
    if rollout is None or rollout.revision == draft.wanted:
        return draft
    message = f"{rollout.revision} was superseded by {draft.wanted}"
    return (
        draft.end("Superseded", Reason.SUPERSEDED, message)
        .record_event(Reason.SUPERSEDED, message)
        .requeue_in(0.0)
        .stop()
    )


def begin(draft: Draft) -> Draft:
    """Put the wanted revision on trial, unless it serves, is on trial or has failed and nobody asked for a retry."""
    wanted, spec, last = draft.wanted, draft.obs.spec, draft.status.rollout
    if wanted is None or spec is None:
        return draft
    asked = draft
    draft, again = retry_asked(draft)
    if again:
        note = f"Trying {wanted} again, attempt {attempts_of(draft.status, wanted) + 1}, {asked_by(asked, RETRY)}"
        return _start(draft.record_event(Reason.RETRIED, note), wanted, spec)
    # One that gave way and is wanted again before another has begun has not failed.
    if last is not None and last.revision == wanted and last.outcome != "Superseded":
        return draft
    if wanted == draft.status.stable_revision:
        # What failed before may be tried again when it is wanted next.
        message = f"{wanted} serves 100 %"
        attempt = max(attempts_of(draft.status, wanted), 1)
        known = Rollout(
            revision=wanted,
            attempt=attempt,
            eval_run=run if (run := _eval_run(draft, wanted)) in draft.obs.eval_runs else None,
            outcome="Promoted",
            reason=Reason.PROMOTED,
            message=message,
        )
        return draft.set(rollout=known, judgement=None)
    replaced, left = draft.status.replaced, window_left(draft.status, draft.obs.spec, draft.obs.now)
    if replaced is None or left is None or replaced.revision != wanted or wanted not in draft.obs.revisions:
        return _start(draft, wanted, spec)
    if explain_retired(draft.obs, wanted):  # spec.lifecycle lets it in, but it has to show that it answers
        return _start(draft, wanted, spec)
    if spec.paused:
        note = f"{wanted}, which served before, returns to 100 % at once when spec.paused no longer holds it"
        return draft.hold_for(Reason.PAUSED, note).requeue_in(left)
    return _return(draft, wanted, spec, replaced)


def note_plan(draft: Draft) -> Draft:
    """Say once that an edit of the strategy in mid-rollout concerns the next one."""
    rollout, spec = active(draft.status), draft.obs.spec
    if rollout is None or spec is None:
        return draft
    plan = graded_plan(spec)
    if plan == rollout.plan:
        return draft
    digest = hashlib.sha256(plan.model_dump_json().encode()).hexdigest()[:8]
    notice = Notice("plan", rollout.trial, digest)
    if draft.has_handled(notice):
        return draft
    note = f"{rollout.revision} keeps the strategy that it started with; the edit applies to the next rollout"
    return draft.handle(notice).record_event(Reason.PLAN_FIXED, note)


def _start(draft: Draft, wanted: str, spec: DeploymentSpec) -> Draft:
    attempt = attempts_of(draft.status, wanted) + 1
    rollout = Rollout(
        revision=wanted,
        attempt=attempt,
        plan=graded_plan(spec),
        started_at=draft.obs.now,
        eval_run=_eval_run(draft, wanted),
    )
    draft, ends = end_soak(draft)
    draft = draft.set(rollout=rollout, judgement=None, step=None, canary_revision=None)
    against = f" against {draft.status.stable_revision}" if draft.status.stable_revision else ""
    draft = draft.record_event(
        Reason.ROLLOUT_STARTED, f"Rollout of {wanted}{against} started, attempt {attempt}{ends}"
    ).requeue_in(0.0)
    differs = _differences(draft, wanted)
    return draft.record_event(Reason.CANARY_DIFFERS, f"{wanted}: {differs}") if differs else draft


def _differences(draft: Draft, wanted: str) -> str:
    """What is to be known of the canary beside stable, empty for nothing."""
    obs = draft.obs
    stable = obs.revisions.get(draft.status.stable_revision or "")
    canary = obs.revisions.get(wanted) or draft.new_revision
    if stable is None or canary is None:
        return ""
    differs = explain_differences(stable, canary, obs.now.date(), obs.models)
    rewrites = explain_rewrite(obs, stable, canary) if differs else ""
    return f"{differs}; on its way to 100 % it {rewrites}" if rewrites else differs


def _return(draft: Draft, wanted: str, spec: DeploymentSpec, replaced: Replaced) -> Draft:
    """What served recently has passed its gate and its steps, so it gets all traffic in this pass."""
    now, stable = draft.obs.now, draft.status.stable_revision
    rollout = Rollout(
        revision=wanted,
        attempt=attempts_of(draft.status, wanted) + 1,
        plan=Plan(steps=[], analysis=spec.strategy.canary.analysis),
        started_at=now,
        eval_run=_known_run(draft, wanted),
    )
    draft, ends = end_soak(draft)
    since = duration((now - replaced.at).total_seconds())
    message = f"Returned to {wanted}, which served until {since} ago: it has 100 % at once{ends}"
    served = draft.set(
        rollout=rollout,
        judgement=None,
        step=None,
        canary_revision=None,
        stable_revision=wanted,
        draining=None,
        replaced=Replaced(revision=stable, at=now) if stable else None,
    )
    return served.end("Promoted", Reason.PROMOTED, message).record_event(Reason.PROMOTED, message).stop()


def _eval_run(draft: Draft, wanted: str) -> str | None:
    """The run that is its gate, None where no evals are declared."""
    chosen, spec = draft.obs.eval_set, draft.obs.spec
    return eval_run_name(wanted, chosen.hash) if chosen and spec and spec.evals else None


def _known_run(draft: Draft, wanted: str) -> str | None:
    """The run that was its gate: of the set as it is now, or else the one that it passed."""
    runs, now = draft.obs.eval_runs, _eval_run(draft, wanted)
    passed = (name for name, run in runs.items() if name.rpartition("-")[0] == wanted and run.lets_through)
    return now if now in runs else next(passed, None)


def retry_asked(draft: Draft) -> tuple[Draft, bool]:
    """`<revision>/<attempt>` of the trial that ended: whether a new one is to begin."""
    value = ask(draft, RETRY)
    if value is None:
        return draft, False
    last = draft.status.rollout
    if last is None or last.outcome in (None, "Promoted"):
        return ignore(draft, RETRY, value, "no revision has failed"), False
    if value != last.trial:
        return ignore(draft, RETRY, value, f"the last trial is {last.trial}"), False
    if last.revision != draft.wanted:
        return ignore(draft, RETRY, value, f"the spec asks for {draft.wanted} now"), False
    return draft.handle(handled_entry(RETRY, value)), True
