"""A look now and then at gateways that no reading is made of: whether their clients get answers.

A rollout or a soak reads its gateways anyway. For all others a pass comes only when something changes in the cluster,
and an outage of the upstream changes nothing there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from claude_operator.api.evidence import Serving
from claude_operator.core.reconcile.serving import in_trouble
from claude_operator.shell.keys import Key
from claude_operator.shell.scrape import Peer
from claude_operator.shell.tasks import Group

__all__ = ["Patrol", "Resting"]

_PERIOD = 5.0  # seconds between two looks at one
_MOST = 40.0  # looks a second over all: with more than 200 each is looked at less often


@dataclass(frozen=True, slots=True)
class Resting:
    """A ClaudeDeployment of which no readings are made: its ready gateway pods, and what its last pass saw."""

    key: Key
    pods: Sequence[Peer]
    troubled: bool


class Reader(Protocol):
    """The verb that it needs."""

    async def read_serving(self, peers: Sequence[Peer]) -> list[Serving]:
        """What each pod that answers serves."""
        ...


class Patrol:
    """Has a pass made where what gateways say is not what the last pass saw."""

    def __init__(self, reader: Reader, resting: Callable[[], list[Resting]], add: Callable[[Key], None]) -> None:
        self._reader, self._resting, self._add = reader, resting, add

    async def run(self) -> None:
        """Look at all in turn, until cancelled."""
        while True:
            found = self._resting()
            pause = max(_PERIOD, len(found) / _MOST) / max(len(found), 1)
            async with Group() as looks:
                for one in found:
                    looks.create_task(self._look(one))
                    await asyncio.sleep(pause)
            if not found:
                await asyncio.sleep(pause)

    async def _look(self, one: Resting) -> None:
        readings = await self._reader.read_serving(one.pods)
        if (
            readings
            and in_trouble([each.weights for each in readings], [each.recent for each in readings]) != one.troubled
        ):
            self._add(one.key)
