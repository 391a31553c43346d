"""Ending in an orderly way when told to."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import TypeVar

__all__ = ["stoppable"]

_T = TypeVar("_T")


async def stoppable(work: Coroutine[object, object, _T]) -> _T:
    """Run until the end, or until SIGTERM or SIGINT cancels it."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task
