"""Reads side by side of which none outlives the pass: where one fails, the others are cancelled and awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

__all__ = ["all_of", "task_group"]

T = TypeVar("T")


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """A TaskGroup that raises what failed first itself, not as a group: a pass tells a conflict from other errors."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def all_of(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results, in order."""
    async with task_group() as group:
        tasks = [group.create_task(one) for one in work]
    return [task.result() for task in tasks]
