"""Small ClaudeDeployments to apply on a real cluster, and questions to their gateways."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.cluster.support import SIMULATOR, condition, find, get, kubectl, wait, wait_for

Object = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a gateway said: status, the revision that served, and the text or the error's message."""

    status: int
    revision: str
    text: str


def secret(name: str = "anthropic", key: str = "api-key", value: str = "any") -> Object:
    """A Secret with a Claude API key; the simulator takes any value but `invalid`."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: value}}


def config_map(name: str, **data: str) -> Object:
    """A ConfigMap; `_` in a key stands for `.`."""
    content = {key.replace("_", "."): value for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": content}


def deployment(prompt: str = "v1", *, name: str = "app", request: Object | None = None, **spec: Any) -> Object:
    """A ClaudeDeployment with one gateway pod that moves all traffic at once; fields of `spec` replace its own."""
    system = [{"type": "text", "text": prompt}]
    return {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeDeployment",
        "metadata": {"name": name},
        "spec": {
            "request": {"model": "claude-haiku-5-5", "max_tokens": 64, "system": system, **(request or {})},
            "upstream": {"baseURL": SIMULATOR, "apiKeySecretRef": {"name": "anthropic", "key": "api-key"}},
            "gateway": {"replicas": 1},
            "strategy": {"canary": {"steps": [], "analysis": {"interval": "1s"}}},
            **spec,
        },
    }


def apply(item: Object, namespace: str) -> Object:
    """`kubectl apply` as users do; returns the object as stored."""
    kubectl("apply", "-f", "-", input=item, namespace=namespace)
    found: Object = get(item["kind"], item["metadata"]["name"], namespace=namespace)
    return found


def promoted(namespace: str, name: str = "app", timeout: int = 90) -> str:
    """Wait until what was applied serves 100 %; returns the revision."""
    wait(f"cld/{name}", until="condition=Promoted", timeout=timeout, namespace=namespace)
    return str(get("cld", name, namespace=namespace)["status"]["stableRevision"])


def told(namespace: str, type_: str, status: str, reason: str, *, name: str = "app", timeout: float = 30) -> str:
    """Wait until a condition says this of the newest generation; returns its message."""

    def look() -> Object | None:
        item = get("cld", name, namespace=namespace)
        one = condition(item, type_)
        fresh = one.get("observedGeneration") == item["metadata"]["generation"]
        # The others are of the same write, so what is waited for is never an older pass's word.
        return one if fresh and (one["status"], one["reason"]) == (status, reason) else None

    try:
        return str(wait_for(look, timeout)["message"])  # type: ignore[index]
    except AssertionError:
        now = get("cld", name, namespace=namespace).get("status", {}).get("conditions")
        raise AssertionError(f"{type_} did not become {status}/{reason}: {json.dumps(now, indent=1)}") from None


def ask(namespace: str, name: str = "app", question: str = "How are you?") -> Answer:
    """One request to the gateway with the client's Secret; status 0 where nobody listens yet."""
    data = get("secret", f"{name}-client", namespace=namespace)["data"]
    url, key = (plain(data[one]) for one in ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"))
    body = {"model": "claude-haiku-5-5", "max_tokens": 16, "messages": [{"role": "user", "content": question}]}
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01", "content-type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/messages", json.dumps(body).encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            text = "".join(block.get("text", "") for block in json.load(response)["content"])
            return Answer(response.status, response.headers.get("x-claude-revision", ""), text)
    except urllib.error.HTTPError as error:
        with error:
            said = json.loads(error.read())["error"]["message"]
            return Answer(error.code, error.headers.get("x-claude-revision", ""), said)
    except (OSError, http.client.HTTPException) as error:  # also one that breaks off in the middle
        return Answer(0, "", str(error))


def answered(namespace: str, name: str = "app", timeout: float = 15) -> Answer:
    """The gateway's answer, once there is one: nodes take a moment to learn where a Service's pods are."""
    found: list[Answer] = []

    def is_served() -> bool:
        found.append(ask(namespace, name))
        return found[-1].status == 200

    wait_for(is_served, timeout, "the gateway does not answer")
    return found[-1]


def plain(value: str) -> str:
    """A value of a Secret."""
    return base64.b64decode(value).decode()


def events(namespace: str, name: str = "app") -> list[Object]:
    """Events about a ClaudeDeployment, the first one first."""
    every = get("events.events.k8s.io", namespace=namespace)
    ours = [one for one in every if one["regarding"].get("kind") == "ClaudeDeployment"]
    return sorted((one for one in ours if one["regarding"]["name"] == name), key=lambda one: str(one["eventTime"]))


@contextmanager
def space(words: str) -> Iterator[str]:
    """A namespace for a whole file of tests, deleted afterwards without waiting."""
    name = f"{words}-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    wait_for(lambda: find("serviceaccount", "default", namespace=name), 30, "no service account came")
    try:
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")
