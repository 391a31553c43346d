"""Why a revision failed, in the words of the API."""

from __future__ import annotations

from claude_operator.api.conditions import Reason
from claude_operator.api.status import Judgement
from claude_operator.core.judge.diagnosis import reason_of
from claude_operator.core.judge.evidence import callers
from claude_operator.core.reconcile.draft import Draft

__all__ = ["explain_errors"]


def explain_errors(draft: Draft, revision: str, judgement: Judgement) -> str:
    """Of a revision that is rolled back for its errors the commonest, and whether one key has most, or empty."""
    increments = draft.obs.increments
    if increments is None or reason_of(judgement) != Reason.ERRORS_INCREASED:
        return ""
    error = increments.commonest_failure(revision)
    most = callers.explain_errors(increments.callers.get(revision, {}))
    return f"{f'; {most}' if most else ''}{f'; its commonest error: {error}' if error else ''}"
