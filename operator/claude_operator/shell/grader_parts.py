"""What the grader of live answers has beside its pod: the Secret that it writes, and its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from claude_operator.api.grading import SAMPLES_KEY
from claude_operator.core import names, render
from claude_operator.kube.client import Kube, KubeError
from claude_operator.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Resource,
)

__all__ = ["GraderParts"]

Owner = Mapping[str, Any]

_NAMED = (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS, CONFIG_MAPS, DEPLOYMENTS)


class GraderParts:
    """Remembers, by the UID of the ClaudeDeployment, where nothing is left to end."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._ended: set[str] = set()
        self._empty: set[str] = set()

    def parts(self, owner: Owner, policies: Sequence[Resource]) -> list[tuple[Resource, str]]:
        """The names that it takes; none where no live answers are graded."""
        if _live(owner) is None:
            return []
        name = owner["metadata"]["name"]
        named = [(resource, names.grader_name(name)) for resource in (*_NAMED, *policies)]
        return [*named, (SERVICES, names.gateway_pods(name)), (SECRETS, names.failed_samples(name))]

    async def ensure(self, owner: Owner) -> None:
        """Make the Secret; or end what was, where live answers are graded no more. Raises `KubeError`.

        A pod that ran on would hold the upstream's key, and samples that are not to be kept would stay.
        """
        uid, live = owner["metadata"]["uid"], _live(owner)
        if live is not None:
            self._ended.discard(uid)
            await self._make_store(owner)
        elif uid not in self._ended:
            if await self._stop(owner):
                await self._clear(owner)
            self._ended.add(uid)
        if live is not None and not live.get("keepFailed"):
            if uid not in self._empty:
                await self._clear(owner)
            self._empty.add(uid)
        else:
            self._empty.discard(uid)

    def forget(self, live: set[str]) -> None:
        """Drop those of owners that no longer exist; `live` are UIDs."""
        self._ended &= live
        self._empty &= live

    async def _make_store(self, owner: Owner) -> None:
        metadata = owner["metadata"]
        name, namespace = names.failed_samples(metadata["name"]), metadata["namespace"]
        if await self._kube.version_of(SECRETS, name, namespace) is not None:  # what is in it is not read
            return
        try:
            await self._kube.create(SECRETS, render.grader_store(owner))
        except KubeError as error:
            if not error.conflict:
                raise

    async def _stop(self, owner: Owner) -> bool:
        """End the pod, which may write no more as it ends; whether there has been a grader."""
        metadata = owner["metadata"]
        live = await self._kube.get(DEPLOYMENTS, names.grader_name(metadata["name"]), metadata["namespace"])
        if live is None or not names.is_controlled_by(live, metadata["uid"]):
            return False
        role = await self._kube.get(ROLES, names.grader_name(metadata["name"]), metadata["namespace"])
        if role is not None and names.is_controlled_by(role, metadata["uid"]) and role.get("rules"):
            await self._merge(ROLES, role, {"rules": []})
        if live["spec"].get("replicas"):
            await self._merge(DEPLOYMENTS, live, {"spec": {"replicas": 0}})
        return True

    async def _clear(self, owner: Owner) -> None:
        """Take out the samples. What was spent today stays known."""
        metadata = owner["metadata"]
        live = await self._kube.get(SECRETS, names.failed_samples(metadata["name"]), metadata["namespace"])
        if (
            live is not None
            and names.is_controlled_by(live, metadata["uid"])
            and SAMPLES_KEY in (live.get("data") or {})
        ):
            await self._merge(SECRETS, live, {"data": {SAMPLES_KEY: None}})

    async def _merge(self, resource: Resource, live: Mapping[str, Any], change: Mapping[str, Any]) -> None:
        fenced = {key: live["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
        await self._kube.merge(
            resource, {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": fenced, **change}
        )


def _live(owner: Owner) -> Mapping[str, Any] | None:
    """`spec.evals.live` as stored."""
    found = ((owner.get("spec") or {}).get("evals") or {}).get("live")
    return found if isinstance(found, Mapping) else None
