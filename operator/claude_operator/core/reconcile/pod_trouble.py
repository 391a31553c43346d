"""Why gateway pods are not there or not ready, in words, from what Kubernetes says of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from claude_operator.core.reconcile.observation import MemoryKill
from claude_operator.core.text import cut

__all__ = ["is_settled", "memory_kills", "trouble"]

Object = Mapping[str, Any]

_WAITS = frozenset({"ContainerCreating", "PodInitializing"})  # on their way, and no cause
_REMEDIES = {
    "Unschedulable": "lower spec.gateway.resources.requests, or add nodes",
    "ImagePullBackOff": "check that the nodes can pull the operator's image",
    "ErrImagePull": "check that the nodes can pull the operator's image",
    "OOMKilled": "raise spec.gateway.resources.limits.memory",
}
_NO_REASON = "Kubernetes gives no reason"
_QUOTED = 300  # characters of what Kubernetes says


def is_settled(deployment: Object) -> bool:
    """Whether every replica is of the newest template and available, and none of another is left."""
    spec, status = deployment["spec"], deployment.get("status") or {}
    wanted = spec.get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    counts = [status.get(name, 0) for name in ("updatedReplicas", "availableReplicas", "replicas")]
    return bool(seen and all(number == wanted for number in counts))


def trouble(deployment: Object | None, pods: Sequence[Object]) -> str:
    """The first cause that can be named, empty where there is none: pods may just be starting.

    `deployment` and `pods` as they are stored, pods without terminating ones.
    """
    return next((cut(found) for found in (*_replicas(deployment or {}), *map(_pod, pods)) if found), "")


def memory_kills(pods: Sequence[Object]) -> tuple[MemoryKill, ...]:
    """Containers that were ended for lack of memory, the last time of each."""
    kills = []
    for pod in pods:
        for container in _containers(pod):
            ended = _last_end(container)
            if ended.get("reason") == "OOMKilled" and (at := _moment(ended.get("finishedAt"))) is not None:
                name = str(container.get("name"))
                kills.append(MemoryKill(str(pod["metadata"]["name"]), name, _limit(pod, name), at))
    return tuple(kills)


def _replicas(deployment: Object) -> Iterator[str]:
    """Pods that nobody wants, or that could not even be made: a quota, a LimitRange, a policy."""
    if (deployment.get("spec") or {}).get("replicas") == 0:
        name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
        command = f"kubectl -n {namespace} scale deployment {name} --replicas=2"
        yield f"Deployment {name} is scaled to 0; scale it up: {command}"
    for one in (deployment.get("status") or {}).get("conditions") or ():
        if (one.get("type"), one.get("status")) == ("ReplicaFailure", "True"):
            yield f"pods cannot be created: {_short(one.get('message') or one.get('reason'))}"


def _pod(pod: Object) -> str:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    conditions = {one.get("type"): one for one in status.get("conditions") or ()}
    if conditions.get("Ready", {}).get("status") == "True":
        return ""
    if status.get("phase") == "Failed":  # evicted, for one
        why = status.get("message") or status.get("reason") or _NO_REASON
        return f"pod {name} has failed: {_short(why)}"
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        reason = str(scheduled.get("reason") or "Unschedulable")
        return _with_remedy(f"pod {name} cannot be scheduled: {_short(scheduled.get('message') or reason)}", reason)
    return next((text for one in _containers(pod) if (text := _container(pod, one))), "")


def _container(pod: Object, container: Object) -> str:
    pod_name, name = pod["metadata"]["name"], str(container.get("name"))
    waiting = (container.get("state") or {}).get("waiting") or {}
    ended, reason = _last_end(container), str(waiting.get("reason") or "")
    if ended.get("reason") == "OOMKilled":
        limit = _limit(pod, name)
        return _with_remedy(
            f"container {name} of pod {pod_name} ran out of memory{limit and f' ({limit})'}", "OOMKilled"
        )
    if reason == "CrashLoopBackOff" or (ended and ended.get("exitCode")):
        text = ended.get("message") or ended.get("reason") or _NO_REASON
        code = f"exit code {ended['exitCode']}" if "exitCode" in ended else reason
        return f"container {name} of pod {pod_name} keeps exiting ({code}): {_short(text)}"
    if not reason or reason in _WAITS:
        return ""
    text = waiting.get("message")
    return _with_remedy(
        f"container {name} of pod {pod_name} is waiting, {reason}{f': {_short(text)}' if text else ''}", reason
    )


def _containers(pod: Object) -> Sequence[Object]:
    found: Sequence[Object] = (pod.get("status") or {}).get("containerStatuses") or ()
    return found


def _last_end(container: Object) -> Object:
    """How it ended, now or the last time."""
    states = (container.get("state") or {}, container.get("lastState") or {})
    return next((ended for state in states if (ended := state.get("terminated"))), {})


def _limit(pod: Object, name: str) -> str:
    """The memory limit of a container, as in `limit 512Mi`."""
    containers = (pod.get("spec") or {}).get("containers") or ()
    limits = [(one.get("resources") or {}).get("limits") or {} for one in containers if one.get("name") == name]
    amount = next((one["memory"] for one in limits if one.get("memory")), None)
    return f"limit {amount}" if amount else ""


def _with_remedy(text: str, reason: str) -> str:
    helps = _REMEDIES.get(reason)
    return f"{text}; {helps}" if helps else text


def _short(text: Any) -> str:
    text = " ".join(str(text).split())
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…"


def _moment(text: Any) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
