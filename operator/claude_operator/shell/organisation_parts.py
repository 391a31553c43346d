"""What a ClaudeOrganization has in the operator's namespace: made, mended where somebody changed it, stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claude_operator.api.organisation import OrganizationReason, OrganizationSpec
from claude_operator.core import names, render
from claude_operator.core.organisation.admin_key import Fault
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import BY_KIND, CLAIMS, DEPLOYMENTS, SECRETS, Resource
from claude_operator.shell.keyring import Keyring

__all__ = ["HistoryParts", "PartTaken"]


class PartTaken(Exception):  # noqa: N818  # a state, not an error
    """An object of a part's name is somebody else's."""


class HistoryParts:
    """Applies them where they differ, so that nothing is written while nothing changed."""

    def __init__(self, kube: Kube, keyring: Keyring, namespace: str) -> None:
        self._kube, self._keyring, self._namespace = kube, keyring, namespace

    async def page_key(self, owner: Mapping[str, Any]) -> str:
        """What the operator shows to the history; raises `KubeError`."""
        return (await self._keyring.keys(owner["metadata"]["uid"])).operator

    async def ensure(self, owner: Mapping[str, Any], spec: OrganizationSpec, site: render.Site) -> Fault | None:
        """Make them all; what keeps one from being made."""
        try:
            await self._secret(owner)
            claim = render.history_claim(owner, spec, self._namespace)
            if claim is not None:
                await self._claim(claim)
            for wanted in render.history_objects(owner, spec, site, self._namespace):
                resource = BY_KIND[wanted["kind"]]
                await self._write(resource, wanted, await self._mine(owner, resource))
        except PartTaken as error:
            return OrganizationReason.NAME_TAKEN, str(error)
        except KubeError as error:
            if error.conflict or error.status in (0, 429):  # the next look tries again
                return None
            return OrganizationReason.WRITE_REFUSED, f"the API server refuses a part of the history: {error}"
        return None

    async def stop(self, owner: Mapping[str, Any]) -> None:
        """End the pod: it would go on with a key, or to a host, that may not be used. Raises `KubeError`."""
        try:
            live = await self._mine(owner, DEPLOYMENTS)
        except PartTaken:
            return
        if live is not None and live["spec"].get("replicas"):
            fenced = {key: live["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
            kind = {"apiVersion": DEPLOYMENTS.api_version, "kind": DEPLOYMENTS.kind}
            await self._kube.merge(DEPLOYMENTS, {**kind, "metadata": fenced, "spec": {"replicas": 0}})

    async def started(self, owner: Mapping[str, Any]) -> bool:
        """Whether its pod is ready; raises `KubeError`."""
        name = names.organization_name(owner["metadata"]["name"])
        live = await self._kube.get(DEPLOYMENTS, name, self._namespace)
        return bool(live and (live.get("status") or {}).get("readyReplicas"))

    async def _secret(self, owner: Mapping[str, Any]) -> None:
        wanted = render.history_secret(owner, await self.page_key(owner), self._namespace)
        await self._write(SECRETS, wanted, await self._mine(owner, SECRETS))

    async def _claim(self, wanted: Object) -> None:
        """Nobody owns it; what shows that it is ours are its labels."""
        metadata = wanted["metadata"]
        live = await self._kube.get(CLAIMS, metadata["name"], self._namespace)
        if live is not None and not render.covers(live["metadata"].get("labels"), metadata["labels"]):
            raise PartTaken(_taken(live))
        if live is None:
            await self._kube.create(CLAIMS, wanted)
        elif not render.covers(live, wanted):
            await self._kube.apply(CLAIMS, wanted, field_manager=names.FIELD_MANAGER)

    async def _write(self, resource: Resource, wanted: Object, live: Object | None) -> None:
        if live is None or not render.covers(live, wanted):
            live = await self._kube.apply(resource, wanted, field_manager=names.FIELD_MANAGER)
        if more := render.excess(live, wanted):
            fenced = {key: live["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
            kind = {"apiVersion": resource.api_version, "kind": resource.kind}
            await self._kube.merge(resource, {**kind, **more, "metadata": {**more.get("metadata", {}), **fenced}})

    async def _mine(self, owner: Mapping[str, Any], resource: Resource) -> Object | None:
        """The part of this kind; raises `PartTaken` where it is somebody else's."""
        metadata = owner["metadata"]
        live = await self._kube.get(resource, names.organization_name(metadata["name"]), self._namespace)
        if live is not None and not names.is_controlled_by(live, metadata["uid"]):
            raise PartTaken(_taken(live))
        return live


def _taken(live: Mapping[str, Any]) -> str:
    metadata = live["metadata"]
    what = f"{live['kind']} {metadata['namespace']}/{metadata['name']}"
    if metadata.get("deletionTimestamp"):
        return f"{what} is being deleted; the history is made when it is gone"
    return f"{what} belongs to something else: remove it, or give the ClaudeOrganization another name"
