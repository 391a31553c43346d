"""Verdicts wait for those of the other arm: the judge compares the arms tick by tick, and a tick that has verdicts of
one arm alone says nothing.

When they are told depends on how many there are and how long they wait, never on what they say.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

__all__ = ["ENOUGH", "LONGEST", "Batches"]

ENOUGH = 5
"""Verdicts of each arm that are told together."""
LONGEST = 60.0
"""Seconds that a verdict waits for others."""


@dataclass(slots=True)
class _Batch:
    counts: Counter[str] = field(default_factory=Counter)
    told: asyncio.Event = field(default_factory=asyncio.Event)


class Batches:
    """One a surface, since the judge compares surface by surface."""

    def __init__(self, longest: float = LONGEST) -> None:
        self._longest = longest
        self._batches: dict[str, _Batch] = {}
        self._closed = False

    async def wait(self, surface: str, role: str) -> None:
        """Until the batch that this verdict is in is to be told."""
        if self._closed:
            return
        batch = self._batches.get(surface)
        if batch is None:
            batch = self._batches[surface] = _Batch()
            asyncio.get_running_loop().call_later(self._longest, self._tell, surface, batch)
        batch.counts[role] += 1
        if min(batch.counts["canary"], batch.counts["stable"]) >= ENOUGH:
            self._tell(surface, batch)
        await batch.told.wait()

    def close(self) -> None:
        """Have all told, and nothing wait any more."""
        self._closed = True
        for surface, batch in list(self._batches.items()):
            self._tell(surface, batch)

    def _tell(self, surface: str, batch: _Batch) -> None:
        if self._batches.get(surface) is batch:
            del self._batches[surface]
        batch.told.set()
