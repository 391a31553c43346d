"""How many questions are asked at a time: as many as allowed, fewer while the API says that it is too many."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from claude_operator.evals.failures import Busy, Infrastructure

__all__ = ["Pace"]

_LONGEST_WAIT = 30.0  # seconds, where the API does not say how long
_LIMITS = ("requests", "tokens", "input-tokens", "output-tokens")


class Pace:
    """Gives out slots, `most` at a time.

    After a 429 or 529 half as many, and none before the API's `retry-after` is over; each answer gives a part of a slot
    back. Where a rate-limit header says that nothing is left, all wait until it is reset. `patience` is in seconds: so
    long the API may answer nothing but 429 and 529. `pause` is the first wait where it does not say how long.
    """

    def __init__(self, most: int, *, patience: float, pause: float) -> None:
        self._most, self._patience, self._pause = most, patience, pause
        self._limit, self._open = float(most), 0
        self._changed = asyncio.Condition()
        self._not_before = self._cut_at = 0.0
        self._busy_since: float | None = None
        self._refusals = 0

    @property
    def limit(self) -> int:
        """Slots that are given out now."""
        return max(1, int(self._limit))

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[float]:
        """Wait for a slot; gives the loop's time when it was there, for `refuse`."""
        loop = asyncio.get_running_loop()
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._open < self.limit)
                wait = self._not_before - loop.time()
                if wait <= 0:
                    self._open += 1
                    break
            await asyncio.sleep(wait)
        try:
            yield loop.time()
        finally:
            self._open -= 1
            async with self._changed:
                self._changed.notify_all()

    def refuse(self, began: float, error: Busy) -> None:
        """The API was too busy for a question that got its slot at `began`; raises Infrastructure when it is enough."""
        now = asyncio.get_running_loop().time()
        if self._busy_since is None:
            self._busy_since, self._refusals = now, 0
        backoff = min(self._pause * 2.0 ** min(self._refusals, 16), _LONGEST_WAIT)
        # What the API asks for counts, until it turns out to be too short.
        wait = backoff if error.wait is None or self._refusals else error.wait
        wait = max(wait, error.wait or 0.0)
        if now + wait - self._busy_since > self._patience:
            asks = f", asks to wait {error.wait:g} s" if error.wait else ""
            raise Infrastructure(
                f"{error} (it has given no answer for {now - self._busy_since:.0f} s{asks}; it is waited for at most"
                f" {self._patience:g} s)"
            ) from error
        if began >= self._cut_at:  # those that were in flight at a cut say nothing new
            self._limit, self._cut_at = max(1.0, self._limit / 2), now
            self._refusals += 1
        # Not all at the same moment.
        self._not_before = max(self._not_before, now + wait * random.uniform(1.0, 1.1))

    def answer(self, headers: Mapping[str, str]) -> None:
        """A question was answered; `headers` are the answer's."""
        self._busy_since = None
        self._limit = min(self._most, self._limit + 1 / self._limit)
        wait = _wait_for_reset(headers)
        if wait > 0:
            now = asyncio.get_running_loop().time()
            self._not_before = max(self._not_before, now + min(wait, self._patience / 2))


def _wait_for_reset(headers: Mapping[str, str]) -> float:
    """Seconds until the latest reset of a limit of which nothing is left, 0 where there is none."""
    longest = 0.0
    for name in _LIMITS:
        if headers.get(f"anthropic-ratelimit-{name}-remaining") != "0":
            continue
        try:
            reset = dt.datetime.fromisoformat(headers.get(f"anthropic-ratelimit-{name}-reset", ""))
            longest = max(longest, (reset - dt.datetime.now(dt.UTC)).total_seconds())
        except (ValueError, TypeError):  # no date, or one without a zone
            continue
    return longest
