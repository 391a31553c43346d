"""Something that goes on in a thread of its own while a test goes on."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_PATIENCE = 120.0  # seconds that its end may take
_LONGEST = 900.0  # seconds after which a coroutine is stopped by itself


class Aside:
    """Does its `work` while entered."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.work, name=type(self).__name__, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(_PATIENCE)

    def work(self) -> None:
        """What is done, until `_over` is set."""
        raise NotImplementedError


class Repeating(Aside):
    """Calls `once` while entered, with so many seconds between two calls."""

    def __init__(self, every: float) -> None:
        super().__init__()
        self._every = every

    def once(self) -> None:
        """What is done each time."""
        raise NotImplementedError

    def work(self) -> None:
        """Over and over, at least once."""
        while True:
            self.once()
            if self._over.wait(self._every):
                return


class Running(Aside):
    """Runs the coroutine `run` while entered, in a loop of its own, and then cancels it."""

    async def run(self) -> None:
        """What is done."""
        raise NotImplementedError

    def work(self) -> None:
        """Until the end, but never longer than is good for a cluster that nobody watches."""
        asyncio.run(self._bounded())

    async def _bounded(self) -> None:
        task = asyncio.create_task(self.run())
        await asyncio.to_thread(self._over.wait, _LONGEST)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
