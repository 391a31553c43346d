"""What the grader of live answers is told, and whether there is something to grade."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from claude_operator.api.gateway import Deployment
from claude_operator.api.grading import GradingPlan
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.progress import active

__all__ = ["grader_plan"]


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
        eval_set=dict(obs.eval_set.shared) if obs.eval_set else {},
        arms={name: sorted(set(_models(obs.revisions[name]))) for name in names if name in obs.revisions},
    )


def _models(revision: Mapping[str, Any]) -> Iterator[str]:
    """The models of a revision, those of its subagents among them."""
    spec = revision["spec"]
    for one in (spec, *(spec.get("subagents") or {}).values()):
        model = (one.get("request") or {}).get("model")
        if isinstance(model, str):
            yield model
