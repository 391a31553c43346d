"""What a person asks for by annotation, each bound to what it meant: a stale one does nothing and is told once."""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

from claude_operator.api.base import GROUP
from claude_operator.api.conditions import Reason
from claude_operator.api.status import Rollout
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.progress import active

__all__ = ["ABORT", "PROMOTE", "RETRY", "abort", "ask", "ignore", "ignore_promote", "mark", "promotion", "retry_asked"]

ABORT = f"{GROUP}/abort"
PROMOTE = f"{GROUP}/promote"
RETRY = f"{GROUP}/retry"

_LONGEST = 128  # characters of a value that can mean something
_SAID = 64


def ask(draft: Draft, annotation: str) -> str | None:
    """The value of an annotation that nothing has come of yet."""
    value = draft.obs.annotations.get(annotation)
    return value if value and mark(annotation, value) not in draft.status.handled else None


def mark(annotation: str, value: str) -> str:
    """How status remembers it: what is longer than a name of a revision or step can be, by its hash."""
    known = value if len(value) <= _LONGEST else f"sha256:{sha256(value.encode('utf-8', 'replace')).hexdigest()}"
    return f"{annotation.partition('/')[2]}={known}"


def ignore(draft: Draft, annotation: str, value: str, present: str) -> Draft:
    """Say once that an annotation names something else than what there is."""
    said = value if len(value) <= _LONGEST else f"{value[:_SAID]}… ({len(value):,} characters)"
    note = f"{annotation}: {said} does nothing: {present}"
    return draft.handle(mark(annotation, value)).tell(Reason.ANNOTATION_IGNORED, note, warning=True)


def abort(draft: Draft) -> Draft:
    """`<revision>/<attempt>`: a person takes the canary's traffic back."""
    value = ask(draft, ABORT)
    if value is None:
        return draft
    rollout = active(draft.status)
    ended = draft.status.rollout
    if ended and ended.outcome == "Aborted" and value == f"{ended.revision}/{ended.attempt}":
        return draft.handle(mark(ABORT, value))  # done, but a status write that told so was lost
    if rollout is None:
        return ignore(draft, ABORT, value, "no rollout is under way")
    if value != f"{rollout.revision}/{rollout.attempt}":
        return ignore(draft, ABORT, value, f"the rollout under way is {rollout.revision}/{rollout.attempt}")
    at = f" at {draft.status.step.weight:g} %" if draft.status.step else " before its first request"
    message = f"Aborted {rollout.revision}{at}, as annotated"
    return (
        draft.handle(mark(ABORT, value))
        .end("Aborted", Reason.ABORTED, message)
        .tell(Reason.ABORTED, message, warning=True)
    )


def retry_asked(draft: Draft) -> tuple[Draft, bool]:
    """`<revision>/<attempt>` of the trial that ended: whether a new one is to begin."""
    value = ask(draft, RETRY)
    if value is None:
        return draft, False
    last = draft.status.rollout
    if last is None or last.outcome in (None, "Promoted"):
        return ignore(draft, RETRY, value, "no revision has failed"), False
    if value != f"{last.revision}/{last.attempt}":
        return ignore(draft, RETRY, value, f"the last trial is {last.revision}/{last.attempt}"), False
    if last.revision != draft.wanted:
        return ignore(draft, RETRY, value, f"the spec asks for {draft.wanted} now"), False
    return draft.handle(mark(RETRY, value)), True


def promotion(rollout: Rollout, what: int | Literal["full"]) -> str:
    """What `promote` has to say to end a step of this attempt, or all that is left of its steps."""
    return f"{rollout.revision}/{rollout.attempt}/{what}"


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
        return ignore(draft, PROMOTE, value, "no rollout is under way")
    seen = active(draft.obs.status)
    if seen is None or (seen.revision, seen.attempt) != (rollout.revision, rollout.attempt):
        return ignore(draft, PROMOTE, value, f"{rollout.revision}/{rollout.attempt} has only just begun")
    if value == promotion(rollout, "full"):
        return draft
    if step is None:
        return ignore(draft, PROMOTE, value, f"{rollout.revision}/{rollout.attempt} has not begun its steps")
    if value != promotion(rollout, step.index):
        return ignore(draft, PROMOTE, value, f"the present step is {promotion(rollout, step.index)}")
    return draft
