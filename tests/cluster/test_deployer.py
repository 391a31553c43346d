"""A deployer with rights on ClaudeDeployments and ConfigMaps alone tries to get a Secret's bytes to a listener."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from tests.cluster import apps, faults, support
from tests.cluster.apps import deployment, secret
from tests.cluster.listener import METADATA, OUTSIDE, TOKEN, Listener, give_address
from tests.cluster.support import SIMULATOR, CommandError, Operator, condition, find, get, kubectl, wait_for

DEPLOYER = ("--as=deployer", "--as-group=system:authenticated")
TIGHT = (
    "--set=security.secretsOptIn=true",
    f"--set=security.allowedHosts={{{SIMULATOR.removeprefix('http://')}}}",
)
RIGHTS = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "deployer"},
    "rules": [
        {"apiGroups": ["claudeops.dev"], "resources": ["claudedeployments"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]},
    ],
}
BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "deployer"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "deployer"}],
}


@dataclass(frozen=True)
class Place:
    """Where it is tried: the namespace, the listeners, and the values that are worth having."""

    namespace: str
    outside: Listener
    metadata: Listener
    node: Listener
    password: str
    key: str
    others: str
    """Of a Secret in another namespace."""


def _deployer(*words: str, input: dict[str, Any] | None = None, namespace: str) -> str:  # noqa: A002
    return kubectl(*words, *DEPLOYER, input=input, namespace=namespace)


def _upstream(base_url: str, name: str = "database", key: str = "password") -> dict[str, Any]:
    return {"baseURL": base_url, "apiKeySecretRef": {"name": name, "key": key}}


def _tries(place: Place) -> dict[str, dict[str, Any]]:
    """ClaudeDeployments by name; the name is the path at the listener."""
    outside = place.outside.url
    token = [{"name": "DB", "valueFrom": {"secretKeyRef": {"name": "database", "key": "password"}}}]
    server = {"type": "url", "name": "mine", "url": f"https://{OUTSIDE}/mcp", "authorization_token": "$(DB)"}
    service = get("service", "kubernetes", namespace="default")["spec"]["clusterIP"]
    return {
        "by-url": deployment(name="by-url", upstream=_upstream(f"{outside}/by-url")),
        "by-env": deployment(
            name="by-env",
            request={
                "betas": ["mcp-client-2025-11-20"],
                "mcp_servers": [server],
                "tools": [{"type": "mcp_toolset", "mcp_server_name": "mine"}],
            },
            env=token,
            upstream=_upstream(f"{outside}/by-env", "anthropic", "api-key"),
        ),
        "by-node": deployment(name="by-node", upstream=_upstream(f"{place.node.url}/by-node")),
        "by-metadata": deployment(name="by-metadata", upstream=_upstream(f"{place.metadata.url}/by-metadata")),
        "by-loopback": deployment(name="by-loopback", upstream=_upstream("http://127.0.0.1:9090/by-loopback")),
        "by-server": deployment(name="by-server", upstream=_upstream(f"https://{service}/by-server")),
        "by-path": deployment(name="by-path", upstream=_upstream(f"{outside}/by-path", "../../../other/secrets/x")),
        "by-name": deployment(name="by-name", upstream=_upstream(f"{_by_name(place)}/by-name")),
        "by-query": _queries("by-query", f"{outside}/prometheus"),
        "by-blind-query": _queries("by-blind-query", f"http://{METADATA}/prometheus"),
    }


REFUSED = {
    **dict.fromkeys(
        ("by-node", "by-name", "by-metadata", "by-loopback", "by-server", "by-blind-query"), "HostNotAllowed"
    ),
    "by-path": "InvalidSpec",
}
NODE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "node"},
    "spec": {"clusterIP": "None", "ports": [{"port": 80}]},
}


def _by_name(place: Place) -> str:
    """The node's listener by a name."""
    return f"http://node.{place.namespace}.svc:{place.node.port}"


def _queries(name: str, address: str) -> dict[str, Any]:
    """One that asks a server of its own for a metric."""
    metric = {
        "name": "mine",
        "prometheus": {"address": address, "query": "up"},
        "threshold": {"max": 1.0},
        "interval": "2s",
    }
    canary = {
        "steps": [{"setWeight": 50}, {"bake": {"minDuration": "5m"}}],
        "analysis": {"interval": "1s", "metrics": [metric]},
    }
    return deployment(name=name, strategy={"canary": canary})


