"""Counts for the judge, cumulative since boot: by config generation, arm and stratum."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import msgspec

from claude_operator.api.gateway import CacheState, Evidence, GenerationEvidence, Role, Stratum
from claude_operator.gateway.cell import Cell
from claude_operator.gateway.cohorts import History
from claude_operator.gateway.conversations import Conversations, Recent
from claude_operator.gateway.pricing import HitRatio

__all__ = ["Generation", "Ledger"]

KEPT_GENERATIONS = 4


class Generation:
    """What is counted for requests that began under one config generation."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.conversations = Conversations()
        self._cells: dict[tuple[str, Role, str, CacheState], Cell] = {}

    def cell(self, revision: str, role: Role, surface: str, cache: CacheState) -> Cell:
        """The counters of an arm and stratum."""
        key = (revision, role, surface, cache)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = Cell()
        return cell

    def wire(self) -> GenerationEvidence:
        """As it travels."""
        strata = [Stratum(*key, cell.wire()) for key, cell in self._cells.items()]
        return GenerationEvidence(self.number, strata)


class Ledger:
    """All that a gateway process has counted, in the last four generations that were in force.

    `hits` and `history` are of the stable arm and outlive generations, as does `bad`. `clock` tells monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.boot_id = secrets.token_hex(8)
        self.clock = clock
        self.hits = HitRatio()
        self.history = History(clock())
        self.bad = Recent()
        self._generations: dict[int, Generation] = {}

    def generation(self, number: int) -> Generation:
        """The generation that comes into force; one that comes back goes on counting where it stood."""
        generation = self._generations.pop(number, None) or Generation(number)
        self._generations[number] = generation
        for old in list(self._generations)[:-KEPT_GENERATIONS]:
            del self._generations[old]
        return generation

    def document(self, config_generation: int, uptime: float, config_error: str) -> bytes:
        """The answer to `GET /-/evidence`."""
        generations = [generation.wire() for generation in self._generations.values()]
        bad, bad_first = self.bad.wire(self.clock())
        evidence = Evidence(self.boot_id, config_generation, uptime, generations, config_error, bad, bad_first)
        return msgspec.json.encode(evidence)

    def cohorts(self) -> bytes:
        """The answer to `GET /-/evidence/cohorts`."""
        return self.history.document(self.boot_id, self.clock())
