"""A thread with an event loop of its own, for what must not wait while the process works: the Lease, and the probes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

__all__ = ["Aside"]

T = TypeVar("T")

_PATIENCE = 10.0  # seconds for its last tasks to end


class Aside:
    """Runs coroutines while entered; what still runs at the end is cancelled."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join, _PATIENCE)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, which runs there; to cancel the one cancels the other."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            if tasks:
                self._loop.run_until_complete(asyncio.wait(tasks, timeout=_PATIENCE))
            self._loop.run_until_complete(asyncio.sleep(0))  # closed connections end
        finally:
            self._loop.close()
