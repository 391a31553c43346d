"""The keys of each ClaudeDeployment: derived from one master key of this installation, kept in a Secret of its own."""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from collections.abc import Callable

from claude_operator.core import names
from claude_operator.core.reconcile.client_key import Keys, derive
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import SECRETS

__all__ = ["Keyring"]

_FIELD = "master"
_BYTES = 32
_AGAIN = 60.0  # seconds after which the Secret is looked at again: somebody may have deleted it


class Keyring:
    """Reads the Secret `name` in the operator's namespace, and makes it where there is none."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        name: str = "claude-operator-client-keys",
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube, self._namespace, self._name, self._clock = kube, namespace, name, clock
        self._master: bytes | None = None
        self._read_at = 0.0

    async def keys(self, uid: str) -> Keys:
        """Those of the ClaudeDeployment with this UID, by the master key of now; raises `KubeError`."""
        found = await self._kube.get(SECRETS, self._name, self._namespace)
        if found is None:
            found = await self._make(self._master or secrets.token_bytes(_BYTES))
        self._master, self._read_at = self._read(found), self._clock()
        return derive(self._master, uid)

    async def known(self) -> Callable[[str], Keys] | None:
        """The keys by UID, mostly without a call; None while there is no master key yet.

        Raises `KubeError` where the master key was never read. Once it was, nothing stands still for it.
        """
        if self._master is None or self._clock() - self._read_at >= _AGAIN:
            try:
                found = await self._kube.get(SECRETS, self._name, self._namespace)
                if found is None and self._master is not None:
                    found = await self._make(self._master)
                self._read_at = self._clock()
                self._master = self._read(found) if found else None
            except KubeError:
                if self._master is None:
                    raise
        master = self._master
        return (lambda uid: derive(master, uid)) if master else None

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
