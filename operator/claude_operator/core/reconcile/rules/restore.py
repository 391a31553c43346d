"""Revisions that somebody deleted: those that serve or are on trial are made again, from what the gateways are told."""

from __future__ import annotations

from dataclasses import replace

from claude_operator.api.conditions import Reason
from claude_operator.core import render
from claude_operator.core.reconcile.annotations import PROMOTE, ask, asked_by, handled_entry, promotion
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.drain import former
from claude_operator.core.reconcile.progress import active
from claude_operator.core.reconcile.promotion import promote
from claude_operator.core.reconcile.track_record import is_lost
from claude_operator.core.spec import revision

__all__ = ["restore", "without_stable"]


def restore(draft: Draft) -> Draft:
    """With an object for each arm of the live config that has lost its own; where the content is not its name's, none.

    What stands in the spec is made of that, with the next revision.
    """
    obs, status = draft.obs, draft.status
    if obs.config is None or draft.backward:
        return draft
    for arm in obs.config.arms:
        serves = arm.revision in (status.stable_revision, status.canary_revision, former(obs, status))
        if arm.revision in obs.revisions or arm.revision in obs.forged or not serves:
            continue
        spec = revision.spec_of(arm, obs.name)
        if spec is not None:
            made = render.revision(obs.owner, arm.revision, spec)
            note = f"Recreated {arm.revision}, which was deleted, from the live configuration"
            draft = replace(draft, restored=(*draft.restored, made)).record_event(
                Reason.REVISION_RESTORED, note, warning=True
            )
    return draft


def without_stable(draft: Draft) -> Draft:
    """Gateways keep serving from memory, and nothing moves, until a person has the new revision serve everything."""
    rollout = active(draft.status)
    if (
        rollout is None
        or draft.status.canary_revision is None
        or not is_lost(draft.obs, draft.status.stable_revision, draft.wanted)
    ):
        return draft
    value = ask(draft, PROMOTE) or ""
    if value == promotion(rollout, "full"):
        return promote(draft.handle(handled_entry(PROMOTE, value)), asked_by(draft, PROMOTE))
    command = draft.obs.ask_by(PROMOTE, promotion(rollout, "full"))
    helps = f"apply the spec that it was made of, or: {command}"
    note = f"{draft.status.stable_revision} exists only in the memory of the gateways, so the rollout waits: {helps}"
    return draft.hold_for(Reason.REVISION_LOST, note)
