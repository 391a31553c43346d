"""The chart on a real cluster: install, upgrade, uninstall, and install again over what stayed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.cluster.replicas import leader_of_two
from tests.cluster.support import (
    RELEASE,
    SYSTEM,
    CommandError,
    Operator,
    apply,
    command,
    find,
    get,
    install,
    kubectl,
    wait_for,
)

from claude_operator.api.base import GROUP
from claude_operator.api.kinds import KINDS

SET = """
apiVersion: claudeops.dev/v1alpha1
kind: ClaudeEvalSet
metadata: {name: stays}
spec:
  tests: [{id: a, input: b, assert: [{type: equals, value: c}]}]
"""


def definitions() -> set[str]:
    """The kinds of our group that the API server serves."""
    return {item["spec"]["names"]["kind"] for item in get("crd") if item["spec"]["group"] == GROUP}


def may(operator: Operator, verb: str, resource: str, namespace: str) -> bool:
    """Whether RBAC lets the operator's ServiceAccount do this."""
    account = f"system:serviceaccount:{operator.namespace}:{RELEASE}"
    kind, _, subresource = resource.partition("/")  # kubectl takes what follows a stroke for a name
    which = (kind, f"--subresource={subresource}")
    try:
        return kubectl("auth", "can-i", verb, *which, f"--as={account}", namespace=namespace).strip() == "yes"
    except CommandError as error:
        assert error.stdout.strip() == "no", error
        return False


def test_install_runs_two_replicas_of_which_one_leads(operator: Operator) -> None:
    wait_for(lambda: leader_of_two(operator), 90, "there are no two replicas of which one leads")
    assert len(get("lease", namespace=operator.namespace)) == 1
    assert definitions() == {kind.kind for kind in KINDS}


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("get", "secrets", True),
        ("list", "secrets", True),  # those with its label are watched, metadata alone
        ("delete", "secrets", False),
        ("update", "secrets", False),
        ("delete", "deployments.apps", False),
        ("create", "pods", False),
        ("list", "pods", True),
        ("get", "pods", False),
        ("watch", "pods", False),
        ("create", "pods/exec", False),
        ("get", "pods/log", False),
        ("get", "claudeevalruns.claudeops.dev/status", False),
        ("get", "claudemodels.claudeops.dev", False),
        ("impersonate", "serviceaccounts", False),
        ("delete", "networkpolicies.networking.k8s.io", False),
        ("delete", "claudedeployments.claudeops.dev", False),
        ("update", "claudedeployments.claudeops.dev/finalizers", True),
        ("patch", "claudedeployments.claudeops.dev/status", True),
        ("escalate", "roles.rbac.authorization.k8s.io", False),
        ("bind", "roles.rbac.authorization.k8s.io", False),
        ("create", "clusterroles.rbac.authorization.k8s.io", False),
        ("create", "leases.coordination.k8s.io", False),
    ],
)
def test_rights_outside_its_own_namespace(operator: Operator, verb: str, resource: str, allowed: bool) -> None:
    assert may(operator, verb, resource, "default") is allowed


def test_models_are_there_after_the_install(operator: Operator) -> None:
    models = {item["spec"]["id"]: item for item in get("clm")}
    assert "claude-opus-5-5" in models
    assert models["claude-3-opus-20240229"]["status"]["lifecycle"] == "Retired"


def living(operator: Operator) -> list[dict[str, Any]]:
    """The operator's pods, those that end left out."""
    return [pod for pod in operator.pods() if "deletionTimestamp" not in pod["metadata"]]


@pytest.mark.alone  # it takes the operator away
def test_upgrade_uninstall_and_install_again(operator: Operator, namespace: str) -> None:
    """A changed value reaches the pods; what users made outlives the release; a new release takes it up."""
    install(operator.image, "--set", "podAnnotations.changed=yes", "--set", "replicas=1")
    try:
        wait_for(lambda: len(living(operator)) == 1, 60, "there is not one replica")
        [pod] = living(operator)
        assert pod["metadata"]["annotations"]["changed"] == "yes"

        apply(SET, namespace)
        command("helm", "uninstall", RELEASE, "--namespace", SYSTEM, "--wait")
        assert find("deployment", RELEASE, namespace=SYSTEM) is None
        assert find("clusterrole", RELEASE) is None
        assert definitions() == {kind.kind for kind in KINDS}
        assert find("ces", "stays", namespace=namespace)
    finally:
        again = install(operator.image)
    wait_for(lambda: len(living(again)) == 2, 60, "there are not two replicas")
    releases = json.loads(command("helm", "list", "--namespace", SYSTEM, "--output", "json"))
    assert [release["status"] for release in releases] == ["deployed"]
    assert find("ces", "stays", namespace=namespace)
