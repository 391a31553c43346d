"""Who may write ConfigMaps alone gets neither the upstream's key nor traffic: a real gateway on a real API server."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.client import ApiError, Client, wait_for
from tests.apiserver.objects import says
from tests.apiserver.process import Operator, token_of
from tests.apiserver.server import ApiServer
from tests.apiserver.test_children import SOON, Served, serving

from claude_operator.gateway.credentials import CredentialFiles
from claude_operator.gateway.service import Service, Settings
from claude_operator.gateway.source import ApiServer as Api
from claude_operator.gateway.source import ConfigMapSource
from claude_operator.log import Log

CLIENT, UPSTREAM = "client-key", "sk-ant-upstream"
MAP = "support-gateway"


class Listener:
    """An HTTP server that notes the key and the body of each request and answers with a message."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.bodies: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.keys.append(self.headers.get("x-api-key", ""))
                outer.bodies.append(self.rfile.read(int(self.headers.get("content-length", 0))).decode())
                body = json.dumps({"id": "msg_1", "type": "message", "role": "assistant", "content": []}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Listener:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)


@contextmanager
def gateway(server: ApiServer, served: Served, folder: Path) -> Iterator[Service]:
    """A real one, with the pod's files, that watches the ConfigMap with a token of its own service account."""
    paths = [folder / name for name in ("upstream-key", "env", "client", "operator")]
    for path in paths[1:]:
        path.mkdir(exist_ok=True)
    paths[0].write_text(UPSTREAM)
    (paths[2] / "ANTHROPIC_API_KEY").write_text(CLIENT)
    for name, value in served.take("Secret")["data"].items():
        (paths[3] / name).write_bytes(base64.b64decode(value))
    (folder / "token").write_text(token_of(served.admin, MAP, served.namespace))
    api = Api(f"https://127.0.0.1:{server.port}", folder / "token", server.folder / "ca.crt")
    log = Log(io.StringIO(), "json")
    source = ConfigMapSource(served.namespace, MAP, api, folder / "config.json", log)
    settings = Settings("127.0.0.1", 0, 0, 1.0, 0.0, pod="support-gateway-0")
    service = Service(settings, source, CredentialFiles(*paths), log)
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        await service.run()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    try:
        wait_for(lambda: service.port and service.control.live, 30, "the gateway serves no config")
        yield service
    finally:
        loops[0].call_soon_threadsafe(service.stop)
        thread.join(30)


def ask(service: Service, key: str = CLIENT) -> int:
    """The status of a client's call."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    try:
        body = json.dumps({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]})
        connection.request("POST", "/v1/messages", body, {"x-api-key": key, "content-type": "application/json"})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


@pytest.fixture
def writer(server: ApiServer, admin: Client, namespace: str) -> Client:
    """Somebody who may read and write ConfigMaps, and nothing else."""
    name = "writer"
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "create", "update", "patch"]}]
    rbac = "rbac.authorization.k8s.io"
    admin.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}, namespace)
    metadata = {"metadata": {"name": name}}
    admin.create({"apiVersion": f"{rbac}/v1", "kind": "Role", **metadata, "rules": rules}, namespace)
    reference = {"apiGroup": rbac, "kind": "Role", "name": name}
    binding = {"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", **metadata, "roleRef": reference}
    admin.create({**binding, "subjects": [subject]}, namespace)
    return server.client(token_of(admin, name, namespace))


def test_a_writer_of_config_maps_gets_neither_the_key_nor_traffic(
    server: ApiServer,
    admin: Client,
    writer: Client,
    namespace: str,
    operate: Callable[..., Operator],
    tmp_path: Path,
) -> None:
    with Listener() as upstream, Listener() as thief:
        spec = {"upstream": {"baseURL": upstream.url, "apiKeySecretRef": {"name": "anthropic", "key": "api-key"}}}
        with serving(admin, namespace, operate(), **spec) as served, gateway(server, served, tmp_path) as service:
            with pytest.raises(ApiError, match="403"):
                writer.take("Secret", MAP, namespace)
            first = served.take("ConfigMap")["data"]
            admin.patch("ClaudeDeployment", "support", namespace, {"spec": {"request": says("Be brief.")}})
            wait_for(lambda: served.weights() == [9000, 1000], 60)
            wait_for(lambda: service.control.weights and len(service.control.weights) == 2, SOON)
            before = served.take("ConfigMap")["data"]
            config = json.loads(before["config.json"])
            evil = {**config, "auth": {"type": "None"}, "upstream": {"baseURL": thief.url}, "generation": 99}
            ended = {"revision": config["arms"][1]["revision"], "attempt": 1, "outcome": "Promoted", "reason": "x"}
            forgeries: list[dict[str, Any]] = [
                {"config.json": json.dumps(evil)},
                {"config.json": json.dumps(evil), "signature": None},
                {"config.json": json.dumps(evil), "signature": first["signature"]},
                {"config.json": json.dumps({**config, "settled": ended}), "signature": "0" * 64},
                dict(first),  # an old one of the operator's own
            ]
            for number, data in enumerate(forgeries, start=1):
                writer.patch("ConfigMap", MAP, namespace, {"data": data})
                for key in (CLIENT, "", "any"):
                    assert ask(service, key) == (200 if key == CLIENT else 401)
                wait_for(lambda: served.take("ConfigMap")["data"] == before, SOON * number + 60)
            writer.patch("ConfigMap", MAP, namespace, {"data": {"more": "nobody reads it"}})
            wait_for(lambda: service.control.error == "", SOON)
            assert ask(service) == 200
            assert thief.keys == []
            assert set(upstream.keys) == {UPSTREAM}
            assert service.control.live is not None
            assert len(service.control.live.arms) == 2
            status = served.take("ClaudeDeployment", "support")["status"]
            assert status["step"]["weight"] == 10  # the rollout has not begun again
            assert status["rollout"].get("outcome") is None
            told = lambda: len(served.events()) + len(served.events("ChildContested"))  # noqa: E731
            wait_for(lambda: told() >= 4, SOON, "it is not told")
            assert told() == 4  # then it is told no more
            assert all(one.startswith("ConfigMap support-gateway was changed") for one in served.events())

            writer.patch(
                "ConfigMap", MAP, namespace, {"immutable": True}
            )  # nothing can be written any more: it is told
            admin.patch("ClaudeDeployment", "support", namespace, {"spec": {"request": says("Be kind again.")}})
            wait_for(lambda: served.condition("GatewayReady")[1] == "WriteRefused", 60)
            assert "Delete it; the operator then makes it again" in served.condition("GatewayReady")[2]
            assert ask(service) == 200
            admin.delete("ConfigMap", MAP, namespace)
            wait_for(lambda: service.control.live and service.control.generation > config["generation"], 60)
            wait_for(lambda: served.condition("GatewayReady")[1] != "WriteRefused", 60)
