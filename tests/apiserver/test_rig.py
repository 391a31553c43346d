"""The rig itself: objects outlive the API server, and an operator works on them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from tests.apiserver.client import ApiError, Client, wait_for
from tests.apiserver.gateways import Gateways
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.objects import deployment, secret
from tests.apiserver.process import Operator
from tests.apiserver.server import ApiServer


def test_objects_outlive_the_api_server(own_server: ApiServer) -> None:
    admin = own_server.admin()
    admin.create(secret(), "default")
    own_server.kill_api()
    with pytest.raises(OSError):
        admin.get("Secret", "anthropic", "default")
    own_server.start_api()
    assert admin.take("Secret", "anthropic", "default")["data"]
    own_server.freeze_api()
    own_server.thaw_api()
    assert admin.take("Secret", "anthropic", "default")["data"]


def test_bad_objects_are_refused_by_the_schemas(admin: Client, namespace: str) -> None:
    with pytest.raises(ApiError, match="422"):
        admin.create({**deployment(), "spec": {"request": {"model": 7}}}, namespace)


def test_a_deployment_is_served(admin: Client, namespace: str, operate: Callable[..., Operator]) -> None:
    admin.create(secret(), namespace)
    admin.create(deployment(), namespace)
    operator = operate()
    operator.until_leading()
    with Gateways(admin, namespace) as gateways, Kubelet(admin, namespace, gateways.addresses):
        wait_for(lambda: admin.take("ClaudeDeployment", "support", namespace)["status"]["stableRevision"])

    def weights() -> list[int]:
        config = json.loads(admin.take("ConfigMap", "support-gateway", namespace)["data"]["config.json"])
        return [arm["weight"] for arm in config["arms"]]

    wait_for(lambda: weights() == [10_000], 30)
    wait_for(lambda: operator.probe("/readyz")[0] == 200, 30)
    assert operator.stop() == 0
    assert admin.take("Lease", "claude-operator", namespace)["spec"]["holderIdentity"] == ""
