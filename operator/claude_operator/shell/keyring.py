"""The keys of applications' Secrets: derived from one master key of this installation, kept in a Secret of its own."""

from __future__ import annotations

import base64
import binascii
import secrets

from claude_operator.core import names
from claude_operator.core.reconcile.client_key import client_key
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import SECRETS

__all__ = ["Keyring"]

_FIELD = "master"
_BYTES = 32


class Keyring:
    """Reads the Secret `name` in the operator's namespace, and makes it where there is none."""

    def __init__(self, kube: Kube, namespace: str, name: str = "claude-operator-client-keys") -> None:
        self._kube, self._namespace, self._name = kube, namespace, name
        self._master: bytes | None = None

    async def key(self, uid: str) -> str:
        """The client key of the ClaudeDeployment with this UID; raises `KubeError`."""
        found = await self._kube.get(SECRETS, self._name, self._namespace)
        if found is None:
            found = await self._make(self._master or secrets.token_bytes(_BYTES))
        self._master = self._read(found)
        return client_key(self._master, uid)

    async def _make(self, master: bytes) -> Object:
        """Create it; where another replica was faster, its key holds."""
        body: Object = {
            "apiVersion": SECRETS.api_version,
            "kind": SECRETS.kind,
            "metadata": {
                "name": self._name,
                "namespace": self._namespace,
                "labels": {names.LABEL_NAME: names.FIELD_MANAGER, names.LABEL_MANAGED_BY: names.FIELD_MANAGER},
            },
            "type": "Opaque",
            "data": {_FIELD: base64.b64encode(master).decode()},
        }
        try:
            return await self._kube.create(SECRETS, body)
        except KubeError as error:
            if not error.conflict:
                raise
        found = await self._kube.get(SECRETS, self._name, self._namespace)
        if found is None:
            raise KubeError(
                409, "Conflict", f"Secret {self._name} in {self._namespace} is created and deleted repeatedly"
            )
        return found

    def _read(self, found: Object) -> bytes:
        try:
            master = base64.b64decode((found.get("data") or {}).get(_FIELD) or "", validate=True)
        except (binascii.Error, ValueError):
            master = b""
        if len(master) < _BYTES:
            where = f"Secret {self._name} in {self._namespace}"
            message = (
                f"{where} holds no {_FIELD} key of {_BYTES} bytes: put it back from a backup, or delete that Secret"
            )
            raise KubeError(422, "Invalid", message)
        return master
