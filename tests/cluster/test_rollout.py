"""The main job on a real cluster: promotion without a failed request, and rollback on evidence."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from tests.cluster import support
from tests.cluster.support import SYSTEM, condition, get, kubectl, wait_for
from tests.cluster.traffic import Traffic

pytestmark = pytest.mark.usefixtures("operator")

SIMULATOR = f"http://claude-simulator.{SYSTEM}.svc:8081"
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "anthropic"},
    "stringData": {"api-key": "any"},
}


def deployment(prompt: str, **spec: Any) -> dict[str, Any]:
    """A ClaudeDeployment `app` with quick steps."""
    return {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeDeployment",
        "metadata": {"name": "app"},
        "spec": {
            "request": {
                "model": "claude-haiku-5-5",
                "max_tokens": 64,
                "system": [{"type": "text", "text": prompt}],
            },
            "upstream": {"baseURL": SIMULATOR, "apiKeySecretRef": {"name": "anthropic", "key": "api-key"}},
            "strategy": {
                "canary": {
                    "steps": [
                        {"setWeight": 10},
                        {"bake": {"minDuration": "5s", "minRequests": 10}},
                        {"setWeight": 50},
                        {"bake": {"minDuration": "5s", "minRequests": 10}},
                    ],
                    "analysis": {"interval": "1s"},
                }
            },
            **spec,
        },
    }


def scenario(*rules: dict[str, Any]) -> None:
    """Have the simulator answer by these rules."""
    body = json.dumps({"defaults": {"latency": {"median": "20ms", "p95": "60ms"}}, "rules": list(rules)}).encode()
    request = urllib.request.Request(f"{SIMULATOR}/-/scenario", data=body, method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status < 300


def start(namespace: str, prompt: str = "v1") -> str:
    """Have a first revision serve; returns its name."""
    support.apply(SECRET, namespace)
    support.apply(deployment(prompt), namespace)
    kubectl("wait", "cld/app", "--for=condition=Promoted", "--timeout=60s", namespace=namespace)
    return str(get("cld", "app", namespace=namespace)["status"]["stableRevision"])


def test_promotes_a_good_revision_without_a_failed_request(namespace: str) -> None:
    scenario()
    first = start(namespace)
    with Traffic("app", namespace) as traffic:
        wait_for(lambda: len(traffic.answers) > 20, 30)
        support.apply(deployment("v2"), namespace)
        kubectl("wait", "cld/app", "--for=condition=Promoted", "--timeout=120s", namespace=namespace)
        second = get("cld", "app", namespace=namespace)["status"]["stableRevision"]
        wait_for(lambda: traffic.answers[-1].revision == second, 10)
    assert second != first
    assert not traffic.failed()
    assert set(traffic.by_revision()) == {first, second}


def test_rolls_back_a_revision_that_errs(namespace: str) -> None:
    scenario({"match": {"systemContains": "v2-bad"}, "errorRate": 0.3})
    first = start(namespace)
    with Traffic("app", namespace) as traffic:
        support.apply(deployment("v2-bad"), namespace)
        ended = wait_for(
            lambda: get("cld", "app", namespace=namespace)["status"].get("rollouts", [])[1:], 120, "no rollback"
        )[0]
    assert ended["outcome"] == "RolledBack"
    assert ended["reason"] == "ErrorsIncreased"
    item = get("cld", "app", namespace=namespace)
    assert item["status"]["stableRevision"] == first
    assert condition(item, "Promoted")["reason"] == "RolledBack"
    assert not traffic.failed(besides=[ended["revision"]])
