"""How much of a processor a pass takes: while it computes, no other pass runs, nor does anything else on the loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from typing import Any, TypeVar

__all__ = ["METER", "Meter", "Metered", "metered"]

T = TypeVar("T")


class Meter:
    """What one pass has spent, all its tasks together. `clock`: seconds of the present thread's own time."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._spent = 0.0
        self._begun: float | None = None
        """When the present step began."""

    def begin(self) -> None:
        """A step begins."""
        self._begun = self._clock()

    def end(self) -> None:
        """A step has ended."""
        self._spent, self._begun = self.seconds, None

    @property
    def seconds(self) -> float:
        """All of it, up to now."""
        return self._spent + (self._clock() - self._begun if self._begun is not None else 0.0)


METER: ContextVar[Meter | None] = ContextVar("meter", default=None)
"""That of the present pass."""


class Metered(Coroutine[Any, Any, T]):
    """The coroutine of a task, of which every step counts."""

    def __init__(self, work: Coroutine[Any, Any, T], meter: Meter) -> None:
        self._work, self._meter = work, meter

    def send(self, value: Any) -> Any:
        """As the coroutine's own."""
        self._meter.begin()
        try:
            return self._work.send(value)
        finally:
            self._meter.end()

    def throw(self, *error: Any) -> Any:
        """As the coroutine's own."""
        self._meter.begin()
        try:
            return self._work.throw(*error)
        finally:
            self._meter.end()

    def close(self) -> None:
        """As the coroutine's own."""
        self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._work.__await__()


def metered(work: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
    """A part of the present pass that becomes a task of its own: it counts too."""
    meter = METER.get()
    return Metered(work, meter) if meter is not None else work
