"""Keys whose passes take much computing go one at a time, with rests: they wait for each other, not others for them.

Each also waits for a multiple of what its last pass took, however often it is wanted. Among tenants with heavy keys the
one that has spent least goes first, so that one with a hundred of them does not keep the others from theirs. A key that
is new counts as heavy where its tenant has many: else who makes objects under ever new names would never wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["LIGHT", "HeavyLane"]

Key = TypeVar("Key", bound=Hashable)

LIGHT = 0.05  # seconds of computing up to which a pass is like any other
_OWN_REST = 20.0  # times what a pass took, until the next of the same key
_LANE_REST = 3.0  # times what a pass took, until the next of all heavy keys: a quarter of the loop is theirs
_LONGEST_REST = 60.0  # seconds
_REMEMBERED = 600.0  # seconds since its last heavy pass for which a key stays: one may be heavy now and then
_MANY = 20  # heavy keys of a tenant from which on its new ones count as heavy
_FORGIVEN = 0.5  # share of what tenants have spent that remains after each pass: what was long ago does not count


class HeavyLane(Generic[Key]):
    """Which heavy key goes next, and when. `tenant`: whose key it is."""

    def __init__(self, tenant: Callable[[Key], Hashable]) -> None:
        self._tenant = tenant
        self._until: dict[Key, float] = {}
        """Heavy keys, and when the next pass of each may begin."""
        self._since: dict[Key, float] = {}
        """When the last heavy pass of each ended."""
        self._known: set[Key] = set()
        """Keys that have had a pass."""
        self._counts: Counter[Hashable] = Counter()
        """Heavy keys of each tenant."""
        self._ready: dict[Hashable, dict[Key, None]] = {}
        self._spent: dict[Hashable, float] = {}
        self._busy = False
        self.free_at = 0.0
        """When the next of them may begin."""

    def holds(self, key: Key) -> bool:
        """Whether a key goes in this lane."""
        if key in self._known:
            return key in self._until
        return self._counts[self._tenant(key)] >= _MANY

    def __len__(self) -> int:
        """Keys that are due and wait."""
        return sum(map(len, self._ready.values()))

    def known(self) -> set[Key]:
        """The keys that it remembers."""
        return set(self._known)

    def not_before(self, key: Key) -> float:
        """When the next pass of a key may begin."""
        return self._until.get(key, 0.0)

    def put(self, key: Key) -> None:
        """It is due."""
        self._ready.setdefault(self._tenant(key), {})[key] = None

    def discard(self, key: Key) -> None:
        """It no longer exists."""
        self._known.discard(key)
        self._leave(key)

    def take(self, now: float) -> Key | None:
        """The key whose pass begins now, None where none may."""
        if self._busy or now < self.free_at or not self._ready:
            return None
        tenant = min(self._ready, key=lambda one: self._spent.get(one, 0.0))
        key = next(iter(self._ready[tenant]))
        self._drop(key)
        self._busy = True
        return key

    def ended(self, key: Key, cost: float, now: float, *, heavy: bool) -> None:
        """A pass has ended that took `cost` seconds of computing; `heavy`: `take` had given it."""
        if heavy:
            self._busy = False
        self._known.add(key)
        tenant = self._tenant(key)
        if cost > LIGHT:
            self._counts[tenant] += key not in self._since
            self._since[key] = now
        if now - self._since.get(key, float("-inf")) > _REMEMBERED:
            self._leave(key)
            return
        self._spent = {one: spent * _FORGIVEN for one, spent in self._spent.items() if spent > LIGHT / 100}
        self._spent[tenant] = self._spent.get(tenant, 0.0) + cost
        self._until[key] = now + (min(_OWN_REST * cost, _LONGEST_REST) if cost > LIGHT else 0.0)
        if heavy:  # others cost their tenant its turn alone: who makes new objects does not shut the lane for all
            self.free_at = max(self.free_at, now + min(_LANE_REST * cost, _LONGEST_REST))

    def _leave(self, key: Key) -> None:
        self._until.pop(key, None)
        if self._since.pop(key, None) is not None:
            self._counts[self._tenant(key)] -= 1
            self._counts += Counter()  # tenants without any are forgotten
        self._drop(key)

    def _drop(self, key: Key) -> None:
        tenant = self._tenant(key)
        waiting = self._ready.get(tenant, {})
        waiting.pop(key, None)
        if not waiting:
            self._ready.pop(tenant, None)
