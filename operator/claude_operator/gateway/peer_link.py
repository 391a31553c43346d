"""One other gateway process of the deployment: what is new is told to it, and it is asked for all that it knows.

At most one request that tells is under way; what comes meanwhile goes with the next. Documents unite, so telling twice
is no harm.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from claude_operator.api.conversations import Conversations, KnownConversation, PeerAddress
from claude_operator.gateway.peer_client import LIMIT, PeerClient, PeerFailed
from claude_operator.log import Log

__all__ = ["PAGE", "Memory", "News", "Own", "PeerLink", "cut"]

PAGE = 500  # conversations in one: few enough that no request waits long while they are read
_FRAME = 4096  # bytes of a document beside its conversations
_KEPT = 5000  # conversations that are kept for peers that are slow
_RECENT = 60.0  # seconds: what a peer may have missed before its address was known here
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.25, 2.0  # seconds until a peer that does not answer is tried again
_HEARTBEAT = 10.0  # seconds after which a peer is told that there is nothing new
_TROUBLE = 10.0  # seconds of silence after which a person wants to know

_encode = msgspec.json.Encoder().encode


class Memory(Protocol):
    """What is needed of the `ConversationMemory`."""

    is_complete: bool
    changed: asyncio.Event

    def complete(self) -> None:
        """Take in that all has been learnt that there was to learn."""

    def outgoing(self) -> list[KnownConversation]:
        """What is new here since this was last asked."""

    def learn(self, known: Iterable[KnownConversation]) -> None:
        """Take in what another process knows; raises `ValueError` where it is none."""

    def pages(self, after: str, most: int) -> Conversations:
        """All that others have to know, by digest, from the first behind `after` on."""

    def __len__(self) -> int: ...


class News:
    """What this process has told lately, in order, so that each peer is told it in its own time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: deque[tuple[float, KnownConversation]] = deque(maxlen=_KEPT)
        self.end = 0
        """How many there were since boot."""

    def add(self, known: Sequence[KnownConversation]) -> None:
        """Take in what is new."""
        now = self._clock()
        self._kept.extend((now, one) for one in known)
        self.end += len(known)

    def recent(self) -> int:
        """The number of the first that a new peer may have missed."""
        late = self._clock() - _RECENT
        return self.end - sum(1 for _ in itertools.takewhile(lambda one: one[0] >= late, reversed(self._kept)))

    def since(self, number: int) -> list[KnownConversation] | None:
        """Those from this number on, as many as one document takes; None where they are no longer kept."""
        begin = number - (self.end - len(self._kept))
        if begin < 0:
            return None
        return cut([one for _, one in itertools.islice(self._kept, begin, begin + PAGE)])


def cut(known: Sequence[KnownConversation]) -> list[KnownConversation]:
    """As many of the first as fit into one document."""
    sizes = itertools.accumulate(len(_encode(one)) + 1 for one in known)
    return [one for one, size in zip(known, sizes, strict=True) if size < LIMIT - _FRAME]


@dataclass(frozen=True, slots=True)
class Own:
    """What this process is, for all its peers."""

    pod: str
    boot_id: str
    memory: Memory
    is_serving: Callable[[], bool]
    """Whether it has read a config: before that it cannot know whether it knows all."""
    is_draining: Callable[[], bool]
    log: Log
    news: News = field(default_factory=News)

    def document(self, known: list[KnownConversation], *, more: bool = False) -> Conversations:
        """What this process says."""
        complete = self.memory.is_complete and self.is_serving()
        return Conversations(self.boot_id, known, complete, more, self.is_draining())


@dataclass(frozen=True, slots=True)
class _Place:
    """Up to where a peer has been told: a number of the news, and the last digest while it is told everything."""

    number: int
    digest: str | None = None


