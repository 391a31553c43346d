"""The store, used from the loop: its statements run in one thread, and one after the other.

A store that fails is closed, and opened when it is needed again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from claude_operator.organisation.store import Store, StoreError

__all__ = ["Keeper"]

_T = TypeVar("_T")


class Keeper:
    """`open_store` raises StoreError where the store cannot be had."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open = open_store
        self._store: Store | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self.problem = ""
        """Why it could not be used the last time; empty where it could."""

    async def use(self, work: Callable[[Store], _T]) -> _T:
        """Run `work` with the store; raises StoreError."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._thread, self._use, work)
        except StoreError as error:
            self.problem = str(error)
            raise
        self.problem = ""
        return found

    async def close(self) -> None:
        """Let go of it, when what runs is done."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _use(self, work: Callable[[Store], _T]) -> _T:
        if self._store is None:
            self._store = self._open()
        try:
            return work(self._store)
        except StoreError:
            self._close()
            raise

    def _close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()
