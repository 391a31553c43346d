"""A list of hosts that is narrowed while something serves: a real gateway on a real API server, and a real operator."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.apiserver.client import Client, wait_for
from tests.apiserver.objects import SPEC
from tests.apiserver.process import Operator
from tests.apiserver.server import ApiServer
from tests.apiserver.test_children import SOON, serving
from tests.apiserver.test_config_writer import MAP, Listener, ask, gateway

SERVER = {"type": "url", "name": "mine", "url": "https://elsewhere.example/mcp"}
STRIPPED: list[dict[str, Any]] = [
    {"egress.json": None, "egress-signature": None},
    {"egress.json": "{}"},
    {"egress.json": json.dumps({"allowedHosts": ["elsewhere.example"]}), "egress-signature": "0" * 64},
]


def test_what_serves_since_before_gets_no_value_of_a_secret_any_more(
    server: ApiServer, admin: Client, namespace: str, operate: Callable[..., Operator], tmp_path: Path
) -> None:
    tokens = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "docs"}, "stringData": {"token": "x"}}
    admin.create(tokens, namespace)
    with Listener() as upstream:
        spec: dict[str, Any] = {
            "request": {
                **SPEC["request"],
                "betas": ["mcp-client-2025-11-20"],
                "mcp_servers": [{**SERVER, "authorization_token": "$(DOCS)"}],
                "tools": [{"type": "mcp_toolset", "mcp_server_name": "mine"}],
            },
            "env": [{"name": "DOCS", "valueFrom": {"secretKeyRef": {"name": "docs", "key": "token"}}}],
            "upstream": {"baseURL": upstream.url, "apiKeySecretRef": {"name": "anthropic", "key": "api-key"}},
        }
        folder = tmp_path / "gateway"
        (folder / "env").mkdir(parents=True)
        (folder / "env" / "DOCS").write_text("first-value")
        first = operate()
        with serving(admin, namespace, first, **spec) as served, gateway(server, served, folder) as service:
            assert ask(service) == 200
            assert json.loads(upstream.bodies[-1])["mcp_servers"][0]["authorization_token"] == "first-value"
            before = served.take("Deployment", MAP)["spec"]
            first.stop()
            second = operate(f"--allowed-host={upstream.url.removeprefix('http://')}")
            try:
                second.until_leading()
                wait_for(lambda: served.condition("GatewayReady")[1] == "HostNotAllowed", 60)
                assert "gateways send no $(NAME) to an MCP server whose host" in served.condition("GatewayReady")[2]
                assert served.condition("Ready")[0] == "True"
                wait_for(lambda: service.control.live and service.control.live.withheld, SOON)
                (folder / "env" / "DOCS").write_text("second-value")  # the deployer changes the Secret
                wait_for(lambda: service.control.credentials.env.get("DOCS") == "second-value", SOON)
                del upstream.bodies[:]
                data = served.take("ConfigMap", MAP)["data"]
                for number, changes in enumerate([{}, *STRIPPED]):
                    admin.patch("ConfigMap", MAP, namespace, {"data": changes})
                    assert ask(service) == 200
                    wait_for(lambda: served.take("ConfigMap", MAP)["data"] == data, SOON * number + 60)
                    assert ask(service) == 200
                assert [json.loads(body)["mcp_servers"] for body in upstream.bodies] == [[SERVER]] * 8
                assert served.take("Deployment", MAP)["spec"] == before
            finally:
                second.kill()
