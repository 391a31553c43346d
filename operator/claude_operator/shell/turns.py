"""Keys that wait for a worker: tenants take turns, and of one tenant the first that came is the first that goes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Turns"]

Key = TypeVar("Key", bound=Hashable)


class Turns(Generic[Key]):
    """Which waiting key goes next. `tenant`: whose a key is.

    A tenant with a hundred keys that wait holds up another one's single key by one pass, not by a hundred.
    """

    def __init__(self, tenant: Callable[[Key], Hashable]) -> None:
        self._tenant = tenant
        self._waiting: dict[Hashable, dict[Key, None]] = {}
        """Of each tenant with keys that wait; the tenant whose turn is next comes first."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: Key) -> bool:
        return key in self._waiting.get(self._tenant(key), ())

    def add(self, key: Key) -> None:
        """It waits; where it does already, it keeps its place."""
        mine = self._waiting.setdefault(self._tenant(key), {})
        self._count += key not in mine
        mine[key] = None

    def discard(self, key: Key) -> None:
        """It no longer waits."""
        tenant = self._tenant(key)
        mine = self._waiting.get(tenant, {})
        self._count -= key in mine
        mine.pop(key, None)
        if not mine:
            self._waiting.pop(tenant, None)

    def first(self) -> Key | None:
        """The key that goes next, None where none waits."""
        return next((next(iter(keys)) for keys in self._waiting.values()), None)

    def take(self, key: Key) -> None:
        """It goes now: its tenant's next turn comes after those of all others."""
        tenant = self._tenant(key)
        self.discard(key)
        if tenant in self._waiting:
            self._waiting[tenant] = self._waiting.pop(tenant)
