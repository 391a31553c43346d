"""How much memory calls may take, so that no client can have the process killed.

Three quarters of what is for request bodies belong to large ones, a quarter to small ones, so that neither waits for
the other; what is smaller still is free. Who finds no room waits its turn, in order, and is told to come again when
that takes too long.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from claude_operator.api.gateway import BODY_LIMIT, MIB
from claude_operator.gateway.errors import Refused

__all__ = ["FREE", "PATIENCE", "SMALL", "Lease", "Memory", "Pool", "Shares", "steady_allocator"]

FREE = 64 * 1024  # bytes of a body that take no share: the number of calls bounds them
SMALL = MIB  # bytes up to which a body is a small one
PATIENCE = 15.0  # seconds
RETRY_AFTER = 5  # seconds
_WAITERS = 128  # by pool; each holds what its connection has read ahead
_OWN = 128 * MIB  # what the process takes itself, and while it composes one request
_PASSING = 512 * 1024  # bytes that a call takes at most while it passes through
# Bytes of the limit for each connection, call, and call whose client does not read. They take about 20 kB, 40 kB and
# 600 kB, and are not all there are.
_CONNECTION, _CALL, _STALLED = 128 * 1024, 256 * 1024, 4 * MIB


@dataclass(frozen=True, slots=True)
class Shares:
    """What the limit of the process is shared out to: bytes, and numbers of calls and connections."""

    large: int
    small: int
    answers: int
    passing: int
    calls: int
    stalled: int
    connections: int
    values: int
    """JSON values in one body: reading one takes up to 256 bytes."""

    @classmethod
    def of(cls, limit: int) -> Shares:
        """Of a limit in bytes."""
        large = max((limit - _OWN) // 4, limit * 3 // 32)
        return cls(
            large=large,
            small=max(large // 3, SMALL),
            answers=max(limit // 16, SMALL),
            passing=max(limit // 16, _PASSING),
            calls=max(limit // _CALL, 16),
            stalled=max(limit // _STALLED, 4),
            connections=max(limit // _CONNECTION, 64),
            values=max(limit // 2048, 1 << 14),
        )


class Pool:
    """Bytes that are taken and given back. Who waits is served in order."""

    def __init__(self, size: int, patience: float = PATIENCE) -> None:
        self.size = size
        self.used = 0
        self._patience = patience
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, amount: int) -> None:
        """Wait for room; raises Refused where there is none in time."""
        if not self._waiting and self.used + amount <= self.size:
            self.used += amount
            return
        if len(self._waiting) >= _WAITERS:
            raise full()
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.give(amount)
            else:
                self._waiting.remove((amount, turn))
                self._serve()
            if isinstance(error, TimeoutError):
                raise full() from None
            raise

    def give(self, amount: int) -> None:
        """Give back what was taken."""
        self.used -= amount
        self._serve()

    def _serve(self) -> None:
        while self._waiting and (self._waiting[0][1].done() or self.used + self._waiting[0][0] <= self.size):
            amount, turn = self._waiting[0]
            if turn.done():  # on its way out: it removes itself
                return
            self._waiting.popleft()
            self.used += amount
            turn.set_result(None)


class Memory:
    """The pools of one process."""

    def __init__(self, limit: int, patience: float = PATIENCE) -> None:
        self.shares = shares = Shares.of(limit)
        self.large = Pool(shares.large, patience)
        self.small = Pool(shares.small, patience)
        self.answers = Pool(shares.answers, patience)
        self.passing = Pool(shares.passing, patience)

    @property
    def used(self) -> int:
        """Bytes that are taken now."""
        return self.large.used + self.small.used + self.answers.used + self.passing.used

    def request(self) -> Lease:
        """Room for a request body."""
        return Lease(self.small, self.large, BODY_LIMIT)

    def answer(self) -> Lease:
        """Room for an answer in one piece."""
        return Lease(self.answers, self.answers, SMALL)

    async def pass_through(self) -> Lease:
        """Room for a call that is handed on piece by piece; raises Refused."""
        lease = Lease(self.passing, self.passing, _PASSING)
        await lease.reserve(_PASSING, known=True)
        return lease


class Lease:
    """What one body has taken. Where its size is not known it takes a large one's room in steps of `step` bytes."""

    def __init__(self, small: Pool, large: Pool, step: int) -> None:
        self._small, self._large, self._step = small, large, step
        self._pool = small
        self._held = 0

    async def reserve(self, size: int, *, known: bool) -> None:
        """Make sure of room for `size` bytes in all; raises Refused.

        A request whose size is not `known` beforehand takes all that may come at the first byte that makes it a large
        one: bodies that each hold a part and wait for more would wait for one another.
        """
        if size <= max(self._held, FREE):
            return
        pool, step = (self._small, SMALL) if size <= SMALL else (self._large, self._step)
        amount = size if known else max(size, min(-(-size // step) * step, pool.size))
        if amount > pool.size:
            raise Refused(
                413,
                "request_too_large",
                f"{amount} bytes are more than this gateway has room for ({pool.size}): "
                "raise spec.gateway.resources.limits.memory",
            )
        if pool is self._pool:
            await pool.take(amount - self._held)
        else:
            await pool.take(amount)
            self.give_back()
        self._pool, self._held = pool, amount

    def shrink(self, size: int) -> None:
        """Give back what turned out to be too much."""
        if self._held > size:
            self._pool.give(self._held - size)
            self._held = size

    def give_back(self) -> None:
        """Give back all; may be done again."""
        held, self._held = self._held, 0
        if held:
            self._pool.give(held)


def full() -> Refused:
    """The answer to a call that finds no room."""
    return Refused(529, "overloaded_error", "the gateway is at its memory limit: try again later", RETRY_AFTER)


def steady_allocator() -> None:
    """Have glibc give large blocks back when they are freed, as it else ceases to do after the first of them."""
    with suppress(OSError, AttributeError):  # another C library has no such habit
        ctypes.CDLL(None).mallopt(-3, MIB)  # M_MMAP_THRESHOLD
