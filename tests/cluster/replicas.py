"""The operator's two replicas: which of them leads, and how to kill a container without a chance to say goodbye."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.cluster.support import SYSTEM, Operator, get, kubectl, must_be_alone, wait_for

LEASE = "claude-operator"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases"
ONE_LEASE = f"fieldSelector=metadata.name={LEASE}"


def both_ready(operator: Operator) -> str:
    """Wait for two fresh replicas of which one leads; returns the leader's pod.

    One whose container was killed before is replaced: the kubelet would wait ever longer before it starts it again.
    """
    must_be_alone()
    for pod in operator.pods():
        if any(one["restartCount"] for one in pod["status"].get("containerStatuses", [])):
            kubectl("delete", "pod", pod["metadata"]["name"], "--wait=true", "--timeout=300s", namespace=SYSTEM)
    return wait_for(lambda: leader_of_two(operator), 90, "there are no two operator replicas")


def leader_of_two(operator: Operator) -> str:
    """The leader's pod, where there are two replicas that are ready; else empty."""
    pods = [pod for pod in operator.pods() if "deletionTimestamp" not in pod["metadata"]]
    ready = {pod["metadata"]["name"] for pod in pods if all(s["ready"] for s in pod["status"]["containerStatuses"])}
    holder = leader()
    return holder if len(pods) == len(ready) == 2 and holder in ready else ""


def leader() -> str:
    """The pod that holds the Lease, empty where none does."""
    holder: str = get("lease", LEASE, namespace=SYSTEM)["spec"].get("holderIdentity") or ""
    return holder.rpartition("_")[0]


def holder() -> str:
    """The identity that holds the Lease: the pod and the process."""
    return str(get("lease", LEASE, namespace=SYSTEM)["spec"].get("holderIdentity") or "")


def processes(pod: dict[str, Any]) -> list[int]:
    """The processes of a pod's only container, found by the container's id, which names their cgroup."""
    [status] = pod["status"]["containerStatuses"]
    container = status["containerID"].rpartition("/")[2]
    assert len(container) == 64
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*") if container in _cgroup(path)]
    assert pids, f"no process of container {container} is on this machine"
    return pids


def send(pids: list[int], number: signal.Signals) -> float:
    """Send a signal to each of them that has not ended; returns when, as of time.time()."""
    at = time.time()
    for pid in pids:
        with suppress(ProcessLookupError):  # it went with the first one
            os.kill(pid, number)
    return at


def kill(pod: dict[str, Any]) -> float:
    """SIGKILL to every process of a pod's only container; returns when, as of time.time()."""
    return send(processes(pod), signal.SIGKILL)


def leading_pod(operator: Operator) -> dict[str, Any]:
    """The pod of the replica that leads, to be ended or frozen."""
    must_be_alone()

    def leads() -> dict[str, Any] | None:
        name = leader()  # of nobody while one takes over from another
        return next((pod for pod in operator.pods() if pod["metadata"]["name"] == name), None)

    found = wait_for(leads, 60, "no pod leads", every=0.05)
    assert found
    return found


def kill_leader(operator: Operator) -> float:
    """`kill -9` of the replica that leads."""
    return kill(leading_pod(operator))


def _cgroup(process: Path) -> str:
    try:
        return (process / "cgroup").read_text()
    except OSError:  # it has ended
        return ""
