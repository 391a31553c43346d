"""Limits the memory that calls use, so that no client can get the process killed.

Three quarters of the memory for request bodies are for large bodies, a quarter for small ones, so that neither waits
for the other; tiny bodies are not counted. A call that finds no room waits in order; when the wait gets too long, it is
refused with `retry-after`.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from claude_operator.api.gateway import BODY_LIMIT, MIB
from claude_operator.gateway.errors import Refused

__all__ = ["MAX_WAIT", "SMALL", "UNCOUNTED", "Lease", "Memory", "MemoryBudget", "Pool", "return_freed_memory"]

UNCOUNTED = 64 * 1024  # bytes of a body up to which it is not counted: the limit on calls bounds these
SMALL = MIB  # bytes up to which a body is a small one
MAX_WAIT = 15.0  # seconds
RETRY_AFTER = 5  # seconds
_MAX_WAITERS = 128  # of each pool; each has the memory that its connection has read ahead
_BASELINE = 128 * MIB  # what the process takes itself, and while it composes one request
_PASS_THROUGH = 512 * 1024  # bytes that a call uses at most while it is passed through
# Bytes of the limit for each connection, call, and call whose client does not read. They take about 20 kB, 40 kB and
# 600 kB, and are not all there are.
_CONNECTION, _CALL, _STALLED = 128 * 1024, 256 * 1024, 4 * MIB


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """How the process's memory limit is divided: bytes, and numbers of calls and connections."""

    large: int
    small: int
    answers: int
    pass_through: int
    calls: int
    stalled: int
    connections: int
    heads: int
    values: int
    """JSON values in one body: reading one takes up to 256 bytes."""

    @classmethod
    def of(cls, limit: int) -> MemoryBudget:
        """Of a limit in bytes."""
        large = max((limit - _BASELINE) // 4, limit * 3 // 32)
        return cls(
            large=large,
            small=max(large // 3, SMALL),
            answers=max(limit // 16, SMALL),
            pass_through=max(limit // 16, _PASS_THROUGH),
            calls=max(limit // _CALL, 16),
            stalled=max(limit // _STALLED, 4),
            connections=max(limit // _CONNECTION, 64),
            heads=max(limit // 32, SMALL),
            values=max(limit // 2048, 1 << 14),
        )


class Pool:
    """A number of bytes to acquire and release. Waiters are served in order."""

    def __init__(self, size: int, max_wait: float = MAX_WAIT) -> None:
        self.size = size
        self.used = 0
        self._max_wait = max_wait
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def acquire(self, amount: int) -> None:
        """Wait until the bytes are free; raises Refused when that takes too long."""
        if not self._waiting and self.used + amount <= self.size:
            self.used += amount
            return
        if len(self._waiting) >= _MAX_WAITERS:
            raise overloaded()
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        try:
            async with asyncio.timeout(self._max_wait):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.release(amount)
            else:
                self._waiting.remove((amount, turn))
                self._wake_waiters()
            if isinstance(error, TimeoutError):
                raise overloaded() from None
            raise

    def release(self, amount: int) -> None:
        """Return acquired bytes."""
        self.used -= amount
        self._wake_waiters()

    def _wake_waiters(self) -> None:
        while self._waiting and (self._waiting[0][1].done() or self.used + self._waiting[0][0] <= self.size):
            amount, turn = self._waiting[0]
            if turn.done():  # on its way out: it removes itself
                return
            self._waiting.popleft()
            self.used += amount
            turn.set_result(None)


class Memory:
    """The pools of one process."""

    def __init__(self, limit: int, max_wait: float = MAX_WAIT) -> None:
        self.budget = budget = MemoryBudget.of(limit)
        self.large = Pool(budget.large, max_wait)
        self.small = Pool(budget.small, max_wait)
        self.answers = Pool(budget.answers, max_wait)
        self.pass_through = Pool(budget.pass_through, max_wait)

    @property
    def used(self) -> int:
        """Bytes in use now."""
        return self.large.used + self.small.used + self.answers.used + self.pass_through.used

    def request(self) -> Lease:
        """Room for a request body."""
        return Lease(self.small, self.large, BODY_LIMIT)

    def answer(self) -> Lease:
        """Room for an answer in one piece."""
        return Lease(self.answers, self.answers, SMALL)

    async def reserve_pass_through(self) -> Lease:
        """Room for a call that is passed through in chunks; raises Refused."""
        lease = Lease(self.pass_through, self.pass_through, _PASS_THROUGH)
        await lease.reserve(_PASS_THROUGH, known=True)
        return lease


class Lease:
    """The bytes reserved for one body. A large body of unknown size reserves them in steps of `step` bytes."""

    def __init__(self, small: Pool, large: Pool, step: int) -> None:
        self._small, self._large, self._step = small, large, step
        self._pool = small
        self._reserved = 0

    async def reserve(self, size: int, *, known: bool) -> None:
        """Reserve `size` bytes in total; raises Refused.

        A request whose size is not `known` beforehand reserves the largest size as soon as it counts as large: bodies
        that each have a part and wait for more would block one another.
        """
        if size <= max(self._reserved, UNCOUNTED):
            return
        pool, step = (self._small, SMALL) if size <= SMALL else (self._large, self._step)
        amount = size if known else max(size, min(-(-size // step) * step, pool.size))
        if amount > pool.size:
            raise Refused(
                413,
                "request_too_large",
                f"a body of {amount} bytes does not fit into the gateway's memory (at most {pool.size}): "
                "raise spec.gateway.resources.limits.memory",
            )
        if pool is self._pool:
            await pool.acquire(amount - self._reserved)
        else:
            await pool.acquire(amount)
            self.release()
        self._pool, self._reserved = pool, amount

    def shrink(self, size: int) -> None:
        """Return what turned out to be too much."""
        if self._reserved > size:
            self._pool.release(self._reserved - size)
            self._reserved = size

    def release(self) -> None:
        """Return all; calling it again does nothing."""
        held, self._reserved = self._reserved, 0
        if held:
            self._pool.release(held)


def overloaded() -> Refused:
    """The answer to a call for which there is no memory."""
    return Refused(529, "overloaded_error", "the gateway is at its memory limit: try again later", RETRY_AFTER)


def return_freed_memory() -> None:
    """Make glibc return large freed blocks to the system; by default it stops doing so after the first one."""
    with suppress(OSError, AttributeError):  # another C library has no such habit
        ctypes.CDLL(None).mallopt(-3, MIB)  # M_MMAP_THRESHOLD
