"""Readings of gateways for the tests of what is kept of usage."""

from __future__ import annotations

import datetime as dt

from claude_operator.api.usage import Usage, UsageRow
from claude_operator.core.usage.amounts import Amounts, total
from claude_operator.core.usage.ledger import Spend
from claude_operator.core.usage.reading import PodUsage, UsageReading

NOON = dt.datetime(2026, 11, 30, 12, 0, tzinfo=dt.UTC)
MODEL = "claude-opus-5-5"


def row(calls: int, usd: float = 0.0, *, revision: str = "r1", surface: str = "chat", **more: int) -> UsageRow:
    """Some calls, 10 tokens each way; `usd` is the price of one."""
    tokens = {"input": 10 * calls, "output": 10 * calls} | more
    return UsageRow(revision, "stable", surface, "", MODEL, calls, cost_usd=calls * usd, **tokens)


def page(pod: str, *rows: UsageRow, boot: str = "", uptime: float = 60.0) -> PodUsage:
    """What a pod tells."""
    return PodUsage(pod, Usage(boot or f"boot-{pod}", uptime, 1, rows=list(rows)))


def reading(*pages: PodUsage, also: tuple[str, ...] = ()) -> UsageReading:
    """Of these pods, with others that did not answer."""
    return UsageReading(pages, frozenset((*(one.pod for one in pages), *also)))


def spent(state: Spend, day: str | None = None) -> Amounts:
    """All together, of one day or of all."""
    days = state.days.values() if day is None else [state.days.get(day, {})]
    return total(amounts for rows in days for amounts in rows.values())
