"""Whose pods are, by the chain of their owners."""

from __future__ import annotations

from typing import Any

import pytest

from claude_operator.api.gateway import OPERATOR_DIR
from claude_operator.core.reconcile.pod_owners import controller_of, our_replica_sets, sort_pods


def template(*, key: bool) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "gateway", "volumeMounts": [{"mountPath": OPERATOR_DIR}] if key else []}]}}


def deployment(*, key: bool = True, settled: bool = True) -> dict[str, Any]:
    counts = dict.fromkeys(("updatedReplicas", "availableReplicas", "replicas"), 2 if settled else 1)
    metadata = {"name": "d", "uid": "d", "generation": 1}
    status = {"observedGeneration": 1, **counts}
    return {"metadata": metadata, "spec": {"replicas": 2, "template": template(key=key)}, "status": status}


def replica_set(uid: str, owner: str | None = "d", *, key: bool = True) -> dict[str, Any]:
    owners = [{"kind": "Deployment", "uid": owner, "controller": True}] if owner else []
    return {"metadata": {"uid": uid, "ownerReferences": owners}, "spec": {"template": template(key=key)}}


def pod(name: str, owner: str | None, kind: str = "ReplicaSet", **more: Any) -> dict[str, Any]:
    owners = [{"kind": kind, "uid": owner, "controller": more.pop("controller", True)}] if owner else []
    phase = more.pop("phase", "Running")
    return {"metadata": {"name": name, "ownerReferences": owners, **more}, "status": {"phase": phase}}


def test_replica_sets_are_ours_where_the_deployment_controls_them() -> None:
    found = [replica_set("new"), replica_set("old", key=False), replica_set("other", "x"), replica_set("alone", None)]
    assert our_replica_sets(deployment(), found) == {"new": True, "old": False}


@pytest.mark.parametrize(
    "one",
    [
        pod("bare", None),
        pod("other", "other"),
        pod("not controlled", "new", controller=False),
        pod("of another kind", "new", kind="Job"),
        pod("of the Deployment itself", "d", kind="Deployment"),
    ],
    ids=lambda one: one["metadata"]["name"],
)
def test_a_pod_without_the_chain_is_foreign_and_unknown_while_the_deployment_is_not_settled(
    one: dict[str, Any],
) -> None:
    ours = pod("ours", "new")
    found = sort_pods([one, ours], {"new": True}, deployment())
    assert (found.ours, found.foreign, found.unknown) == ([ours], [one], [])
    for around in (deployment(settled=False), None):
        found = sort_pods([one, ours], {"new": True}, around)
        assert (found.ours, found.foreign, found.unknown) == ([ours], [], [one])
    assert controller_of(ours) == "new"


@pytest.mark.parametrize("more", [{"deletionTimestamp": "now"}, {"phase": "Failed"}, {"phase": "Succeeded"}])
def test_of_a_foreign_pod_that_ends_nothing_is_told(more: dict[str, Any]) -> None:
    found = sort_pods([pod("ending", "x", **more)], {}, deployment())
    assert (found.ours, found.foreign, found.unknown) == ([], [], [])


def test_pods_without_the_key_are_ours_until_all_have_it() -> None:
    pods = [pod("old", "old"), pod("leaving", "old", deletionTimestamp="now"), pod("new", "new")]
    known = {"old": False, "new": True}
    for around in (deployment(settled=False), deployment(key=False), None):
        found = sort_pods(pods, known, around)
        assert (found.ours, found.keyless) == (pods, {"old", "leaving"})
    found = sort_pods(pods, known, deployment())
    assert (found.ours, found.keyless, found.foreign) == (pods[1:], {"leaving"}, pods[:1])
