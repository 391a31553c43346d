"""The ReplicaSets that tell whose a pod is, read where a pod has one that is not known."""

from __future__ import annotations

from collections.abc import Sequence

from claude_operator.core.reconcile.pod_owners import Sorted, controller_of, our_replica_sets, sort_pods
from claude_operator.kube.client import Kube, Object
from claude_operator.kube.resources import REPLICA_SETS

__all__ = ["PodOwners"]


class PodOwners:
    """Remembers, by the UID of the ClaudeDeployment, its ReplicaSets and the foreign pods that were reported."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._replica_sets: dict[str, dict[str, bool]] = {}
        """By UID: whether its pods have the operator's key. One that was ours stays so, whatever becomes of it."""
        self._reported: dict[str, frozenset[str]] = {}

    async def sort(self, owner: Object, deployment: Object | None, pods: Sequence[Object], selector: str) -> Sorted:
        """Tell ours from others'; raises `KubeError`."""
        known = self._replica_sets.setdefault(owner["metadata"]["uid"], {})
        if deployment is not None and any(controller_of(pod) not in known for pod in pods):
            found = await self._kube.list(REPLICA_SETS, owner["metadata"]["namespace"], label_selector=selector)
            known |= our_replica_sets(deployment, found)
        return sort_pods(pods, known, deployment)

    def news(self, uid: str, foreign: Sequence[Object]) -> tuple[str, ...]:
        """Names of the foreign pods that were not reported yet."""
        reported = self._reported.get(uid, frozenset())
        return tuple(sorted(pod["metadata"]["name"] for pod in foreign if pod["metadata"]["uid"] not in reported))

    def remember(self, uid: str, foreign: Sequence[Object]) -> None:
        """The pass that saw them is done: they are no longer news."""
        self._reported[uid] = frozenset(pod["metadata"]["uid"] for pod in foreign)

    def forget(self, live: set[str]) -> None:
        """Drop what is known of ClaudeDeployments that no longer exist; `live` are UIDs."""
        self._replica_sets = {uid: known for uid, known in self._replica_sets.items() if uid in live}
        self._reported = {uid: known for uid, known in self._reported.items() if uid in live}
