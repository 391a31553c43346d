"""The Secret that applications read: made once, never written over, and put back with the key that it had."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from claude_operator.api.gateway import CLIENT_KEY, CLIENT_URL
from claude_operator.core import names, render
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import SECRETS
from claude_operator.shell.keyring import Keyring

__all__ = ["ClientSecrets"]

_NEEDED = (CLIENT_KEY, CLIENT_URL)


class ClientSecrets:
    """Remembers what was in each Secret, by the UID of its owner: a person may have written a key of their own."""

    def __init__(self, kube: Kube, keyring: Keyring) -> None:
        self._kube, self._keyring = kube, keyring
        self._data: dict[str, dict[str, str]] = {}

    def seen(self, uid: str, live: Mapping[str, Any]) -> bool:
        """Remember what is in it; whether that is all that applications need."""
        data = dict(live.get("data") or {})
        whole = all(data.get(field) for field in _NEEDED)
        if whole:
            self._data[uid] = data
        return whole

    async def ensure(self, owner: Mapping[str, Any], live: Object | None) -> tuple[Object, str]:
        """The Secret, whole, and a sentence about what was mended, empty where nothing was; raises `KubeError`."""
        uid, name = owner["metadata"]["uid"], names.client_secret(owner["metadata"]["name"])
        if live is not None and self.seen(uid, live):
            return live, ""
        known = self._data.get(uid)
        whole = render.client_secret(owner, "")
        data = known or await self._derived(owner)
        if live is None:
            change = "was deleted and has been created again"
            live = await self._create({**whole, "stringData": {}, "data": data})
        else:
            change = "lacked its key or address and has been completed"
            lacking = {field: data[field] for field in _NEEDED if not (live.get("data") or {}).get(field)}
            live = await self._kube.merge(
                SECRETS,
                {
                    "apiVersion": whole["apiVersion"],
                    "kind": whole["kind"],
                    "metadata": {key: live["metadata"][key] for key in ("name", "namespace", "resourceVersion")},
                    "data": lacking,
                },
            )
        self.seen(uid, live)
        return live, f"Secret {name} {change} with {_which(bool(known))}"

    def forget(self, live: set[str]) -> None:
        """Drop those of owners that no longer exist; `live` are UIDs."""
        self._data = {uid: data for uid, data in self._data.items() if uid in live}

    async def _derived(self, owner: Mapping[str, Any]) -> dict[str, str]:
        key = await self._keyring.key(owner["metadata"]["uid"])
        values = render.client_secret(owner, key)["stringData"]
        return {field: base64.b64encode(value.encode()).decode() for field, value in values.items()}

    async def _create(self, body: Object) -> Object:
        try:
            return await self._kube.create(SECRETS, {field: value for field, value in body.items() if value != {}})
        except KubeError as error:
            found = None
            if error.conflict:  # somebody was faster
                metadata = body["metadata"]
                found = await self._kube.get(SECRETS, metadata["name"], metadata["namespace"])
            if found is None:
                raise
            return found


def _which(same: bool) -> str:
    if same:
        return "the key that it had"
    return (
        "the key that is derived for this ClaudeDeployment; where it had another one, written by hand or made by an"
        " earlier version, applications get 401 until they have read it again: restart them"
    )
