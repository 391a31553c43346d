"""A work queue on asyncio: each key at most once at a time, with due times and a back-off of its own."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Collection, Hashable
from pathlib import PurePath
from typing import Generic, Literal, TypeVar

from claude_operator.kube.client import URGENT
from claude_operator.log import fields
from claude_operator.shell.heavy import HeavyLane
from claude_operator.shell.spending import METER, Meter, Metered
from claude_operator.shell.turns import Turns

__all__ = ["WorkQueue"]

Key = TypeVar("Key", bound=Hashable)
Lane = Literal["calm", "urgent", "heavy"]

_log = logging.getLogger(__name__)

_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.5, 60.0  # seconds
_BEAT = 1.0  # seconds between two looks at an idle queue
_SOON = 30.0  # seconds: what wants to be seen again within is being judged, and is urgent
_QUOTED = 300  # characters of an exception's first line


class WorkQueue(Generic[Key]):
    """Runs `work(key)`, which returns the seconds until the key's next pass, or None for no next pass.

    `longest`: seconds after which a pass is cut and counts as failed. `clock`: seconds, monotonic.
    `jitter`: a number in [0, 1). `on_depth` gets the number of keys that are due and wait for a worker.
    Urgent keys go first, and the others never take the last quarter of the workers: a start with very many of them
    holds up no urgent one. One worker is theirs in turn, so that urgent keys cannot push them out. Tenants take turns;
    `tenant` says whose a key is. Keys whose passes take much computing have a lane of their own (`heavy.HeavyLane`).
    """

    def __init__(
        self,
        work: Callable[[Key], Awaitable[float | None]],
        *,
        workers: int = 8,
        longest: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        on_depth: Callable[[int], None] = lambda depth: None,
        tenant: Callable[[Key], Hashable] = lambda key: None,
        meter: Callable[[], Meter] = Meter,
    ) -> None:
        if workers < 1:
            raise ValueError(f"{workers} workers are too few: write 1 or more")
        self._work, self._workers, self._longest = work, workers, longest
        self._clock, self._jitter, self._on_depth = clock, jitter, on_depth
        self._due: dict[Key, float] = {}  # every key that waits, for its time or for a worker
        self._timetable: list[tuple[float, int, Key]] = []  # a heap; what differs from _due is stale
        self._order = itertools.count()
        self._ready: Turns[Key] = Turns(tenant)  # due
        self._hurried: Turns[Key] = Turns(tenant)  # due and urgent
        self._urgent: set[Key] = set()
        self._calm = 0  # workers that are busy with what is not urgent
        self._share = workers - workers // 4
        self._heavy, self._meter = HeavyLane(tenant), meter
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._forgotten: set[Key] = set()  # running still
        self._failures: dict[Key, int] = {}
        self._wake = asyncio.Event()
        self._moved = clock()

    def add(self, key: Key, after: float = 0.0) -> None:
        """Have a pass `after` seconds from now at the latest; right after the present one if the key is running."""
        due = max(self._clock() + max(after, 0.0), self._heavy.not_before(key))
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._schedule(key)

    def rank(self, key: Key, *, urgent: bool) -> None:
        """Whether this key goes before others from now on."""
        if urgent:
            self._urgent.add(key)
        else:
            self._urgent.discard(key)
        here, there = (self._ready, self._hurried) if urgent else (self._hurried, self._ready)
        if key in here:
            here.discard(key)
            there.add(key)

    def forget(self, key: Key) -> None:
        """No further pass, unless it is added again; the present one ends by itself."""
        self._due.pop(key, None)
        self._ready.discard(key)
        self._hurried.discard(key)
        self._urgent.discard(key)
        self._heavy.discard(key)
        self._failures.pop(key, None)
        if key in self._running:
            self._forgotten.add(key)

    def keep_only(self, live: Collection[Key]) -> None:
        """Remember nothing of keys that are neither live nor wanted."""
        for key in self._heavy.known() - set(live) - self._due.keys() - self._running.keys():
            self._heavy.discard(key)

    def heartbeat(self) -> float:
        """Seconds since the queue last moved. Grows while every worker is busy, up to `longest` if all is well."""
        return self._clock() - self._moved

    async def run(self) -> None:
        """Work until cancelled; the present passes are cancelled too, and waited for."""
        try:
            while True:
                self._wake.clear()
                self._start_due()
                soonest = [self._timetable[0][0]] if self._timetable else []
                # Where it is free already, a pass that ends wakes us.
                soonest += [self._heavy.free_at] if len(self._heavy) and self._heavy.free_at > self._clock() else []
                pause = min([_BEAT, *(max(at - self._clock(), 0.0) for at in soonest)])
                try:
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            tasks = list(self._running.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _schedule(self, key: Key) -> None:
        heapq.heappush(self._timetable, (self._due[key], next(self._order), key))
        self._wake.set()

    def _start_due(self) -> None:
        now = self._clock()
        while self._timetable and self._timetable[0][0] <= now:
            due, _, key = heapq.heappop(self._timetable)
            if self._due.get(key) == due and key not in self._running:
                if self._heavy.holds(key):
                    self._heavy.put(key)
                else:
                    (self._hurried if key in self._urgent else self._ready).add(key)
        if len(self._running) < self._workers and (heavy := self._heavy.take(now)) is not None:
            self._begin(heavy, "heavy")
        while (chosen := self._next()) is not None:
            calm = chosen not in self._hurried
            (self._ready if calm else self._hurried).take(chosen)
            self._begin(chosen, "calm" if calm else "urgent")
        if len(self._running) < self._workers:
            self._moved = now
        self._on_depth(len(self._ready) + len(self._hurried) + len(self._heavy))

    def _begin(self, key: Key, lane: Lane) -> None:
        del self._due[key]
        meter = self._meter()
        self._running[key] = asyncio.get_running_loop().create_task(Metered(self._pass(key, lane, meter), meter))
        self._calm += lane == "calm"
        self._moved = self._clock()

    def _next(self) -> Key | None:
        """The key whose pass begins next, None while there is no worker for it."""
        free = self._workers - len(self._running)
        if free <= 0:
            return None
        calm = self._ready.first() if self._calm < self._share else None
        # Where none of the others runs, the last worker is theirs: urgent passes do not keep them waiting forever.
        if self._hurried and (free > 1 or calm is None or self._calm > 0 or self._workers == 1):
            return self._hurried.first()
        return calm

    async def _pass(self, key: Key, lane: Lane, meter: Meter) -> None:
        after: float | None
        URGENT.set(lane == "urgent" or (lane == "heavy" and key in self._urgent))
        METER.set(meter)
        try:
            async with asyncio.timeout(self._longest):
                after = await self._work(key)
            self._failures.pop(key, None)
            self.rank(key, urgent=after is not None and after <= _SOON)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            after = self._failed(key, error)  # something inside the pass was cancelled, not the queue
        except Exception as error:
            after = self._failed(key, error)
        finally:
            self._running.pop(key, None)
            self._calm -= lane == "calm"
            self._moved = self._clock()
            self._heavy.ended(key, meter.seconds, self._moved, heavy=lane == "heavy")
        self._end(key, after)

    def _end(self, key: Key, after: float | None) -> None:
        if key in self._forgotten:
            self._forgotten.discard(key)
            self._failures.pop(key, None)
            self._heavy.discard(key)
            after = None
        if after is not None:
            self._due[key] = min(self._clock() + max(after, 0.0), self._due.get(key, float("inf")))
        if key in self._due:
            self._due[key] = max(self._due[key], self._heavy.not_before(key))
            self._schedule(key)
        self._wake.set()

    def _failed(self, key: Key, error: BaseException) -> float:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        delay = _LONGEST_BACKOFF if count > 7 else min(_FIRST_BACKOFF * 2 ** (count - 1), _LONGEST_BACKOFF)
        delay *= 1 - self._jitter() / 4
        if key in self._due:
            # Wanted again meanwhile: soon, but a pass that fails and wakes itself must not spin.
            self._due[key] = max(self._due[key], self._clock() + min(delay, _FIRST_BACKOFF))
        text = str(error).partition("\n")[0][:_QUOTED]  # further lines may quote what was read
        _log.error(
            "pass failed",
            extra=fields(
                key=str(key), exception=type(error).__name__, error=text, where=_where(error), failures=count,
                next_seconds=round(delay, 1),
            ),
        )  # fmt: skip
        return delay


def _where(error: BaseException) -> str:
    """File and line that raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
