"""Why a revision failed, in the words of the API."""

from __future__ import annotations

from claude_operator.api.conditions import Reason
from claude_operator.api.status import Judgement
from claude_operator.core.judge.diagnosis import reason_of
from claude_operator.core.reconcile.draft import Draft

__all__ = ["explain_errors"]


def explain_errors(draft: Draft, revision: str, judgement: Judgement) -> str:
    """The commonest error of a revision that is rolled back for its errors, as the rest of a sentence, or empty."""
    increments = draft.obs.increments
    if increments is None or reason_of(judgement) != Reason.ERRORS_INCREASED:
        return ""
    error = increments.commonest_failure(revision)
    return f"; its commonest error: {error}" if error else ""
