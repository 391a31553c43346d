"""Whose a pod with our labels is: ours where a ReplicaSet controls it that our Deployment controls.

Anybody who may write a pod can give it our labels. One that is not ours is never read and never counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from claude_operator.core import names
from claude_operator.core.reconcile.pod_trouble import is_settled
from claude_operator.core.render import has_operator_key

__all__ = ["Sorted", "controller_of", "our_replica_sets", "sort_pods"]

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sorted:
    """Pods with our labels, each as it is stored."""

    ours: Sequence[dict[str, Any]] = ()
    keyless: frozenset[str] = frozenset()
    """Names of those of ours that an earlier version made: they have no key to prove anything with."""
    foreign: Sequence[dict[str, Any]] = ()
    """Others' pods."""
    unknown: Sequence[dict[str, Any]] = ()
    """Those that may turn out to be ours: they are silent until then, so that nothing of them counts as new."""


def our_replica_sets(deployment: Object, found: Iterable[Object]) -> dict[str, bool]:
    """By UID those that the Deployment controls: whether their pods have the operator's key."""
    uid = deployment["metadata"]["uid"]
    return {
        one["metadata"]["uid"]: has_operator_key(one["spec"]["template"])
        for one in found
        if names.is_controlled_by(one, uid)
    }


def sort_pods(pods: Sequence[dict[str, Any]], replica_sets: Mapping[str, bool], deployment: Object | None) -> Sorted:
    """Tell ours from others' by the ReplicaSets that are ours, or were when they were seen.

    Pods without the key are ours only until all pods of the Deployment have it: nobody can pose as one later.
    """
    settled = deployment is not None and is_settled(deployment)
    upgraded = settled and deployment is not None and has_operator_key(deployment["spec"]["template"])
    ours, keyless, foreign, unknown = [], set(), [], []
    for pod in pods:
        has_key = replica_sets.get(controller_of(pod))
        if has_key or (has_key is not None and (not upgraded or _is_ending(pod))):
            ours.append(pod)
            if not has_key:
                keyless.add(str(pod["metadata"]["name"]))
        elif settled:
            foreign.append(pod)
        else:  # its ReplicaSet may be about to be adopted
            unknown.append(pod)
    return Sorted(ours, frozenset(keyless), [pod for pod in foreign if not _is_ending(pod)], unknown)


def controller_of(pod: Object) -> str:
    """UID of the ReplicaSet that controls a pod, empty where none does."""
    references: Sequence[Object] = pod["metadata"].get("ownerReferences") or ()
    found = next((one for one in references if one.get("controller") and one.get("kind") == "ReplicaSet"), None)
    return str(found["uid"]) if found else ""


def _is_ending(pod: Object) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return bool(pod["metadata"].get("deletionTimestamp")) or phase in ("Succeeded", "Failed")
