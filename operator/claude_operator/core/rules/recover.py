"""Facts that outlive a lost status write: what config.json says is so."""

from __future__ import annotations

from claude_operator.api.conditions import Reason
from claude_operator.api.gateway import Settled
from claude_operator.api.status import Outcome, Rollout, RolloutRecord
from claude_operator.core.draft import Draft, active
from claude_operator.core.rules import soak

__all__ = ["recover"]


def recover(draft: Draft) -> Draft:
    """Take over what is live: a stable arm that status does not know, and the end of a rollout."""
    config = draft.obs.config
    if config is None:
        return draft
    settled = config.settled
    stable = config.arm("stable")
    if draft.status.stable_revision is None and stable is not None:
        draft = draft.set(stable_revision=stable.revision)
    if settled is not None and draft.status.rollout is None and not draft.status.rollouts:
        draft = _status_was_lost(draft, settled)
    if settled is not None and settled.outcome != "Promoted":
        draft = _soak_ended(draft, settled)
    rollout = active(draft.status)
    if settled is None or rollout is None or (settled.revision, settled.attempt) != (rollout.revision, rollout.attempt):
        return draft
    ended = draft.end(_outcome(settled), settled.reason, settled.message)
    return ended.tell(Reason(settled.outcome), settled.message, warning=settled.outcome != "Promoted")


def _soak_ended(draft: Draft, settled: Settled) -> Draft:
    """A revision that status has as promoted was taken back after that."""
    soaking, rollout = soak.soaking(draft.status), draft.status.rollout
    if soaking is None or rollout is None or (settled.revision, settled.attempt) != (rollout.revision, rollout.attempt):
        return draft
    back = soak.taken_back(draft, soaking, _outcome(settled), settled.reason, settled.message)
    return back.tell(Reason(settled.outcome), settled.message, warning=True)


def _status_was_lost(draft: Draft, settled: Settled) -> Draft:
    outcome = _outcome(settled)
    known = {"revision": settled.revision, "attempt": settled.attempt, "outcome": outcome}
    said = {"reason": settled.reason, "message": settled.message}
    return draft.set(rollout=Rollout(**known, **said), rollouts=[RolloutRecord(**known, **said)])


def _outcome(settled: Settled) -> Outcome:
    outcome: Outcome = settled.outcome  # type: ignore[assignment]  # written by us; pydantic checks it
    return outcome
