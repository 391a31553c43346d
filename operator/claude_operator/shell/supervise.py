"""The process's parts, run until one fails or the process is asked to end; and whether its loop moves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from claude_operator.shell.clock import Clock
from claude_operator.shell.metrics import Metrics

__all__ = ["STUCK", "LoopWatch", "Supervisor"]

STUCK = 90.0  # seconds without a move of the queue or the loop after which the probe fails; the longest pass is shorter
_LOOK = 0.02  # seconds between two looks at how late the loop is


class Supervisor:
    """Runs work until it is asked to stop; what it has started never outlives it."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End now."""
        self._stopping.set()

    @property
    def stopped(self) -> bool:
        """Whether it was asked to."""
        return self._stopping.is_set()

    async def unless_stopped(self, work: Coroutine[Any, Any, object]) -> bool:
        """Await `work`; False where the process was asked to end first."""
        return bool(await self._first(work))

    async def run(self, *parts: Coroutine[Any, Any, object]) -> None:
        """Run all parts until one ends or the process is asked to end; then end the others. Raises what failed."""
        await self._first(*parts)

    async def _first(self, *parts: Coroutine[Any, Any, object]) -> set[asyncio.Task[Any]]:
        """The parts that have ended first."""
        tasks = [asyncio.create_task(part) for part in parts]
        stop = asyncio.create_task(self._stopping.wait())
        try:
            done, _ = await asyncio.wait({*tasks, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, stop):
                task.cancel()
            await asyncio.gather(*tasks, stop, return_exceptions=True)
        ended = done - {stop}
        for task in ended:
            task.result()
        return ended


class LoopWatch:
    """Tells how late the loop is, and how much of that is its own work: a pass that holds it up holds up all."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics, self._clock = metrics, clock
        self._moved = clock.monotonic()
        """When the loop was last seen to move."""

    async def run(self) -> None:
        """Look until cancelled."""
        loop, longest = asyncio.get_running_loop(), self._metrics.longest_hold
        while True:
            due, used = loop.time() + _LOOK, time.thread_time()
            await asyncio.sleep(_LOOK)
            late = max(loop.time() - due, 0.0)
            self._moved = self._clock.monotonic()
            self._metrics.loop_stall.observe(late)
            held = min(late, time.thread_time() - used)  # the rest is other threads' and other processes'
            if held > longest._value.get():
                longest.set(held)

    def stuck(self) -> str | None:
        """What is stuck, if it is. May be asked in another thread."""
        still = self._clock.monotonic() - self._moved
        return f"the event loop has not run for {still:.0f} s" if still > STUCK else None
