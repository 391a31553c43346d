"""The node: what it is told, and its pid 1."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

from builds import components
from common import HERE, sh, wait_until

USERS = {  # an identity for each component, as in a real cluster, so that RBAC decides the same
    "admin": ("admin", "system:masters"),
    "kubelet": ("system:node:node", "system:nodes"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
}


def write_config(state: Path) -> None:
    """Write what the components read: the fixed files, two certificates, and the identities."""
    shutil.copytree(HERE / "config", state / "config")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 3650]
    for name, signer in (("ca", []), ("api", ["-CA", state / "ca.crt", "-CAkey", state / "ca.key"])):
        kind = ["-config", HERE / "config/openssl.cnf", "-extensions", name, "-subj", f"/CN={name}"]
        out = ["-keyout", state / f"{name}.key", "-out", state / f"{name}.crt"]
        sh("openssl", "req", "-x509", *kind, *key, *signer, *out, stderr=subprocess.DEVNULL)
    ca = base64.b64encode((state / "ca.crt").read_bytes()).decode()
    tokens = {file: secrets.token_hex(16) for file in USERS}
    rows = [f'{tokens[file]},{user},{user},"{group}"\n' for file, (user, group) in USERS.items()]
    (state / "tokens.csv").write_text("".join(rows))
    for file, token in tokens.items():
        (state / f"{file}.kubeconfig").write_text(json.dumps(kubeconfig(file, token, ca)))


def kubeconfig(user: str, token: str, ca: str) -> dict[str, object]:
    """A kubeconfig with one context."""
    server = {"server": "https://127.0.0.1:6443", "certificate-authority-data": ca}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "testcluster",
        "clusters": [{"name": "testcluster", "cluster": server}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "testcluster", "context": {"cluster": "testcluster", "user": user}}],
    }


def run() -> None:
    """Start the components, restart those that stop, and reap what pods leave behind."""
    commands, running = components(), {}

    def start(*names: str) -> None:
        for name in names:
            with Path(f"/var/log/{name}.log").open("ab") as log:
                process = subprocess.Popen([name, *commands[name]], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            running[process.pid] = name

    def answers(*args: str) -> bool:
        return not subprocess.run(["kubectl", *args], check=False, capture_output=True).returncode

    os.chdir("/")
    os.environ.clear()  # nothing of the caller's, such as proxies, concerns the cluster
    os.environ.update(
        PATH="/run/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        KUBECACHEDIR="/run/kubectl",
        KUBECONFIG="/run/cluster/admin.kubeconfig",
    )
    start("etcd", "kube-apiserver", "containerd")
    wait_until(lambda: answers("get", "--raw", "/readyz"))
    start("kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns")
    sh("kubectl", "create", "-f", "/run/cluster/config/dns.yaml")
    sh("ctr", "-n", "k8s.io", "images", "import", "/run/bin/pause.tar")
    start("kubelet")
    wait_until(lambda: answers("get", "node/node", "serviceaccount/default"))
    sh("kubectl", "wait", "--for=condition=Ready", "--timeout=2m", "node/node")
    wait_until(lambda: urllib.request.urlopen("http://127.0.0.1:8181/ready"), OSError)
    Path("/run/cluster/ready").touch()
    while True:
        pid, status = os.wait()
        if pid in running:
            name = running.pop(pid)
            print(f"{name} stopped with status {status}; starting it again", flush=True)
            time.sleep(1)
            start(name)
