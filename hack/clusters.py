"""The clusters that tests and demo may use: the project's own, or a kind cluster."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn, Protocol

import packages
from steps import CACHE, ROOT, SetupError, say, step

KIND_NAME = "claude-operator"  # the kind cluster that `cluster-up` makes
RESOLVER = "nameserver {dns}\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"


class Cluster(Protocol):
    """What `make` does with a cluster."""

    def up(self) -> None:
        """Start it and wait until pods can run; do nothing when it runs."""

    def down(self) -> None:
        """Remove it and everything it made."""

    def build(self, reference: str, archive: Path, *options: str) -> None:
        """Build the Dockerfile into an image archive."""

    def load(self, reference: str, archive: Path) -> None:
        """Put an image into it, unless it is the one put there last."""

    def loaded(self) -> str:
        """Return the reference of the image put there last, or an empty string."""

    def exec(self, command: list[str]) -> NoReturn:
        """Become `command`, with KUBECONFIG set, in the cluster's network."""


def choose() -> Cluster:
    """Return the cluster that this machine and CLUSTER_CONTEXT call for."""
    context = os.environ.get("CLUSTER_CONTEXT", "")
    if context:
        if not context.startswith("kind-"):
            raise SetupError(
                f"CLUSTER_CONTEXT={context} is not of a kind cluster: only those (kind-NAME) are ever touched"
            )
        return Kind(context.removeprefix("kind-"))
    has_kind = bool(shutil.which("kind") and shutil.which("docker"))
    if has_kind and KIND_NAME in _output("kind", "get", "clusters").split():
        return Kind(KIND_NAME)
    if packages.is_debian() and not os.geteuid():
        return Node()
    if has_kind:
        return Kind(KIND_NAME)
    raise SetupError(
        "no way to a cluster here: run as root on Debian or Ubuntu, or install Docker, kind, kubectl and helm,"
        " or say CLUSTER_CONTEXT=kind-NAME for a kind cluster that runs"
    )


class Node:
    """The project's own cluster: real Kubernetes components in namespaces of this machine."""

    def __init__(self) -> None:
        self.script = (sys.executable, str(ROOT / "tests/cluster/node/cluster"))
        self.name = os.environ.get("TESTCLUSTER_NAME") or "default"
        self.home = Path(os.environ.setdefault("TESTCLUSTER_DIR", str(CACHE / "cluster"))).expanduser()
        self.image = self.home / "clusters" / self.name / "image"

    def __str__(self) -> str:
        return f"the project's own cluster {self.name!r}"

    def up(self) -> None:
        """Install what is missing, build the programs the first time, start the cluster."""
        packages.debian(
            containerd="ctr",
            runc="runc",
            containernetworking_plugins="/usr/lib/cni/ptp",
            iptables="iptables",
            iproute2="ip",
            openssl="openssl",
            ca_certificates="/etc/ssl/certs/ca-certificates.crt",
        )
        if self._run("built").returncode:
            packages.go()
            step("Building Kubernetes, CoreDNS and helm, once", *self.script, "build")
        if self._run("status").returncode:
            step("Starting the cluster", *self.script, "up")
        say(f"{self} is up")

    def down(self) -> None:
        """End every process of the cluster and remove what it made, images and programs apart."""
        subprocess.run([*self.script, "down"], check=True)

    def build(self, reference: str, archive: Path, *options: str) -> None:
        """Build with buildah from Debian's Python, without a registry."""
        packages.debian(buildah="buildah", debootstrap="debootstrap")
        step("Making the base image from Debian packages, if it is not there", *self.script, "base-image")
        step(f"Building the image {reference}", *self.script, "image", reference, ROOT, archive, *options)

    def load(self, reference: str, archive: Path) -> None:
        """Import the archive into the node's containerd."""
        if self.loaded() == reference:
            return
        step("Loading the image", *self.script, "load", archive)
        self.image.write_text(reference)

    def loaded(self) -> str:
        """Return the reference of the image loaded last into the cluster that runs."""
        return self.image.read_text() if self.image.exists() else ""

    def exec(self, command: list[str]) -> NoReturn:
        """Become `command` in the node's network, where Services and their names are reached."""
        os.execv(sys.executable, [*self.script, "exec", "--", *command])

    def _run(self, verb: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*self.script, verb], check=False, capture_output=True)


