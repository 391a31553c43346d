"""What becomes of old revisions and eval runs, and what a ClaudeRevision says of itself."""

from __future__ import annotations

from typing import Any

from claude_operator.api.evals import EvalRunStatus
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.evals.runs import FINAL
from claude_operator.core.reconcile.decision import RevisionState
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.progress import active, soaking, window_left
from claude_operator.core.reconcile.track_record import FAILED

__all__ = ["HISTORY", "outdated", "revision_states"]

Object = dict[str, Any]

HISTORY = 4 * 2**20
"""Bytes of all old revisions of one ClaudeDeployment that are kept: every pass reads them."""


def revision_states(draft: Draft) -> tuple[RevisionState, ...]:
    """What changed in what the ClaudeRevisions say of themselves."""
    obs, status = draft.obs, draft.status
    phases: dict[str, str] = {}
    for name, run in sorted(obs.eval_runs.items(), key=lambda item: item[1].started_at or obs.now):  # the newest wins
        phases[name.rpartition("-")[0]] = run.phase
    found = []
    for name, revision in obs.revisions.items():
        stored = revision.get("status") or {}
        state = RevisionState(name, _state(status, name, str(stored.get("state") or "")), phases.get(name, ""))
        if (stored.get("state"), stored.get("eval")) != (state.state, state.eval):
            found.append(state)
    return tuple(found)


def _state(status: DeploymentStatus, name: str, stored: str) -> str:
    """`stored` is what it says now: what failed stays so though status forgets it, and only what has served is old."""
    if name == status.stable_revision:
        return "Stable"
    if name == status.canary_revision:
        return "Canary"
    rollout = active(status)
    if rollout is not None and rollout.revision == name:
        return "Candidate"
    ended = next((one for one in reversed(status.rollouts) if one.revision == name), None)
    if (ended and ended.outcome in FAILED) or stored == "Failed":
        return "Failed"
    return "Superseded" if stored in ("Candidate", "Canary", "Superseded") else "Old"


def outdated(draft: Draft) -> tuple[Object, ...]:
    """Revisions beyond the history's limits, oldest first, and their eval runs; never one that serves or is wanted."""
    obs, status = draft.obs, draft.status
    if obs.spec is None or (status.stable_revision and status.stable_revision not in obs.revisions):
        return ()  # where something is missing nothing is thrown away
    needed = {status.stable_revision, status.canary_revision, draft.wanted, status.rollout and status.rollout.revision}
    needed |= _may_return(draft) | {arm.revision for arm in (obs.config.arms if obs.config else ())}
    old = [revision for name, revision in obs.revisions.items() if name not in needed]
    old.sort(key=lambda revision: (revision["metadata"].get("creationTimestamp", ""), revision["metadata"]["name"]))
    keep = obs.spec.revision_history_limit
    gone = [revision["metadata"]["name"] for revision in (old[:-keep] if keep else old)]
    room = HISTORY
    for one in reversed([revision["metadata"]["name"] for revision in (old[-keep:] if keep else [])]):
        room -= obs.revision_sizes.get(one, 0)
        gone += [one] if room < 0 else []
    runs = [name for name in obs.eval_runs if name.rpartition("-")[0] in gone]
    runs += [name for name, run in obs.eval_runs.items() if name not in runs and _is_left(draft, name, run)]
    kinds = [("ClaudeRevision", name) for name in gone] + [("ClaudeEvalRun", name) for name in runs]
    namespace = obs.owner["metadata"]["namespace"]
    return tuple({"kind": kind, "metadata": {"name": name, "namespace": namespace}} for kind, name in kinds)


def _may_return(draft: Draft) -> set[str]:
    """What a soak or the rollback window may bring back, and what still has conversations."""
    soak, replaced = soaking(draft.status), draft.status.replaced
    found = {soak.previous} if soak else set()
    found |= {draft.status.draining.revision} if draft.status.draining else set()
    open_window = window_left(draft.status, draft.obs.spec, draft.obs.now) is not None
    return found | {replaced.revision} if replaced and open_window else found


def _is_left(draft: Draft, name: str, run: EvalRunStatus) -> bool:
    """Whether a run gates nothing any more and would never end: the set was changed, or the rollout gave way."""
    rollout = draft.status.rollout
    return run.phase not in FINAL and not (rollout and rollout.eval_run == name)
