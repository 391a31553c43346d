"""What controllers and kubelets would do to gateways, where a test wants it: Deployments become ready, pods appear."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.apiserver.client import ApiError, Client
from tests.workloads import controller, replica_set

from claude_operator.core import names

Object = dict[str, Any]
Addresses = Callable[[str], Sequence[str]]


def make_ready(admin: Client, deployment: Mapping[str, Any]) -> None:
    """Every replica of a Deployment is of its newest template and available."""
    metadata, wanted = deployment["metadata"], deployment["spec"].get("replicas", 1)
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), wanted)
    status = {"observedGeneration": metadata["generation"], **counts}
    if all((deployment.get("status") or {}).get(name) == value for name, value in status.items()):
        return
    admin.patch("Deployment", metadata["name"], metadata["namespace"], {"status": status}, subresource="status")


def make_replica_set(admin: Client, deployment: Mapping[str, Any]) -> Object:
    """The ReplicaSet of a Deployment's template."""
    wanted = replica_set(deployment)
    metadata = wanted["metadata"]
    return admin.get("ReplicaSet", metadata["name"], metadata["namespace"]) or admin.create(wanted)


def make_pod(admin: Client, namespace: str, deployment: str, name: str, address: str, *, ready: bool = True) -> None:
    """A gateway pod of a ClaudeDeployment that runs at an address, or that becomes ready or not."""
    if admin.get("Pod", name, namespace) is None:
        labels = names.selector(deployment, "gateway")
        containers = [{"name": "gateway", "image": "localhost/none"}]
        owner = controller(make_replica_set(admin, admin.take("Deployment", names.gateway_name(deployment), namespace)))
        metadata = {"name": name, "namespace": namespace, "labels": labels, "ownerReferences": [owner]}
        admin.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}})
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}
    admin.patch("Pod", name, namespace, {"status": status}, subresource="status")


class Kubelet:
    """While entered, each gateway Deployment of a namespace is made ready, with a pod at each of its `addresses`."""

    def __init__(self, admin: Client, namespace: str, addresses: Addresses = lambda deployment: (), every: float = 0.1):
        self._admin, self._namespace, self._addresses, self._every = admin, namespace, addresses, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)
        self._made: set[str] = set()
        self.error: BaseException | None = None

    def __enter__(self) -> Kubelet:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        selector = f"{names.LABEL_MANAGED_BY}={names.FIELD_MANAGER}"
        try:
            while not self._stop.wait(self._every):
                try:
                    for one in self._admin.list("Deployment", self._namespace, selector=selector):
                        self._serve(one)
                except (OSError, ApiError):  # the API server is away: a test may have stopped it
                    continue
        except BaseException as error:
            self.error = error

    def _serve(self, one: Object) -> None:
        make_ready(self._admin, one)
        owner = one["metadata"]["labels"].get(names.LABEL_DEPLOYMENT, "")
        for number, address in enumerate(self._addresses(owner)):
            name = f"{one['metadata']['name']}-{number}"
            if name not in self._made:
                make_pod(self._admin, self._namespace, owner, name, address)
                self._made.add(name)
