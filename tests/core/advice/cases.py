"""Deployments with ten days of traffic, for the tests of advice."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tests.core.usage.readings import NOON, page, reading

from claude_operator.api.usage import UsageRow
from claude_operator.core.advice.case import Case
from claude_operator.core.catalogue.cost import cost_usd
from claude_operator.core.usage.cache import CacheUsage, Entry, Lost, Sums
from claude_operator.core.usage.cold import Cause
from claude_operator.core.usage.latency import LatencyUsage, Series, Slot
from claude_operator.core.usage.ledger import Spend, absorb
from claude_operator.core.usage.state import Usages

DAY = dt.timedelta(days=1)
STABLE = "support-c49a4f2c25"
OPUS, SONNET, HAIKU = "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"

Tokens = tuple[int, int, int, int, int]
"""Of a call: input, output, read, written for 5 minutes, written for an hour."""


def usage(tokens: Tokens) -> dict[str, Any]:
    """As an answer tells it."""
    fresh, output, read, short, long = tokens
    return {
        "input_tokens": fresh,
        "output_tokens": output,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": short + long,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
    }


def row(surface: str, calls: int, tokens: Tokens, model: str = OPUS, subagent: str = "") -> UsageRow:
    """Calls that are all alike, at list price."""
    usd = cost_usd(model, usage(tokens))
    many = tuple(calls * one for one in tokens)
    unpriced = calls if usd is None else 0
    return UsageRow(STABLE, "stable", surface, subagent, model, calls, unpriced, *many, calls * (usd or 0.0))


def spend(*a_day: UsageRow, days: int = 10) -> Spend:
    """The same rows on each of these days up to noon of the thirtieth."""
    state = Spend()
    for day in range(days):
        at = NOON - (days - 1 - day) * DAY
        state = absorb(state, reading(page("a", *a_day, boot=f"boot-{day}")), at)
    return state


def cache(cause: Cause | None = None, *, lost: int = 0, where: str = "", read: int = 0, written: int = 0) -> CacheUsage:
    """A day of prompts of the surface chat, 3,000 calls; all that a cause lost was lost in 2,400 of them."""
    cold = {cause.value: Lost(2_400, lost, 0.0, 0, where)} if cause else {}
    sums = Sums(3_000, 3_000 * 500 + lost + read + written, read, written, cold)
    begin = int((NOON - DAY).timestamp()) + 600
    return CacheUsage(slots={begin: (Entry(STABLE, "chat", "abc", sums),)})


def slow(metric: str, most: float, *, within: int = 700, over: int = 300) -> LatencyUsage:
    """Calls of chat in the last quarter of an hour."""
    end = int(NOON.timestamp())
    slots = (Slot(end - 900, end - 300, within // 2, over // 2), Slot(end - 300, end, within // 2, over // 2))
    return LatencyUsage({Series(STABLE, "chat", metric, most): slots})


def spec(**fields: Any) -> dict[str, Any]:
    """Of a support application."""
    request = {"model": OPUS, "max_tokens": 2048, "system": [{"type": "text", "text": "Help."}]}
    return {"request": request | fields.pop("request", {}), **fields}


def case(raw: dict[str, Any], *rows: UsageRow, days: int = 10, **parts: Any) -> Case:
    """What is known at noon."""
    return Case(raw, Usages(spend(*rows, days=days), **parts), STABLE, NOON)
