"""Child objects: made, mended, left alone, and never taken from somebody else."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.shell.rig import Rig, deployment, secret, serving

from claude_operator.core import names
from claude_operator.kube.client import KubeError

GATEWAY = ["ServiceAccount", "Role", "RoleBinding", "Service", "Deployment", "PodDisruptionBudget"]


async def test_all_children_are_made_with_our_label_and_owner() -> None:
    rig = await serving()
    uid = rig.kube.take("ClaudeDeployment", "support")["metadata"]["uid"]
    for kind in [*GATEWAY, "ConfigMap"]:
        found = rig.kube.take(kind, "support-gateway")
        assert names.is_controlled_by(found, uid)
        assert found["metadata"]["labels"][names.LABEL_MANAGED_BY] == names.FIELD_MANAGER
    order = [kind for _, kind, name in rig.kube.writes if name in ("support-gateway", "support-client")]
    assert order.index("Secret") < order.index("Deployment")  # its pods mount it


async def test_nothing_is_written_and_nothing_read_where_nothing_changed() -> None:
    rig = await serving()
    rig.kube.writes.clear()
    rig.kube.calls.clear()
    await rig.one()
    assert rig.kube.writes == []
    assert [kind for verb, kind, _ in rig.kube.calls if verb == "get" and kind in ("Service", "Role")] == []
    rig.wait(61)
    await rig.one()
    assert ("get", "Service", "support-gateway") in rig.kube.calls
    assert rig.kube.writes == []


@pytest.mark.parametrize("kind", GATEWAY)
async def test_a_child_that_somebody_deleted_or_changed_comes_back(kind: str) -> None:
    rig = await serving()
    wanted = rig.kube.take(kind, "support-gateway")
    rig.kube.drop(kind, "support-gateway")
    rig.wait(61)
    await rig.one()
    found = rig.kube.take(kind, "support-gateway")
    assert found.get("spec") == wanted.get("spec")
    found["metadata"]["labels"][names.LABEL_INSTANCE] = "other"
    rig.kube.put(found)
    rig.wait(61)
    await rig.one()
    assert rig.kube.take(kind, "support-gateway")["metadata"]["labels"] == wanted["metadata"]["labels"]


async def test_an_event_about_a_child_has_it_looked_at_at_once() -> None:
    rig = await serving()
    found = rig.kube.take("Deployment", "support-gateway")
    found["spec"]["replicas"] = 7
    rig.kube.put(found)
    await rig.one()
    assert rig.kube.take("Deployment", "support-gateway")["spec"]["replicas"] == 7  # not seen yet
    rig.children.look_again("demo", "support")
    await rig.one()
    assert rig.kube.take("Deployment", "support-gateway")["spec"]["replicas"] == 1


async def test_fields_of_other_managers_stay() -> None:
    rig = await serving()
    found = rig.kube.take("Deployment", "support-gateway")
    found["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "1"}
    found["spec"]["progressDeadlineSeconds"] = 600
    rig.kube.put(found)
    rig.edit(gateway={"replicas": 3})
    await rig.one()
    found = rig.kube.take("Deployment", "support-gateway")
    assert (found["spec"]["replicas"], found["spec"]["progressDeadlineSeconds"]) == (3, 600)
    assert found["metadata"]["annotations"]


async def test_the_client_secret_is_made_once_and_never_applied_over() -> None:
    rig = await serving()
    first = rig.kube.take("Secret", "support-client")
    assert first["stringData"]["ANTHROPIC_BASE_URL"] == "http://support-gateway.demo.svc"
    rotated = {**first, "data": {"ANTHROPIC_API_KEY": base64.b64encode(b"mine").decode()}}
    rig.kube.put(rotated)
    for _ in range(3):
        rig.wait(61)
        rig.start_operator()
        await rig.one()
    assert rig.kube.take("Secret", "support-client")["data"] == rotated["data"]
    assert [write for write in rig.kube.writes if write[1] == "Secret"] == [("create", "Secret", "support-client")]
    keys = set()
    for _ in range(2):
        rig.kube.drop("Secret", "support-client")
        rig.wait(61)
        await rig.one()
        keys.add(rig.kube.take("Secret", "support-client")["stringData"]["ANTHROPIC_API_KEY"])
    assert len(keys | {first["stringData"]["ANTHROPIC_API_KEY"]}) == 3
    assert all(key.startswith("co-") and len(key) > 40 for key in keys)


async def test_two_that_make_the_client_secret_at_once_agree() -> None:
    rig = Rig()
    rig.kube.put(secret())
    rig.kube.put(deployment())

    def other(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == ("create", "Secret"):
            rig.kube.before = lambda *_: None
            uid = rig.kube.take("ClaudeDeployment", "support")["metadata"]["uid"]
            body = secret("support-client", ANTHROPIC_API_KEY="dGhlaXJz")
            body["metadata"]["ownerReferences"] = [{"kind": "ClaudeDeployment", "uid": uid, "controller": True}]
            rig.kube.put(body)

    rig.kube.before = other
    await rig.settle()
    assert rig.kube.take("Secret", "support-client")["data"] == {"ANTHROPIC_API_KEY": "dGhlaXJz"}
    assert "Deployment" in {kind for _, kind, _ in rig.kube.writes}


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, "support-gateway") for kind in [*GATEWAY, "ConfigMap"]]
    + [("Secret", "support-client")]
    + [(kind, "support-eval") for kind in ("ServiceAccount", "Role", "RoleBinding")],
)
async def test_a_name_that_is_taken_stops_every_write(kind: str, name: str) -> None:
    rig = Rig()
    rig.kube.put(secret())
    rig.kube.put(deployment())
    other = {"kind": "ClaudeDeployment", "apiVersion": "claudeops.dev/v1alpha1", "uid": "another", "controller": True}
    theirs = {"name": name, "namespace": "demo", "ownerReferences": [other]}
    rig.kube.put({"apiVersion": "v1", "kind": kind, "metadata": theirs})
    assert await rig.one() == 15.0
    status, reason, message = rig.condition("Accepted")
    assert (status, reason) == ("False", "NameTaken")
    assert f"{kind} {name} belongs to something else" in message
    written = {kind for _, kind, _ in rig.kube.writes}
    assert written <= {"ClaudeDeployment", "Event"}
    rig.kube.drop(kind, name)
    await rig.settle()
    assert rig.condition("Accepted")[0] == "True"
    assert rig.kube.names("Deployment") == ["support-gateway"]


async def test_a_name_that_is_taken_later_is_told_and_not_taken_back() -> None:
    rig = await serving()
    found = rig.kube.take("Service", "support-gateway")
    rig.kube.drop("Service", "support-gateway")
    found["metadata"] = {"name": "support-gateway", "namespace": "demo"}
    rig.kube.put({**found, "spec": {"ports": []}})
    rig.wait(61)
    assert await rig.one() == 5.0
    await rig.one()
    assert rig.condition("Accepted")[:2] == ("False", "NameTaken")
    assert rig.kube.take("Service", "support-gateway")["spec"] == {"ports": []}


async def test_what_failed_is_tried_again_and_what_is_known_is_forgotten_with_its_owner() -> None:
    rig = await serving()
    owner = rig.kube.take("ClaudeDeployment", "support")
    wanted = [{k: v for k, v in rig.kube.take("Service", "support-gateway").items() if k != "status"}]
    wanted[0]["metadata"].pop("resourceVersion")
    wanted[0]["metadata"]["labels"]["more"] = "1"

    def refuse(verb: str, kind: str, name: str) -> None:
        if verb == "apply":
            raise KubeError(403, "Forbidden", "no")

    rig.kube.before = refuse
    for _ in range(2):  # it is not remembered as done
        with pytest.raises(KubeError):
            await rig.children.ensure(owner, wanted)
    rig.kube.before = lambda *_: None
    await rig.children.ensure(owner, wanted)
    rig.kube.calls.clear()
    await rig.children.ensure(owner, wanted)
    assert rig.kube.calls == []
    rig.children.forget({owner["metadata"]["uid"]})
    await rig.children.ensure(owner, wanted)
    assert rig.kube.calls == []
    rig.children.forget(set())
    await rig.children.ensure(owner, wanted)
    assert rig.kube.calls


async def test_an_owner_made_anew_is_another_owner() -> None:
    rig = await serving()
    rig.kube.drop("ClaudeDeployment", "support")
    rig.kube.put(deployment())  # before its old children are collected
    assert await rig.one() == 15.0
    assert rig.condition("Accepted")[1] == "NameTaken"
    old: dict[str, Any] = dict(rig.kube.objects)
    for kind, space, name in old:
        if kind not in ("ClaudeDeployment", "Secret", "Event", "Pod") or name == "support-client":
            rig.kube.drop(kind, name, space)
    await rig.settle()
    assert rig.condition("Accepted")[0] == "True"
