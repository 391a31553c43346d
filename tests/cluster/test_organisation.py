"""A ClaudeOrganization against the simulator's Admin API: whose usage is whose, and what goes around the gateways."""

from __future__ import annotations

import json
import secrets
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.apps import SIMULATOR, Object, answered, apply, deployment, promoted, secret
from tests.cluster.rollouts import scenario
from tests.cluster.support import SYSTEM, Operator, condition, find, get, kubectl, stay_in_day, wait_for

from claude_operator.simulator.admin_book import key_id

CALLS = 3


@pytest.fixture
def name(namespace: str, tmp_path: Path) -> Iterator[str]:
    """A name for a ClaudeOrganization, of which nothing is left afterwards; and a volume for it.

    The project's own cluster makes none: it has no StorageClass.
    """
    made = f"org-{secrets.token_hex(3)}"
    tmp_path.chmod(0o777)  # a pod's user writes there
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": made},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "claimRef": {"namespace": SYSTEM, "name": f"{made}-organization"},
            "hostPath": {"path": str(tmp_path)},
            "persistentVolumeReclaimPolicy": "Retain",
        },
    }
    kubectl("apply", "-f", "-", input=volume)
    scenario(organization={"lag": "0s"})
    yield made
    scenario()
    kubectl("delete", "cor", made, "--ignore-not-found")
    for what in (f"secret/{made}-key", f"pvc/{made}-organization"):
        kubectl("delete", what, "--ignore-not-found", "--wait=false", namespace=SYSTEM)
    kubectl("delete", "pv", made, "--wait=false")


def ask_around(key: str) -> int:
    """A call to the API itself, with a key that gateways hold; returns its tokens."""
    body = {"model": "claude-haiku-5-5", "max_tokens": 16, "messages": [{"role": "user", "content": "How are you?"}]}
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01", "content-type": "application/json"}
    request = urllib.request.Request(f"{SIMULATOR}/v1/messages", json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        usage = json.load(answer)["usage"]
    return int(usage["input_tokens"]) + int(usage["output_tokens"])


def organization(name: str, key: str) -> Object:
    """A ClaudeOrganization of the simulator's, and the Secret with its key."""
    kubectl("create", "secret", "generic", f"{name}-key", f"--from-literal=key={key}", namespace=SYSTEM)
    return {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeOrganization",
        "metadata": {"name": name},
        "spec": {
            "adminKeySecretRef": {"name": f"{name}-key", "key": "key"},
            "baseURL": SIMULATOR,
            "pollInterval": "200ms",
        },
    }


def shown(operator: Operator, metric: str, label: str, **where: str) -> dict[str, float]:
    """What the leader shows of a ClaudeOrganization, by a label. The status has it after up to five minutes."""
    found: dict[str, float] = {}
    for pod in operator.pods():
        try:
            with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8081/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except (OSError, KeyError):
            continue
        for line in text.splitlines():
            if line.startswith(f"{metric}{{") and all(f'{key}="{value}"' in line for key, value in where.items()):
                labels, _, value = line.rpartition(" ")
                found[labels.partition(f'{label}="')[2].partition('"')[0]] = float(value)
    return found


@pytest.mark.timeout(1800)
def test_usage_is_attributed_by_key_and_what_goes_around_the_gateways_is_named(
    namespace: str, name: str, operator: Operator
) -> None:
    stay_in_day(800)
    shared, own = (f"sk-ant-api03-{secrets.token_hex(20)}" for _ in range(2))
    for title, key in (("shared", shared), ("own", own)):
        apply(secret(title, value=key), namespace)
    for app, title in (("a", "shared"), ("b", "shared"), ("c", "own")):
        upstream = {"baseURL": SIMULATOR, "apiKeySecretRef": {"name": title, "key": "api-key"}}
        named = {"apiKeyID": key_id(shared)} if title == "shared" else {}  # the other is found by its hint
        apply(deployment(name=app, upstream={**upstream, **named}), namespace)
    for app in ("a", "b", "c"):
        promoted(namespace, app)
        for _ in range(CALLS):
            answered(namespace, app)
    around = sum(ask_around(shared) for _ in range(CALLS))
    sent = time.time() // 60

    apply(organization(name, "sk-ant-api03-of-a-workspace"), namespace)
    wait_for(lambda: condition(get("cor", name), "KeyAccepted")["reason"] == "WorkspaceKey", 60)
    assert find("deployment", f"{name}-organization", namespace=SYSTEM) is None
    while time.time() // 60 == sent:  # a minute is read after its end, and then only every five minutes
        time.sleep(1)
    patch = {"stringData": {"key": "sk-ant-admin01-of-the-organisation"}}
    kubectl("patch", "secret", f"{name}-key", f"--patch={json.dumps(patch)}", namespace=SYSTEM)
    wait_for(lambda: condition(get("cor", name), "Ready")["status"] == "True", 120)

    def tokens() -> dict[str, float] | None:
        """Of the three, once what the gateways measured is known to the operator."""
        rest = shown(operator, "claude_organization_other_key_tokens", "key", name=name)
        where = {"name": name, "namespace": namespace}
        found = shown(operator, "claude_organization_deployment_tokens", "deployment", **where)
        return found if rest.get(key_id(shared)) == around and all(found.get(app) for app in "abc") else None

    found = wait_for(tokens, 400, "usage was not attributed")
    assert found["a"] == found["b"]
    status = get("cor", name)["status"]
    keys = {
        one["name"]: (one["apiKeyID"], one["sharedWith"])
        for one in status["deployments"]
        if one["namespace"] == namespace
    }
    assert keys["c"] == (key_id(own), 0)
    assert keys["a"] == (key_id(shared), 1)

    kubectl("delete", "cor", name)
    wait_for(lambda: find("deployment", f"{name}-organization", namespace=SYSTEM) is None, 60)
    assert find("pvc", f"{name}-organization", namespace=SYSTEM) is not None
