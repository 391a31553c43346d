"""Whoever scales gateways, on a real API server: its number stays, and is never 1 because nobody owns it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from tests.apiserver.client import Client, wait_for
from tests.apiserver.gateways import Gateways
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.objects import deployment, secret
from tests.apiserver.process import Operator

_GATEWAY = "support-gateway"
_DOCS = Path(__file__).parents[2] / "docs/operations.md"


class Scaled:
    """The gateway Deployment of `support`, as autoscalers and people see it."""

    def __init__(self, admin: Client, namespace: str) -> None:
        self.admin, self.namespace = admin, namespace
        self.lowest = 100

    def replicas(self) -> int:
        number = int(self.admin.take("Deployment", _GATEWAY, self.namespace)["spec"]["replicas"])
        self.lowest = min(self.lowest, number)
        return number

    def owners(self) -> set[str]:
        """Field managers that own the number."""
        entries = self.admin.take("Deployment", _GATEWAY, self.namespace)["metadata"]["managedFields"]
        return {one["manager"] for one in entries if "f:replicas" in one["fieldsV1"].get("f:spec", {})}

    def scale(self, number: int) -> None:
        """Through the subresource `scale`, as a HorizontalPodAutoscaler and `kubectl scale` do it."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{_GATEWAY}/scale"
        body = {"spec": {"replicas": number}}
        self.admin.call("PATCH", path, {"fieldManager": "hpa"}, body, "application/merge-patch+json")

    def edit(self, patch: dict[str, Any]) -> None:
        """Change `spec.gateway`, and wait until the operator has applied it."""
        self.admin.patch("ClaudeDeployment", "support", self.namespace, {"spec": {"gateway": patch}})

    def stays(self, number: int, seconds: float = 3.0) -> None:
        """The number is that, and goes on to be."""
        wait_for(lambda: self.replicas() == number, 20, f"there are not {number} replicas")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.replicas() == number
            time.sleep(0.05)

    def memory(self, amount: str) -> None:
        """Another pod template."""
        limits = {"resources": {"limits": {"memory": amount}}}
        self.edit(limits)

        def is_there() -> bool:
            pod = self.admin.take("Deployment", _GATEWAY, self.namespace)["spec"]["template"]["spec"]
            return bool(pod["containers"][0]["resources"].get("limits") == {"memory": amount})

        wait_for(is_there, 20, "the template was not applied")


def test_a_number_that_the_spec_leaves_open_is_the_autoscalers(
    admin: Client, namespace: str, operate: Callable[..., Operator]
) -> None:
    scaled = Scaled(admin, namespace)
    admin.create(secret(), namespace)
    stored = admin.create(deployment(gateway={}), namespace)
    assert "replicas" not in stored["spec"]["gateway"]
    operator = operate()
    operator.until_leading()
    with Gateways(admin, namespace) as gateways, Kubelet(admin, namespace, gateways.addresses):
        try:
            scaled.stays(2)
            assert scaled.owners() == {"claude-operator-replicas"}
            for number in (5, 1, 3):
                scaled.scale(number)
                scaled.stays(number)
            scaled.memory("600Mi")  # an apply of the template leaves the number alone
            scaled.stays(3)
            assert scaled.owners() == {"hpa"}
            scaled.edit({"replicas": 4})
            scaled.stays(4)
            scaled.lowest = 100
            scaled.edit({"replicas": None})  # given up: the number stays, until somebody scales
            scaled.memory("700Mi")
            scaled.stays(4)
            assert scaled.lowest == 4
            assert scaled.owners() == {"claude-operator-replicas"}
            scaled.scale(6)
            scaled.stays(6)
            events = admin.list("Event", namespace)
            assert [one["note"] for one in events if one["reason"].startswith("Child")] == []
        finally:
            operator.kill()


def test_a_number_in_the_spec_is_put_back(admin: Client, namespace: str, operate: Callable[..., Operator]) -> None:
    scaled = Scaled(admin, namespace)
    admin.create(secret(), namespace)
    admin.create(deployment(gateway={"replicas": 2}), namespace)
    operator = operate()
    operator.until_leading()
    with Gateways(admin, namespace) as gateways, Kubelet(admin, namespace, gateways.addresses):
        try:
            scaled.stays(2)
            scaled.scale(5)
            scaled.stays(2)
            assert scaled.owners() == {"claude-operator"}
        finally:
            operator.kill()


def test_the_documented_autoscaler_is_taken(admin: Client, namespace: str) -> None:
    blocks = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", _DOCS.read_text(), re.DOTALL)]
    (body,) = [one for one in blocks if one["kind"] == "HorizontalPodAutoscaler"]
    path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
    stored = admin.call("POST", path, {"fieldValidation": "Strict"}, body)
    assert stored["spec"]["scaleTargetRef"]["name"] == _GATEWAY
