"""When a request that waits for its answer counts as hung: after what stable's requests of the last hour ever took.

A limit is made of what was before, and is the same for both arms. So under any limit, be it a bad one, conversations of
equal arms hang equally often.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from claude_operator.api.evidence import LN_WIDTH

__all__ = ["FEWEST", "FLOOR", "IN_ONE_PIECE", "HangLimits"]

FLOOR = 10.0
"""Seconds below which nothing hangs, however fast stable is."""

FEWEST = 100
"""Values without which there is no limit."""

IN_ONE_PIECE = 3.0
"""Times the limit that an answer in one piece may take: a revision may well answer at greater length than stable."""

_SPAN = 1800.0  # seconds; values count for one to two of them
_QUANTILE = 0.999
_ENOUGH = 1000  # values that have such a quantile; of fewer, twice the largest is the limit
_FEW_FACTOR = 2.0
_DUE = 1.0  # seconds that a limit holds


class _Waits:
    """How long stable's requests waited, in buckets of ×1.25."""

    __slots__ = ("_before", "_now", "limit")

    def __init__(self) -> None:
        self._now: Counter[int] = Counter()
        self._before: Counter[int] = Counter()
        self.limit = math.inf

    def add(self, waited: float) -> None:
        self._now[math.floor(math.log(waited) / LN_WIDTH)] += 1

    def rotate(self, spans: int) -> None:
        self._before = self._now if spans == 1 else Counter()
        self._now = Counter()

    def settle(self) -> None:
        values = self._now + self._before
        total = values.total()
        if total < FEWEST:
            self.limit = math.inf
        elif total < _ENOUGH:
            self.limit = max(_FEW_FACTOR * _upper(max(values)), FLOOR)
        else:
            self.limit = max(_upper(_bucket_at(values, _QUANTILE * total)), FLOOR)


class HangLimits:
    """The limits of one process: for streams to the first token, for answers in one piece to their end."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = self._settled = clock()
        self._streams, self._pieces = _Waits(), _Waits()

    def add(self, waited: float | None, *, stream: bool) -> None:
        """Take in how long a request of stable that was answered well had waited."""
        if waited is not None and waited > 0.0:
            (self._streams if stream else self._pieces).add(waited)

    def of(self, *, stream: bool) -> float:
        """Seconds after which a request is hung; infinite while too little is known."""
        now = self._clock()
        if now - self._settled >= _DUE:
            self._settle(now)
        return self._streams.limit if stream else IN_ONE_PIECE * self._pieces.limit

    def _settle(self, now: float) -> None:
        spans = int((now - self._began) // _SPAN)
        for waits in (self._streams, self._pieces):
            if spans:
                waits.rotate(spans)
            waits.settle()
        self._began += spans * _SPAN
        self._settled = now


def _bucket_at(values: Counter[int], rank: float) -> int:
    """The bucket of the value of that rank."""
    seen = 0
    for index, count in sorted(values.items()):
        seen += count
        if seen >= rank:
            return index
    return max(values)


def _upper(index: int) -> float:
    return math.exp((index + 1) * LN_WIDTH)
