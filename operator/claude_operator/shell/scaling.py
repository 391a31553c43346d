"""How many gateway pods: our field where the spec has it, else that of an autoscaler or of `kubectl scale`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claude_operator.core import names
from claude_operator.core.reconcile import ownership
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import BY_KIND, DEPLOYMENTS

__all__ = ["Scaling"]

_FIRST = 2  # replicas of a new Deployment whose spec leaves the number open; Kubernetes's own default is 1
_FIELD = ("spec", "replicas")
_TRIES = 5  # against others who write the Deployment, such as its controller


class Scaling:
    """Applies children. A field that an apply no longer names is removed, and the API server would make it 1 again.

    So a manager of its own takes over the number before the other fields are applied without it. Whoever scales
    afterwards takes it from that manager, which never applies again.
    """

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    async def apply(self, child: Object, live: Object | None, known: int | None) -> Object:
        """Apply a child; `live` is as it is now, `known` the last number of replicas that it was seen to have."""
        resource = BY_KIND[child["kind"]]
        if _is_open(child):
            if live is None:
                first = {**child, "spec": {**child["spec"], "replicas": known or _FIRST}}
                live = await self._kube.apply(resource, first, field_manager=names.FIELD_MANAGER)
            await self._hand_over({**live, "apiVersion": child["apiVersion"], "kind": child["kind"]})
        return await self._kube.apply(resource, child, field_manager=names.FIELD_MANAGER)

    @staticmethod
    def is_due(child: Object, live: Mapping[str, Any]) -> bool:
        """Whether we still own a number that the spec leaves open."""
        return _is_open(child) and ownership.applies(live, names.FIELD_MANAGER, _FIELD)

    async def _hand_over(self, live: Object) -> None:
        """Fenced, so that a number that somebody writes meanwhile is not written over."""
        metadata = live["metadata"]
        for attempt in range(1, _TRIES + 1):
            if not ownership.applies(live, names.FIELD_MANAGER, _FIELD):
                return
            fenced = {name: live["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
            body = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": fenced}
            body["spec"] = {"replicas": live["spec"]["replicas"]}
            try:
                await self._kube.apply(DEPLOYMENTS, body, field_manager=names.SCALE_MANAGER)
                return
            except KubeError as error:
                if not error.conflict or attempt == _TRIES:
                    raise
            found = await self._kube.get(DEPLOYMENTS, metadata["name"], metadata["namespace"])
            if found is None:
                return
            live = {**live, **found}


def _is_open(child: Object) -> bool:
    return bool(child["kind"] == DEPLOYMENTS.kind and "replicas" not in child["spec"])
