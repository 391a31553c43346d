"""What the watches see: when the API server last began to answer a watch of each kind, and what it said instead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from claude_operator.kube.resources import Resource

__all__ = ["LONGEST", "Blind", "Sight"]

LONGEST = 20  # seconds that one watch lasts; it is restarted then, so each kind is answered at least as often
_LATE = 8.0  # seconds that a new watch may take, before a kind counts as unseen


class Blind(NamedTuple):
    """Since how many seconds a kind is not seen, and why."""

    seconds: float
    kind: str
    why: str

    def __str__(self) -> str:
        return f"changes of {self.kind} have not been seen for {self.seconds:.0f} s: {self.why}"


class Sight:
    """Of these kinds, in these namespaces or in all. Any thread may report and ask; `clock`: seconds, monotonic."""

    def __init__(
        self,
        kinds: Iterable[Resource],
        clock: Callable[[], float] = time.monotonic,
        *,
        namespaces: Iterable[str] = (),
    ) -> None:
        self._clock, self._lock = clock, threading.Lock()
        everywhere = tuple(kinds)
        self._kinds = {kind.path(one): f"{kind.kind} in {one}" for one in namespaces for kind in everywhere} or {
            kind.path(): kind.kind for kind in everywhere
        }
        self._seen = dict.fromkeys(self._kinds, clock())
        self._trouble: dict[str, tuple[float, str]] = {}

    def answered(self, path: str, status: int) -> None:
        """A watch was answered, or a list was refused."""
        if path not in self._kinds:
            return
        with self._lock:
            if status < 400:
                self._seen[path] = self._clock()
                self._trouble.pop(path, None)
                return
        self.failed(path, f"the API server answers {status}")

    def failed(self, path: str, why: str) -> None:
        """No answer came, or one that says no."""
        if path in self._kinds:
            with self._lock:
                since = self._trouble.get(path, (self._clock(), ""))[0]
                self._trouble[path] = (since, why)

    def ended(self, why: str) -> None:
        """Nothing is watched any more; each kind is unseen until it is answered again."""
        for path in self._kinds:
            with self._lock:
                since, first = self._trouble.get(path, (self._clock(), why))
                self._trouble[path] = (since, first)

    def blind(self) -> Blind | None:
        """The kind that has been unseen for longest, None where all are seen."""
        now, found = self._clock(), []
        with self._lock:
            for path, kind in self._kinds.items():
                since, why = self._trouble.get(path, (self._seen[path] + LONGEST + _LATE, "its watch is silent"))
                if now > since or path in self._trouble:
                    found.append(Blind(now - since, kind, why))
        return max(found, default=None)
