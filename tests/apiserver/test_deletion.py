"""A namespace that is deleted under the operator: one calm line, and nothing is tried in it any more."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.apiserver.client import Client, wait_for
from tests.apiserver.conftest import clear, new_namespace
from tests.apiserver.objects import deployment, says, secret
from tests.apiserver.process import Operator

GATEWAY = ("ConfigMap", "Deployment", "PodDisruptionBudget", "Service")


def lines(operator: Operator, start: int) -> list[dict[str, Any]]:
    return [json.loads(one) for one in operator.log(10**7)[start:].splitlines()]


@pytest.mark.parametrize("named", ["support", "a and b"])
def test_a_deleted_namespace_is_one_calm_line(
    admin: Client, namespace: str, operate: Callable[..., Operator], named: str
) -> None:
    """Nobody collects here: what a namespace's deletion takes away, the test does, a piece at a time."""
    doomed = new_namespace(admin, "doomed")
    admin.create(secret(), doomed)
    deployments = named.split(" and ")
    for name in deployments:
        admin.create(deployment(name), doomed)
    operator = operate()
    operator.until_leading()
    wait_for(lambda: len(admin.list("PodDisruptionBudget", doomed)) == len(deployments))
    time.sleep(1.0)
    start = len(operator.log(10**7))
    try:
        admin.delete("Namespace", doomed)
        for kind in GATEWAY:
            for name in deployments:
                admin.delete(kind, f"{name}-gateway", doomed)
            time.sleep(0.5)
        for name in deployments:
            admin.delete("Secret", f"{name}-client", doomed)
            admin.patch("ClaudeDeployment", name, doomed, {"spec": {"request": says("Be brief.")}})
        admin.delete("Secret", "anthropic", doomed)
        time.sleep(3.0)
        assert [(one["level"], one["message"]) for one in lines(operator, start)] == [
            ("info", "the namespace is being deleted: nothing more is done in it")
        ]
    finally:
        clear(admin, doomed)
