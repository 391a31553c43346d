"""Something that is done over and over in a thread of its own while a test goes on."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

_PATIENCE = 120.0  # seconds that the last time may take


class Repeating:
    """Calls `once` while entered, with so many seconds between two calls."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(_PATIENCE)

    def once(self) -> None:
        """What is done each time."""
        raise NotImplementedError

    def _run(self) -> None:
        while True:
            self.once()
            if self._over.wait(self._every):
                return
