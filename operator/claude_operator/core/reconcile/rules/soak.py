"""After promotion: the revision is watched for a while at 100 %, and the former one comes back on evidence of harm.

A soak lives as long as its rollout is the last one: a new trial ends it.
"""

from __future__ import annotations

import datetime as dt

from claude_operator.api.base import fraction, seconds
from claude_operator.api.conditions import Reason
from claude_operator.api.status import Judgement, Outcome, Rollout, SoakStatus
from claude_operator.core.judge import sentences
from claude_operator.core.judge import soak as judge
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.progress import soaking
from claude_operator.core.reconcile.rules.analysis import dearer
from claude_operator.core.reconcile.rules.intent import ABORT, ask, ignore, mark
from claude_operator.core.text import count, duration

__all__ = ["abort", "begun", "roll_back", "superseded", "taken_back", "watch"]


def begun(draft: Draft, rollout: Rollout, previous: str | None) -> tuple[Draft, str]:
    """With the soak that the plan asks for after a promotion, and what is to be said of it.

    `draft.status.judgement` is the rollout's: what stable was like in it is what the revision is held against.
    """
    wanted = rollout.plan.soak
    if wanted is None or previous is None:
        return draft, ""
    known = judge.history(draft.status.judgement, rollout.plan.analysis)
    if not known:
        return draft, f"; it is not watched any further: nothing was compared with {previous}"
    now = draft.obs.now
    soak = SoakStatus(
        revision=rollout.revision,
        previous=previous,
        started_at=now,
        until=now + dt.timedelta(seconds=seconds(wanted.duration)),
        max_increase=fraction(wanted.max_increase),
        history=known,
        judgement=judge.new_judgement(rollout.plan.analysis, now),
    )
    return draft.set(soak=soak), f"; watched for {duration(seconds(wanted.duration))} more"


def superseded(draft: Draft) -> tuple[Draft, str]:
    """Without the soak, since another revision is put on trial, and what is to be said of it."""
    soak = soaking(draft.status)
    if soak is None:
        return draft.set(soak=None), ""
    left = max((soak.until - draft.obs.now).total_seconds(), 0.0)
    return draft.set(soak=None), f"; the soak of {soak.revision} ends {duration(left)} early"


def watch(draft: Draft) -> Draft:
    """Let the judge see a tick of the revision that soaks; past its time the soak is over, and nothing is told."""
    soak, rollout, obs = soaking(draft.status), draft.status.rollout, draft.obs
    if soak is None or rollout is None:
        return draft.set(soak=None) if draft.status.soak else draft
    if obs.increments is not None:
        ratio = dearer(obs, soak.previous, soak.revision)
        judged = judge.assess(soak, rollout.plan.analysis, obs.increments, now=obs.now, price_ratio=ratio)
        update: dict[str, object] = {"judgement": judged}
        last = soak.judgement.last_tick if soak.judgement else None
        if last is not None and _says_nothing(judged):  # this time does not count
            update["until"] = soak.until + max(obs.now - last, dt.timedelta())
        soak = soak.model_copy(update=update)
        draft = draft.set(soak=soak)
    left = (soak.until - obs.now).total_seconds()
    if left > 0 or _harm(soak):
        return draft.within(left) if left > 0 else draft
    if obs.increments is None:  # the last part is judged before it ends
        return draft
    seen = soak.judgement.requests if soak.judgement else 0
    note = f"{soak.revision} has soaked: {count(seen, 'request')} judged against what {soak.previous} was like"
    return draft.set(soak=None).tell(Reason.SOAKED, note)


def _says_nothing(judgement: Judgement) -> bool:
    """Whether the upstream is in such trouble that a soak learns nothing of the revision."""
    return bool(judgement.overloaded or sentences.account(judgement))


def roll_back(draft: Draft) -> Draft:
    """The former revision serves 100 % again in the pass that sees the evidence, whatever the spec."""
    soak, rollout = soaking(draft.status), draft.status.rollout
    harm = _harm(soak) if soak else None
    if soak is None or rollout is None or harm is None:
        return draft
    if soak.previous not in draft.obs.revisions:
        return _stays(draft, soak, rollout, harm)
    message = f"Rolled back {soak.revision} after its promotion: {harm.message}"
    back = taken_back(draft, soak, "RolledBack", sentences.reason(harm), message)
    return back.tell(Reason.ROLLED_BACK, message, warning=True)


def abort(draft: Draft) -> Draft:
    """`<revision>/<attempt>` of the revision that soaks: a person has the former one serve again."""
    soak, rollout, value = soaking(draft.status), draft.status.rollout, ask(draft, ABORT)
    if soak is None or rollout is None or value is None or value != f"{rollout.revision}/{rollout.attempt}":
        return draft
    if soak.previous not in draft.obs.revisions:
        return ignore(draft, ABORT, value, f"{soak.previous}, which served before, is gone")
    message = f"Aborted {soak.revision} after its promotion, as annotated"
    back = taken_back(draft.handle(mark(ABORT, value)), soak, "Aborted", Reason.ABORTED, message)
    return back.tell(Reason.ABORTED, message, warning=True)


def taken_back(draft: Draft, soak: SoakStatus, outcome: Outcome, reason: str, message: str) -> Draft:
    """The former revision serves again, and the rollout has ended otherwise than it seemed."""
    judged = soak.judgement or draft.status.judgement
    before = draft.set(stable_revision=soak.previous, soak=None, replaced=None, judgement=judged)
    return before.end(outcome, reason, message)


def _harm(soak: SoakStatus) -> Judgement | None:
    return soak.judgement if soak.judgement and soak.judgement.verdict == "Fail" else None


def _stays(draft: Draft, soak: SoakStatus, rollout: Rollout, harm: Judgement) -> Draft:
    """What is worse than before still serves better than nothing; said once, and by the condition until it ends."""
    if soak.until <= draft.obs.now:
        draft = draft.set(soak=None)
    told = f"soak:{rollout.revision}/{rollout.attempt}:gone"
    if told in draft.status.handled:
        return draft
    note = f"{soak.revision} goes on serving, since {soak.previous} is gone: {harm.message}"
    return draft.handle(told).tell(sentences.reason(harm), note, warning=True)
