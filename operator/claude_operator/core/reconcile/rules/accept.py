"""Whether the spec holds, and which revision it asks for."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.lifecycle import LifecyclePolicy
from claude_operator.api.status import DeploymentStatus
from claude_operator.core import render
from claude_operator.core.catalogue.lifecycle import models_in_use, policy_verdict
from claude_operator.core.catalogue.own_prices import book_of
from claude_operator.core.evals.live import live_problem
from claude_operator.core.judge import assessment
from claude_operator.core.reconcile import grading
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.drain import former
from claude_operator.core.reconcile.gateway_config import LIMIT, rendered_size
from claude_operator.core.reconcile.models_used import platform_of
from claude_operator.core.reconcile.prices import with_new
from claude_operator.core.reconcile.progress import active
from claude_operator.core.reconcile.trust import forged
from claude_operator.core.spec import revision
from claude_operator.core.spec.budgets import allowed
from claude_operator.core.spec.policy import addresses
from claude_operator.core.spec.validate import Problem, problems

__all__ = ["check", "name_revision", "stop_unaccepted"]


def check(draft: Draft) -> Draft:
    """The first thing that is wrong with the spec; references first, since they mend themselves."""
    obs = draft.obs
    if obs.problems or obs.spec is None:
        return replace(draft, problem=obs.problems[0] if obs.problems else None)
    found = problems(obs.spec, today=obs.now.date(), models=obs.models)
    analysis = obs.spec.strategy.canary.analysis
    for lacks in assessment.missing(analysis, budgeted=any(map(allowed, obs.spec.budgets or ()))):
        found.append(Problem(Reason.INVALID_SPEC, f"spec.strategy.canary.analysis.metrics: {lacks}"))
    found += _live_problems(draft, obs.spec)
    found += obs.policy.host_problems(addresses(obs.spec), obs.resolved)
    unsupported = assessment.unsupported(analysis)
    if not found and unsupported:
        found = [Problem(Reason.UNSUPPORTED_METRIC, unsupported)]
    if len(found) > 1:
        found = [Problem(found[0].reason, "; ".join(problem.message for problem in found))]
    return replace(draft, problem=found[0]) if found else draft


def _live_problems(draft: Draft, spec: DeploymentSpec) -> list[Problem]:
    """What is wrong with live grading: its checks, and its graders where they are models that answer."""
    live, obs = grading.live_of(spec), draft.obs
    if live is None or obs.eval_set is None:
        return []
    asked = models_in_use(obs.owner["spec"]["request"], obs.owner["spec"].get("subagents"))
    stable = obs.revisions.get(draft.status.stable_revision or "")
    if stable is not None:
        asked += models_in_use(stable["spec"]["request"], stable["spec"].get("subagents"))
    told = obs.config.own_prices if obs.config is not None else {}  # a price may come after the grader
    why = live_problem(live, obs.eval_set.shared, asked, book_of(with_new(obs, told)))
    return [Problem(Reason.INVALID_SPEC, f"spec.{why}")] if why else []


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
    sizes = rendered_size(obs, made, draft.status.stable_revision, former(obs, draft.status))
    if sum(sizes) > LIMIT:
        return replace(draft, problem=Problem(Reason.CONFIG_TOO_LARGE, _too_large(draft.status, *sizes)))
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


def _too_large(status: DeploymentStatus, candidate: int, stable: int, kept: int) -> str:
    taken = f"the new revision takes {candidate:,} bytes of the gateway's config and stable {stable:,}"
    draining = status.draining
    if draining is None or candidate + stable > LIMIT:
        return f"{taken}, together more than {LIMIT:,}: shorten prompts or tool descriptions"
    until = draining.until.astimezone(dt.UTC)
    return (
        f"{taken}, and {draining.revision}, which keeps its conversations until {until:%H:%M:%SZ}, {kept:,},"
        f" together more than {LIMIT:,}: wait until then, shorten prompts or tool descriptions, or move those"
        f" conversations now with spec.strategy.canary.drain.maxAge: 0s"
    )
