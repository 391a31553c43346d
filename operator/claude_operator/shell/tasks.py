"""Reads side by side of which none outlives the pass: where one fails, the others are cancelled and awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from types import TracebackType
from typing import Any, TypeVar

from claude_operator.shell.spending import metered

__all__ = ["Group", "all_of"]

T = TypeVar("T")


class Group(asyncio.TaskGroup):
    """A TaskGroup that raises what failed first itself, not as a group: a pass tells a conflict from other errors.

    What its tasks compute counts as the pass's.
    """

    def create_task(self, coro: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:  # type: ignore[override]
        """As a TaskGroup does."""
        return super().create_task(metered(coro), **options)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None


async def all_of(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results, in order."""
    async with Group() as group:
        tasks = [group.create_task(one) for one in work]
    return [task.result() for task in tasks]
