"""What the gateway processes of a deployment tell one another of conversations. No request ever waits for it.

The operator names the others with each of its readings. Each is told what is new here; the first that answers is asked
for all that it knows, and if that is everything, the memory of this process is complete. Without the operator, the
peers that it named last stay.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

import msgspec

from claude_operator.api.conversations import PeerAddress, parse_conversations, parse_peers
from claude_operator.gateway.metrics import Metrics
from claude_operator.gateway.peer_client import PeerClient, PeerFailed
from claude_operator.gateway.peer_link import PAGE, Own, PeerLink, cut

__all__ = ["Peers"]

_PAUSE = 0.01  # seconds for each peer between two requests to it: at most 100 requests a second to all together
_LOOK = 1.0  # seconds between two looks whether the memory is complete
_MOST = 500  # peers
_HAND_OVER = 10.0  # seconds that a process which ends waits for one that knows what it knows, ...
_LOOK_OVER = 0.1  # ... and between two looks at that
_LEARN = 5.0  # seconds that a process which begins is not ready while it learns


class Peers:
    """Those of this process, while entered."""

    def __init__(self, own: Own, client: PeerClient, metrics: Metrics) -> None:
        self.own, self._client = own, client
        self.links: dict[PeerAddress, PeerLink] = {}
        self._tasks: dict[PeerAddress, asyncio.Task[None]] = {}
        self._named: str | None = None
        self._changed = asyncio.Event()
        self._complete_since = 0.0
        self._ready_at = 0.0
        metrics.known_conversations.set_function(lambda: len(own.memory))
        metrics.complete_since.set_function(lambda: self._complete_since)
        metrics.peers.set_function(lambda: len(self.links))
        metrics.silent_peers.set_function(lambda: sum(link.is_silent for link in self.links.values()))

    async def __aenter__(self) -> Self:
        self.own.news.add(self.own.memory.outgoing())  # from here on it notes what is new
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._client.__aexit__(kind, error, trace)

    @property
    def is_learning(self) -> bool:
        """Whether clients had better come in a moment: there is somebody to learn from, or this is not known yet.

        No longer than a few seconds after this was first asked.
        """
        if self.own.memory.is_complete:
            return False
        now = time.monotonic()
        self._ready_at = self._ready_at or now + _LEARN
        return now < self._ready_at and (self._named is None or not all(link.tried for link in self.links.values()))

    def name(self, text: str) -> None:
        """The operator names all peers there are; those that it names no longer are dropped."""
        if text == self._named:
            return
        try:
            named = [one for one in parse_peers(text)[:_MOST] if one.pod != self.own.pod]
        except ValueError as error:
            self.own.log.event("peers refused", "error", reason=str(error))
            return
        self._named = text
        for gone in self.links.keys() - set(named):
            del self.links[gone]
            self._tasks.pop(gone).cancel()
        for address in named:
            if address not in self.links:
                self.links[address] = link = PeerLink(address, self.own, self._client)
                self._tasks[address] = asyncio.create_task(link.run())
        for link in self.links.values():
            link.pause = _PAUSE * len(self.links)
        self._changed.set()
        self.own.log.event("peers", pods=[one.pod for one in self.links])

    def page(self, after: str) -> bytes:
        """A part of all that is known here, for a peer that asks."""
        whole = self.own.memory.pages(after, PAGE)
        known = cut(whole.known)
        return msgspec.json.encode(self.own.document(known, more=whole.more or len(known) < len(whole.known)))

    def take(self, body: bytes, digest: str) -> bytes:
        """Learn what a peer tells, and answer; raises `ValueError`."""
        if hashlib.sha256(body).hexdigest() != digest:
            raise ValueError("the body is not the one that was proven")
        self.own.memory.learn(parse_conversations(body).known)
        return msgspec.json.encode(self.own.document([]))

    async def run(self) -> None:
        """Pass on what is new, and learn what is not known; never returns."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass_on())
            group.create_task(self._become_complete())

    async def hand_over(self, seconds: float) -> None:
        """Before this process ends: wait until one that stays knows what it knows, if it was ever told of others.

        A single replica waits too: where its node is drained, its successor starts after it was told to end.
        """
        if self._named is None or not len(self.own.memory):
            return
        asked: set[PeerLink] = set()
        for _ in range(max(int(min(seconds, _HAND_OVER) / _LOOK_OVER), 3)):
            for link in set(self.links.values()) - asked:  # also those that are named meanwhile
                asked.add(link)
                link.complete, link.draining = False, True  # until it answers again
                if not self.own.memory.is_complete:
                    link.tell_all()
            if self._is_handed_over():
                return
            for link in self.links.values():
                link.wake.set()
            await asyncio.sleep(_LOOK_OVER)
        self.own.log.event(
            "no peer has taken over the conversations: those on the canary may change their arm",
            "warning",
            known=len(self.own.memory),
        )

    def _is_handed_over(self) -> bool:
        """Whether one that stays knows all that this process does. Where it does not know all, nobody may."""
        partial = not self.own.memory.is_complete
        return any(
            (link.complete or partial) and not link.draining and not link.is_silent and link.is_up_to_date
            for link in self.links.values()
        )

    async def _pass_on(self) -> None:
        memory = self.own.memory
        while True:
            await memory.changed.wait()
            self.own.news.add(memory.outgoing())
            for link in self.links.values():
                link.wake.set()
            await asyncio.sleep(_PAUSE)  # what changes meanwhile is told at once

    async def _become_complete(self) -> None:
        """While the memory is not complete, ask one peer after another."""
        while True:
            self._changed.clear()
            if not self.own.memory.is_complete:
                await self._ask_one()
            self._note()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await self._changed.wait()

    async def _ask_one(self) -> None:
        """Ask any that answers and may know more. One that was asked is asked again once it knows all."""
        for link in sorted(self.links.values(), key=lambda one: (one.is_silent, random.random())):
            if link.asked_of and link.asked_of == link.boot_id and not link.complete:
                continue
            try:
                everything = await link.ask_for_all()
            except PeerFailed:  # its link says so
                continue
            finally:
                link.tried = True
            if everything:
                self.own.memory.complete()
                pod, known = link.address.pod, len(self.own.memory)
                self.own.log.event("all conversations are known from a peer", pod=pod, known=known)
                return

    def _note(self) -> None:
        """Since when it is complete, or not, for a person."""
        complete = self.own.memory.is_complete
        if not complete:
            self._complete_since = 0.0
        elif not self._complete_since:
            self._complete_since = time.time()
