"""A revision becomes stable, is watched for a while, and may be taken back after that."""

from __future__ import annotations

import datetime as dt

from claude_operator.api.base import fraction, seconds
from claude_operator.api.conditions import Reason
from claude_operator.api.status import Outcome, Replaced, Rollout, SoakStatus
from claude_operator.core.judge import soak as judge
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.drain import begin_drain
from claude_operator.core.reconcile.progress import active, soaking
from claude_operator.core.text import count, duration

__all__ = ["begin_soak", "end_soak", "promote", "take_back"]


def promote(draft: Draft, who: str = "") -> Draft:
    """The canary becomes stable; `who` has asked for it, where a person did."""
    rollout = active(draft.status)
    if rollout is None:
        return draft
    began = rollout.started_at
    after = f" after {duration((draft.obs.now - began).total_seconds())}" if began else ""
    seen = draft.status.judgement.requests if draft.status.judgement else 0
    previous = draft.status.stable_revision
    replaced = Replaced(revision=previous, at=draft.obs.now) if previous else None
    draft, further = begin_soak(draft, rollout, previous)
    message = f"Promoted {rollout.revision} to 100 %{after}; {count(seen, 'canary request')} judged{further}"
    message += f"; promoted {who}" if who else ""
    served = draft.set(stable_revision=rollout.revision, replaced=replaced)
    done = served.end("Promoted", Reason.PROMOTED, message).record_event(Reason.PROMOTED, message)
    return begin_drain(done, previous).stop()


def begin_soak(draft: Draft, rollout: Rollout, previous: str | None) -> tuple[Draft, str]:
    """With the soak that the plan asks for after a promotion, and what is to be said of it.

    `draft.status.judgement` is the rollout's: what stable was like in it is what the revision is held against.
    """
    wanted = rollout.plan.soak
    if wanted is None or previous is None:
        return draft, ""
    known = judge.history(draft.status.judgement, rollout.plan.analysis)
    if not known:
        return draft, f"; there is no soak: nothing was compared with {previous}"
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


def end_soak(draft: Draft) -> tuple[Draft, str]:
    """Without the soak, since another revision is put on trial, and what is to be said of it."""
    soak = soaking(draft.status)
    if soak is None:
        return draft.set(soak=None), ""
    left = max((soak.until - draft.obs.now).total_seconds(), 0.0)
    return draft.set(soak=None), f"; the soak of {soak.revision} ends {duration(left)} early"


def take_back(draft: Draft, soak: SoakStatus, outcome: Outcome, reason: str, message: str) -> Draft:
    """The former revision serves again, and the rollout has ended otherwise than it seemed."""
    judged = soak.judgement or draft.status.judgement
    before = draft.set(stable_revision=soak.previous, soak=None, replaced=None, draining=None, judgement=judged)
    return before.end(outcome, reason, message)
