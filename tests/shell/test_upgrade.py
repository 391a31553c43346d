"""An installation of a version that signed nothing: nothing is lost of its rollout, nor believed for too long."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from tests import workloads
from tests.core.render.sample import MINIMAL, gateway
from tests.shell.rig import KEY, Rig, on_trial

from claude_operator.api.gateway import dump_config
from claude_operator.core import names
from claude_operator.core.render import has_operator_key
from claude_operator.kube.client import KubeError

GATEWAY = "support-gateway"


async def installed_before(**spec: Any) -> Rig:
    """A rollout in progress as an earlier version left it, and the new operator about to start."""
    rig = await on_trial(**spec)
    found = rig.kube.take("ConfigMap", GATEWAY)
    rig.kube.put({**found, "data": {"config.json": found["data"]["config.json"]}})
    rig.kube.drop("Secret", GATEWAY)
    rig.kube.drop("NetworkPolicy", GATEWAY)
    found = rig.kube.take("Deployment", GATEWAY)
    workloads.take_out_operator_key(found)
    rig.kube.put(found)
    for one in rig.kube.names("ReplicaSet"):
        rig.kube.drop("ReplicaSet", one)
    rig.roll_out()
    rig.kube.drop("Pod", "gw-1")
    rig.pod("gw-1")
    rig.start_operator()
    rig.kube.writes.clear()
    return rig


async def test_the_rollout_goes_on_and_the_config_is_signed_before_the_pods_ask_for_it() -> None:
    rig = await installed_before()
    before, step = rig.gateways.config, rig.status.step
    assert not rig.kube.names("Secret").count(GATEWAY)
    await rig.one()
    assert rig.gateways.config == before
    assert rig.gateways.signed
    assert rig.status.step == step
    assert rig.gateways.asked["gw-1"].key is None  # it has none to prove anything with, and is read all the same
    assert rig.counted("stable") is not None
    made = [(kind, name) for verb, kind, name in rig.kube.writes if name == GATEWAY]
    assert made.index(("ConfigMap", GATEWAY)) < made.index(("Deployment", GATEWAY))
    assert made.index(("Secret", GATEWAY)) < made.index(("Deployment", GATEWAY))
    assert rig.events("ChildRestored") == rig.events("ForeignPod") == []


async def test_an_arm_whose_revision_was_deleted_serves_on() -> None:
    rig = await installed_before()
    stable = rig.status.stable_revision or ""
    before = rig.gateways.config.arm("stable")
    rig.kube.drop("ClaudeRevision", stable)
    await rig.one()
    assert rig.gateways.config.arm("stable") == before
    assert rig.gateways.signed


async def test_old_and_new_pods_are_read_side_by_side() -> None:
    rig = await installed_before()
    await rig.one()
    rig.kube.put({**rig.kube.take("Deployment", GATEWAY), "status": {"replicas": 2, "updatedReplicas": 1}})
    rig.pod("gw-2")
    for pod, stable, canary in (("gw-1", 10, 3), ("gw-2", 7, 4)):
        rig.gateways.serve(pod, "stable", stable)
        rig.gateways.serve(pod, "canary", canary)
    rig.wait(5)
    await rig.one()
    assert (rig.gateways.asked["gw-1"].key, bool(rig.gateways.asked["gw-2"].key)) == (None, True)
    assert (rig.counted("stable"), rig.counted("canary")) == ([17, 0], [7, 0])
    assert rig.events("ForeignPod") == []


async def test_once_all_pods_are_new_nobody_can_pose_as_an_old_one() -> None:
    rig = await installed_before()
    old = rig.kube.take("Pod", "gw-1")["metadata"]["ownerReferences"]
    await rig.one()
    rig.kube.drop("Pod", "gw-1")
    rig.roll_out()  # with a pod of the new template
    rig.pod("gw-old", ownerReferences=old)
    rig.pod("gw-leaving", ownerReferences=old, deletionTimestamp="2026-11-24T10:00:00Z")
    rig.wait(5)
    await rig.one()
    assert set(rig.gateways.asked) == {"gw-1", "gw-leaving"}
    assert len(rig.events("ForeignPod")) == 1


async def test_once_the_pods_ask_for_a_signature_no_config_without_one_is_believed() -> None:
    rig = await installed_before()
    await rig.one()
    config = rig.gateways.config
    more = msgspec.structs.replace(config, arms=[msgspec.structs.replace(config.arms[0], weight=10_000)])
    found = rig.kube.take("ConfigMap", GATEWAY)
    rig.kube.put({**found, "data": {"config.json": dump_config(more)}})
    rig.start_operator()
    seen = await rig.gatherer.gather(KEY)
    assert seen is not None
    assert seen.observation.config is None


async def test_a_spec_that_is_not_accepted_keeps_its_old_pods_and_what_they_serve() -> None:
    rig = await installed_before()
    rig.kube.drop("Secret", "anthropic")
    before = rig.gateways.config
    await rig.settle()
    assert rig.condition("Accepted")[0] == "False"
    assert rig.gateways.config.arms == before.arms
    assert "signature" in rig.kube.take("ConfigMap", GATEWAY)["data"]
    assert not has_operator_key(rig.kube.take("Deployment", GATEWAY)["spec"]["template"])


async def test_a_config_that_cannot_be_signed_keeps_the_old_pods() -> None:
    rig = await installed_before()

    def refuse(verb: str, kind: str, name: str) -> None:
        if kind == "ConfigMap" and verb == "apply":
            raise KubeError(422, "Invalid", "a policy")

    rig.kube.before = refuse
    for _ in range(3):
        with pytest.raises(KubeError):
            await rig.one()
    assert ("apply", "Deployment", GATEWAY) not in rig.kube.writes
    assert rig.condition("GatewayReady")[1] == "WriteRefused"


async def test_an_operator_that_may_not_list_replica_sets_says_so_and_counts_nothing() -> None:
    rig = await on_trial()
    rig.start_operator()
    rig.gateways.serve("gw-1", "canary", 50, 50)

    def refuse(verb: str, kind: str, name: str) -> None:
        if kind == "ReplicaSet":
            raise KubeError(403, "Forbidden", "replicasets.apps is forbidden")

    rig.kube.before = refuse
    for _ in range(2):
        rig.wait(5)
        await rig.one()
    assert rig.condition("GatewayReady") == (
        "False",
        "PodsFailing",
        "the operator may not list ReplicaSets, so it cannot tell its gateway's pods from others and reads none: apply"
        " the chart's ClusterRole, or its Roles if watchNamespaces is set; 1 pod ready",
    )
    assert rig.gateways.asked == {}
    assert rig.status.rollout is not None and rig.status.rollout.outcome is None
    assert [arm.weight for arm in rig.gateways.config.arms] == [9000, 1000]


# ------------------------------------------------------------------------------------------ whose pods they are


async def test_a_pod_with_our_labels_alone_is_not_read_and_told_once() -> None:
    rig = await on_trial()
    rig.pod("forged", ownerReferences=[])
    other = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "x", "uid": "x"}}
    rig.pod("borrowed", ownerReferences=[workloads.controller(other)])
    own = rig.kube.take("ClaudeDeployment", "support")
    rig.pod("direct", ownerReferences=[names.owner_reference(own)])
    for pod in ("forged", "borrowed", "direct"):
        rig.gateways.boots[pod] = "boot-gw-1"  # copied, so that the real one's errors would vanish
    rig.gateways.serve("gw-1", "canary", 10, 90)
    rig.wait(5)
    await rig.one()
    assert set(rig.gateways.asked) == {"gw-1"}
    assert rig.counted("canary") == [100, 90]
    for _ in range(3):
        rig.wait(5)
        await rig.one()
    notes = rig.events("ForeignPod")
    assert [note.split()[1] for note in notes] == ["borrowed", "direct", "forged"]
    assert "kubectl -n demo get pod borrowed -o yaml" in notes[0]
    assert rig.condition("GatewayReady")[0] == "True"


async def test_replica_sets_are_asked_for_only_for_a_pod_that_is_not_known() -> None:
    rig = await on_trial()
    asked = ("list", "ReplicaSet", "")
    await rig.one()
    assert asked not in rig.kube.calls
    rig.start_operator()
    await rig.one()
    await rig.one()
    assert rig.kube.calls.count(asked) == 1


async def test_pods_that_say_that_they_are_the_same_process_are_not_counted_and_told() -> None:
    rig = await on_trial()
    rig.pod("gw-2")
    rig.gateways.boots["gw-2"] = "boot-gw-1"
    rig.gateways.serve("gw-1", "canary", 10, 90)
    rig.gateways.serve("gw-2", "canary", 100)
    rig.wait(5)
    await rig.one()
    assert rig.counted("canary") == [0, 0]
    assert rig.status.judgement is not None and rig.status.judgement.unreachable == ["gw-1", "gw-2"]
    assert "pods gw-1, gw-2 say that they are the same gateway process" in rig.condition("GatewayReady")[2]
    rig.gateways.boots["gw-2"] = "boot-gw-2"
    rig.wait(5)
    await rig.one()
    assert rig.counted("canary")[1] == 90


def test_the_template_before_is_told_from_that_of_now() -> None:
    now = gateway(MINIMAL)["Deployment"]
    before = copy.deepcopy(now)
    workloads.take_out_operator_key(before)
    assert has_operator_key(now["spec"]["template"])
    assert not has_operator_key(before["spec"]["template"])
