"""What is wrong with a spec by all that a pass knows of it and of what serves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.catalogue.lifecycle import models_in_use
from claude_operator.core.catalogue.own_prices import book_of
from claude_operator.core.evals.live import live_problem
from claude_operator.core.judge import assessment
from claude_operator.core.reconcile import grading
from claude_operator.core.reconcile.drain import former
from claude_operator.core.reconcile.gateway_config import LIMIT, rendered_size
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.prices import with_new
from claude_operator.core.spec import revision
from claude_operator.core.spec.budgets import is_judged
from claude_operator.core.spec.policy import addresses
from claude_operator.core.spec.validate import Problem, problems, warning

__all__ = ["explain_doubts", "serves_already", "size_problem", "spec_problems"]


def spec_problems(obs: Observation, status: DeploymentStatus) -> list[Problem]:
    """Everything wrong with the spec of a pass, missing references aside; empty where it may become a revision."""
    if obs.spec is None:
        return []
    found = problems(obs.spec, today=obs.now.date(), models=obs.models)
    if any(one.reason == Reason.INVALID_REQUEST for one in found) and serves_already(obs, status):
        found = [one for one in found if one.reason != Reason.INVALID_REQUEST]
    analysis = obs.spec.strategy.canary.analysis
    for lacks in assessment.missing(analysis, budgeted=any(map(is_judged, obs.spec.budgets or ()))):
        found.append(Problem(Reason.INVALID_SPEC, f"spec.strategy.canary.analysis.metrics: {lacks}"))
    found += _live_problems(obs, status, obs.spec)
    found += obs.policy.host_problems(addresses(obs.spec), obs.resolved)
    unsupported = assessment.unsupported(analysis)
    if not found and unsupported:
        found = [Problem(Reason.UNSUPPORTED_METRIC, unsupported)]
    return found


def explain_doubts(obs: Observation, status: DeploymentStatus) -> Problem | None:
    """What is accepted of the spec of a pass and yet hardly what is meant, or costs or risks something."""
    spec = obs.spec
    if spec is None:
        return None
    refused = _refused(obs, spec) if serves_already(obs, status) else []
    if refused:
        said = "; ".join(one.message for one in refused)
        return Problem(
            Reason.REQUEST_DOUBTFUL, f"only because it serves already; a new revision with it is refused: {said}"
        )
    return warning(spec, today=obs.now.date(), models=obs.models, prompts=obs.prompts)


def serves_already(obs: Observation, status: DeploymentStatus) -> bool:
    """Whether the spec asks for what serves: what was let in once can be scaled and paused whatever is refused now."""
    stable = obs.revisions.get(status.stable_revision or "")
    if stable is None or obs.problems:
        return False
    parts = revision.content(obs.owner["spec"], obs.prompts)
    return revision.name(obs.name, parts) == status.stable_revision and revision.is_made_of(stable, parts)


def _refused(obs: Observation, spec: DeploymentSpec) -> list[Problem]:
    found = problems(spec, today=obs.now.date(), models=obs.models)
    return [one for one in found if one.reason == Reason.INVALID_REQUEST]


def size_problem(obs: Observation, status: DeploymentStatus, made: Mapping[str, Any]) -> Problem | None:
    """Why a new revision has no room in the gateways' config beside what serves, None where it has."""
    sizes = rendered_size(obs, made, status.stable_revision, former(obs, status))
    return Problem(Reason.CONFIG_TOO_LARGE, _too_large(status, *sizes)) if sum(sizes) > LIMIT else None


def _live_problems(obs: Observation, status: DeploymentStatus, spec: DeploymentSpec) -> list[Problem]:
    """What is wrong with live grading: its checks, and its graders where they are models that answer."""
    live = grading.live_of(spec)
    if live is None or obs.eval_set is None:
        return []
    asked = models_in_use(obs.owner["spec"]["request"], obs.owner["spec"].get("subagents"))
    stable = obs.revisions.get(status.stable_revision or "")
    if stable is not None:
        asked += models_in_use(stable["spec"]["request"], stable["spec"].get("subagents"))
    told = obs.config.own_prices if obs.config is not None else {}  # a price may come after the grader
    why = live_problem(live, obs.eval_set.shared, asked, book_of(with_new(obs, told)))
    return [Problem(Reason.INVALID_SPEC, f"spec.{why}")] if why else []


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
