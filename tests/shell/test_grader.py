"""The grader of live answers: made where they are graded, up while a rollout is under way, ended where they are not."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest
from tests.shell.rig import NAME, SPACE, Rig, deployment, secret

from claude_operator.api.grading import SAMPLES_KEY, STATE_KEY, parse_plan
from claude_operator.core import names
from claude_operator.core.reconcile import ownership

GRADERS = [{"name": "default", "model": "claude-haiku-5-5"}]
LIVE = {"rubric": ["It answers what was asked."], "keepFailed": 5}
EVAL_SET: dict[str, Any] = {
    "apiVersion": "claudeops.dev/v1alpha1",
    "kind": "ClaudeEvalSet",
    "metadata": {"name": "evals", "namespace": SPACE},
    "spec": {
        "tests": [{"id": "a", "input": "Hi", "assert": [{"type": "contains", "value": "x"}]}],
        "graders": GRADERS,
    },
}
KINDS = ("ServiceAccount", "Role", "RoleBinding", "ConfigMap", "NetworkPolicy", "Deployment")


def evals(live: dict[str, Any] | None) -> dict[str, Any]:
    return {"setRef": {"name": "evals"}, "required": False, **({"live": live} if live else {})}


async def graded(live: dict[str, Any] | None = LIVE) -> Rig:
    """A ClaudeDeployment that serves its first revision."""
    rig = Rig()
    for one in (secret(), copy.deepcopy(EVAL_SET), deployment(evals=evals(live))):
        rig.kube.put(one)
    await rig.settle()
    return rig


def uid(rig: Rig) -> str:
    return str(rig.kube.take("ClaudeDeployment", NAME)["metadata"]["uid"])


def replicas(rig: Rig) -> int:
    return int(rig.kube.take("Deployment", "support-grader")["spec"]["replicas"])


async def test_it_is_there_while_a_rollout_is_under_way() -> None:
    rig = await graded()
    for kind in KINDS:
        assert names.is_controlled_by(rig.kube.take(kind, "support-grader"), uid(rig))
    assert replicas(rig) == 0
    plan = parse_plan(rig.kube.take("ConfigMap", "support-grader")["data"]["plan.json"])
    assert (plan.arms, plan.eval_set["graders"][0]["model"]) == ({}, "claude-haiku-5-5")
    rig.say("Be brief.")
    await rig.settle()
    assert replicas(rig) == 1
    plan = parse_plan(rig.kube.take("ConfigMap", "support-grader")["data"]["plan.json"])
    assert list(plan.arms.values()) == [["claude-opus-5-5"]] * 2
    rig.say("Be kind.")
    await rig.settle()
    assert replicas(rig) == 0


async def test_the_secret_is_made_once_without_the_operators_labels_and_comes_back() -> None:
    rig = await graded()
    made = rig.kube.take("Secret", "support-failed-samples")
    assert names.is_controlled_by(made, uid(rig))
    assert not ownership.is_marked(made, "support")
    rig.kube.drop("Secret", "support-failed-samples")
    rig.wait(61)
    await rig.one()
    assert rig.kube.take("Secret", "support-failed-samples")


async def test_nothing_is_made_and_little_is_read_where_nothing_is_graded() -> None:
    rig = await graded(None)
    assert not [kind for kind in KINDS if "support-grader" in rig.kube.names(kind)]
    assert rig.kube.names("Service") == ["support-gateway"]
    assert "support-failed-samples" not in rig.kube.names("Secret")
    rig.kube.calls.clear()
    rig.wait(61)
    await rig.one()
    looked_at = {(kind, name) for _, kind, name in rig.kube.calls}
    assert not {("Secret", "support-failed-samples"), ("Deployment", "support-grader")} & looked_at


def keep(rig: Rig) -> None:
    """Have samples and a cost in the Secret, as the grader writes them."""
    one = rig.kube.take("Secret", "support-failed-samples")
    one["data"] = {SAMPLES_KEY: base64.b64encode(b"x").decode(), STATE_KEY: base64.b64encode(b"{}").decode()}
    rig.kube.put(one)


@pytest.mark.parametrize("again", [False, True])
async def test_where_it_is_taken_out_of_the_spec_the_pod_ends_and_samples_go(again: bool) -> None:
    """Also by an operator that has just begun and knows of no grader."""
    rig = await graded()
    rig.say("Be brief.")
    await rig.settle()
    assert replicas(rig) == 1
    keep(rig)
    if again:
        rig.start_operator()
    rig.edit(evals=evals(None))
    await rig.settle()
    assert replicas(rig) == 0
    assert set(rig.kube.take("Secret", "support-failed-samples")["data"]) == {STATE_KEY}


async def test_where_none_are_to_be_kept_those_that_are_go() -> None:
    rig = await graded()
    keep(rig)
    rig.edit(evals=evals({**LIVE, "keepFailed": 0}))
    await rig.settle()
    assert set(rig.kube.take("Secret", "support-failed-samples")["data"]) == {STATE_KEY}


@pytest.mark.parametrize(("kind", "name"), [("Deployment", "support-grader"), ("Secret", "support-failed-samples")])
async def test_a_name_that_is_taken_is_told(kind: str, name: str) -> None:
    rig = await graded(None)
    rig.kube.put({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": SPACE}, "spec": {}})
    rig.edit(evals=evals(LIVE))
    await rig.settle()
    status, reason, message = rig.condition("Accepted")
    assert (status, reason) == ("False", "NameTaken")
    assert name in message
