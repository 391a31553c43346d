"""The operator as a process of its own, against the API server without kubelets."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml
from tests.apiserver.client import Client, wait_for
from tests.apiserver.server import ApiServer, die_with_parent, environment
from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/claude-operator"
IMAGE = "localhost/claude-operator:test"


class Operator:
    """`claude_operator operator` with that kubeconfig; its Lease is in `namespace`, so each test has one of its own."""

    def __init__(self, kubeconfig: Path, namespace: str, folder: Path, *options: str) -> None:
        self.namespace, self.port = namespace, free_ports()[0]
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"operator-{self.port}.log"
        command = [sys.executable, "-m", "claude_operator", "operator", f"--image={IMAGE}", f"--namespace={namespace}"]
        more = {"PYTHONPATH": str(ROOT / "operator"), "POD_NAME": f"operator-{self.port}"}
        with self._path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, f"--health-port={self.port}", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, env=environment(kubeconfig, more),
                preexec_fn=die_with_parent,
            )  # fmt: skip

    def stop(self) -> int:
        """End it as a pod is ended; returns its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(120)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait(20)

    def probe(self, path: str, timeout: float = 60.0) -> tuple[int, str]:
        """(status, text) of a path of its health port; raises OSError where nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str, label: str = "") -> float:
        """The sum of a metric's series, or of those with this label; KeyError where there is none."""
        lines = [line.rpartition(" ") for line in self.probe("/metrics")[1].splitlines() if not line.startswith("#")]
        mine = [(series, value) for series, _, value in lines if series.partition("{")[0] == name]
        found = [float(value) for series, value in mine if label in series]
        if not found:
            raise KeyError(name)
        return sum(found)

    def leads(self) -> bool:
        """Whether it holds the Lease, by its own word."""
        return self.metric("claude_operator_leader") == 1

    def until_leading(self, timeout: float = 60.0) -> None:
        """Wait until it leads."""
        try:
            wait_for(self.leads, timeout, "the operator does not lead")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None

    def log(self, size: int = 6000) -> str:
        """The end of its log."""
        return self._path.read_text(errors="replace")[-size:]

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged until now; a line that is half written is left out."""
        whole = self._path.read_text(errors="replace").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]


def rendered(helm: Path, namespace: str, *values: str, file: str = "rbac.yaml") -> list[dict[str, Any]]:
    """Objects of a file of the chart, as helm renders them for a release `claude-operator` in a namespace."""
    words = ["template", "claude-operator", str(CHART), f"--namespace={namespace}", f"--show-only=templates/{file}"]
    words += ["--kube-version=1.34.0", *(f"--set={value}" for value in values)]
    done = subprocess.run([str(helm), *words], check=True, capture_output=True, text=True, timeout=60)
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def token_of(admin: Client, name: str, namespace: str) -> str:
    """A token of a service account."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    token: str = admin.call("POST", path, body=request)["status"]["token"]
    return token


def chart_role(helm: Path) -> list[dict[str, object]]:
    """The ClusterRole that the chart gives to the operator, as helm renders it."""
    found = [one for one in rendered(helm, "claude-system") if one["kind"] == "ClusterRole"]
    return [one for one in found if not one["metadata"]["name"].endswith(("-view", "-edit", "-sign"))]


def account(server: ApiServer, helm: Path, namespace: str, folder: Path) -> tuple[Path, str]:
    """A service account with the chart's rights: its kubeconfig, and the name of its ClusterRoleBinding."""
    admin, name = server.admin(), f"operator-{namespace}"
    where = {"name": "operator", "namespace": namespace}
    admin.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": where})
    (role,) = chart_role(helm)
    admin.create({**role, "metadata": {"name": name}})
    bind(admin, namespace)
    lease = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    admin.create({**rbac, "kind": "Role", "metadata": where, "rules": [lease]})
    subject = {"kind": "ServiceAccount", **where}
    to = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
    admin.create({**rbac, "kind": "RoleBinding", "metadata": where, "subjects": [subject], "roleRef": to})
    token = token_of(admin, "operator", namespace)
    config = folder / f"{name}.kubeconfig"
    config.write_text(json.dumps(server.config(token)))
    return config, name


def bind(admin: Client, namespace: str) -> None:
    """Give the service account its ClusterRole."""
    name = f"operator-{namespace}"
    admin.create(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": namespace}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        }
    )
