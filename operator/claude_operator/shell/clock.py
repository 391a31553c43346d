"""The two clocks of the operator: one that people set, and one that only runs forward."""

from __future__ import annotations

import datetime as dt
import time
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "Clock"]


class Clock(Protocol):
    """What passes read the time from."""

    def now(self) -> dt.datetime:
        """The time of day, in UTC; it may be set ahead or back at any moment."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never set."""
        ...


class _SystemClock:
    """This machine's."""

    def now(self) -> dt.datetime:
        """As `Clock` has it."""
        return dt.datetime.now(dt.UTC)

    def monotonic(self) -> float:
        """As `Clock` has it."""
        return time.monotonic()


SYSTEM_CLOCK: Clock = _SystemClock()