@pytest.mark.alone  # it installs the operator with other settings
def test_nothing_that_a_deployer_tries_brings_a_secret_out(operator: Operator, namespace: str) -> None:
    """By default the stated trust alone, which is that of a pod in this namespace; in the tight setting nothing."""
    if not faults.of_own_cluster():
        pytest.skip("needs the project's own cluster, whose network takes further addresses")
    with _place(namespace) as place:
        _try_rights(namespace)
        _try_deployments(place)
        assert place.outside.ways(place.password) == {"by-url", "by-env"}
        assert place.outside.ways(place.key) == {"by-env"}
        _try_config_maps(place)
        assert place.outside.ways(place.key) == {"by-env"}
        assert "edited" not in {path.split("/")[1] for path, _ in place.outside.received}
        try:
            support.install(operator.image, *TIGHT)
            _forget(place)
            _try_tight(place)
        finally:
            support.install(operator.image)
        for listener in (place.metadata, place.node):
            assert listener.received == []


@contextmanager
def _place(namespace: str) -> Iterator[Place]:
    give_address(OUTSIDE)
    give_address(METADATA)
    address = next(one["address"] for one in get("nodes")[0]["status"]["addresses"] if one["type"] == "InternalIP")
    values = [f"{word}-{secrets.token_hex(12)}" for word in ("password", "key", "others")]
    with (
        Listener(OUTSIDE) as outside,
        Listener(METADATA, 80) as metadata,
        Listener(address) as node,
        apps.space("other") as other,
    ):
        place = Place(namespace, outside, metadata, node, *values)
        apps.apply(secret("x", "password", place.others), other)
        apps.apply(secret("database", "password", place.password), namespace)
        apps.apply(secret("anthropic", "api-key", place.key), namespace)
        slices = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "node", "labels": {"kubernetes.io/service-name": "node"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address]}],
            "ports": [{"port": 80}],
        }
        for body in (RIGHTS, BINDING, NODE, slices, deployment(name="victim")):
            apps.apply(body, namespace)
        apps.promoted(namespace, "victim")
        yield place
        for listener in (outside, metadata, node):
            assert not listener.ways(place.others)


def _try_rights(namespace: str) -> None:
    """What they have no rights on; ClaudeEvalRuns are nobody's, whoever may edit the namespace."""
    run = {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeEvalRun",
        "metadata": {"name": "mine"},
        "spec": {"revision": "x", "setRef": "x", "upstream": _upstream("http://a")},
    }
    for words, body in (
        (("create", "-f", "-"), run),
        (("get", "secret", "database"), None),
        (("auth", "can-i", "create", "pods"), None),
    ):
        with pytest.raises(CommandError):
            _deployer(*words, input=body, namespace=namespace)
    kubectl("create", "rolebinding", "editor", "--clusterrole=edit", "--user=editor", namespace=namespace)
    with pytest.raises(CommandError, match="forbidden"):
        kubectl("create", "-f", "-", "--as=editor", input=run, namespace=namespace)


def _settled(namespace: str, name: str) -> bool:
    item = get("cld", name, namespace=namespace)
    accepted = condition(item, "Accepted")
    if accepted.get("observedGeneration") != item["metadata"]["generation"]:
        return False
    return accepted["status"] == "False" or condition(item, "GatewayReady").get("status") == "True"


def _try_deployments(place: Place) -> None:
    tries = _tries(place)
    for body in tries.values():
        _deployer("apply", "-f", "-", input=body, namespace=place.namespace)
    for name in tries:
        wait_for(lambda name=name: _settled(place.namespace, name), 120, f"{name} is neither accepted nor refused")
    for name in ("by-url", "by-env"):
        wait_for(lambda name=name: apps.ask(place.namespace, name).status not in (0, 503), 30, name)
        answer = apps.ask(place.namespace, name)
        assert TOKEN not in answer.text
        assert answer.status == 200, (name, answer)
    wait_for(lambda: place.outside.ways(place.password) == {"by-url", "by-env"}, 10)
    found = {name: condition(get("cld", name, namespace=place.namespace), "Accepted")["reason"] for name in REFUSED}
    assert found == REFUSED
    _try_queries(place)


