"""A ClaudeDeployment `app` with quick steps, and how the simulator behaves towards it."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from tests.cluster import support
from tests.cluster.record import Record
from tests.cluster.support import SIMULATOR, STAGE, get, kubectl, wait_for

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "anthropic"},
    "stringData": {"api-key": "any"},
}
INTERVAL = 1.0  # seconds between two readings of the evidence
QUICK = {"latency": {"median": "20ms", "p95": "60ms"}, "outputTokens": 8}


def bake(seconds: int, requests: int = 10) -> dict[str, Any]:
    """A step that holds for a time and a number of canary requests."""
    return {"bake": {"minDuration": f"{seconds}s", "minRequests": requests}}


STEPS = [{"setWeight": 10}, bake(5), {"setWeight": 50}, bake(5)]


def deployment(prompt: str, steps: list[dict[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
    """The ClaudeDeployment; `prompt` makes the revision."""
    # Time and requests alone decide; what a bake has to prove is tested in test_judge.py.
    analysis = {"interval": f"{INTERVAL:g}s", "toleratedIncrease": "100%"}
    canary = {"steps": STEPS if steps is None else steps, "analysis": analysis}
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
            "gateway": {"replicas": 2},
            "strategy": {"canary": canary},
            **spec,
        },
    }


def scenario(*rules: dict[str, Any], at: str = STAGE, **fields: Any) -> None:
    """Have the simulator, the one in the namespace `at`, answer by these rules from now on."""
    body = json.dumps({"defaults": QUICK, "rules": list(rules), **fields}).encode()
    url = f"http://claude-simulator.{at}.svc:8081/-/scenario"
    request = urllib.request.Request(url, data=body, method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status < 300


def errs(prompt: str, rate: float = 0.3) -> dict[str, Any]:
    """A rule by which a revision whose prompt contains this fails a share of its requests."""
    return {"match": {"systemContains": prompt}, "errorRate": rate}


def start(namespace: str, prompt: str = "v1", **spec: Any) -> str:
    """Have a first revision serve from all gateways; returns its name."""
    support.apply(SECRET, namespace)
    support.apply(deployment(prompt, **spec), namespace)
    support.wait("cld/app", until="condition=Promoted", timeout=90, namespace=namespace)
    support.wait("cld/app", until="condition=GatewayReady", timeout=90, namespace=namespace)
    return str(get("cld", "app", namespace=namespace)["status"]["stableRevision"])


def begun(record: Record, besides: str) -> str:
    """Wait until a revision other than this one is on trial; returns its name."""

    def wanted() -> str:
        name = str(record.rollout.get("revision", ""))
        return name if name != besides and record.rollout.get("outcome") is None else ""

    return wait_for(wanted, 60, "no rollout began", every=0.05)


def annotate(namespace: str, name: str, value: str) -> None:
    """Say what a person wants."""
    kubectl("annotate", "--overwrite", "cld", "app", f"claudeops.dev/{name}={value}", namespace=namespace)


def restarts(record: Record) -> dict[str, int]:
    """Gateway pods that there are, by UID, and how often each was restarted."""
    return {
        pod["metadata"]["uid"]: sum(one["restartCount"] for one in pod["status"].get("containerStatuses", []))
        for pod in record.pods.alive.values()
    }
