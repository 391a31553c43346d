"""The plan that a rollout follows, fixed when it begins."""

from __future__ import annotations

from claude_operator.api.deployment import DeploymentSpec, Step
from claude_operator.api.status import Plan

__all__ = ["plan_of"]


def plan_of(spec: DeploymentSpec) -> Plan:
    """Steps, analysis and soak to be fixed; a last setWeight: 100 is implied, so it is left out."""
    canary = spec.strategy.canary
    steps: list[Step] = list(canary.steps)
    if steps and steps[-1].set_weight == 100:
        steps.pop()
    return Plan(steps=steps, analysis=canary.analysis, soak=canary.soak)
