"""The Events that transitions of conditions are."""

from __future__ import annotations

from claude_operator.api.conditions import Reason, Type
from claude_operator.api.lifecycle import LifecyclePolicy
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.reconcile.decision import Event
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.progress import active

__all__ = ["foreign_pods", "memory_kills", "transitions"]

_WORSE = {
    Type.EVAL_PASSED: {Reason.EVAL_FAILED, Reason.EVAL_INCONCLUSIVE, Reason.EVAL_ERROR},
    # NoTraffic is created and deleted repeatedly with each request of a quiet night: the condition is enough.
    Type.CANARY_HEALTHY: {
        Reason.METRICS_UNREACHABLE,
        Reason.OVERLOADED,
        Reason.ACCOUNT_EXHAUSTED,
        Reason.NO_ANSWER,
        Reason.SHARED_INCIDENT,
        Reason.STABLE_FAILING,
        Reason.METRIC_ERROR,
        Reason.SPLIT_MISMATCH,
    },
    Type.MODEL_CURRENT: {Reason.LEGACY, Reason.DEPRECATED, Reason.RETIRED, Reason.PRICE_UNKNOWN},
    Type.CACHE_EFFECTIVE: {Reason.COLD},
    Type.READY: {Reason.GATEWAY_UNAVAILABLE, Reason.NOT_SERVING, Reason.REQUESTS_FAILING},
    Type.GATEWAY_READY: {
        Reason.CONFIG_REFUSED,
        Reason.REVISION_LOST,
        Reason.WRITE_REFUSED,
        Reason.PODS_FAILING,
    },
    Type.PROMOTED: {Reason.WRITE_REFUSED},
    Type.WITHIN_BUDGET: {Reason.OVER_BUDGET},
    Type.CHECKLIST_PASSED: {Reason.CHECKLIST_OPEN},
}
_BETTER = {
    Type.EVAL_PASSED: {Reason.EVAL_PASSED},
    Type.WITHIN_BUDGET: {Reason.RECOVERING},
    Type.CHECKLIST_PASSED: {Reason.ITEMS_PASSED},
}


def transitions(obs: Observation, after: DeploymentStatus) -> list[Event]:
    """One Event for each condition with a new reason worth reporting, or without one that was reported as a warning."""
    old = {one.type: one for one in obs.status.conditions}
    ignored = _ignored(obs)
    events = []
    for one in after.conditions:
        type_, reason = Type(one.type), Reason(one.reason)
        was = old[type_].reason if type_ in old else None  # it may be of another version's reasons
        # Of what the checks warn of, each is reported, though the reason stays.
        same = reason == was and (reason != Reason.REQUEST_DOUBTFUL or old[type_].message == one.message)
        if same or reason in ignored:
            continue
        bad = _is_bad(type_, reason)
        if reason == Reason.GATEWAY_UNAVAILABLE and was != Reason.SERVING:
            continue  # pods that start for the first time are not an incident
        if reason == Reason.CHECKLIST_OPEN and (was != Reason.ITEMS_PASSED or active(after) is not None):
            continue  # it was never passed, or the rollout says that it waits
        if bad or reason in _BETTER.get(type_, ()):
            events.append(Event(reason, one.message, "Warning" if bad else "Normal"))
        elif was is not None and _is_bad(type_, was) and one.status == "True":
            events.append(Event(Reason.RECOVERED, f"{type_}: {one.message}"))
    return events


def memory_kills(obs: Observation) -> list[Event]:
    """One Event for each gateway container that was ended for lack of memory."""
    return [
        Event(
            Reason.OUT_OF_MEMORY,
            f"container {one.container} of pod {one.pod} used more memory than"
            f" allowed{one.limit and f' ({one.limit})'} and was killed with all its open calls; raise"
            f" spec.gateway.resources.limits.memory, or spec.gateway.replicas",
            "Warning",
        )
        for one in obs.gateway.killed
    ]


def foreign_pods(obs: Observation) -> list[Event]:
    """One Event for each pod that poses as a gateway's."""
    namespace = obs.owner["metadata"]["namespace"]
    return [
        Event(
            Reason.FOREIGN_POD,
            f"pod {name} has the labels of this gateway's pods, but this gateway's Deployment does not control it. The"
            f" operator does not read it, but the Service may send it clients' requests. Find out who made it, then"
            f" delete it or remove the labels: kubectl -n {namespace} get pod {name} -o yaml",
            "Warning",
        )
        for name in obs.gateway.foreign
    ]


def _is_bad(type_: Type, reason: str) -> bool:
    if type_ == Type.ACCEPTED:
        return reason != Reason.VALID
    return reason in _WORSE.get(type_, ())


def _ignored(obs: Observation) -> set[Reason]:
    """States of a model that spec.lifecycle ignores: the condition reports them, no Event does."""
    policy = obs.spec.lifecycle if obs.spec else LifecyclePolicy()
    policies = {
        Reason.LEGACY: policy.on_legacy,
        Reason.DEPRECATED: policy.on_deprecated,
        Reason.RETIRED: policy.on_retired,
    }
    return {reason for reason, action in policies.items() if action == "Ignore"}
