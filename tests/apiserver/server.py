"""A real etcd and kube-apiserver on loopback, without kubelets: the programs that the project's own cluster builds."""

from __future__ import annotations

import base64
import ctypes
import importlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.apiserver.client import Client
from tests.ports import free_ports

NODE = Path(__file__).parents[1] / "cluster/node"
_LIBC = ctypes.CDLL(None)
_PATIENCE = 90.0  # seconds for a start on a machine that has other work
_AUDIT = {  # what service accounts ask for and what they are answered: no bodies
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}],
}
_ADMIN, _CONTROLLER = ("admin", "system:masters"), ("system:kube-controller-manager", "")


def die_with_parent() -> None:
    """For a new process: it is killed when the tests are, however they end. Linux alone knows this."""
    if sys.platform == "linux":
        _LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def find_programs() -> Path | None:
    """The folder that holds etcd and kube-apiserver, None where they are not built."""
    sys.path.insert(0, str(NODE))
    try:
        builds = importlib.import_module("builds")  # scripts, not a package
    finally:
        sys.path.remove(str(NODE))
    folder: Path = builds.programs()[0]
    return folder if folder.exists() else None


class ApiServer:
    """etcd, kube-apiserver and, where asked for, kube-controller-manager. Its data is in `folder` and ends with it."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.folder, self._programs = folder, programs
        self._etcd, self._peer, self.port = free_ports(3)
        self.address = f"https://127.0.0.1:{self.port}"
        self.kubeconfig = folder / "admin.kubeconfig"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._clients: dict[str, Client] = {}
        self._tokens = {user: secrets.token_hex(16) for user in (_ADMIN, _CONTROLLER)}

    @property
    def kubectl(self) -> tuple[str, str]:
        """The command with which an administrator asks it."""
        return str(self._programs / "kubectl"), f"--kubeconfig={self.kubeconfig}"

    def start(self) -> None:
        """Start both and wait until the API server is ready."""
        self._write_keys()
        self._start(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            f"--client-port={self._etcd}",
            f"--peer-port={self._peer}",
        )
        self.start_api()

    def start_api(self) -> None:
        """Start the API server on its port and wait until it is ready; also after `kill_api`."""
        files = {name: self.folder / name for name in ("api.crt", "api.key", "ca.crt", "tokens.csv", "audit.yaml")}
        self._start(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            "--advertise-address=192.0.2.1",  # loopback is refused, and nobody asks for it here
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--tls-cert-file={files['api.crt']}",
            f"--tls-private-key-file={files['api.key']}",
            f"--client-ca-file={files['ca.crt']}",
            f"--token-auth-file={files['tokens.csv']}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={files['api.crt']}",
            f"--service-account-signing-key-file={files['api.key']}",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",  # no controller makes the accounts that it asks for
            "--allow-privileged",
            "--profiling=false",
            f"--audit-policy-file={files['audit.yaml']}",
            f"--audit-log-path={self.folder / 'audit.log'}",
        )
        self._until_ready()

    def start_controllers(self) -> None:
        """Start kube-controller-manager: Deployments get ReplicaSets and Pods, owners' children are collected."""
        path = self.folder / "controller.kubeconfig"
        path.write_text(json.dumps(self.config(self._tokens[_CONTROLLER])))
        self._start(
            "kube-controller-manager",
            f"--kubeconfig={path}",
            "--leader-elect=false",
            "--use-service-account-credentials",
            "--secure-port=0",
            f"--service-account-private-key-file={self.folder / 'api.key'}",
            f"--root-ca-file={self.folder / 'ca.crt'}",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        )

    def stop(self) -> None:
        """End every process that was started here; etcd last."""
        for client in self._clients.values():
            client.close()
        for name in ("kube-controller-manager", "kube-apiserver", "etcd"):
            self._kill(name)

    def freeze_api(self) -> None:
        """Stop the API server where it is: connections stay open, and nothing is answered."""
        self._running["kube-apiserver"].send_signal(signal.SIGSTOP)

    def thaw_api(self) -> None:
        """Let it go on."""
        self._running["kube-apiserver"].send_signal(signal.SIGCONT)

    def kill_api(self) -> None:
        """End the API server at once; `start_api` brings it back with all its objects."""
        self._kill("kube-apiserver")

    def admin(self) -> Client:
        """A client that may do everything."""
        return self.client(self._tokens[_ADMIN])

    def client(self, token: str) -> Client:
        """A client with this token."""
        if token not in self._clients:
            self._clients[token] = Client(self.port, token, self.folder / "ca.crt")
        return self._clients[token]

    def impersonate(self, user: str, *groups: str) -> Client:
        """A client that has the rights of this user."""
        every = (*groups, "system:authenticated")
        return Client(self.port, self._tokens[_ADMIN], self.folder / "ca.crt", user=user, groups=every)

    def config(self, token: str, *, port: int | None = None) -> dict[str, Any]:
        """A kubeconfig for a token; `port` is that of something which stands between, such as a proxy."""
        ca = base64.b64encode((self.folder / "ca.crt").read_bytes()).decode()
        address = f"https://127.0.0.1:{port or self.port}"
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": address, "certificate-authority-data": ca}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }

    @property
    def admin_token(self) -> str:
        """The administrator's."""
        return self._tokens[_ADMIN]

    def pid(self, name: str) -> int:
        """The process of a program that runs."""
        return self._running[name].pid

    def audited(self, account: str, namespace: str) -> list[dict[str, Any]]:
        """What a service account has asked for until now, from the API server's audit log."""
        user = f"system:serviceaccount:{namespace}:{account}"
        path = self.folder / "audit.log"
        whole = path.read_text().rpartition("\n")[0] if path.exists() else ""  # the last line may be half written
        return [one for line in whole.splitlines() if (one := json.loads(line))["user"]["username"] == user]

    def log(self, name: str, size: int = 4000) -> str:
        """The end of a program's log."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace")[-size:] if path.exists() else ""

    def _start(self, name: str, *args: str) -> None:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder)}  # no proxies of the caller's
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(self._programs / name), *args], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                preexec_fn=die_with_parent,
            )  # fmt: skip

    def _kill(self, name: str) -> None:
        process = self._running.pop(name, None)
        if process is not None:
            process.kill()  # also one that is stopped
            process.wait(30)

    def _until_ready(self) -> None:
        begun, admin = time.monotonic(), self.admin()
        while True:
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise AssertionError(f"{name} ended with {process.returncode}:\n{self.log(name)}")
            try:
                if admin.text("/readyz") == "ok":
                    return
            except (OSError, AssertionError):
                pass
            if time.monotonic() - begun > _PATIENCE:
                raise AssertionError(f"the API server is not ready:\n{self.log('kube-apiserver')}")
            time.sleep(0.05)

    def _write_keys(self) -> None:
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        ours = ["-CA", str(self.folder / "ca.crt"), "-CAkey", str(self.folder / "ca.key")]
        for name, signer in (("ca", []), ("api", ours)):
            kind = ["-config", str(NODE / "config/openssl.cnf"), "-extensions", name, "-subj", f"/CN={name}"]
            out = ["-keyout", str(self.folder / f"{name}.key"), "-out", str(self.folder / f"{name}.crt")]
            subprocess.run(["openssl", "req", "-x509", *kind, *key, *signer, *out], check=True, capture_output=True)
        rows = [f'{token},{user},{user},"{group}"\n' for (user, group), token in self._tokens.items()]
        (self.folder / "tokens.csv").write_text("".join(rows))
        (self.folder / "audit.yaml").write_text(json.dumps(_AUDIT))
        self.kubeconfig.write_text(json.dumps(self.config(self._tokens[_ADMIN])))


def environment(kubeconfig: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with that kubeconfig, and without what leads to another cluster."""
    kept = {name: value for name, value in os.environ.items() if name != "KUBERNETES_SERVICE_HOST"}
    return {**kept, "KUBECONFIG": str(kubeconfig), **(more or {})}
