"""A namespace that is deleted under the operator: one calm line, and nothing is tried in it any more."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tests.apiserver.client import Client, at_rest, wait_for
from tests.apiserver.conftest import clear, new_namespace
from tests.apiserver.objects import deployment, says, secret
from tests.apiserver.process import Operator

GATEWAY = ("ConfigMap", "Deployment", "PodDisruptionBudget", "Service")


def version(admin: Client, name: str, namespace: str) -> str:
    return str(admin.take("ClaudeDeployment", name, namespace)["metadata"]["resourceVersion"])


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
    for name in deployments:
        at_rest(lambda name=name: version(admin, name, doomed))
    start = at_rest(lambda: len(operator.lines()))
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
        wait_for(lambda: operator.lines()[start:], 30, "nothing is told")
        time.sleep(3.0)
        assert [(one["level"], one["message"]) for one in operator.lines()[start:]] == [
            ("info", "the namespace is being deleted: nothing more is done in it")
        ]
    finally:
        clear(admin, doomed)
