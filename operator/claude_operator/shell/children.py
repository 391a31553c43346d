"""Child objects as wanted: applied where they differ, left alone where they do not, refused where they are others'."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from claude_operator.api.conditions import Reason
from claude_operator.core import names, render
from claude_operator.core.validate import Problem
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import (
    BY_KIND,
    CONFIG_MAPS,
    DEPLOYMENTS,
    POD_DISRUPTION_BUDGETS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Resource,
)

__all__ = ["Children"]

_AGAIN = 60.0  # seconds after which what was as wanted is looked at again
_ACCOUNT = (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS)
_GATEWAY = (*_ACCOUNT, CONFIG_MAPS, SERVICES, DEPLOYMENTS, POD_DISRUPTION_BUDGETS)


class Children:
    """Remembers what it has found to be as wanted, so that a pass in which nothing changed costs no calls."""

    def __init__(self, kube: Kube, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube, self._clock = kube, clock
        self._free: set[str] = set()  # UIDs of owners none of whose names is taken
        self._ensured: dict[tuple[str, str], tuple[str, bytes, float]] = {}
        """By the owner's namespace and name: its UID, the digest of what was wanted, and when."""
        self._further: dict[str, set[tuple[Resource, str]]] = {}  # by UID: other names that turned out to be taken
        self._trouble: dict[str, str] = {}  # by UID: why the last `ensure` failed

    async def taken(self, owner: Mapping[str, Any]) -> list[Problem]:
        """Objects of our children's names that we do not control. Nothing is written while there is one."""
        uid, name, namespace = (owner["metadata"][key] for key in ("uid", "name", "namespace"))
        if uid in self._free:
            return []
        wanted: list[tuple[Resource, str]] = [(resource, names.gateway_name(name)) for resource in _GATEWAY]
        wanted += [(SECRETS, names.client_secret(name))]
        wanted += [(resource, names.eval_account(name)) for resource in _ACCOUNT]
        wanted += sorted(self._further.get(uid, ()), key=str)
        found = await asyncio.gather(*(self._kube.get(resource, child, namespace) for resource, child in wanted))
        problems = [
            Problem(Reason.NAME_TAKEN, _taken(resource, live, owner))
            for (resource, child), live in zip(wanted, found, strict=True)
            if live is not None and not names.is_controlled_by(live, uid)
        ]
        if not problems:
            self._free.add(uid)
            self._further.pop(uid, None)
        return problems

    def doubt(self, owner: Mapping[str, Any], resource: Resource | None = None, name: str = "") -> None:
        """An object was seen that this owner does not control: `taken` looks again, and at this one of another name."""
        uid = owner["metadata"]["uid"]
        self._free.discard(uid)
        if resource is not None:
            self._further.setdefault(uid, set()).add((resource, name))

    def trouble(self, owner: Mapping[str, Any]) -> str:
        """Why a child could not be written in the last pass, empty where all could."""
        return self._trouble.get(owner["metadata"]["uid"], "")

    async def ensure(self, owner: Mapping[str, Any], wanted: Sequence[Object]) -> None:
        """Make the children as wanted; raises `KubeError` for the first that cannot be."""
        uid, name, namespace = (owner["metadata"][key] for key in ("uid", "name", "namespace"))
        digest = hashlib.sha256(orjson.dumps(wanted)).digest()
        *known, since = self._ensured.get((namespace, name), ("", b"", 0.0))
        if known == [uid, digest] and self._clock() - since < _AGAIN:
            return
        try:
            await self._client_secret(owner)  # before the Deployment, whose pods mount it
            for child in wanted:
                await self._child(owner, child)
        except KubeError as error:
            self._trouble[uid] = str(error)
            raise
        self._trouble.pop(uid, None)
        self._ensured[namespace, name] = (uid, digest, self._clock())

    def look_again(self, namespace: str, name: str) -> None:
        """A child of this owner may have been changed by somebody."""
        self._ensured.pop((namespace, name), None)

    def forget(self, live: set[str]) -> None:
        """Drop what is known of owners that are no more; `live` are UIDs."""
        self._free &= live
        self._further = {uid: known for uid, known in self._further.items() if uid in live}
        self._trouble = {uid: known for uid, known in self._trouble.items() if uid in live}
        self._ensured = {owner: known for owner, known in self._ensured.items() if known[0] in live}

    async def _child(self, owner: Mapping[str, Any], child: Object) -> None:
        resource, metadata = BY_KIND[child["kind"]], child["metadata"]
        live = await self._kube.get(resource, metadata["name"], metadata["namespace"])
        if live is not None and not names.is_controlled_by(live, owner["metadata"]["uid"]):
            self.doubt(owner)
            raise KubeError(409, Reason.NAME_TAKEN, _taken(resource, live, owner))
        if live is None or not render.covers(live, child):
            await self._kube.apply(resource, child, field_manager=names.FIELD_MANAGER)

    async def _client_secret(self, owner: Mapping[str, Any]) -> None:
        """Made once and never applied over, so that its key changes only where a person changes it."""
        name, namespace = names.client_secret(owner["metadata"]["name"]), owner["metadata"]["namespace"]
        if await self._kube.get(SECRETS, name, namespace) is not None:
            return
        try:
            await self._kube.create(SECRETS, render.client_secret(owner, f"co-{secrets.token_urlsafe(32)}"))
        except KubeError as error:
            if not error.conflict:
                raise


def _taken(resource: Resource, live: Object, owner: Mapping[str, Any]) -> str:
    """Whose a taken name is, and what helps."""
    name = live["metadata"]["name"]
    owners = live["metadata"].get("ownerReferences") or ()
    if any((one.get("kind"), one.get("name")) == (owner["kind"], owner["metadata"]["name"]) for one in owners):
        return f"{resource.kind} {name} is left of an earlier {owner['kind']} of this name; it goes by itself, wait"
    return f"{resource.kind} {name} belongs to something else: rename the {owner['kind']}, or remove that object"
