"""Counts for the judge, cumulative since boot: by config generation, arm and stratum."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from claude_operator.api.evidence import (
    Before,
    CallerShare,
    Evidence,
    GenerationEvidence,
    Serving,
    Stratum,
    UnitStratum,
)
from claude_operator.api.gateway import GatewayConfig
from claude_operator.gateway.attempts import FailedAttempts
from claude_operator.gateway.callers import Callers
from claude_operator.gateway.cohorts import CohortHistory
from claude_operator.gateway.conversation_memory import ConversationMemory
from claude_operator.gateway.conversations import RecentBad
from claude_operator.gateway.drills import Drills
from claude_operator.gateway.eras import Eras
from claude_operator.gateway.generation import Generation
from claude_operator.gateway.hangs import HangLimits
from claude_operator.gateway.in_flight import CallsInFlight, Failures, RecentCalls
from claude_operator.gateway.pricing import HitRatio
from claude_operator.gateway.readings import Readings
from claude_operator.gateway.sampler import Sampler
from claude_operator.gateway.unit_accounting import UnitAccounting
from claude_operator.gateway.usage_page import UsageStore
from claude_operator.gateway.verdicts import Verdicts

__all__ = ["EvidenceStore"]

KEPT_GENERATIONS = 4
_AnyStratum = TypeVar("_AnyStratum", Stratum, UnitStratum)


class EvidenceStore:
    """All that a gateway process has counted, in the last four generations that were in force.

    `hits` and `history` are of the stable arm and outlive generations, as does `bad`. `clock` gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.boot_id = secrets.token_hex(8)
        self.clock = clock
        self.hits = HitRatio()
        self.history = CohortHistory(clock())
        self.bad = RecentBad()
        self.memory = ConversationMemory(self.boot_id)
        self.eras = Eras(clock, self.memory)
        self.attempts = FailedAttempts(clock)
        self.callers = Callers(clock)
        self.in_flight = CallsInFlight(clock)
        self.recent_calls = RecentCalls(clock)
        self.failures = Failures(clock)
        self.hang_limits = HangLimits(clock)
        self.units = UnitAccounting(self.memory, self.eras, self.hang_limits)
        self.sampler = Sampler(self.boot_id, clock)
        self.verdicts = Verdicts()
        self.usage = UsageStore()
        self.drills = Drills(self.boot_id, clock)
        self._readings = Readings(self.boot_id)
        self._generations: dict[int, Generation] = {}

    def begin(self, config: GatewayConfig) -> Generation:
        """The evidence of a config that comes into force."""
        self.eras.enter(config)
        self.sampler.enter(config)
        self.drills.enter(config)
        return self.generation(config.generation)

    def generation(self, number: int) -> Generation:
        """The evidence of a generation that comes into force; a generation that returns continues its counts."""
        generation = self._generations.pop(number, None) or Generation(number)
        self._generations[number] = generation
        for old in list(self._generations)[:-KEPT_GENERATIONS]:
            del self._generations[old]
        return generation

    def draw_with(self, mark: str) -> None:
        """Begin a new history where conversations are drawn with another secret: their cohorts are other people's."""
        if mark != self.history.mark:
            self.history = CohortHistory(self.clock(), mark)

    def history_of(self, mark: str) -> CohortHistory | None:
        """The history of the cohorts that this secret draws, None where it is another's."""
        return self.history if self.history.mark == mark else None

    def document(
        self,
        config_generation: int,
        uptime: float,
        config_error: str,
        *,
        weights: dict[str, int] | None = None,
        since: str | None = None,
        keep: bool = False,
        callers: bool = False,
        units: bool = False,
        grading: bool = False,
        drill: bool = False,
        budgets: bool = False,
    ) -> bytes:
        """The answer to `GET /-/evidence`. It has only the fields that the operator which asks can read."""
        self.units.count_hung(self.in_flight.overdue(self.hang_limits))
        generations = [generation.snapshot() for generation in self._generations.values()]
        generations = self.eras.evidence(generations) if units else generations
        shown = generations if budgets else _without_budgets(generations)
        bad, bad_first = self.bad.snapshot(self.clock())
        evidence = Evidence(self.boot_id, config_generation, uptime, shown, config_error, bad, bad_first)
        if since is None:
            return msgspec.json.encode(evidence)
        before = _readable(self._readings.find(since), units=units, budgets=budgets)
        reading = self._readings.keep(uptime, generations, bad_first + len(bad)) if keep else 0
        more = msgspec.structs.replace(
            evidence,
            reading=reading,
            before=before,
            in_flight=self.in_flight.snapshot(),
            recent=self.recent_calls.snapshot(),
            failures=self.failures.snapshot(),
            weights=weights,
            callers=self._callers() if callers else [],
            assignment=self.history.mark if callers else "",
            grader=self.sampler.grader if grading else None,
            drill=self.drills.note() if drill else None,
        )
        return msgspec.json.encode(more)

    def _callers(self) -> list[CallerShare]:
        generations = self._generations.values()
        return [row for each in generations for row in each.callers.rows(each.number)]

    def serving(self, config_generation: int, weights: dict[str, int] | None) -> bytes:
        """The answer to `GET /-/recent`."""
        return msgspec.json.encode(Serving(self.boot_id, config_generation, weights, self.recent_calls.snapshot()))

    def cohorts(self) -> bytes:
        """The answer to `GET /-/evidence/cohorts`."""
        return self.history.document(self.boot_id, self.clock())


def _readable(before: Before | None, *, units: bool, budgets: bool) -> Before | None:
    """An earlier reading for who cannot read units or budgets, though it was kept for somebody who can."""
    if before is None or (units and budgets):
        return before
    generations = before.generations
    if not units:
        generations = [GenerationEvidence(each.generation, each.strata) for each in generations]
    return msgspec.structs.replace(before, generations=generations if budgets else _without_budgets(generations))


def _without_budgets(generations: Sequence[GenerationEvidence]) -> list[GenerationEvidence]:
    """The same for who cannot read what was counted of budgets."""
    replace = msgspec.structs.replace

    def plain(strata: Sequence[_AnyStratum]) -> list[_AnyStratum]:
        return [replace(one, counters=replace(one.counters, budget={})) for one in strata]

    return [replace(each, strata=plain(each.strata), units=plain(each.units)) for each in generations]
