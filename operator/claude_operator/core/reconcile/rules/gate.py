"""What must be true before the first live request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from claude_operator.api.conditions import Reason
from claude_operator.api.evals import EvalRunStatus
from claude_operator.core import render
from claude_operator.core.evals.asked import spec_hash
from claude_operator.core.evals.gate import RunReason
from claude_operator.core.evals.outside import called, calls_sentence
from claude_operator.core.evals.runs import FINAL
from claude_operator.core.names import eval_run_name
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.holds import gateways
from claude_operator.core.reconcile.progress import active
from claude_operator.core.reconcile.track_record import remembered
from claude_operator.core.spec import revision

__all__ = ["gate"]

Object = dict[str, Any]

_EVAL_POLL = 5.0  # seconds; the run's own changes wake us earlier


def gate(draft: Draft) -> Draft:
    """Hold until the eval run has passed; then the revision is a canary without traffic, or the first to serve."""
    rollout, spec = active(draft.status), draft.obs.spec
    if rollout is None or spec is None or draft.status.canary_revision:
        return draft
    if rollout.revision not in draft.obs.revisions:
        return draft.hold_for(Reason.PROGRESSING, f"{rollout.revision} is being created").requeue_in(0.0).stop()
    draft = _run(draft)
    if draft.stray_run is not None:
        return draft.hold_for(Reason.WAITING_FOR_EVAL, f"{rollout.eval_run} is being made again").stop()
    if spec.evals is not None and spec.evals.required:
        draft = _await(draft)
        if draft.done:
            return draft
    if spec.paused:
        return draft.hold_for(Reason.PAUSED, f"spec.paused holds {rollout.revision} before its first request").stop()
    if draft.status.stable_revision is None:
        # Where the config is gone and gateways serve from memory, it is written again with this revision in it.
        if draft.obs.config is not None or not remembered(draft.obs):
            draft = gateways(draft)
        if draft.hold:
            return draft.stop()
        message = f"{rollout.revision} is the first revision and serves 100 %"
        first = draft.set(stable_revision=rollout.revision).end("Promoted", Reason.PROMOTED, message)
        return first.record_event(Reason.PROMOTED, message).stop()
    return draft.set(canary_revision=rollout.revision)


def _run(draft: Draft) -> Draft:
    """Have the run of the set as it is now, unless one of an earlier set has passed or failed already."""
    rollout, chosen, spec = active(draft.status), draft.obs.eval_set, draft.obs.spec
    if rollout is None or chosen is None or spec is None or spec.evals is None:
        return draft
    found = draft.obs.eval_runs.get(rollout.eval_run or "")
    current = eval_run_name(rollout.revision, chosen.hash)
    if current != rollout.eval_run and not (found and (found.lets_through or found.phase == "Failed")):
        draft = draft.set_rollout(eval_run=current, eval_run_spec=None)
        found = draft.obs.eval_runs.get(current)
    upstream = draft.obs.owner["spec"].get("upstream") or {}
    wanted = render.eval_run(
        draft.obs.owner, rollout.revision, draft.status.stable_revision, chosen.name, chosen.hash, upstream
    )
    if found is not None:
        return _checked(draft, found, wanted)
    made = replace(draft.set_rollout(eval_run_spec=spec_hash(wanted["spec"])), new_run=wanted)
    warning = _calls(draft, wanted["spec"])
    return made.record_event(Reason.EVAL_CALLS_SERVERS, f"{current}: {warning}", warning=True) if warning else made


def _calls(draft: Draft, asked: Object) -> str:
    """A warning that names what the run will really call, empty where that is nothing."""
    if asked.get("mcp") == "Off" or draft.obs.eval_set is None:
        return ""
    stored = [draft.obs.revisions.get(asked.get(field) or "") for field in ("revision", "baselineRevision")]
    arms = [revision.arm(one, "canary", 0) for one in stored if one is not None]
    unknown = {name: 0 for arm in arms for name in ("", *arm.subagents)}
    return calls_sentence(called(arms, draft.obs.eval_set.asked or unknown))


def _checked(draft: Draft, found: EvalRunStatus, wanted: Object) -> Draft:
    """The run that is there, if it is what was asked; else it is deleted, and the next pass asks again.

    Where status does not have what was asked, the run may have been made just before that was written, or by an
    operator from before specs were compared: then it is what would be asked now. Or an earlier rollout asked for it.
    """
    rollout = active(draft.status)
    if rollout is None or rollout.eval_run is None:
        return draft
    live = draft.obs.run_objects[rollout.eval_run]
    is_spec, asked = spec_hash(live["spec"]), rollout.eval_run_spec
    earlier = found.phase in FINAL and found.spec_hash == is_spec
    if asked is None and (earlier or is_spec == spec_hash(wanted["spec"])):
        asked = is_spec
    if asked == is_spec and found.reason != RunReason.NOT_ASKED:
        edited = found.phase not in FINAL and live["spec"].get("mcp") != wanted["spec"].get("mcp")
        return _again(draft, live, wanted) if edited else draft.set_rollout(eval_run_spec=asked)
    note = (
        f"{rollout.eval_run} is not the run that the operator asked for: somebody made another one under its"
        " name. The operator deletes it and makes its own; find out who made it"
    )
    return _again(draft, live, wanted).record_event(Reason.EVAL_RUN_REPLACED, note, warning=True)


def _again(draft: Draft, live: Mapping[str, Any], wanted: Object) -> Draft:
    """Delete the run; the next pass makes what is wanted."""
    metadata = {key: live["metadata"].get(key) for key in ("name", "namespace", "uid")}
    again = draft.set_rollout(eval_run=wanted["metadata"]["name"], eval_run_spec=None).requeue_in(0.0)
    return replace(again, stray_run={"kind": "ClaudeEvalRun", "metadata": metadata})


def _await(draft: Draft) -> Draft:
    rollout = active(draft.status)
    name = (rollout.eval_run if rollout else None) or ""
    run = draft.obs.eval_runs.get(name)
    if run is None:
        return draft.hold_for(Reason.WAITING_FOR_EVAL, f"{name} is being created").requeue_in(_EVAL_POLL).stop()
    if run.lets_through:
        return draft
    match run.phase:
        case "Failed":
            message = f"{name}: {run.message}"
            return draft.end("EvalFailed", run.reason or Reason.EVAL_FAILED, message).stop()
        case "Inconclusive":
            helps = f"change the eval set, or delete ClaudeEvalRun {name} to run it again"
            return draft.hold_for(Reason.EVAL_INCONCLUSIVE, f"{name}: {run.message}. To go on: {helps}").stop()
        case "Error":
            return draft.hold_for(Reason.EVAL_ERROR, f"{name}: {run.message}").requeue_in(_EVAL_POLL).stop()
        case _:
            done = f", {run.done} of {run.total} items" if run.total else ""
            trouble = f"; {run.message}" if run.message else ""
            return (
                draft.hold_for(Reason.WAITING_FOR_EVAL, f"{name} is running{done}{trouble}")
                .requeue_in(_EVAL_POLL)
                .stop()
            )
