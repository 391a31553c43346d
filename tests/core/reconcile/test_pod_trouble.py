"""Causes of gateway pods that are missing or not ready, as Kubernetes gives them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from claude_operator.core.reconcile.observation import MemoryKill
from claude_operator.core.reconcile.pod_trouble import memory_kills, trouble

AT = "2026-11-24T10:00:00Z"


def pod(*, ready: bool = False, container: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}, *status.pop("conditions", [])]
    containers = [{"name": "gateway", **container}] if container else None
    limits = {"limits": {"memory": "512Mi"}}
    return {
        "metadata": {"name": "gw-1"},
        "spec": {"containers": [{"name": "gateway", "resources": limits}]},
        "status": {"conditions": conditions, "containerStatuses": containers, **status},
    }


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}, **more}


def ended(reason: str, code: int, **more: Any) -> dict[str, Any]:
    return {"terminated": {"reason": reason, "exitCode": code, "finishedAt": AT, **more}}


OOM = ended("OOMKilled", 137)
QUOTA = {"status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: small"}]}}
NO_NODE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: memory"}


@pytest.mark.parametrize(
    ("deployment", "pods", "said"),
    [
        (None, [], ""),
        ({}, [pod(ready=True)], ""),
        ({"status": {"conditions": [{"type": "ReplicaFailure", "status": "False", "message": "x"}]}}, [], ""),
        (
            {"metadata": {"name": "support-gateway", "namespace": "demo"}, "spec": {"replicas": 0}},
            [],
            "Deployment support-gateway is scaled to 0; scale it up:"
            " kubectl -n demo scale deployment support-gateway --replicas=2",
        ),
        (QUOTA, [], "pods cannot be created: exceeded quota: small"),
        (QUOTA, [pod(container=waiting("CrashLoopBackOff"))], "pods cannot be created: exceeded quota: small"),
        ({}, [pod(container=waiting("ContainerCreating"))], ""),
        ({}, [pod(container={"state": {"running": {}}})], ""),
        (
            {},
            [pod(conditions=[NO_NODE])],
            "pod gw-1 cannot be scheduled: 0/3 nodes: memory; lower spec.gateway.resources.requests, or add nodes",
        ),
        (
            {},
            [pod(container=waiting("ImagePullBackOff", "Back-off pulling"))],
            "container gateway of pod gw-1 is waiting, ImagePullBackOff: Back-off pulling;"
            " check that the nodes can pull the operator's image",
        ),
        (
            {},
            [pod(container=waiting("CreateContainerConfigError", 'secret "x" not found'))],
            'container gateway of pod gw-1 is waiting, CreateContainerConfigError: secret "x" not found',
        ),
        (
            {},
            [
                pod(
                    container=waiting(
                        "CrashLoopBackOff", "back-off 5m", lastState=ended("Error", 3, message="bad\nflag")
                    )
                )
            ],
            "container gateway of pod gw-1 keeps exiting (exit code 3): bad flag",
        ),
        (
            {},
            [pod(container=waiting("CrashLoopBackOff", lastState=OOM))],
            "container gateway of pod gw-1 ran out of memory (limit 512Mi); raise spec.gateway.resources.limits.memory",
        ),
        (
            {},
            [pod(container={"state": OOM})],
            "container gateway of pod gw-1 ran out of memory (limit 512Mi); raise spec.gateway.resources.limits.memory",
        ),
        (
            {},
            [pod(phase="Failed", message="The node was low on memory")],
            "pod gw-1 has failed: The node was low on memory",
        ),
        ({}, [pod(ready=True, container={"state": {"running": {}}, "lastState": OOM})], ""),  # it has come back
    ],
)
def test_trouble(deployment: dict[str, Any] | None, pods: list[dict[str, Any]], said: str) -> None:
    assert trouble(deployment, pods) == said


def test_what_kubernetes_says_is_cut() -> None:
    assert len(trouble({}, [pod(container=waiting("ErrImagePull", "x" * 9000))])) < 450


def test_an_end_for_lack_of_memory_is_seen_though_the_pod_is_ready_again() -> None:
    back = pod(ready=True, container={"state": {"running": {}}, "lastState": OOM})
    at = dt.datetime(2026, 11, 24, 10, tzinfo=dt.UTC)
    assert memory_kills([back]) == (MemoryKill("gw-1", "gateway", "limit 512Mi", at),)
    assert memory_kills([pod(container={"state": ended("Error", 1)})]) == ()
    assert memory_kills([pod(container={"state": {"terminated": {"reason": "OOMKilled"}}})]) == ()  # when is not known
