"""After promotion: the revision is watched for a while at 100 %, and the former one comes back on evidence of harm.

A soak lives as long as its rollout is the last one: a new trial ends it.
"""

from __future__ import annotations

import datetime as dt

from claude_operator.api.conditions import Reason
from claude_operator.api.status import Judgement, Rollout, SoakStatus
from claude_operator.core.judge import soak as judge
from claude_operator.core.judge.diagnosis import is_uninformative, reason_of
from claude_operator.core.reconcile.annotations import ABORT, ask, asked_by, handled_entry, ignore
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.explanation import explain_errors
from claude_operator.core.reconcile.models_used import explain_retired
from claude_operator.core.reconcile.notice import Notice
from claude_operator.core.reconcile.prices import cost_ratio
from claude_operator.core.reconcile.progress import soaking
from claude_operator.core.reconcile.promotion import take_back
from claude_operator.core.text import count

__all__ = ["abort", "roll_back", "watch"]


def watch(draft: Draft) -> Draft:
    """Let the judge see a tick of the revision that soaks; past its time the soak is over, and nothing is reported."""
    soak, rollout, obs = soaking(draft.status), draft.status.rollout, draft.obs
    if soak is None or rollout is None:
        return draft.set(soak=None) if draft.status.soak else draft
    if obs.increments is not None:
        ratio = cost_ratio(obs, soak.previous, soak.revision)
        judged = judge.assess(soak, rollout.plan.analysis, obs.increments, now=obs.now, price_ratio=ratio)
        update: dict[str, object] = {"judgement": judged}
        last = soak.judgement.last_tick if soak.judgement else None
        if last is not None and is_uninformative(judged):  # this time does not count
            update["until"] = soak.until + max(obs.now - last, dt.timedelta())
        soak = soak.model_copy(update=update)
        draft = draft.set(soak=soak)
    left = (soak.until - obs.now).total_seconds()
    if left > 0 or _harm(soak):
        return draft.requeue_in(left) if left > 0 else draft
    if obs.increments is None:  # the last part is judged before it ends
        return draft
    seen = soak.judgement.requests if soak.judgement else 0
    note = f"The soak of {soak.revision} is over: {count(seen, 'request')} compared with the history of {soak.previous}"
    return draft.set(soak=None).record_event(Reason.SOAKED, note)


def roll_back(draft: Draft) -> Draft:
    """The former revision serves 100 % again in the pass that sees the evidence, whatever the spec."""
    soak, rollout = soaking(draft.status), draft.status.rollout
    harm = _harm(soak) if soak else None
    if soak is None or rollout is None or harm is None:
        return draft
    if _unfit(draft, soak):
        return _stays(draft, soak, rollout, harm)
    why = explain_errors(draft, soak.revision, harm)
    message = f"Rolled back {soak.revision} after its promotion: {harm.message}{why}"
    back = take_back(draft, soak, "RolledBack", reason_of(harm), message)
    return back.record_event(Reason.ROLLED_BACK, message, warning=True)


def abort(draft: Draft) -> Draft:
    """`<revision>/<attempt>` of the revision that soaks: a person has the former one serve again."""
    soak, rollout, value = soaking(draft.status), draft.status.rollout, ask(draft, ABORT)
    if soak is None or rollout is None or value is None or value != rollout.trial:
        return draft
    if unfit := _unfit(draft, soak):
        return ignore(draft, ABORT, value, f"{soak.previous}, which served before, cannot come back: {unfit}")
    message = f"Aborted {soak.revision} after its promotion, {asked_by(draft, ABORT)}"
    back = take_back(draft.handle(handled_entry(ABORT, value)), soak, "Aborted", Reason.ABORTED, message)
    return back.record_event(Reason.ABORTED, message, warning=True)


def _unfit(draft: Draft, soak: SoakStatus) -> str:
    """Why the former revision cannot come back, empty where it can."""
    if soak.previous not in draft.obs.revisions:
        return "it no longer exists"
    return explain_retired(draft.obs, soak.previous, beside=soak.revision)


def _harm(soak: SoakStatus) -> Judgement | None:
    return soak.judgement if soak.judgement and soak.judgement.verdict == "Fail" else None


def _stays(draft: Draft, soak: SoakStatus, rollout: Rollout, harm: Judgement) -> Draft:
    """What is worse than before still serves better than nothing; said once, and by the condition until it ends."""
    if soak.until <= draft.obs.now:
        draft = draft.set(soak=None)
    notice = Notice("soak", rollout.trial, "gone")
    if draft.has_handled(notice):
        return draft
    note = (
        f"{soak.revision} keeps serving, since {soak.previous} cannot come back: {_unfit(draft, soak)}. {harm.message}"
    )
    return draft.handle(notice).record_event(reason_of(harm), note, warning=True)
