"""Where gateways connect, and by what they are reached, on a real cluster."""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import subprocess
import urllib.request
from pathlib import Path

import pytest
from tests.cluster import support
from tests.cluster.apps import answered, apply, ask, deployment, plain, promoted, secret, told
from tests.cluster.support import get, kubectl, wait_for

pytestmark = pytest.mark.usefixtures("operator")


KEY = {"name": "anthropic", "key": "api-key"}


def test_a_name_that_leads_to_the_api_server_is_told_and_nothing_is_replaced(namespace: str) -> None:
    apply(secret(), namespace)
    apply(deployment(), namespace)
    first = promoted(namespace)
    pods = {one["metadata"]["uid"] for one in get("pods", namespace=namespace)}
    apply(deployment(upstream={"baseURL": "https://kubernetes.default.svc", "apiKeySecretRef": KEY}), namespace)
    message = told(namespace, "Accepted", "False", "HostNotAllowed")
    assert message.startswith("spec.upstream.baseURL: kubernetes.default.svc leads to ")
    assert answered(namespace).revision == first
    assert {one["metadata"]["uid"] for one in get("pods", namespace=namespace)} == pods


def test_a_name_that_leads_to_the_api_server_later_is_not_connected_to(namespace: str) -> None:
    """It was accepted before: it is seen where the gateway connects, and blames no arm."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "moved"},
        "spec": {"clusterIP": "None", "ports": [{"port": 443}]},
    }
    slices = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "moved", "labels": {"kubernetes.io/service-name": "moved"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.254.254.11"]}],  # nobody is there
        "ports": [{"port": 443}],
    }
    for body in (secret(), service, slices):
        apply(body, namespace)
    base_url = f"https://moved.{namespace}.svc"
    timeouts = {"connect": "1s"}
    apply(deployment(upstream={"baseURL": base_url, "apiKeySecretRef": KEY, "timeouts": timeouts}), namespace)
    promoted(namespace)
    support.wait("cld/app", until="condition=GatewayReady", timeout=90, namespace=namespace)
    found = get("endpointslices", namespace="default", selector="kubernetes.io/service-name=kubernetes")
    server = next(one for each in found for end in each["endpoints"] for one in end["addresses"] if ":" not in one)
    apply({**slices, "endpoints": [{"addresses": [server]}]}, namespace)
    sentence = "leads to an address that gateways do not connect to"
    answer = wait_for(lambda: found if sentence in (found := ask(namespace)).text else None, 90)
    assert answer.status == 502


def test_an_address_that_is_not_connected_to_is_told_and_what_serves_goes_on(namespace: str) -> None:
    apply(secret(), namespace)
    apply(deployment(), namespace)
    first = promoted(namespace)
    upstream = {"baseURL": "http://169.254.169.254", "apiKeySecretRef": {"name": "anthropic", "key": "api-key"}}
    apply(deployment(upstream=upstream), namespace)
    message = told(namespace, "Accepted", "False", "HostNotAllowed")
    assert message.startswith("spec.upstream.baseURL: 169.254.169.254 is an address that")
    assert answered(namespace).revision == first


def test_every_gateway_is_told_the_api_servers_addresses(namespace: str) -> None:
    apply(secret(), namespace)
    apply(deployment(), namespace)
    promoted(namespace)
    slices = get("endpointslices", namespace="default", selector="kubernetes.io/service-name=kubernetes")
    addresses = {address for one in slices for end in one["endpoints"] for address in end["addresses"]}
    wanted = {f"{address}/{128 if ':' in address else 32}" for address in addresses}

    def denied() -> set[str]:
        data = get("configmap", "app-gateway", namespace=namespace)["data"]
        return set(json.loads(data["egress.json"])["deniedAddresses"])

    wait_for(lambda: wanted <= denied(), 30, "the gateways are not told")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="install openssl")
def test_applications_are_served_by_tls(namespace: str, tmp_path: Path) -> None:
    host = f"app-gateway.{namespace}.svc"
    files = {"tls.crt": tmp_path / "tls.crt", "tls.key": tmp_path / "tls.key"}
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days"]
    words += ["30000", "-subj", "/CN=gateway", "-addext", f"subjectAltName=DNS:{host}"]
    subprocess.run([*words, "-keyout", files["tls.key"], "-out", files["tls.crt"]], check=True, capture_output=True)
    apply(secret(), namespace)
    apply(deployment(), namespace)
    promoted(namespace)
    key = plain(get("secret", "app-client", namespace=namespace)["data"]["ANTHROPIC_API_KEY"])

    apply(deployment(gateway={"replicas": 1, "tls": {"secretName": "app-tls"}}), namespace)
    message = told(namespace, "Accepted", "False", "SecretNotFound")
    assert "create secret tls app-tls --cert=tls.crt --key=tls.key" in message
    answered(namespace)  # as before

    kubectl("create", "secret", "tls", "app-tls", f"--cert={files['tls.crt']}", f"--key={files['tls.key']}",
            namespace=namespace)  # fmt: skip

    def data() -> dict[str, str]:
        found: dict[str, str] = get("secret", "app-client", namespace=namespace)["data"]
        return {name: plain(value) for name, value in found.items()}

    wait_for(lambda: data()["ANTHROPIC_BASE_URL"] == f"https://{host}", 60, "the client Secret has the old address")
    assert data()["ANTHROPIC_API_KEY"] == key
    context = ssl.create_default_context(cafile=str(files["tls.crt"]))
    body = {"model": "claude-haiku-5-5", "max_tokens": 16, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"x-api-key": key, "content-type": "application/json"}
    request = urllib.request.Request(f"https://{host}/v1/messages", json.dumps(body).encode(), headers, method="POST")

    def server() -> str:
        """Who answers; nobody as long as the pods of before are asked, which know of no TLS."""
        try:
            with urllib.request.urlopen(request, timeout=20, context=context) as answer:
                return str(answer.headers["server"])
        except (OSError, http.client.HTTPException):
            return ""

    assert wait_for(server, 120, "nobody answers by TLS") == "claude-operator"
