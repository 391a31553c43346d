"""What the stable arm did for each permanent cohort of users in the last hour; the judge compares the canary's with it.

Only where users are assigned: conversations are drawn anew and have no history.

A ring of six slots of ten minutes. A slot holds one number a cohort and column in arrays, 320 kB, so an hour of any
traffic takes 2 MB.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from itertools import compress
from operator import add
from typing import Any

import msgspec

from claude_operator.api.evidence import COHORTS_WINDOW, Cohorts
from claude_operator.api.gateway import BASIS_POINTS

__all__ = ["SLOTS", "SLOT_SECONDS", "CohortHistory"]

SLOTS = 6
SLOT_SECONDS = COHORTS_WINDOW / SLOTS


class _Slot:
    """Ten minutes: for each cohort the sums that `Cohorts` shows."""

    __slots__ = ("cost_count", "cost_ln_sum", "errors", "number", "requests", "ttft_count", "ttft_ln_sum")

    def __init__(self, number: int) -> None:
        self.number = number
        self.requests = array("I", [0]) * BASIS_POINTS
        self.errors = array("I", [0]) * BASIS_POINTS
        self.ttft_count = array("I", [0]) * BASIS_POINTS
        self.ttft_ln_sum = array("d", [0]) * BASIS_POINTS
        self.cost_count = array("I", [0]) * BASIS_POINTS
        self.cost_ln_sum = array("d", [0]) * BASIS_POINTS

    def add(self, cohort: int, outcome: str, ttft: float | None, cost: float | None) -> None:
        self.requests[cohort] += 1
        if outcome == "error":
            self.errors[cohort] += 1
        if ttft is not None and ttft > 0.0:
            self.ttft_count[cohort] += 1
            self.ttft_ln_sum[cohort] += math.log(ttft)
        if cost is not None and cost > 0.0:
            self.cost_count[cohort] += 1
            self.cost_ln_sum[cohort] += math.log(cost)


class CohortHistory:
    """The slots of the last hour, oldest first. Times are seconds of one monotonic clock.

    `mark` is that of the secret that the cohorts are drawn with.
    """

    def __init__(self, began: float, mark: str = "") -> None:
        self.mark = mark
        self._began = began
        self._slots: list[_Slot] = []

    def add(self, cohort: int, outcome: str, ttft: float | None, cost: float | None, now: float) -> None:
        """Take in a request that the stable arm answered, or failed to answer."""
        number = int(now // SLOT_SECONDS)
        if not self._slots or self._slots[-1].number < number:
            self._expire(number)
            self._slots.append(_Slot(number))
        self._slots[-1].add(cohort, outcome, ttft, cost)

    def document(self, boot_id: str, now: float) -> bytes:
        """The answer to `GET /-/evidence/cohorts`."""
        number = int(now // SLOT_SECONDS)
        self._expire(number)
        window = max(now - max(self._began, (number - SLOTS + 1) * SLOT_SECONDS), 0.0)
        slots = self._slots
        requests = _sums([slot.requests for slot in slots])
        columns: Sequence[Sequence[float]] = (
            range(BASIS_POINTS),
            requests,
            _sums([slot.errors for slot in slots]),
            _sums([slot.ttft_count for slot in slots]),
            _sums([slot.ttft_ln_sum for slot in slots]),
            _sums([slot.cost_count for slot in slots]),
            _sums([slot.cost_ln_sum for slot in slots]),
        )
        nonzero: list[list[Any]] = [list(compress(column, requests)) for column in columns]
        names = Cohorts.__struct_fields__[2:]  # beginning with the columns
        found = Cohorts(boot_id, window, **dict(zip(names, nonzero, strict=False)), assignment=self.mark)
        return msgspec.json.encode(found)

    def _expire(self, number: int) -> None:
        """Drop the slots before the hour that ends in slot `number`."""
        while self._slots and self._slots[0].number <= number - SLOTS:
            del self._slots[0]


def _sums(arrays: Iterable[Sequence[float]]) -> Sequence[float]:
    """Element by element; nothing where there are no arrays."""
    total: Sequence[float] = ()
    for each in arrays:
        total = list(map(add, total, each)) if total else each
    return total
