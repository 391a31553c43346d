"""The ConfigMap `<name>-usage`: what was used and paid, beyond the life of gateways and operators."""

from __future__ import annotations

from dataclasses import dataclass

from claude_operator.core import names
from claude_operator.core.reconcile import ownership
from claude_operator.core.reconcile.ownership import Claim
from claude_operator.core.render.parts import child
from claude_operator.core.usage.state import Usages, decode, encode
from claude_operator.kube.client import Kube, Object
from claude_operator.kube.resources import CONFIG_MAPS

__all__ = ["NameTaken", "Stored", "UsageStore"]


class NameTaken(Exception):  # noqa: N818  # a state, which the message explains
    """A ConfigMap of that name is somebody else's."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the ConfigMap holds. `version` is its resourceVersion, None where there is none."""

    kept: Usages
    version: str | None
    fault: str = ""
    """What of it cannot be read."""


class UsageStore:
    """Reads and writes it."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    async def load(self, owner: Object) -> Stored:
        """What is stored; raises `KubeError`, and `NameTaken` where it is not the owner's."""
        name, namespace = names.usage_name(owner["metadata"]["name"]), owner["metadata"]["namespace"]
        live = await self._kube.get(CONFIG_MAPS, name, namespace)
        if live is None:
            return Stored(Usages(), None)
        whose = ownership.claim(live, owner)
        if whose not in (Claim.OURS, Claim.ORPHAN):
            raise NameTaken(ownership.refusal(live, owner))
        if whose is Claim.ORPHAN:
            live = {**live, **await self._kube.merge(CONFIG_MAPS, ownership.adoption(live, owner))}
        kept, fault = decode(live.get("binaryData") or {})
        return Stored(kept, str(live["metadata"]["resourceVersion"]), fault)

    async def save(self, owner: Object, kept: Usages, version: str | None) -> str:
        """Write it and return its resourceVersion.

        Raises `KubeError`: with `conflict` where it is no longer as it was when it was loaded.
        """
        name = owner["metadata"]["name"]
        body = child(owner, "ConfigMap", "v1", names.usage_name(name), names.labels(name, "usage"))
        body["binaryData"] = encode(kept)
        if version is None:
            stored = await self._kube.create(CONFIG_MAPS, body)
        else:
            body["metadata"]["resourceVersion"] = version
            stored = await self._kube.apply(CONFIG_MAPS, body, field_manager=names.FIELD_MANAGER)
        return str(stored["metadata"]["resourceVersion"])
