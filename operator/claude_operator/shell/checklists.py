"""Signatures and ClaudeChecklists, as last read: passes look here and wait for nothing.

They are listed, not watched: without their definitions, or the right to them, the operator works as before.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from claude_operator.api.checklist import ChecklistSpec
from claude_operator.core.checklist.case import Sight, Signature
from claude_operator.core.checklist.objects import read_rules, read_signature, rules_of
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import CLAUDE_CHECKLISTS, CLAUDE_SIGNATURES, Resource
from claude_operator.log import fields

__all__ = ["LOOK", "Checklists"]

_log = logging.getLogger(__name__)

LOOK = 5.0
"""Seconds between two looks at them."""
_FIRST = 1.0  # the same while they could not be read yet
_NONE = (403, 404)  # answers that mean that there are none


class Checklists:
    """Of one leadership. `namespaces`: those that are worked on, none for all; then no ClaudeChecklist is read.

    `authors_held`: admission holds everybody who signs to their own name. `wake` gets the namespaces that are concerned
    by a change, None for all.
    """

    def __init__(self, kube: Kube, namespaces: Sequence[str] = (), *, authors_held: bool = False) -> None:
        self._kube, self._namespaces, self._held = kube, tuple(namespaces), authors_held
        self._signatures: dict[str, tuple[Signature, ...]] | None = None
        self._rules: dict[str, ChecklistSpec] | None = {} if namespaces else None
        self._faults: dict[str, str] = {}
        self.wake: Callable[[set[str] | None], None] = lambda namespaces: None

    async def run(self) -> None:
        """Look forever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK if self.known else _FIRST)

    @property
    def known(self) -> bool:
        """Whether both have been read."""
        return self._signatures is not None and self._rules is not None

    @property
    def rules(self) -> Mapping[str, ChecklistSpec]:
        """The ClaudeChecklists by name."""
        return self._rules or {}

    def sight(self, namespace: str) -> Sight:
        """What a pass over a ClaudeDeployment knows."""
        fault = "; ".join(one for _, one in sorted(self._faults.items()) if one)
        if not self.known:
            return Sight(known=False, fault=fault)
        signatures = (self._signatures or {}).get(namespace, ())
        return Sight(
            signatures=signatures,
            rules=rules_of(self.rules, namespace),
            authors_held=self._held,
            fault=fault,
        )

    async def look(self) -> None:
        """Read both once. What cannot be read stays as it was; a right or a definition that is missing means none.

        Yet ClaudeChecklists that have been read hold on without the right: nothing is let through because of a 403.
        """
        before = (self.known, dict(self._signatures or {}), self._rules, dict(self._faults))
        if not self._namespaces:
            stored = await self._list(CLAUDE_CHECKLISTS, (None,), none=(404,) if self._rules else _NONE)
            if stored is not None:
                self._rules, unread = read_rules(stored)
                self._faults["rules"] = unread
        stored = await self._list(CLAUDE_SIGNATURES, self._namespaces or (None,))
        if stored is not None:
            self._signatures = _by_namespace(stored)
        after = (self.known, dict(self._signatures or {}), self._rules, dict(self._faults))
        if after == before:
            return
        if (after[0], *after[2:]) != (before[0], *before[2:]):
            self.wake(None)
            return
        names = before[1].keys() | after[1].keys()
        self.wake({name for name in names if before[1].get(name) != after[1].get(name)})

    async def _list(
        self, resource: Resource, where: Sequence[str | None], none: Sequence[int] = _NONE
    ) -> list[Object] | None:
        """All of a kind, without those that this operator may not read. None where nobody knows."""
        found: list[Object] = []
        faults: list[str] = []
        known = True
        for namespace in where:
            try:
                found += await self._kube.list(resource, namespace)
            except KubeError as error:
                faults.append(f"{resource.plural} cannot be read: {error}".partition("\n")[0])
                known = known and error.status in none
        fault = "; ".join(dict.fromkeys(faults))
        if fault and self._faults.get(resource.plural) != fault:
            _log.warning("the checklist is incomplete", extra=fields(error=fault))
        self._faults[resource.plural] = fault
        return found if known else None


def _by_namespace(stored: Sequence[Object]) -> dict[str, tuple[Signature, ...]]:
    found: dict[str, list[Signature]] = defaultdict(list)
    for one in stored:
        signature = read_signature(one)
        if signature is not None:
            found[str(one["metadata"]["namespace"])].append(signature)
    return {name: tuple(sorted(signatures, key=lambda one: one.name)) for name, signatures in found.items()}
