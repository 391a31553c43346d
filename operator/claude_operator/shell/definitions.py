"""Looks at the CustomResourceDefinitions that are served, as the API server publishes their schemas to everybody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from claude_operator.api.base import GROUP, VERSION
from claude_operator.api.kinds import KINDS, object_schema
from claude_operator.core.spec.definitions import Definitions, compare
from claude_operator.kube.client import Kube, KubeError
from claude_operator.log import fields

__all__ = ["DefinitionsReader"]

_log = logging.getLogger(__name__)

_GROUP = f"apis/{GROUP}/{VERSION}"
_EVERY, _SOON = 60.0, 5.0  # seconds between two looks, while all is well and while they are older


class DefinitionsReader:
    """What was found last; nothing is found wrong where the schemas cannot be read."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._wanted = {kind.kind: object_schema(kind) for kind in KINDS}
        self._seen = ""
        """Address of the document that was read last; it names the document's hash."""
        self.found = Definitions()

    async def look(self) -> bool:
        """Read the schemas where they are others than before, and log what is wrong; whether that has changed."""
        before = self.found
        try:
            await self._read()
        except KubeError as error:
            _log.debug("the schemas of our kinds could not be read", extra=fields(error=str(error)))
        if self.found == before:
            return False
        if self.found:
            _log.warning(self.found.sentence())
        else:
            _log.info("the CustomResourceDefinitions are those of this operator again")
        return True

    async def keep(self, changed: Callable[[Definitions], None]) -> None:
        """Look forever; `changed` gets what is found as soon as it is something else."""
        while True:
            if await self.look():
                changed(self.found)
            await asyncio.sleep(_SOON if self.found else _EVERY)

    async def _read(self) -> None:
        index = await self._kube.document("/openapi/v3")
        address = str(((index.get("paths") or {}).get(_GROUP) or {}).get("serverRelativeURL", ""))
        if not address or address == self._seen:
            return
        published = await self._kube.document(address)
        self.found = compare(_by_kind(published), self._wanted)
        self._seen = address


def _by_kind(published: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = {}
    for one in ((published.get("components") or {}).get("schemas") or {}).values():
        for name in one.get("x-kubernetes-group-version-kind") or ():
            if (name.get("group"), name.get("version")) == (GROUP, VERSION):
                found[str(name.get("kind"))] = one
    return found
