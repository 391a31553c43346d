"""What people break by hand, on a real cluster: mended at once, told once, and why pods are not there."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from tests.cluster import apps
from tests.cluster.apps import deployment, secret
from tests.cluster.support import Operator, condition, find, get, kubectl, wait_for

PARTS = ("service", "serviceaccount", "role", "rolebinding", "poddisruptionbudget", "networkpolicy", "configmap")


@pytest.fixture
def application(operator: Operator, namespace: str) -> Iterator[str]:
    """The namespace of a ClaudeDeployment `app` that serves."""
    apps.apply(secret(), namespace)
    apps.apply(deployment(), namespace)
    apps.promoted(namespace)
    apps.answered(namespace)
    yield namespace


def notes(namespace: str, reason: str) -> list[str]:
    """Of the Events of this reason."""
    return [one["note"] for one in apps.events(namespace) if one["reason"] == reason]


def test_parts_that_were_deleted_are_back_within_seconds_and_a_key_stays_good(application: str) -> None:
    key = get("secret", "app-client", namespace=application)["data"]
    took = {}
    for kind, name in [*((kind, "app-gateway") for kind in PARTS), ("secret", "app-client")]:
        old = get(kind, name, namespace=application)["metadata"]["uid"]
        began = time.monotonic()
        kubectl("delete", kind, name, "--wait=false", namespace=application)
        wait_for(
            lambda kind=kind, name=name, old=old: get(kind, name, namespace=application)["metadata"]["uid"] != old, 5
        )
        took[kind] = round(time.monotonic() - began, 2)
    print(took)
    assert get("secret", "app-client", namespace=application)["data"] == key
    wait_for(lambda: len(notes(application, "ChildRestored")) == len(PARTS) + 1, 5)
    apps.answered(application)
    time.sleep(2.0)
    assert len(notes(application, "ChildRestored")) == len(PARTS) + 1


def test_what_was_orphaned_serves_on_with_its_key_and_is_adopted(application: str) -> None:
    key = get("secret", "app-client", namespace=application)["data"]
    pods = {one["metadata"]["name"] for one in get("pods", namespace=application)}
    kubectl("delete", "cld", "app", "--cascade=orphan", "--timeout=300s", namespace=application)
    assert find("service", "app-gateway", namespace=application)["metadata"].get("ownerReferences") is None
    assert apps.ask(application).status == 200
    uid = apps.apply(deployment(), application)["metadata"]["uid"]
    revision = apps.promoted(application)
    assert apps.answered(application).revision == revision
    for kind in (*PARTS, "deployment"):
        (reference,) = get(kind, "app-gateway", namespace=application)["metadata"]["ownerReferences"]
        assert reference["uid"] == uid, kind
    assert get("secret", "app-client", namespace=application)["data"] == key
    assert {one["metadata"]["name"] for one in get("pods", namespace=application)} == pods  # none was replaced
    assert len(notes(application, "ChildAdopted")) == 1
    kubectl("delete", "cld", "app", "--timeout=300s", namespace=application)
    wait_for(
        lambda: find("deployment", "app-gateway", namespace=application) is None, 60, "it does not go with its owner"
    )


def test_a_quota_is_told(operator: Operator, namespace: str) -> None:
    kubectl("create", "quota", "none", "--hard=pods=0", namespace=namespace)
    apps.apply(secret(), namespace)
    apps.apply(deployment(), namespace)
    said = apps.told(namespace, "GatewayReady", "False", "PodsFailing")
    assert "pods cannot be created: " in said
    assert "exceeded quota: none" in said
    kubectl("delete", "quota", "none", namespace=namespace)
    # Kubernetes tries again with pauses that grow; a new template has it try at once.
    apps.apply(deployment(gateway={"replicas": 1, "resources": {"requests": {"cpu": "11m"}}}), namespace)
    apps.told(namespace, "GatewayReady", "True", "GatewaysCurrent", timeout=90)
    assert len(notes(namespace, "PodsFailing")) == 1


def test_memory_is_told_as_the_cause(application: str) -> None:
    apps.apply(deployment(gateway={"replicas": 1, "resources": {"limits": {"memory": "20Mi"}}}), application)

    def cause() -> str:
        one = condition(get("cld", "app", namespace=application), "GatewayReady")
        return one["message"] if one["reason"] == "PodsFailing" and "memory" in one["message"] else ""

    said = wait_for(cause, 90, "memory is not told as the cause")
    assert "ran out of memory (limit 20Mi); raise spec.gateway.resources.limits.memory" in said
    note = wait_for(lambda: notes(application, "OutOfMemory"), 20)[0]
    assert "used more memory than allowed (limit 20Mi) and was killed" in note
    assert apps.ask(application).status == 200  # by the pod that was not replaced
