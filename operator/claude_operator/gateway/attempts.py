"""Which calls are retries: those that say so, of a request that this process saw fail.

The SDKs number their attempts in a header, and any client can write one. So a number alone hides no error: each failed
attempt excuses one later attempt of the same caller with the same body, within minutes, and an SDK's longest row of
attempts is not exceeded. A retry whose first attempt went to another process counts as a request of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

from claude_operator.gateway.call import Call

__all__ = ["LIMIT", "MOST", "SPAN", "BodySample", "FailedAttempts"]

SPAN = 300.0  # seconds in which an attempt may be followed by another
MOST = 10  # attempts after the first that are taken for retries
LIMIT = 20_000  # requests that are remembered; the one that failed longest ago is forgotten first
_SAME = 10  # failed attempts of one body at a time
_EDGE = 2048  # bytes


class BodySample(NamedTuple):
    """What tells a body from others: its size and its ends, so that a call in flight need not keep all of it."""

    size: int
    beginning: bytes
    end: bytes

    @classmethod
    def of(cls, body: bytes | bytearray) -> BodySample:
        """Of a body."""
        size, view = len(body), memoryview(body)
        return cls(size, bytes(view[:_EDGE]), bytes(view[max(_EDGE, size - _EDGE) :]))


class _Failure(NamedTuple):
    at: float
    attempts: int


class FailedAttempts:
    """The attempts of one process that failed and that no later one has followed yet."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[bytes, list[_Failure]] = OrderedDict()

    def add(self, call: Call) -> None:
        """Take in an attempt that ended without a good answer."""
        if call.body is None:
            return
        key, now = _key(call), self._clock()
        same = [one for one in self._failures.pop(key, ()) if one.at > now - SPAN]
        self._failures[key] = [*same[1 - _SAME :], _Failure(now, call.earlier_attempts)]
        while len(self._failures) > LIMIT or self._newest_of_first() <= now - SPAN:
            self._failures.popitem(last=False)

    def claim(self, call: Call) -> int:
        """How many attempts of its request came before a call that says it is a retry; 0 where none is known."""
        if call.body is None or not call.claims_retry:
            return 0
        key, since = _key(call), self._clock() - SPAN
        known = [one for one in self._failures.pop(key, ()) if one.at > since]
        if not known:
            return 0
        # The one with the fewest attempts: equal requests of several clients do not shorten each other's row.
        found = min(known, key=lambda one: one.attempts)
        known.remove(found)
        if known:
            self._failures[key] = known
        return found.attempts + 1 if found.attempts < MOST else 0

    def _newest_of_first(self) -> float:
        return next(iter(self._failures.values()))[-1].at


def _key(call: Call) -> bytes:
    digest = blake2b("\0".join(call.callers).encode(), digest_size=16)
    for part in call.body or ():
        digest.update(b"%d\0" % part if isinstance(part, int) else part)
    return digest.digest()
