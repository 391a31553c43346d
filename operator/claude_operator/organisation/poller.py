"""Asks the API again and again, and puts what it answers into the store.

What was asked when is in the store before a request is sent. So a process that ends at any moment, and is started again
at once, neither asks too early nor counts anything twice.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from claude_operator.api.history import Refusal
from claude_operator.core.organisation import pages, polling
from claude_operator.core.organisation.buckets import Bucket, Span
from claude_operator.core.organisation.polling import FEEDS, HOURS, ORGANIZATION, PERIOD, Answer, Feed, Meaning, Turn
from claude_operator.log import Log
from claude_operator.organisation.client import Client
from claude_operator.organisation.keeper import Keeper
from claude_operator.organisation.metrics import Metrics
from claude_operator.organisation.store import Store, StoreError

__all__ = ["Poller", "Timing"]

_STORE_AGAIN = 10.0  # seconds until a store that failed is tried again
_DELETE_EVERY = 3600.0
_MOST_PAGES = 1000  # of one reading: sixteen hours


@dataclass(frozen=True, slots=True)
class Timing:
    """The clock that it goes by, and how it waits."""

    clock: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    period: float = PERIOD


@dataclass(slots=True)
class _Reading:
    """Pages that belong together."""

    feed: Feed
    span: Span | None
    cursor: str | None = None
    buckets: list[Bucket] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)
    complete_to: float = float("inf")
    """What each of the pages knew."""
    read: int = 0
    """Pages."""


@dataclass(slots=True)
class _Known:
    """What the store has that decides what is asked next."""

    marks: dict[str, dict[int, int]]
    organization: str
    last_request: float | None
    not_before: float
    failures: int
    last_poll: float | None
    saved: dict[str, str] = field(default_factory=dict)
    """Of the pause, as the store has it."""


class Poller:
    """Polls with the key that `read_key` gives at that moment, None where there is none."""

    def __init__(
        self,
        client: Client,
        keeper: Keeper,
        read_key: Callable[[], str | None],
        log: Log,
        *,
        base_url: str = "",
        timing: Timing | None = None,
    ) -> None:
        self._client, self._keeper, self._read_key, self._log = client, keeper, read_key, log
        self._on_aws = polling.on_aws(urlsplit(base_url).hostname or "")
        self._time = timing or Timing()
        self._known: _Known | None = None
        self._turns: dict[str, Turn] = {}
        self._reading: _Reading | None = None
        self._plain: set[str] = set()
        """Feeds that the API refused with what a beta brings."""
        self._halvings: Counter[str] = Counter()
        """Of the pages of feeds whose answers were too large."""
        self._key = ""
        self._confirmed = False
        """Whether this key belongs to the organisation of the store."""
        self._deleted = float("-inf")
        self._problem = ""
        """Of the last request, or of the store."""
        self.refusal: Refusal | None = None
        self.metrics = Metrics()

    @property
    def accepted(self) -> bool:
        """Whether the API takes this key."""
        return self._confirmed and self.refusal is None

    @property
    def error(self) -> str:
        """What keeps it from reading; empty where nothing does."""
        if self._problem:
            return self._problem
        return next((turn.error for turn in self._turns.values() if turn.error), "")

    @property
    def last_poll(self) -> float | None:
        """When the API last answered; None where that was before this process."""
        return self._known.last_poll if self._known else None

    async def run(self) -> None:
        """Poll until it is cancelled."""
        while True:
            await self.step()

    async def step(self) -> None:
        """Wait until something may be asked, and ask it."""
        try:
            known = await self._load()
            await self._delete_old(known)
            key = self._usable_key()
            reading = self._next(known) if key else None
            delay = self._wait(known)
            if reading is None or delay > 0:
                await self._time.sleep(min(delay or self._time.period, self._time.period))  # another key may come
                return
            await self._ask(known, reading, key)
        except StoreError as error:
            self._tell(str(error))
            self._known = self._reading = None
            await self._time.sleep(_STORE_AGAIN)

    def _wait(self, known: _Known) -> float:
        """Seconds until a request may be sent. Moments of a clock that was set back mean now."""
        now = self._time.clock()
        if known.last_request is not None:
            known.last_request = min(known.last_request, now)
        known.not_before = min(known.not_before, now + polling.LONGEST_WAIT)
        last = now - self._time.period if known.last_request is None else known.last_request
        return max(0.0, last + self._time.period - now, known.not_before - now)

    async def _load(self) -> _Known:
        if self._known is None:
            self._known = await self._keeper.use(_read_known)
        return self._known

    def _usable_key(self) -> str:
        """The key; empty where there is none that could be accepted."""
        key = self._read_key() or ""
        if key != self._key:
            self._key, self._confirmed, self.refusal, self._problem = key, False, None, ""
            self._reading = None
            self._turns.pop(ORGANIZATION.name, None)
            if self._known is not None and self._known.failures == 0:
                self._known.not_before = 0.0  # another key need not wait for what was said to the one before it
        if self._on_aws or not key:
            self.refusal = "ClaudePlatformOnAWS" if self._on_aws else "NoKey"
            self._tell(polling.refused(self.refusal))
            return ""
        return key

    def _next(self, known: _Known) -> _Reading | None:
        """The pages that are being read, or else what is the most overdue; first of all whose key it is."""
        if self._reading is None:
            feeds = FEEDS if self._confirmed else (ORGANIZATION,)
            found = polling.choose(known.marks, self._turns, self._time.clock(), feeds)
            self._reading = _Reading(*found) if found else None
        return self._reading

    async def _ask(self, known: _Known, reading: _Reading, key: str) -> None:
        asked = self._time.clock()
        polled = {} if known.last_poll is None else {"last_poll": repr(known.last_poll)}
        await self._keeper.use(lambda store: store.save(last_request=repr(asked), **polled))
        known.last_request = asked
        feed = reading.feed.plain if reading.feed.plain and reading.feed.name in self._plain else reading.feed
        feed = polling.smaller(feed, self._halvings[feed.name])
        answer = await self._client.get(feed, polling.query(feed, reading.span, reading.cursor), key)
        paging = reading.cursor is not None
        pause = polling.pause_after(known.failures, self._time.period)
        found = polling.meaning(answer, reading.feed, paging=paging, pause=pause, key=key)
        if found.kind == "ok":
            found = await self._take(known, reading, answer, asked)
        elif answer.status == 400 and found.kind == "broken" and feed.plain:
            self._plain.add(feed.name)
            found = replace(found, delay=self._time.period)
        elif found.kind == "large":
            self._halvings[feed.name] += 1
            smallest = polling.smaller(feed, 1) == feed
            found = replace(found, kind="broken" if smallest else "expired")
        self.metrics.count(reading.feed.name, found.kind)
        await self._follow(known, reading, found, asked)

    async def _take(self, known: _Known, reading: _Reading, answer: Answer, asked: float) -> Meaning:
        """Put an answer into the store."""
        try:
            page = reading.feed.read(answer.body)
        except ValueError as error:
            return Meaning("broken", self._time.period, f"{reading.feed.path}: {error}")
        if reading.feed == ORGANIZATION and not await self._same_organization(known, page.items[0]):
            return Meaning("refused", polling.REFUSED_WAIT, polling.refused("OtherOrganization"), "OtherOrganization")
        reading.read += 1
        if page.next is not None and (page.next == reading.cursor or reading.read >= _MOST_PAGES):
            return Meaning("broken", polling.ABSENT_WAIT, f"{reading.feed.path}: the API's pages have no end")
        reading.buckets += page.buckets
        reading.items += page.items
        reading.complete_to = min(reading.complete_to, page.complete_to or float("-inf"))
        if reading.feed.series is not None and not reading.feed.optional:
            await self._store_buckets(known, reading, pages.merge(reading.buckets), int(asked))
            reading.buckets = []
        reading.cursor = page.next
        if page.next is None:
            await self._finish(known, reading, int(asked))
        return Meaning("ok")

    def _leads_on(self, known: _Known, reading: _Reading, asked: float) -> bool:
        """Whether a span was read that ends in the past: what follows it is due at once."""
        series, span = reading.feed.series, reading.span
        if series is None or span is None or span.end >= series.floor(asked):
            return False
        return span.end - series.width in known.marks.get(series.name, {})

    async def _finish(self, known: _Known, reading: _Reading, asked: int) -> None:
        """All pages are there."""
        self._reading = None
        series, span, items = reading.feed.series, reading.span, list(reading.items)
        if reading.feed.name == "keys":
            await self._keeper.use(lambda store: store.save_keys(items))
        elif reading.feed.name == "workspaces":
            await self._keeper.use(lambda store: store.save_workspaces(items))
        elif reading.feed.optional and series is not None and span is not None:
            found = {one.start: one for one in pages.merge(reading.buckets)}
            starts = range(span.start, span.end, series.width)
            whole = [found.get(start, Bucket(start)) for start in starts if start + series.width <= reading.complete_to]
            await self._store_buckets(known, reading, whole, asked)

    async def _store_buckets(self, known: _Known, reading: _Reading, buckets: Sequence[Bucket], asked: int) -> None:
        series = reading.feed.series
        if series is None:
            return
        # A bucket that has not ended would be taken for whole.
        ended = [one for one in buckets if one.start % series.width == 0 and one.start + series.width <= asked]
        costs = reading.feed.costs
        await self._keeper.use(lambda store: store.replace(series.name, ended, asked, costs=costs))
        known.marks.setdefault(series.name, {}).update((one.start, asked) for one in ended)
        if series.name == HOURS.name and (span := HOURS.complete(known.marks[series.name])):
            self.metrics.complete_to.set(span.end)

    async def _same_organization(self, known: _Known, found: pages.Organization) -> bool:
        if known.organization and found.id != known.organization:
            self._confirmed = False
            return False
        await self._keeper.use(lambda store: store.save(organization=found.id, name=found.name))
        known.organization = found.id
        self._confirmed = True
        return True

    async def _follow(self, known: _Known, reading: _Reading, found: Meaning, asked: float) -> None:
        """Draw the conclusions from an answer."""
        feed = reading.feed
        turn = self._turns.get(feed.name, Turn())
        if found.kind == "ok":
            done = self._reading is None
            last = turn.asked if not done else asked - feed.refresh if self._leads_on(known, reading, asked) else asked
            self._turns[feed.name] = replace(turn, asked=last, error="", not_before=0.0)
            known.failures, known.not_before, known.last_poll = 0, 0.0, asked
            self.refusal = None
            self.metrics.last_poll.set(asked)
            self._tell("")
        elif found.kind == "expired":
            self._reading = None
            self._turns[feed.name] = replace(turn, asked=asked - feed.refresh)  # due, after all that waited longer
        elif found.kind in ("absent", "broken"):
            self._reading = None
            error = "" if found.kind == "absent" and feed.optional else found.error
            self._turns[feed.name] = Turn(asked - feed.refresh, asked + found.delay, error)
            self._log.event("not read", "warning", feed=feed.name, reason=found.error)
        else:
            known.not_before = asked + found.delay
            known.failures += found.kind == "again"
            if found.kind == "refused":
                self.refusal, self._reading = found.refusal, None
            self._tell(found.error)
        await self._save_pause(known)

    async def _save_pause(self, known: _Known) -> None:
        """Have the store know at once how long to wait, where that has changed."""
        pause = {"not_before": repr(known.not_before), "failures": str(known.failures)}
        if pause != known.saved:
            await self._keeper.use(lambda store: store.save(**pause))
            known.saved = pause

    async def _delete_old(self, known: _Known) -> None:
        """By when the API last answered: to a clock that is far ahead it does not, and nothing is lost."""
        now = self._time.clock()
        if 0 <= now - self._deleted < _DELETE_EVERY:
            return
        answered = min(now, known.last_poll or 0.0)
        kept = {feed.series.name: int(answered - feed.series.kept) for feed in FEEDS if feed.series}
        await self._keeper.use(lambda store: store.delete_before(kept))
        self._deleted = now
        for name, moment in kept.items():
            marks = known.marks.get(name, {})
            for start in [one for one in marks if one < moment]:
                del marks[start]

    def _tell(self, problem: str) -> None:
        """Log what is new."""
        if problem and problem != self._problem:
            self._log.event("not reading", "warning", reason=problem)
        self._problem = problem


def _read_known(store: Store) -> _Known:
    saved = store.settings()
    last = saved.get("last_request")
    poll = saved.get("last_poll")
    return _Known(
        marks=store.marks(),
        organization=saved.get("organization", ""),
        last_request=float(last) if last else None,
        not_before=float(saved.get("not_before", "0")),
        failures=int(saved.get("failures", "0")),
        last_poll=float(poll) if poll else None,
        saved={name: saved[name] for name in ("not_before", "failures") if name in saved},
    )
