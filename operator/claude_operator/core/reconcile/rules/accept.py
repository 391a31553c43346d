"""Whether the spec holds, and which revision it asks for."""

from __future__ import annotations

from dataclasses import replace

from claude_operator.api.conditions import Reason
from claude_operator.api.lifecycle import LifecyclePolicy
from claude_operator.api.status import DeploymentStatus
from claude_operator.core import render
from claude_operator.core.catalogue.lifecycle import models_in_use, policy_verdict
from claude_operator.core.reconcile.acceptance import size_problem, spec_problems
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.migration import explain_replaced
from claude_operator.core.reconcile.models_used import platform_of
from claude_operator.core.reconcile.progress import active
from claude_operator.core.reconcile.trust import forged
from claude_operator.core.spec import revision
from claude_operator.core.spec.validate import Problem

__all__ = ["check", "name_revision", "stop_unaccepted"]


def check(draft: Draft) -> Draft:
    """The first thing that is wrong with the spec; references first, since they mend themselves."""
    obs = draft.obs
    if obs.problems or obs.spec is None:
        return replace(draft, problem=obs.problems[0] if obs.problems else None)
    found = spec_problems(obs, draft.status)
    if not found:
        return draft
    message = "; ".join(problem.message for problem in found)
    if any(problem.reason == Reason.INVALID_REQUEST for problem in found):
        message += explain_replaced(draft.status.migration)
    return replace(draft, problem=Problem(found[0].reason, message))


def name_revision(draft: Draft) -> Draft:
    """The revision of an accepted spec, and its object where there is none; a model may not be let in."""
    obs = draft.obs
    if draft.problem or obs.spec is None:
        return draft
    parts = revision.content(obs.owner["spec"], obs.prompts)
    wanted = revision.name(obs.name, parts)
    if wanted in obs.revisions and not revision.is_made_of(obs.revisions[wanted], parts):
        return replace(draft, problem=forged(wanted, obs.owner["metadata"]["namespace"]))
    if wanted in obs.revisions and (refusal := _comes_back_retired(draft, wanted, obs.spec.lifecycle)):
        return replace(draft, problem=Problem(Reason.MODEL_REJECTED, refusal))
    if wanted in obs.revisions or any(one["metadata"]["name"] == wanted for one in draft.restored):
        return replace(draft, wanted=wanted)
    fields = revision.revision_spec(parts)
    made = render.revision(obs.owner, wanted, fields)
    if wanted in _known(draft.status):  # deleted by hand: nothing new is let in
        note = f"Recreated {wanted}, which was deleted, from the spec"
        again = replace(draft, wanted=wanted, new_revision=made)
        return again.record_event(Reason.REVISION_RESTORED, note, warning=True).requeue_in(0.0)
    models = models_in_use(fields["request"], fields.get("subagents"))
    refusal = policy_verdict(
        obs.spec.lifecycle, models, today=obs.now.date(), overrides=obs.models, platform=platform_of(obs)
    )
    if refusal:
        return replace(draft, problem=Problem(Reason.MODEL_REJECTED, refusal))
    too_large = size_problem(obs, draft.status, made)
    if too_large is not None:
        return replace(draft, problem=too_large)
    made_known = replace(draft, wanted=wanted, new_revision=made)
    return made_known.record_event(Reason.REVISION_CREATED, f"Created {wanted}").requeue_in(0.0)


def _comes_back_retired(draft: Draft, wanted: str, policy: LifecyclePolicy) -> str | None:
    """Why a revision of earlier does not serve again: its model is Retired meanwhile, and spec.lifecycle refuses that.

    What serves or is on trial stays; a Legacy or Deprecated model still answers, so that its revision may come back.
    """
    obs, status, rollout = draft.obs, draft.status, active(draft.status)
    if wanted in (status.stable_revision, status.canary_revision, rollout.revision if rollout else None):
        return None
    content = obs.revisions[wanted]["spec"]
    models = models_in_use(content["request"], content.get("subagents"))
    only = LifecyclePolicy(on_legacy="Ignore", on_deprecated="Ignore", on_retired=policy.on_retired)
    found = policy_verdict(only, models, today=obs.now.date(), overrides=obs.models, platform=platform_of(obs))
    return f"{wanted} cannot come back: {found}" if found else None


def stop_unaccepted(draft: Draft) -> Draft:
    """Nothing moves forward while the spec is not accepted; the last good revision keeps serving."""
    if draft.problem is None:
        return draft
    if active(draft.status):
        draft = draft.hold_for(draft.problem.reason, f"held: the spec is not accepted: {draft.problem.message}")
    return draft.stop()


def _known(status: DeploymentStatus) -> set[str]:
    """Revisions that have been let in: what serves, and what may come back to that."""
    found = {status.stable_revision, status.canary_revision}
    found |= {status.soak.previous if status.soak else None, status.replaced.revision if status.replaced else None}
    found |= {status.draining.revision if status.draining else None}
    return {name for name in found if name}
