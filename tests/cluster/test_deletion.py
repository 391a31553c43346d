"""Deleting a ClaudeDeployment: everything that it owned goes, with and without the operator, and nothing hangs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest
from tests.cluster import apps, support
from tests.cluster.apps import Object, deployment, secret
from tests.cluster.support import ROOT, CommandError, Operator, find, get, kubectl, wait_for

GATE = ROOT / "examples/03-canary-with-evals"
KINDS = (
    "cld,clr,cer,ces,jobs,pods,deployments,replicasets,services,configmaps,secrets,serviceaccounts,roles,rolebindings,"
    "poddisruptionbudgets,networkpolicies"
)


CHILDREN = {
    "gateway": (
        *("Deployment", "Service", "ConfigMap", "PodDisruptionBudget", "NetworkPolicy"),
        *("ServiceAccount", "Role", "RoleBinding"),
    ),
    "client": ("Secret",),
    "eval": ("ServiceAccount", "Role", "RoleBinding", "NetworkPolicy"),
}
RIGHTS = {
    "triage-gateway": {
        ("get", "configmaps/triage-gateway"): True,
        ("watch", "configmaps/triage-gateway"): True,
        ("get", "configmaps/another"): False,
        ("update", "configmaps/triage-gateway"): False,
        ("get", "secrets/anthropic"): False,
        ("list", "secrets"): False,
        ("get", "claudedeployments/triage"): False,
    },
    "triage-eval": {
        ("get", "claudeevalsets/triage"): True,
        ("get", "claudeevalsets/another"): False,
        ("get", "clauderevisions/any"): True,
        ("patch", "claudeevalruns/any --subresource=status"): True,
        ("get", "claudeevalruns/any --subresource=status"): False,
        ("get", "secrets/anthropic"): False,
        ("get", "secrets/triage-eval-answers-0"): True,
        ("patch", "secrets/triage-eval-answers-3"): True,
        ("patch", "secrets/anthropic"): False,
        ("create", "secrets"): False,
        ("list", "secrets"): False,
        ("patch", "configmaps/another"): False,
        ("create", "configmaps"): False,
        ("list", "configmaps"): False,
        ("delete", "claudeevalruns"): False,
        ("update", "clauderevisions"): False,
        ("get", "claudedeployments/triage"): False,
        ("create", "jobs"): False,
    },
}


def may(account: str, verb: str, what: str, namespace: str) -> bool:
    """Whether RBAC lets one of our pods' accounts do this."""
    who = f"--as=system:serviceaccount:{namespace}:{account}"
    try:
        return kubectl("auth", "can-i", verb, *what.split(), who, namespace=namespace).strip() == "yes"
    except CommandError as error:
        assert error.stdout.strip() == "no", error
        return False


def objects(namespace: str) -> dict[str, Object]:
    """What lives in a namespace, by `Kind/name`, without what every namespace has."""
    every = {f"{one['kind']}/{one['metadata']['name']}": one for one in get(KINDS, namespace=namespace)}
    return {
        name: one for name, one in every.items() if name not in ("ConfigMap/kube-root-ca.crt", "ServiceAccount/default")
    }


def serve_with_a_gate(namespace: str) -> None:
    """Have a ClaudeDeployment with every kind of child: eval run, Job and all."""
    kubectl("apply", "-f", GATE, namespace=namespace)
    apps.promoted(namespace, "triage", timeout=120)


@pytest.fixture
def application(operator: Operator, namespace: str) -> str:
    """The namespace of a ClaudeDeployment `app` that serves."""
    apps.apply(secret(), namespace)
    apps.apply(deployment(), namespace)
    apps.promoted(namespace)
    return namespace


@pytest.fixture
def without_operator(application: str, operator: Operator) -> Iterator[None]:
    """Nobody but Kubernetes' own garbage collector is there."""
    support.must_be_alone()
    scale = ("scale", f"deployment/{operator.release}")
    replicas = get("deployment", operator.release, namespace=operator.namespace)["spec"]["replicas"]
    kubectl(*scale, "--replicas=0", namespace=operator.namespace)
    try:
        wait_for(lambda: not operator.pods(), 60, "the operator did not stop")
        yield
    finally:
        kubectl(*scale, f"--replicas={replicas}", namespace=operator.namespace)
        rollout = ("rollout", "status", f"deployment/{operator.release}", "--timeout=600s")
        kubectl(*rollout, namespace=operator.namespace)


def assert_all_goes(namespace: str, name: str, mine: set[str]) -> None:
    """`kubectl delete` returns at once, and only what the user made stays."""
    kubectl("delete", "cld", name, "--timeout=300s", namespace=namespace)
    wait_for(lambda: set(objects(namespace)) == mine, 60, f"more than {mine} stays")


def test_everything_that_it_owned_goes(operator: Operator, namespace: str) -> None:
    serve_with_a_gate(namespace)
    here = objects(namespace)
    own = {f"{kind}/triage-{part}" for part, kinds in CHILDREN.items() for kind in kinds}
    assert own <= set(here)
    assert {name.partition("/")[0] for name in here} >= {"ClaudeRevision", "ClaudeEvalRun", "Job"}
    for name, one in here.items():
        written = json.dumps(one["metadata"].get("finalizers", [])) + json.dumps(one["metadata"].get("annotations", {}))
        assert "kopf" not in written, name
        assert "claudeops" not in json.dumps(one["metadata"].get("finalizers", [])), name
    assert not here["ClaudeDeployment/triage"]["metadata"].get("finalizers")
    wrong = [(account, *ask) for account, asks in RIGHTS.items() for ask, allowed in asks.items()
             if may(account, *ask, namespace) is not allowed]  # fmt: skip
    assert not wrong
    kept = {f"Secret/triage-eval-answers-{number}" for number in range(4)}
    assert_all_goes(namespace, "triage", {"ClaudeEvalSet/triage", "Secret/anthropic"} | kept)
    kubectl("delete", "ces", "triage", namespace=namespace)
    wait_for(lambda: set(objects(namespace)) == {"Secret/anthropic"}, 60, "what is kept of a set did not go with it")

    # The same name may be used again: nothing of the old one is in the way.
    apps.apply(deployment(name="triage"), namespace)
    apps.promoted(namespace, "triage")
    apps.answered(namespace, "triage")


@pytest.mark.alone  # it takes the operator away
def test_everything_goes_while_the_operator_is_away(application: str, without_operator: None) -> None:
    """Gateways serve without it, and owner references are all that a deletion needs."""
    apps.answered(application)
    assert_all_goes(application, "app", {"Secret/anthropic"})


def test_a_namespace_is_deleted_at_once(operator: Operator) -> None:
    namespace = f"goes-{secrets.token_hex(3)}"
    kubectl("create", "namespace", namespace)
    apps.apply(secret(), namespace)
    apps.apply(deployment(), namespace)
    apps.promoted(namespace)
    kubectl("delete", "namespace", namespace, "--timeout=600s")
    assert find("namespace", namespace) is None
    assert not [line for line in operator.logs(200).splitlines() if namespace in line and "Traceback" in line]
