"""Reads what gateways have seen used and paid, and keeps it: beside the passes, which find it in what they observe.

Counters of gateways only grow, so a reading that is lost, or taken in twice, changes nothing. What matters is that no
process ends before its last counts are written: pods on their way out are read again and again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from claude_operator.core.usage.ledger import Process, day_of
from claude_operator.core.usage.reading import READ_EVERY, PodUsage, UsageReading
from claude_operator.core.usage.state import Coverage, Usages, UsageState, absorb
from claude_operator.kube.client import KubeError
from claude_operator.log import fields
from claude_operator.shell.clock import Clock
from claude_operator.shell.gateway_view import Fleet
from claude_operator.shell.keys import Key
from claude_operator.shell.scrape import Peer
from claude_operator.shell.tasks import Group
from claude_operator.shell.usage_metrics import UsageMetrics
from claude_operator.shell.usage_store import NameTaken, Stored, UsageStore

__all__ = ["UsageKeeper"]

_log = logging.getLogger(__name__)

_TICK = 1.0  # seconds between two looks at what is due
_QUIET = 5  # readings without a call, after which they come that many times less often
_LEAVING = 3.0  # seconds between two readings of pods that are being deleted
_STALE = 900.0  # seconds after which a reading says nothing of now: three were missed
_RETRY = 10.0  # seconds until what failed is tried again
_AT_ONCE = 16  # ClaudeDeployments that are read at the same time
_TRIES = 3  # writes that another one may overtake before it is left to the next reading


class Reader(Protocol):
    """The verb that it needs."""

    async def read_usage(self, peers: Sequence[Peer]) -> list[PodUsage]:
        """What each pod that answers tells."""
        ...


@dataclass(slots=True)
class _Entry:
    """Of one ClaudeDeployment."""

    key: Key
    kept: Usages
    saved: Usages
    version: str | None
    fault: str = ""
    """What could not be read of what was stored."""
    refused: str = ""
    """Why it cannot be written."""
    coverage: Coverage = field(default_factory=Coverage)
    read_at: dt.datetime | None = None
    seen: float = 0.0
    """The same by the monotonic clock."""
    quiet: int = 0
    """Readings in a row that found no call."""
    pages: dict[Process, PodUsage] = field(default_factory=dict)
    """The newest page of each process that is not yet written."""

    @property
    def news(self) -> tuple[Coverage, str, str]:
        """What a pass is made for, beside what was used: who has answered, whether it is written, and the day."""
        return self.coverage, self.refused, day_of(self.read_at) if self.read_at else ""


@dataclass(slots=True)
class _Due:
    """By the monotonic clock, when all of its pods are read, and those that leave."""

    whole: float = 0.0
    leaving: float = 0.0
    running: bool = False
    pods: frozenset[str] = frozenset()
    """Those that were there when all were read."""


class UsageKeeper:
    """Of all ClaudeDeployments of one leadership, by UID. `add` has a pass made where something has changed."""

    def __init__(
        self,
        store: UsageStore,
        reader: Reader,
        fleets: Callable[[], Mapping[str, Fleet]],
        clock: Clock,
        add: Callable[[Key], None],
        metrics: UsageMetrics,
        *,
        interval: float = READ_EVERY,
    ) -> None:
        self._store, self._reader, self._fleets, self._clock, self._add = store, reader, fleets, clock, add
        self._metrics = metrics
        self._interval = interval
        """Seconds between two readings while calls come."""
        self._entries: dict[str, _Entry] = {}
        self._due: dict[str, _Due] = {}
        self._told: dict[str, str] = {}
        """The last trouble of each that the log has."""

    def state(self, uid: str) -> UsageState | None:
        """What is known of it, None where nothing is, or nothing was read for long."""
        entry = self._entries.get(uid)
        if entry is None or entry.read_at is None or self._clock.monotonic() - entry.seen > _STALE:
            return None
        return UsageState(entry.kept, entry.read_at, entry.coverage, entry.refused or entry.fault, self._interval)

    def forget(self, live: set[str]) -> None:
        """Drop those that no longer exist; `live` are UIDs."""
        for uid in self._entries.keys() - live:
            self._metrics.drop(self._entries[uid].key)
        for known in (self._entries, self._due, self._told):
            for uid in known.keys() - live:
                known.pop(uid, None)

    async def run(self) -> None:
        """Read all in turn, until cancelled."""
        places = asyncio.Semaphore(_AT_ONCE)
        async with Group() as looks:
            while True:
                for uid, fleet in list(self._fleets().items()):
                    due = self._due.setdefault(uid, _Due())
                    if not due.running and (whole := self._is_due(uid, due, fleet)) is not None:
                        due.running = True
                        looks.create_task(self._look(uid, fleet, due, whole=whole, places=places))
                await asyncio.sleep(_TICK)

    def _is_due(self, uid: str, due: _Due, fleet: Fleet) -> bool | None:
        """True: all pods are to be read. False: those that leave. None: nothing is."""
        now, entry = self._clock.monotonic(), self._entries.get(uid)
        new_day = entry is not None and entry.read_at is not None and day_of(entry.read_at) != day_of(self._clock.now())
        if now >= due.whole or new_day or due.pods != _present(fleet):
            return True
        return False if fleet.leaving and now >= due.leaving else None

    async def _look(self, uid: str, fleet: Fleet, due: _Due, *, whole: bool, places: asyncio.Semaphore) -> None:
        wait = _RETRY
        try:
            async with places:
                wait = await self.read(uid, fleet, whole=whole)
                if (entry := self._entries.get(uid)) is not None and not entry.refused:
                    self._told.pop(uid, None)
        except (KubeError, NameTaken) as error:
            self._tell(uid, fleet.key, str(error))
        except Exception:  # what people are told of costs must not stop rollouts
            _log.exception("usage was not read", extra=fields(namespace=fleet.key.namespace, name=fleet.key.name))
        finally:
            now = self._clock.monotonic()
            due.running, due.leaving = False, now + _LEAVING
            if whole:
                due.whole, due.pods = now + wait, _present(fleet)

    async def read(self, uid: str, fleet: Fleet, *, whole: bool = True) -> float:
        """One reading, written where it adds something; returns the seconds until the next.

        Raises `KubeError` and `NameTaken` where what is stored cannot be loaded.
        """
        entry = self._entries.get(uid)
        if entry is None:
            stored = await self._store.load(fleet.owner)
            entry = self._entries[uid] = _Entry(fleet.key, stored.kept, stored.kept, stored.version, _anew(stored))
        asked = [pod for pod in fleet.pods if pod.address and (whole or pod.name in fleet.leaving)]
        pages = await self._reader.read_usage(asked)
        now, kept, before = self._clock.now(), entry.kept, entry.news
        entry.pages |= {(page.pod, page.usage.boot_id): page for page in pages}
        entry.kept = absorb(entry.kept, UsageReading(tuple(pages), _present(fleet)), now, last=entry.read_at)
        entry.quiet = entry.quiet + whole if entry.kept.spend.days is kept.spend.days else 0
        if whole:
            entry.coverage = _coverage(fleet, entry.kept, pages)
            entry.read_at, entry.seen = now, self._clock.monotonic()
            if self._entries.get(uid) is entry:  # it may have been deleted meanwhile
                self._metrics.show(entry.key, UsageState(entry.kept, now))
        if whole and entry.quiet >= _QUIET and entry.kept is entry.saved and not await self._is_stored(entry, fleet):
            entry.saved = Usages()
        await self._save(entry, fleet, now)
        if whole and (entry.kept is not kept or entry.news != before):
            self._add(fleet.key)
        if entry.kept is not entry.saved:
            return _RETRY
        return self._interval * (1 if entry.quiet < _QUIET else _QUIET)

    async def _is_stored(self, entry: _Entry, fleet: Fleet) -> bool:
        """Whether it is as it was written: while no calls come, no write finds out that somebody changed it."""
        try:
            return entry.version is None or await self._store.version(fleet.owner) == entry.version
        except KubeError:  # the next reading looks again
            return True

    async def _save(self, entry: _Entry, fleet: Fleet, now: dt.datetime) -> None:
        """Write what is new. Where somebody else has written, what they wrote counts, and our pages on top of it."""
        for _ in range(_TRIES):
            if entry.kept is entry.saved:
                return
            kept = entry.kept
            try:
                entry.version = await self._store.save(fleet.owner, kept, entry.version)
            except KubeError as error:
                if not error.conflict and not error.not_found:
                    entry.refused = f"what was used is not stored: {error}"
                    self._tell(fleet.owner["metadata"]["uid"], fleet.key, entry.refused)
                    return
                self._rebase(entry, fleet, await self._store.load(fleet.owner), now)
            else:
                entry.saved, entry.refused = kept, ""
                entry.pages.clear()

    def _rebase(self, entry: _Entry, fleet: Fleet, stored: Stored, now: dt.datetime) -> None:
        entry.version = stored.version
        if stored.version is None or stored.fault:  # deleted, or spoiled: what is known here is written again
            entry.saved = stored.kept
            return
        reading = UsageReading(tuple(entry.pages.values()), _present(fleet))
        entry.kept, entry.saved = absorb(stored.kept, reading, now, last=entry.read_at), stored.kept

    def _tell(self, uid: str, key: Key, why: str) -> None:
        if self._told.get(uid) != why:
            self._told[uid] = why
            _log.warning("usage is not kept", extra=fields(namespace=key.namespace, name=key.name, error=why))


def _anew(stored: Stored) -> str:
    return f"the usage record had to begin again: {stored.fault}" if stored.fault else ""


def _present(fleet: Fleet) -> frozenset[str]:
    return frozenset(pod.name for pod in fleet.pods if pod.address) | fleet.strangers


def _coverage(fleet: Fleet, kept: Usages, pages: Sequence[PodUsage]) -> Coverage:
    told = {page.pod for page in pages}
    counting = {pod for (pod, _), mark in kept.spend.marks.items() if mark.gone is None}
    serving = {pod.name for pod in fleet.pods if pod.address and (pod.ready or pod.name in counting)}
    silent = (serving | fleet.strangers) - told - fleet.leaving
    return Coverage(len(told), tuple(sorted(silent)))
