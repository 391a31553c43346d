"""What is counted under one config generation."""

from __future__ import annotations

from claude_operator.api.evidence import CacheState, GenerationEvidence, Stratum
from claude_operator.api.gateway import Role
from claude_operator.gateway.callers import CallerCounts
from claude_operator.gateway.conversations import Conversations
from claude_operator.gateway.counters import CounterSet

__all__ = ["Generation"]


class Generation:
    """What is counted for requests that began under one config generation."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.conversations = Conversations()
        self.callers = CallerCounts()
        self._counters: dict[tuple[str, Role, str, CacheState], CounterSet] = {}
        self._snapshots: dict[tuple[str, Role, str, CacheState], Stratum] = {}  # those that nobody touched since
        self._snapshot: GenerationEvidence | None = None

    def counters(self, revision: str, role: Role, surface: str, cache: CacheState) -> CounterSet:
        """The counters of an arm and stratum: count at once and do not keep the object."""
        key = (revision, role, surface, cache)
        self._snapshots.pop(key, None)
        self._snapshot = None
        counters = self._counters.get(key)
        if counters is None:
            counters = self._counters[key] = CounterSet()
        return counters

    def snapshot(self) -> GenerationEvidence:
        """The evidence of the API. What did not change since the last time is the same object."""
        if self._snapshot is None:
            for key, counters in self._counters.items():
                if key not in self._snapshots:
                    self._snapshots[key] = Stratum(*key, counters.snapshot())
            self._snapshot = GenerationEvidence(self.number, [self._snapshots[key] for key in self._counters])
        return self._snapshot
