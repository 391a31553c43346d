"""Waiting for what comes about elsewhere."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

HANGS = 120.0  # seconds after which a test that waits has failed; a loaded machine is never that slow


async def until(holds: Callable[[], Any], otherwise: str = "it did not come about") -> Any:
    """Ask `holds`, which may be a coroutine function, until its answer is true; returns that."""
    try:
        async with asyncio.timeout(HANGS):
            while True:
                answer = holds()
                if inspect.isawaitable(answer):
                    answer = await answer
                if answer:
                    return answer
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(otherwise) from None
