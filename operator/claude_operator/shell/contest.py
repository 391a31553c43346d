"""Somebody who changes a child again and again: put back a few times at once, then less and less often."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Contest"]

_TRIES = 4  # at once; the next ones wait
_FIRST, _LONGEST = 10.0, 60.0  # seconds
_CALM = 180.0  # seconds without a change after which all is forgotten; longer than the longest wait


@dataclass(slots=True)
class Contest:
    """How often one child was put back recently."""

    count: int = 0
    last: float = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until it may be put back again."""
        if self.count < _TRIES or now - self.last > _CALM:
            return 0.0
        return max(self.last + self.pause - now, 0.0)

    @property
    def pause(self) -> float:
        """Seconds between the last time and the next."""
        return min(_FIRST * 2.0 ** (self.count - _TRIES), _LONGEST) if self.count >= _TRIES else 0.0

    def put_back(self, now: float) -> bool:
        """It was put back; True where this is worth telling."""
        self.count = 1 if now - self.last > _CALM else self.count + 1
        self.last = now
        return self.count <= _TRIES

    @property
    def begun(self) -> bool:
        """Whether the last time was the one from which on it waits."""
        return self.count == _TRIES
