"""How far a run is and how long it will take: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from claude_operator.core.text import duration

__all__ = ["Progress"]

_WIDTH = 30  # characters
_LINES = 10  # of a run in a log
_FIRST = 2  # items before there is anything to reckon with


class Progress:
    """Called with how many are done, and how many there are; what is written goes to `out`."""

    def __init__(self, out: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock, self._began = out, clock, clock()
        self._terminal = out.isatty()
        self._shown = 0  # tenths
        self._longest = 0

    def __call__(self, done: int, total: int) -> None:
        if not total:
            return
        if self._terminal:
            self._bar(done, total)
        elif (tenth := _LINES * done // total) > self._shown:
            self._shown = tenth
            self._out.write(f"{done} of {total}{self._left(done, total)}\n")
            self._out.flush()

    def _bar(self, done: int, total: int) -> None:
        filled = _WIDTH * done // total
        text = f"{'█' * filled}{'░' * (_WIDTH - filled)} {done}/{total}{self._left(done, total)}"
        self._out.write(f"\r{text.ljust(self._longest)}" + ("\n" if done >= total else ""))
        self._out.flush()
        self._longest = 0 if done >= total else max(self._longest, len(text))

    def _left(self, done: int, total: int) -> str:
        """The time that the rest will take at the pace so far."""
        if done >= total or done < _FIRST:
            return ""
        return f", {duration((self._clock() - self._began) / done * (total - done))} left"