class Kind:
    """A kind cluster; only one that is named claude-operator is ever created or deleted."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = CACHE / "kind" / name

    def __str__(self) -> str:
        return f"kind cluster {self.name!r}"

    def up(self) -> None:
        """Create the cluster if it is ours to create, and see that it answers."""
        _need("docker", "kind", "kubectl", "helm")
        if self.name not in _output("kind", "get", "clusters").split():
            if self.name != KIND_NAME:
                raise SetupError(f"{self} does not run: `kind create cluster --name {self.name}` makes it")
            shutil.rmtree(self.state, ignore_errors=True)
            self.state.mkdir(parents=True)
            # With a kubeconfig of its own: the user's is not written to, and its current context stays.
            mine = ("--kubeconfig", str(self.state / "created.kubeconfig"))
            step(f"Creating {self}", "kind", "create", "cluster", "--name", self.name, "--wait", "3m", *mine)
        subprocess.run(["kubectl", "--kubeconfig", self._kubeconfig(), "get", "nodes"], check=True, stdout=sys.stderr)
        say(f"{self} is up")

    def down(self) -> None:
        """Delete the cluster if `up` made it; leave a cluster that was there before."""
        if self.name != KIND_NAME:
            say(f"{self} was not made by `make cluster-up`: it stays")
            return
        mine = ("--kubeconfig", str(self.state / "created.kubeconfig"))
        step(f"Deleting {self}", "kind", "delete", "cluster", "--name", self.name, *mine)
        shutil.rmtree(self.state, ignore_errors=True)

    def build(self, reference: str, archive: Path, *options: str) -> None:
        """Build with Docker."""
        _need("docker")
        env = {"DOCKER_BUILDKIT": "1"}
        step(f"Building the image {reference}", "docker", "build", "--tag", reference, *options, ROOT, env=env)
        step("Saving the image", "docker", "save", "--output", archive, reference)

    def load(self, reference: str, archive: Path) -> None:
        """Load the archive into every node."""
        if self.loaded() == reference:
            return
        step("Loading the image", "kind", "load", "image-archive", archive, "--name", self.name)
        self.state.mkdir(parents=True, exist_ok=True)
        (self.state / "image").write_text(f"{self._identity()} {reference}")

    def loaded(self) -> str:
        """Return the reference of the image loaded last into this very cluster, not into an earlier one of its name."""
        file = self.state / "image"
        identity, _, reference = file.read_text().partition(" ") if file.exists() else ("", "", "")
        return reference if identity == self._identity() else ""

    def exec(self, command: list[str]) -> NoReturn:
        """Become `command` in the network of the control plane's node, as the caller.

        Services are reached only from there, which takes root or sudo, and Linux.
        """
        _need("docker", "kubectl", "helm", "nsenter", "unshare", "setpriv")
        config = self._kubeconfig(internal=True)
        dns = _output("kubectl", "--kubeconfig", self._kubeconfig(), "--namespace=kube-system", "get", "service",
                      "kube-dns", "--output=jsonpath={.spec.clusterIP}")  # fmt: skip
        resolver = self.state / "resolv.conf"
        resolver.write_text(RESOLVER.format(dns=dns))
        become = [] if not os.geteuid() else ["sudo", "--preserve-env", "--"]
        user = ["setpriv", f"--reuid={os.getuid()}", f"--regid={os.getgid()}", "--init-groups", "--"]
        inner = f'mount --make-rprivate / && mount --bind {resolver} /etc/resolv.conf && exec "$@"'
        env = [f"{name}={os.environ[name]}" for name in ("PATH", "HOME")]  # sudo sets its own
        env += [f"KUBECONFIG={config}", f"KUBECACHEDIR={self.state / 'cache'}"]
        words = [*become, "nsenter", f"--net=/proc/{self._identity().partition('/')[0]}/ns/net", "unshare", "--mount",
                 "sh", "-c", inner, "sh", *user, "env", *env, *command]  # fmt: skip
        os.execvp(words[0], words)

    def _identity(self) -> str:
        """Return the process and the start time of the control plane's node."""
        return _output("docker", "inspect", "--format", "{{.State.Pid}}/{{.State.StartedAt}}",
                       f"{self.name}-control-plane").strip()  # fmt: skip

    def _kubeconfig(self, *, internal: bool = False) -> Path:
        """Write a kubeconfig with this cluster alone, as seen from here or from inside its node."""
        self.state.mkdir(parents=True, exist_ok=True)
        file = self.state / ("internal.kubeconfig" if internal else "kubeconfig")
        text = _output("kind", "get", "kubeconfig", "--name", self.name)
        if internal:
            text = re.sub(r"server: .*", "server: https://127.0.0.1:6443", text)
        file.touch(0o600)
        file.write_text(text)
        return file


def _need(*tools: str) -> None:
    """Name the tools that are not there."""
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        raise SetupError(f"{', '.join(missing)} not found: a kind cluster needs it; install it and put it in PATH")


def _output(*command: str | Path) -> str:
    """Return what a command prints."""
    words = [str(word) for word in command]
    result = subprocess.run(words, check=False, capture_output=True, text=True)
    if result.returncode:
        raise SetupError(f"`{' '.join(words)}` failed: {result.stderr.strip()}")
    return result.stdout
