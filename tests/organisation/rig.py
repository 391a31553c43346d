"""A simulated organisation whose time a test moves, and the poller that reads it over HTTP."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
from tests.simulator.harness import Clock, Running, message, running_simulator

from claude_operator.api.history import History
from claude_operator.log import Log
from claude_operator.organisation.client import Client
from claude_operator.organisation.keeper import Keeper
from claude_operator.organisation.page import read_history
from claude_operator.organisation.poller import Poller, Timing
from claude_operator.organisation.store import Store

ADMIN_KEY = "sk-ant-admin01-the-key-of-an-admin"
MIDNIGHT = 1_795_478_400.0  # 2026-11-24T00:00:00Z
DAY = 86_400
FAST = "latency: {median: 0s}, tokensPerSecond: 1000000"


def scenario(**organization: Any) -> str:
    """A scenario that answers at once, with these fields of `organization`."""
    fields = msgspec.json.encode(organization).decode()
    return f"{{defaults: {{{FAST}}}, organization: {fields}}}"


@dataclass
class World:
    """The simulator, its time, and what happens while somebody waits."""

    api: Running
    clock: Clock
    happens: Callable[[float, float], Awaitable[None]] | None = None
    output: io.StringIO = field(default_factory=io.StringIO)
    stops: float = float("inf")
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when `stops` is reached."""
    key: str | None = ADMIN_KEY
    """What the poller polls with."""

    async def sleep(self, seconds: float) -> None:
        """Let time go by, and whatever happens in it."""
        begun = self.clock.now
        if self.happens is not None:
            await self.happens(begun, begun + seconds)
        self.clock.now = begun + seconds
        if self.clock.now >= self.stops:
            self.stopped.set()
        await asyncio.sleep(0)

    async def use(self, key: str, text: str = "Hello", **fields: Any) -> None:
        """A call that is paid."""
        headers = {"x-api-key": key, "anthropic-version": "2026-10-21"}
        body = message(text, **fields)
        async with self.api.http.post(self.api.url + "/v1/messages", json=body, headers=headers) as response:
            assert response.status == 200, await response.text()

    async def polls(self) -> list[dict[str, Any]]:
        async with self.api.http.get(self.api.url + "/-/polls") as response:
            return list((await response.json())["polls"])

    async def book(self) -> list[dict[str, Any]]:
        async with self.api.http.get(self.api.url + "/-/book") as response:
            return list((await response.json())["entries"])

    @asynccontextmanager
    async def polling(self, open_store: Callable[[], Store], base_url: str = "") -> AsyncIterator[Poller]:
        """A poller in this world's time, stopped at the end."""
        keeper = Keeper(open_store)
        try:
            async with Client(self.api.url) as client:
                yield Poller(
                    client,
                    keeper,
                    lambda: self.key,
                    Log(self.output, "json"),
                    base_url=base_url or self.api.url,
                    timing=Timing(clock=self.clock, sleep=self.sleep),
                )
        finally:
            await keeper.close()

    async def stored(self, poller: Poller) -> History:
        """What is stored while the poller has the store."""
        return await poller._keeper.use(lambda store: read_history(store, self.clock.now, 40))

    async def poll_until(self, poller: Poller, end: float) -> None:
        while self.clock.now < end:
            await poller.step()


@asynccontextmanager
async def organisation(text: str, now: float = MIDNIGHT) -> AsyncIterator[World]:
    async with running_simulator(text) as api:
        api.clock.now = now
        yield World(api, api.clock)


def history(open_store: Callable[[], Store], now: float, days: int = 40) -> History:
    """What the store has, as a reader gets it."""
    store = open_store()
    try:
        return read_history(store, now, days)
    finally:
        store.close()


_KINDS = {
    "input": "uncached_input_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_write_5m": "cache_creation.ephemeral_5m_input_tokens",
    "cache_write_1h": "cache_creation.ephemeral_1h_input_tokens",
    "output": "output_tokens",
}
UsageKey = tuple[int, str, str, str, str]


def stored_usage(found: History) -> dict[UsageKey, dict[str, int]]:
    """By day, key, workspace, model and tier."""
    return {
        (row.start, row.api_key, row.workspace, row.model, row.tier): {
            kind: getattr(row.tokens, kind) for kind in _KINDS
        }
        for row in found.usage
    }


def booked_usage(entries: list[dict[str, Any]]) -> dict[UsageKey, dict[str, int]]:
    """The same from what the simulator answered."""
    found: dict[UsageKey, dict[str, int]] = {}
    for one in entries:
        day = one["minute"] // DAY * DAY
        key = (day, one["apiKeyID"], one["workspaceID"] or "", one["model"], one["serviceTier"])
        sums = found.setdefault(key, dict.fromkeys(_KINDS, 0))
        for kind, name in _KINDS.items():
            sums[kind] += one["tokens"].get(name, 0)
    return found


def stored_costs(rows: list[Any], *, by_key: bool = False) -> dict[tuple[Any, ...], Decimal]:
    """US cents by day, workspace and model."""
    return {
        (row.start, row.workspace, row.model, *((row.api_key,) if by_key else ())): Decimal(row.cents) for row in rows
    }


def booked_costs(entries: list[dict[str, Any]], *, by_key: bool = False) -> dict[tuple[Any, ...], Decimal]:
    """The same from what the simulator answered."""
    found: dict[tuple[Any, ...], Decimal] = {}
    for one in entries:
        day = one["minute"] // DAY * DAY
        key = (day, one["workspaceID"] or "", one["model"], *((one["apiKeyID"],) if by_key else ()))
        for cents in one["cents"].values():
            found[key] = found.get(key, Decimal(0)) + Decimal(cents)
    return found
