"""Waiting for what comes about elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

HANGS = 120.0  # seconds after which a test that waits has failed; a loaded machine is never that slow


async def until(holds: Callable[[], object], otherwise: str = "it did not come about") -> None:
    """Wait until `holds` is true."""
    try:
        async with asyncio.timeout(HANGS):
            while not holds():  # noqa: ASYNC110  # it changes elsewhere
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(otherwise) from None
