"""What the hosts of a spec lead to, as seen from the operator: looked up beside its work, and kept for a while."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self
from weakref import WeakValueDictionary

from claude_operator.core.spec.networks import ANYWHERE, AddressRules
from claude_operator.core.spec.policy import Address
from claude_operator.shell.keys import Key
from claude_operator.shell.resolver import ResolverThreads

__all__ = ["NameReader"]

_PATIENCE = 1.0  # seconds that a pass waits for a name that was never looked up
_TIMEOUT = 10.0  # seconds after which a name counts as one that leads nowhere
_FRESH = 30.0  # seconds until a name is looked up again
_THREADS = 16
_OPEN_OF_TENANT = 4  # names of one namespace that are looked up at the same time
_KNOWN = 4096  # names that are remembered


@dataclass(slots=True)
class _Name:
    """A name. `addresses` None: it was never looked up; none: it leads nowhere from here."""

    addresses: tuple[str, ...] | None = None
    at: float = 0.0
    task: asyncio.Task[None] | None = None
    missed: set[Key] = field(default_factory=set)
    """Whose passes have not waited for what is being looked up."""


class NameReader:
    """Reads while entered. Unknown is what does not resolve, or not in time: nothing is said of it.

    `wake` gets the keys whose passes did not wait, where what was found matters by `rules`.
    """

    def __init__(self, clock: Callable[[], float], rules: AddressRules = ANYWHERE) -> None:
        self.rules = rules
        self.wake: Callable[[Key], None] = lambda _: None
        self._clock = clock
        self._names: dict[str, _Name] = {}
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        """By namespace: names that hang do not hold up those of others."""
        self._threads: ResolverThreads | None = None

    async def __aenter__(self) -> Self:
        self._threads = ResolverThreads(_THREADS)
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [one.task for one in self._names.values() if one.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._threads is not None:
            await self._threads.close()

    async def read(self, key: Key, wanted: Mapping[Address, str]) -> dict[Address, tuple[str, ...]]:
        """The addresses of each name that has some. A name that is new is waited for, but not for long."""
        used = {text: self._looked_up(text, key.namespace) for text in wanted.values()}
        waits = [one.task for one in used.values() if one.addresses is None and one.task is not None]
        for one in used.values():
            if one.task is not None:
                one.missed.add(key)
        if waits:
            await asyncio.wait(waits, timeout=_PATIENCE)
        return {where: known for where, text in wanted.items() if (known := used[text].addresses)}

    def _looked_up(self, text: str, tenant: str) -> _Name:
        """What is known of a name; a task looks it up where that is old."""
        name = self._names.setdefault(text, _Name())
        old = name.addresses is None or self._clock() - name.at >= _FRESH
        if old and name.task is None:
            name.task = asyncio.create_task(self._look_up(text, name, tenant))
            for gone in [one for one, known in self._names.items() if known.task is None][: len(self._names) - _KNOWN]:
                del self._names[gone]
        return name

    async def _look_up(self, text: str, name: _Name, tenant: str) -> None:
        turn = self._turns.setdefault(tenant, asyncio.Semaphore(_OPEN_OF_TENANT))
        found: tuple[str, ...] = ()
        try:
            async with turn, asyncio.timeout(_TIMEOUT):
                if self._threads is not None:
                    answer = await self._threads.resolve(text, 0, socket.AF_UNSPEC)
                    found = tuple(sorted({one["host"] for one in answer}))
        except (OSError, UnicodeError, TimeoutError):  # what it leads to is not known
            pass
        before, missed = name.addresses, name.missed
        name.addresses, name.at, name.task, name.missed = found, self._clock(), None, set()
        if self._refuses(found) != self._refuses(before or ()):
            for key in missed:
                self.wake(key)

    def _refuses(self, addresses: tuple[str, ...]) -> bool:
        return bool(addresses) and not any(map(self.rules.permits, addresses))
