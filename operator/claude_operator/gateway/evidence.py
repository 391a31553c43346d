"""Counts for the judge, cumulative since boot: by config generation, arm and stratum."""

from __future__ import annotations

import math
import secrets
from collections import Counter
from collections.abc import Mapping

import msgspec

from claude_operator.api.gateway import CacheState, Counters, Evidence, GenerationEvidence, Histogram, Role, Stratum

__all__ = ["Cell", "Generation", "Ledger"]

KEPT_GENERATIONS = 4

_LN_WIDTH = math.log(1.25)


class Observations:
    """A histogram being filled."""

    __slots__ = ("buckets", "count", "ln_sum", "ln_sum_sq", "sum", "sum_sq")

    def __init__(self) -> None:
        self.count = 0
        self.sum = self.sum_sq = self.ln_sum = self.ln_sum_sq = 0.0
        self.buckets: Counter[int] = Counter()

    def add(self, value: float | None) -> None:
        """Take in a positive quantity; nothing else has a logarithm, so nothing else counts."""
        if value is None or value <= 0.0:
            return
        logarithm = math.log(value)
        self.count += 1
        self.sum += value
        self.sum_sq += value * value
        self.ln_sum += logarithm
        self.ln_sum_sq += logarithm * logarithm
        self.buckets[math.floor(logarithm / _LN_WIDTH)] += 1

    def wire(self) -> Histogram:
        """As it travels."""
        buckets = {str(index): self.buckets[index] for index in sorted(self.buckets)}
        return Histogram(self.count, self.sum, self.sum_sq, self.ln_sum, self.ln_sum_sq, buckets)


class Cell:
    """The counters of one arm and stratum."""

    __slots__ = ("cost", "duration", "outcomes", "stop_reasons", "tokens", "ttft")

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.stop_reasons: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        self.ttft = Observations()
        self.duration = Observations()
        self.cost = Observations()

    def add(
        self,
        outcome: str,
        *,
        stop_reason: str,
        tokens: Mapping[str, int],
        ttft: float | None,
        duration: float,
        cost: float | None,
    ) -> None:
        """Count one ended request. Duration, cost and stop reason are those of complete answers only."""
        self.outcomes[outcome] += 1
        self.tokens.update(tokens)
        self.ttft.add(ttft)
        if outcome == "ok":
            self.duration.add(duration)
            self.cost.add(cost)
            if stop_reason:
                self.stop_reasons[stop_reason] += 1

    def wire(self) -> Counters:
        """As it travels."""
        return Counters(
            requests=self.outcomes.total(),
            outcomes=dict(self.outcomes),
            stop_reasons=dict(self.stop_reasons),
            ttft=self.ttft.wire(),
            duration=self.duration.wire(),
            cost=self.cost.wire(),
            tokens=dict(self.tokens),
        )


class Generation:
    """What is counted for requests that began under one config generation."""

    def __init__(self, number: int) -> None:
        self.number = number
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
    """All that a gateway process has counted, in the last four generations that were in force."""

    def __init__(self) -> None:
        self.boot_id = secrets.token_hex(8)
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
        return msgspec.json.encode(Evidence(self.boot_id, config_generation, uptime, generations, config_error))
