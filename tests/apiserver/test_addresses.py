"""What pods are told of the API server, and the Service of TLS, on a real API server."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from tests.apiserver.client import Client, at_rest, wait_for
from tests.apiserver.objects import deployment, secret
from tests.apiserver.process import Operator

_GATEWAY = "support-gateway"


def _arguments(admin: Client, namespace: str) -> list[str]:
    found = admin.get("Deployment", _GATEWAY, namespace)
    if found is None:
        return []
    arguments: list[str] = found["spec"]["template"]["spec"]["containers"][0]["args"]
    return arguments


def _denied(admin: Client, namespace: str) -> list[str]:
    data = admin.take("ConfigMap", _GATEWAY, namespace)["data"]
    found: list[str] = json.loads(data["egress.json"])["deniedAddresses"]
    return found


def test_gateways_refuse_the_addresses_at_which_the_api_server_is(
    admin: Client, namespace: str, operate: Callable[..., Operator]
) -> None:
    endpoints = {  # this server, which nobody calls from a pod, writes none itself
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.8"]}, {"addresses": ["192.0.2.7"]}],
    }
    admin.apply(endpoints, "default")
    try:
        admin.apply(secret(), namespace)
        admin.apply(deployment(), namespace)
        operate("--allowed-address=10.1.0.0/16")
        arguments = wait_for(lambda: _arguments(admin, namespace), 60, "no gateway")
        denied = ["192.0.2.7/32", "192.0.2.8/32"]
        wait_for(lambda: _denied(admin, namespace) == denied, 30, "gateways are not told the addresses")
    finally:
        admin.delete("EndpointSlice", "kubernetes", "default")
    told = [one for one in arguments if "-address=" in one]
    assert told == ["--allowed-address=10.1.0.0/16"]  # they change without a restart


def test_the_service_changes_its_port_with_tls_and_nothing_is_written_twice(
    admin: Client, namespace: str, operate: Callable[..., Operator]
) -> None:
    admin.apply(secret(), namespace)
    admin.apply(deployment(), namespace)
    operate()
    wait_for(lambda: _arguments(admin, namespace), 60, "no gateway")
    tls = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls"}}
    admin.apply({**tls, "stringData": {"tls.crt": "x", "tls.key": "x"}}, namespace)

    def ports() -> list[tuple[str, int]]:
        return [(one["name"], one["port"]) for one in admin.take("Service", _GATEWAY, namespace)["spec"]["ports"]]

    def url() -> str:
        return base64.b64decode(
            admin.take("Secret", "support-client", namespace)["data"]["ANTHROPIC_BASE_URL"]
        ).decode()

    for value, port, scheme in (({"secretName": "tls"}, ("https", 443), "https"), (None, ("http", 80), "http")):
        admin.patch("ClaudeDeployment", "support", namespace, {"spec": {"gateway": {"tls": value}}})
        wait_for(lambda port=port: ports() == [port], 30, f"the Service has not {port} alone")
        wait_for(lambda scheme=scheme: url().startswith(f"{scheme}://"), 30, "the client Secret has the old address")
    kinds = ("Service", "Deployment")  # two who write in turn never come to rest
    at_rest(lambda: [admin.take(kind, _GATEWAY, namespace)["metadata"]["resourceVersion"] for kind in kinds], 3.0)
