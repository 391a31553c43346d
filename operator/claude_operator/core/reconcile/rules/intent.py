"""What a person asks for by annotation, each bound to what it meant: a stale one does nothing and is reported once."""

from __future__ import annotations

from claude_operator.api.conditions import Reason
from claude_operator.core.reconcile.annotations import ABORT, PROMOTE, ask, asked_by, handled_entry, ignore, promotion
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.progress import active

__all__ = ["abort", "ignore_promote"]


def abort(draft: Draft) -> Draft:
    """`<revision>/<attempt>`: a person takes the canary's traffic back."""
    value = ask(draft, ABORT)
    if value is None:
        return draft
    rollout = active(draft.status)
    ended = draft.status.rollout
    if ended and ended.outcome == "Aborted" and value == ended.trial:
        return draft.handle(handled_entry(ABORT, value))  # done, but a status write that said so was lost
    if rollout is None:
        return ignore(draft, ABORT, value, _way_back(draft, value))
    if value != rollout.trial:
        return ignore(draft, ABORT, value, f"the rollout in progress is {rollout.trial}")
    at = f" at {draft.status.step.weight:g} %" if draft.status.step else " before its first request"
    message = f"Aborted {rollout.revision}{at}, {asked_by(draft, ABORT)}"
    return (
        draft.handle(handled_entry(ABORT, value))
        .end("Aborted", Reason.ABORTED, message)
        .record_event(Reason.ABORTED, message, warning=True)
    )


def _way_back(draft: Draft, value: str) -> str:
    """Why an abort comes too late, and how the revision that served before serves again."""
    ended, replaced = draft.status.rollout, draft.status.replaced
    if ended is None or ended.outcome != "Promoted" or value != ended.trial:
        return "no rollout is in progress"
    too_late = f"{ended.revision} is promoted already"
    if replaced is None:
        return too_late
    namespace = draft.obs.owner["metadata"]["namespace"]
    shown = f"kubectl -n {namespace} get clr {replaced.revision} -o yaml shows it"
    return f"{too_late}. To go back to {replaced.revision}, apply its spec again: {shown}"


def ignore_promote(draft: Draft) -> Draft:
    """Answer a promote that names neither this attempt nor its present step.

    It is said of what a person could see, which is the status before this pass: one that is written along with the
    retry that begins the attempt was said of none.
    """
    value = ask(draft, PROMOTE)
    if value is None:
        return draft
    rollout, step = active(draft.status), draft.status.step
    if rollout is None:
        return ignore(draft, PROMOTE, value, "no rollout is in progress")
    seen = active(draft.obs.status)
    if seen is None or (seen.revision, seen.attempt) != (rollout.revision, rollout.attempt):
        return ignore(draft, PROMOTE, value, f"{rollout.trial} has just started")
    if value == promotion(rollout, "full"):
        return draft
    if step is None:
        return ignore(draft, PROMOTE, value, f"{rollout.trial} has not started its steps")
    if value != promotion(rollout, step.index):
        return ignore(draft, PROMOTE, value, f"the current step is {promotion(rollout, step.index)}")
    return draft
