"""Ledgers of rollouts, as they were last written: a tick adds to what is there without reading it again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from claude_operator.api.status import DeploymentStatus
from claude_operator.core import names
from claude_operator.core.judge.ledger import config_map
from claude_operator.core.reconcile.progress import active
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import CONFIG_MAPS
from claude_operator.log import fields

__all__ = ["Ledgers"]

_log = logging.getLogger(__name__)


class Ledgers:
    """One a ClaudeDeployment with a rollout, by UID."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._known: dict[str, tuple[str, Mapping[str, str]]] = {}

    async def read(self, uid: str, namespace: str, status: DeploymentStatus) -> Mapping[str, str] | None:
        """Data of the ledger of the rollout under way; from the API server only where it is not known here.

        Once there is none under way, what was known is forgotten: a ledger may take 128 KiB.
        """
        rollout = active(status)
        if rollout is None:
            self._known.pop(uid, None)
        if rollout is None or status.judgement is None or status.judgement.recorded is None:
            return None
        name = config_map.name(rollout.revision, rollout.attempt)
        if self._known.get(uid, ("", {}))[0] != name:
            found = await self._kube.get(CONFIG_MAPS, name, namespace)
            self._known[uid] = (name, config_map.readable((found or {}).get("data") or {}))
        return self._known[uid][1]

    async def write(self, owner: Mapping[str, Any], body: Object) -> None:
        """Write it. A ledger that cannot be written is reported in the log and holds up nothing."""
        metadata = body["metadata"]
        try:
            await self._kube.apply(CONFIG_MAPS, body, field_manager=names.FIELD_MANAGER)
        except KubeError as error:
            where = {"namespace": metadata["namespace"], "name": metadata["name"]}
            _log.warning("a ledger was not written", extra=fields(**where, error=str(error)))
            return
        self._known[owner["metadata"]["uid"]] = (metadata["name"], body["data"])

    def forget(self, live: set[str]) -> None:
        """Drop those of ClaudeDeployments that no longer exist; `live` are UIDs."""
        self._known = {uid: known for uid, known in self._known.items() if uid in live}
