"""A gateway as a process that an operator's API server without kubelets takes for a pod, and clients that call it."""

from __future__ import annotations

import base64
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.apiserver.client import Client, wait_for
from tests.apiserver.server import die_with_parent
from tests.ports import free_ports

from claude_operator.api.gateway import ADMIN_PORT, CONFIG_KEY, POD_NAME
from claude_operator.core import names

ROOT = Path(__file__).parents[2]


def _process(folder: Path, log: str, *words: str, **variables: str) -> subprocess.Popen[bytes]:
    """`claude_operator` with these words; it ends with the tests."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), **variables}
    with (folder / log).open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "claude_operator", *words],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, env=environment,
            preexec_fn=die_with_parent,
        )  # fmt: skip


def _address() -> str:
    """An address of loopback whose admin port nobody has."""
    draw = random.SystemRandom()
    while True:
        address = f"127.{draw.randrange(1, 255)}.{draw.randrange(256)}.{draw.randrange(1, 255)}"
        with socket.socket() as probe:
            try:
                probe.bind((address, ADMIN_PORT))
            except OSError:
                continue
            return address


class Simulator:
    """A Claude API at `url`, while entered."""

    def __init__(self, folder: Path, scenario: str) -> None:
        self._folder, self.port = folder, free_ports()[0]
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "scenario.yaml").write_text(scenario)

    def __enter__(self) -> Self:
        words = ("simulator", "--host=127.0.0.1", f"--port={self.port}", "--scenario=scenario.yaml")
        self._process = _process(self._folder, "simulator.log", *words)
        wait_for(lambda: _answers(f"{self.url}/-/stats"), 60, "the simulator does not answer")
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._process)


class GatewayPod:
    """The gateway of a ClaudeDeployment, at `address`, while entered. It gets what a kubelet would mount."""

    def __init__(self, admin: Client, namespace: str, deployment: str, folder: Path) -> None:
        self._admin, self._namespace, self._deployment, self._folder = admin, namespace, deployment, folder
        self.address, self.port = _address(), free_ports()[0]
        self.pod = f"{names.gateway_name(deployment)}-0"
        self.url = f"http://{self.address}:{self.port}"
        self._stop = threading.Event()
        self._copier = threading.Thread(target=self._copy, name="mounts", daemon=True)

    def __enter__(self) -> Self:
        for part in ("client", "operator"):
            (self._folder / part).mkdir(parents=True)
        wait_for(self._mount, 60, "the operator has made no config and no Secrets")
        self._copier.start()
        self._process = _process(
            self._folder,
            "gateway.log",
            "gateway", "--config=config.json", f"--host={self.address}", f"--port={self.port}",
            "--client-dir=client", "--operator-dir=operator", "--drain-seconds=1", "--settle-seconds=0",
            **{POD_NAME: self.pod, "ANTHROPIC_API_KEY": "any"},
        )  # fmt: skip
        wait_for(lambda: _answers(f"http://{self.address}:{ADMIN_PORT}/-/ready"), 60, "the gateway is not ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        _end(self._process)
        self._copier.join(30)
        if error is not None:
            print((self._folder / "gateway.log").read_text()[-3000:])

    def _mount(self) -> bool:
        config = self._admin.get("ConfigMap", names.gateway_name(self._deployment), self._namespace)
        secrets = {
            "operator": self._admin.get("Secret", names.gateway_name(self._deployment), self._namespace),
            "client": self._admin.get("Secret", names.client_secret(self._deployment), self._namespace),
        }
        if config is None or None in secrets.values():
            return False
        for part, secret in secrets.items():
            for key, value in (secret or {}).get("data", {}).items():
                _write(self._folder / part / key, base64.b64decode(value))
        _write(self._folder / "config.json", config["data"][CONFIG_KEY].encode())
        return True

    def _copy(self) -> None:
        while not self._stop.wait(0.2):
            with suppress(OSError, AssertionError):
                self._mount()

    @property
    def client_key(self) -> str:
        """What an application sends."""
        return (self._folder / "client/ANTHROPIC_API_KEY").read_text()


class Traffic:
    """Clients that call a gateway while it is entered. Each call is a conversation; every other one streams."""

    def __init__(self, gateway: GatewayPod, clients: int = 6) -> None:
        self._gateway, self._count, self._stop = gateway, itertools.count(), threading.Event()
        self._threads = [threading.Thread(target=self._call_on, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _call_on(self) -> None:
        while not self._stop.wait(0.05):
            number = next(self._count)
            with suppress(urllib.error.URLError, OSError):
                self._call(number)

    def _call(self, number: int) -> None:
        question = {"role": "user", "content": f"Question {number}"}
        body: dict[str, Any] = {"model": "any", "max_tokens": 64, "messages": [question], "stream": bool(number % 2)}
        sent = {"x-api-key": self._gateway.client_key, "content-type": "application/json"}
        if number % 10:
            sent["x-claude-session-id"] = f"talk-{number}"
        if number % 50 == 7:
            sent["x-api-key"] = "a wrong key"
        target = f"{self._gateway.url}/v1/messages"
        request = urllib.request.Request(target, json.dumps(body).encode(), sent, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _write(path: Path, content: bytes) -> None:
    if path.exists() and path.read_bytes() == content:
        return
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.rename(path)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(20)