def _try_queries(place: Place) -> None:
    """A second revision is judged by the metrics: their addresses are asked, and nothing of theirs comes back."""
    body = _tries(place)["by-query"]
    body["spec"]["request"]["system"][0]["text"] = "v2"
    _deployer("apply", "-f", "-", input=body, namespace=place.namespace)
    wait_for(lambda: any(path.startswith("/prometheus") for path, _ in place.outside.received), 60, "no query came")
    text = next(text for path, text in place.outside.received if path.startswith("/prometheus"))
    assert "authorization" not in text.lower()
    wait_for(lambda: get("cld", "by-query", namespace=place.namespace)["status"].get("judgement"), 30)
    time.sleep(3.0)
    status = json.dumps(get("cld", "by-query", namespace=place.namespace)["status"])
    assert TOKEN not in status


def _try_config_maps(place: Place) -> None:
    """The gateways' ConfigMap, edited ten times while clients ask: no key goes to where it says."""
    namespace = place.namespace
    live = json.loads(get("configmap", "victim-gateway", namespace=namespace)["data"]["config.json"])
    forged = live | {
        "auth": {"type": "None"},
        "upstream": {**live["upstream"], "baseURL": f"{place.outside.url}/edited"},
    }
    for number in range(10):
        forged["generation"] = live["generation"] + number % 3
        patch = json.dumps({"data": {"config.json": json.dumps(forged)}})
        with suppress(CommandError):  # it may be gone, or changed, at this moment
            _deployer("patch", "configmap", "victim-gateway", "--type=merge", "-p", patch, namespace=namespace)
            if number == 5:
                _deployer("delete", "configmap", "victim-gateway", namespace=namespace)
        for _ in range(3):
            assert apps.ask(namespace, "victim").status == 200
    wait_for(lambda: _config(namespace)["upstream"]["baseURL"] == SIMULATOR, 30, "it is not put back")
    restored = lambda: [one for one in apps.events(namespace, "victim") if one["reason"] == "ChildRestored"]  # noqa: E731
    wait_for(restored, 20, "it is not told")


def _config(namespace: str) -> dict[str, Any]:
    found = find("configmap", "victim-gateway", namespace=namespace)
    config: dict[str, Any] = json.loads(found["data"]["config.json"]) if found else {"upstream": {"baseURL": ""}}
    return config


def _forget(place: Place) -> None:
    """What serves by the trust of before gets no secret any more, and says so; then it goes."""
    for name in ("by-url", "by-env"):
        wait_for(lambda name=name: _ready(place.namespace, name) == "HostNotAllowed", 60, f"{name} says nothing")
        wait_for(lambda name=name: apps.ask(place.namespace, name).status == 502, 30, f"{name} serves on")
    place.outside.received.clear()
    for name in ("by-url", "by-env"):
        answer = apps.ask(place.namespace, name)
        assert answer.status == 502, (name, answer)
        assert "has a host that the installer does not allow" in answer.text
    assert place.outside.received == []
    kubectl("delete", "cld", *_tries(place), "--timeout=120s", namespace=place.namespace)
    place.outside.received.clear()


def _ready(namespace: str, name: str) -> str:
    return str(condition(get("cld", name, namespace=namespace), "Ready").get("reason", ""))


def _try_tight(place: Place) -> None:
    """Not a byte, and each refusal says what to do. The label on the Secret is the one line that is needed."""
    tries = _tries(place)
    for body in tries.values():
        _deployer("apply", "-f", "-", input=body, namespace=place.namespace)
    for name in tries:
        message = wait_for(lambda name=name: _refusal(place.namespace, name), 60, f"{name} is not refused")
        print(f"{name}: {message}")
    assert apps.ask(place.namespace, "victim").status == 200  # what serves goes on
    kubectl("label", "secret", "anthropic", "claudeops.dev/use=upstream", namespace=place.namespace)
    wait_for(lambda: condition(get("cld", "victim", namespace=place.namespace), "Accepted")["status"] == "True", 60)
    _try_config_maps(place)
    time.sleep(2.0)
    assert place.outside.received == []


def _refusal(namespace: str, name: str) -> str:
    item = get("cld", name, namespace=namespace)
    one = condition(item, "Accepted")
    fresh = one.get("observedGeneration") == item["metadata"]["generation"]
    return str(one["message"]) if fresh and one["status"] == "False" else ""
