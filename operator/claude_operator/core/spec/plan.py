"""The plan that a rollout follows, fixed when it begins."""

from __future__ import annotations

from claude_operator.api.deployment import DeploymentSpec, Step
from claude_operator.api.gateway import Unit
from claude_operator.api.status import Plan

__all__ = ["plan_of", "unit_of"]


def plan_of(spec: DeploymentSpec) -> Plan:
    """Strategy and unit to be fixed; a last setWeight: 100 is implied, so it is left out."""
    canary = spec.strategy.canary
    steps: list[Step] = list(canary.steps)
    if steps and steps[-1].set_weight == 100:
        steps.pop()
    known = Plan(steps=steps, analysis=canary.analysis, soak=canary.soak, unit=unit_of(spec))
    return known if canary.rescue_after is None else known.model_copy(update={"rescue_after": canary.rescue_after})


def unit_of(spec: DeploymentSpec) -> Unit:
    """What is assigned and counted as one."""
    return spec.assignment.unit if spec.assignment else "Conversation"
