"""What the grader of live answers is told, and whether there is something to grade."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from claude_operator.api.evals import EvalSetSpec
from claude_operator.api.gateway import Deployment
from claude_operator.api.grading import GradingPlan
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.catalogue.lifecycle import models_in_use
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.prices import prices_to_serve, with_new
from claude_operator.core.reconcile.progress import active

__all__ = ["grader_plan", "needs_grader"]


def needs_grader(status: DeploymentStatus) -> bool:
    """Whether there are, or will soon be, two arms whose answers are compared."""
    rollout = active(status)
    return rollout is not None and rollout.plan.grades is not None and status.stable_revision is not None


def grader_plan(obs: Observation, status: DeploymentStatus) -> GradingPlan | None:
    """The plan, None where no live answers are graded.

    Its arms are those of the rollout under way, none between rollouts: each rollout has a grader of its own, whose
    models are held to be none of these.
    """
    spec, rollout, metadata = obs.spec, active(status), obs.owner["metadata"]
    if spec is None or spec.evals is None or spec.evals.live is None:
        return None
    names = [one for one in (status.stable_revision, rollout.revision) if one] if rollout else []
    return GradingPlan(
        deployment=Deployment(metadata["name"], metadata["namespace"], metadata["uid"]),
        live=spec.evals.live.model_dump(by_alias=True, exclude_none=True, mode="json"),
        base_url=spec.upstream.base_url,
        eval_set=_stored(obs.eval_set.shared) if obs.eval_set and obs.eval_set.shared else {},
        arms={name: _models(obs.revisions[name]["spec"]) for name in names if name in obs.revisions},
        prices=with_new(obs, prices_to_serve(obs, status)) or msgspec.UNSET,
    )


def _stored(shared: EvalSetSpec) -> dict[str, Any]:
    fields = shared.model_dump(by_alias=True, exclude_none=True, mode="json")
    return {name: fields[name] for name in ("graders", "defaultTest") if name in fields}


def _models(content: Mapping[str, Any]) -> list[str]:
    return models_in_use(content["request"], content.get("subagents"))
