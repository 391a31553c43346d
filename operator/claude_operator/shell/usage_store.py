"""The ConfigMap `<name>-usage`: what was used and paid, beyond the life of gateways and operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from claude_operator.api.gateway import SIGNATURE_KEY
from claude_operator.core import names
from claude_operator.core.operator_key import is_usage_signed, sign_usage
from claude_operator.core.reconcile import ownership
from claude_operator.core.reconcile.ownership import Claim
from claude_operator.core.reconcile.signed_config import KeyOf
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


class Keys(Protocol):
    """The keys that the operator signs with, by the UID of the ClaudeDeployment."""

    async def operator_keys(self) -> KeyOf:
        """All of them, as far as there are any."""
        ...

    async def signing_key(self, uid: str) -> bytes:
        """One, made where there is none yet."""
        ...


class UsageStore:
    """Reads and writes it. It is signed, since people may write ConfigMaps who may not decide about a budget."""

    def __init__(self, kube: Kube, keys: Keys) -> None:
        self._kube, self._keys = kube, keys

    async def load(self, owner: Object) -> Stored:
        """What is stored; raises `KubeError`, and `NameTaken` where it is not the owner's."""
        name, namespace = names.usage_name(owner["metadata"]["name"]), owner["metadata"]["namespace"]
        live = await self._kube.get(CONFIG_MAPS, name, namespace)
        if live is None:
            return Stored(Usages(), None)
        whose = ownership.claim(live, owner)
        if whose not in (Claim.OURS, Claim.ORPHAN):
            raise NameTaken(ownership.refusal(live, owner))
        written = live
        if whose is Claim.ORPHAN:
            live = {**live, **await self._kube.merge(CONFIG_MAPS, ownership.adoption(live, owner))}
        version = str(live["metadata"]["resourceVersion"])
        if not await self._is_signed(owner, written):
            return Stored(Usages(), version, f"the ConfigMap {name} was not written by the operator")
        kept, fault = decode(live.get("binaryData") or {})
        return Stored(kept, version, fault)

    async def version(self, owner: Object) -> str | None:
        """Its resourceVersion now, None where there is none."""
        live = await self._kube.get(
            CONFIG_MAPS, names.usage_name(owner["metadata"]["name"]), owner["metadata"]["namespace"]
        )
        return str(live["metadata"]["resourceVersion"]) if live is not None else None

    async def save(self, owner: Object, kept: Usages, version: str | None) -> str:
        """Write it and return its resourceVersion.

        Raises `KubeError`: with `conflict` where it is no longer as it was when it was loaded.
        """
        name = owner["metadata"]["name"]
        body = child(owner, "ConfigMap", "v1", names.usage_name(name), names.labels(name, "usage"))
        body["binaryData"] = data = encode(kept)
        key = await self._keys.signing_key(owner["metadata"]["uid"])
        body["data"] = {SIGNATURE_KEY: sign_usage(key, _where(owner), data)}
        if version is None:
            stored = await self._kube.create(CONFIG_MAPS, body)
        else:
            body["metadata"]["resourceVersion"] = version
            stored = await self._kube.apply(CONFIG_MAPS, body, field_manager=names.FIELD_MANAGER)
        return str(stored["metadata"]["resourceVersion"])

    async def _is_signed(self, owner: Object, live: Object) -> bool:
        """Whether the operator has written it: for this ClaudeDeployment, or for an earlier one of its name."""
        key_of, where = await self._keys.operator_keys(), _where(owner)
        owners = live["metadata"].get("ownerReferences") or ()
        uids = dict.fromkeys([owner["metadata"]["uid"], *(one["uid"] for one in owners if one.get("controller"))])
        data, signature = live.get("binaryData") or {}, (live.get("data") or {}).get(SIGNATURE_KEY, "")
        return any(is_usage_signed(key_of(uid), where, data, signature) for uid in uids)


def _where(owner: Object) -> tuple[str, str]:
    return owner["metadata"]["namespace"], owner["metadata"]["name"]
