"""The graders' key of an installation of before: it stood in the Secret of the gateway, and moves to one of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from claude_operator.api.gateway import GRADER_KEY
from claude_operator.core import names, render
from claude_operator.core.reconcile.pod_trouble import is_settled
from claude_operator.kube.client import Kube, Object
from claude_operator.kube.resources import DEPLOYMENTS, SECRETS, Resource

__all__ = ["MOVED", "GraderKeyMove"]

MOVED = (
    f"the graders' key stays the same and is now {GRADER_KEY} of the Secret {{0}}-grader. It leaves the Secret"
    " {0}-gateway once all gateway pods have been replaced: have programs that read it from there, and Roles that let"
    " them, use {0}-grader"
)
"""By the name of the ClaudeDeployment."""


Take = Callable[[Mapping[str, Any], Resource, str], Awaitable[Object | None]]


class GraderKeyMove:
    """Remembers, by the UID of the ClaudeDeployment, where the key is in its own Secret alone, and where it moves."""

    def __init__(self, kube: Kube, take: Take) -> None:
        """`take` gives a child, adopted where it was an orphan."""
        self._kube, self._take = kube, take
        self._done: set[str] = set()
        self._moving: set[str] = set()

    def is_under_way(self, owner: Mapping[str, Any]) -> bool:
        """Whether its pods are being replaced: the pass that finds them new takes the key out of the old place."""
        return owner["metadata"]["uid"] in self._moving

    async def held(self, owner: Mapping[str, Any], live: Object | None) -> dict[str, str]:
        """What its own Secret, as it is `live`, has to hold because pods read it in the old place; mostly nothing.

        Once all pods read the new one, the key is taken out of the old place. Raises `KubeError`.
        """
        uid, name = owner["metadata"]["uid"], names.gateway_name(owner["metadata"]["name"])
        if uid in self._done:
            return {}
        old = await self._take(owner, SECRETS, name)
        data = (old or {}).get("data") or {}
        if old is not None and GRADER_KEY in data:
            self._moving.add(uid)
            deployment = await self._take(owner, DEPLOYMENTS, name)
            moved = deployment is not None and render.reads_grader_secret(deployment["spec"]["template"])
            if live is None or not moved:
                return {GRADER_KEY: data[GRADER_KEY]} if data[GRADER_KEY] else {}
            if deployment is None or not is_settled(deployment):
                return {}
            fenced = {key: old["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
            patch = {"apiVersion": SECRETS.api_version, "kind": SECRETS.kind, "metadata": fenced}
            await self._kube.merge(SECRETS, {**patch, "data": {GRADER_KEY: None}})
        self._done.add(uid)
        self._moving.discard(uid)
        return {}

    def forget(self, live: set[str]) -> None:
        """Drop those of owners that no longer exist; `live` are UIDs."""
        self._done &= live
        self._moving &= live