class PeerLink:
    """One peer. `pause`: seconds between two requests that tell."""

    def __init__(self, address: PeerAddress, own: Own, client: PeerClient) -> None:
        self.address = address
        self.pause = 0.0
        self.wake = asyncio.Event()
        self.boot_id = ""
        """Of the process that answered last, empty before the first answer."""
        self.complete = False
        """Whether it said that it knows all."""
        self.draining = False
        self.asked_of = ""
        """The process that has been asked for all that it knows."""
        self.tried = False
        """Whether it was ever asked, with an answer or without."""
        self._own, self._client = own, client
        self._place = _Place(own.news.recent())
        self._silent_since: float | None = None
        self._told_silent = False

    @property
    def is_silent(self) -> bool:
        """Whether the last request had no answer."""
        return self._silent_since is not None

    @property
    def is_up_to_date(self) -> bool:
        """Whether it has been told all that is new."""
        return self._place == _Place(self._own.news.end)

    def tell_all(self) -> None:
        """Tell it everything, whatever it has been told."""
        self._place = _Place(self._own.news.end, "")

    async def run(self) -> None:
        """Tell it what is new, until cancelled. Whatever it does costs no more than its turn."""
        backoff = _FIRST_BACKOFF
        await asyncio.sleep(self.pause * random.random())  # not all at the moment at which all are named
        while True:
            self.wake.clear()
            try:
                await self._tell()
            except Exception as error:
                self._fell_silent(error)
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _LONGEST_BACKOFF)
                continue
            backoff = _FIRST_BACKOFF
            self._answered()
            await asyncio.sleep(self.pause)
            if self.is_up_to_date:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_HEARTBEAT):
                        await self.wake.wait()

    async def ask_for_all(self) -> bool:
        """Learn what it knows; returns whether that is everything. Raises `PeerFailed`."""
        after, boot_id = "", ""
        while True:
            page = await self._client.ask(self.address, after)
            if boot_id and page.boot_id != boot_id:
                raise PeerFailed("it was restarted meanwhile")
            try:
                self._own.memory.learn(page.known)
            except ValueError as error:
                raise PeerFailed(str(error)) from error
            boot_id = page.boot_id
            if not page.more or not page.known:
                self.asked_of, self.complete = boot_id, page.complete
                return page.complete and not page.more
            after = page.known[-1].digest

    async def _tell(self) -> None:
        known, place = self._next()
        before = self._place
        answer = await self._client.tell(self.address, self._own.document(known))
        if self.boot_id not in ("", answer.boot_id):
            place = _Place(self._own.news.recent())  # it has lost what it was told; it asks somebody for the rest
        if self._place is before:  # else it is to be told everything
            self._place = place
        self.boot_id = answer.boot_id
        self.complete, self.draining = answer.complete, answer.draining

    def _next(self) -> tuple[list[KnownConversation], _Place]:
        """What to tell now, and what it has then been told."""
        number, digest = self._place.number, self._place.digest
        news = self._own.news
        if digest is None:
            found = news.since(number)
            if found is not None:
                return found, _Place(number + len(found))
            number, digest = news.end, ""  # it has been away for too long: everything, and what is new after that
        page = cut(self._own.memory.pages(digest, PAGE).known)
        return page, _Place(number, page[-1].digest if page else None)

    def _answered(self) -> None:
        if self._told_silent:
            self._own.log.event("a peer answers again", pod=self.address.pod, address=self.address.authority)
        self._silent_since, self._told_silent = None, False

    def _fell_silent(self, error: Exception) -> None:
        """Say so once, if it lasts: a pod that ends is named for a moment longer."""
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
        if self._told_silent or now - self._silent_since < _TROUBLE:
            return
        self._told_silent = True
        failed = error if isinstance(error, PeerFailed) else PeerFailed(type(error).__name__)
        self._own.log.event(
            "a peer does not answer: conversations that begin there are not known here, nor those of here there",
            "warning",
            pod=self.address.pod,
            address=self.address.authority,
            reason=str(failed),
            remedy=failed.remedy,
        )
