"""What a ClaudeDeployment of an earlier version may still set: nothing fails for it, and what matters is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claude_operator.api.analysis import Analysis
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.status import DeploymentStatus, Plan
from claude_operator.core.spec.plan import plan_of
from claude_operator.core.spec.removed import explain_removed

REQUEST = {"model": "claude-opus-5-5", "max_tokens": 1024}


def spec(unit: str | None, **fields: Any) -> dict[str, Any]:
    analysis = {"interval": "5s", **({"unit": unit} if unit else {})}
    return {"request": REQUEST, "strategy": {"canary": {"analysis": analysis}}, **fields}


def owner(stored: dict[str, Any], applied: Any = None) -> dict[str, Any]:
    text = applied if isinstance(applied, str) else json.dumps({"spec": applied})
    key = "kubectl.kubernetes.io/last-applied-configuration"
    return {"spec": stored, "metadata": {"annotations": {key: text} if applied is not None else {}}}


@pytest.mark.parametrize("unit", ["Conversation", "Request"])
def test_an_object_of_before_is_read(unit: str) -> None:
    """With CustomResourceDefinitions of before, whose default stands in every stored object."""
    assert DeploymentSpec.model_validate(spec(unit)) == DeploymentSpec.model_validate(spec(None))
    assert Analysis.model_validate({"unit": unit}) == Analysis()


def test_a_plan_of_before_is_read_and_keeps_the_rest() -> None:
    rollout = {
        "revision": "support-0000000001",
        "plan": {"steps": [{"setWeight": 5}], "analysis": {"unit": "Request", "interval": "7s"}},
    }
    found = DeploymentStatus.model_validate({"rollout": rollout}).rollout
    assert found
    assert found.plan == Plan.model_validate({"steps": [{"setWeight": 5}], "analysis": {"interval": "7s"}})
    assert (found.plan.unit, found.plan.rescue_after, found.plan.analysis.interval) == ("Conversation", 3, "7s")


def test_the_plan_has_the_unit_and_the_rescue() -> None:
    assert plan_of(DeploymentSpec.model_validate(spec(None))) == Plan.model_validate(
        {"steps": plan_of(DeploymentSpec.model_validate(spec(None))).steps, "analysis": {"interval": "5s"}}
    )
    other = DeploymentSpec.model_validate(
        {"request": REQUEST, "assignment": {"unit": "User"}, "strategy": {"canary": {"rescueAfter": 0}}}
    )
    assert (plan_of(other).unit, plan_of(other).rescue_after) == ("User", 0)


SAYS = "analysis.unit: Request is no longer read"


@pytest.mark.parametrize(
    ("stored", "applied", "told"),
    [
        (spec(None), None, False),
        (spec("Conversation"), spec("Conversation"), False),
        (spec("Request"), None, True),
        (spec(None), spec("Request"), True),
        (spec(None, assignment={"unit": "Request"}), spec("Request"), False),
        (spec(None), "{", False),
        (spec(None), "[]", False),
        (spec(None), {"strategy": "x"}, False),
    ],
)
def test_what_has_no_effect_any_more_is_told(stored: Any, applied: Any, told: bool) -> None:
    found = explain_removed(owner(stored, applied))
    assert bool(found) == told
    assert not told or SAYS in (found or "")
