"""What an edit costs once: tokens that are written again instead of read, in each live session."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from claude_operator.core.catalogue.cost import LIST_PRICES, Book, prices_at, request_factor
from claude_operator.core.catalogue.table import Prices
from claude_operator.core.lint.edit import Rewrite
from claude_operator.core.lint.prefix import Served
from claude_operator.core.text import count, tokens_text
from claude_operator.core.usage.cache import HOUR, CacheUsage, total, within
from claude_operator.core.usage.figures import dollars

__all__ = ["NO_SESSIONS", "Bill", "Sessions", "bill_of", "measured", "sentence"]

_LARGE = 100.0  # US dollars from which cents are left out


@dataclass(frozen=True, slots=True)
class Sessions:
    """The live sessions that an edit reaches. None stands for what is not known."""

    number: int | None = None
    cached: int | None = None
    """Tokens that a call of one reads from the cache: tools, system and the conversation so far."""
    most: bool = False
    """Whether `number` is the most that there can be."""
    source: str = ""
    """Where both come from, in words."""


NO_SESSIONS = Sessions()


@dataclass(frozen=True, slots=True)
class Bill:
    """What a rewrite comes to."""

    each: int
    """Tokens that every live session writes again, as far as they are known."""
    once: int
    """Tokens of tools and system that are written once for all of them."""
    is_whole: bool
    """Whether `each` has what is cached of the conversation."""
    total: int | None
    """All together; None where the number of sessions is not known."""
    usd_each: float | None
    """US dollars for `each` above the price of reading it; None where the price is not known."""
    usd: float | None
    """The same for `total`, or for `once` where the number of sessions is not known."""


def measured(usage: CacheUsage, revision: str | None, now: dt.datetime) -> Sessions:
    """Of the last hour of the stable revision: a session that had no call in it has nothing in the cache any more."""
    sums = total(entry for entry in within(usage, now, HOUR) if entry.revision == revision)
    if not sums.calls:
        return Sessions(0, 0, True, "no call of the stable revision is recorded in the last hour")
    cached = round((sums.read + sums.written) / sums.calls)
    return Sessions(sums.calls, cached, True, f"{count(sums.calls, 'call')} of the stable revision in the last hour")


def bill_of(rewrite: Rewrite, new: Served, sessions: Sessions = NO_SESSIONS, book: Book = LIST_PRICES) -> Bill:
    """The tokens and dollars of a rewrite, at the prices of the model after the edit."""
    once, each = rewrite.once, rewrite.each
    if sessions.cached is not None:
        each = round(max(sessions.cached - rewrite.spared, 0) * rewrite.growth)
    number = sessions.number
    all_tokens = None if number is None else (once if number else 0) + each * number
    prices = prices_at(new.model or new.model_id, sessions.cached or rewrite.listed, book)
    dearer, factor = _dearer(prices, rewrite.ttl), request_factor(new.request) / 1_000_000

    def usd(tokens: int) -> float | None:
        return None if dearer is None else tokens * dearer * factor

    return Bill(
        each,
        once,
        sessions.cached is not None,
        all_tokens,
        usd(each),
        usd(once if all_tokens is None else all_tokens),
    )


def sentence(rewrite: Rewrite, bill: Bill, sessions: Sessions = NO_SESSIONS) -> str:
    """What an edit rewrites and costs, without a full stop."""
    if sessions.number == 0:
        return "no session is live: nothing that is cached is lost"
    talk = "what is cached of the conversation"
    if not bill.is_whole and not rewrite.is_marked:
        return f"the revision sets no cache_control; {talk} by clients is written again in {_whose(sessions)}"
    parts = []
    if bill.once:
        parts.append(f"writes about {_tokens(bill.once)} tokens of tools and system once")
    if bill.is_whole:
        parts.append(f"rewrites {_tokens(bill.each)} cached tokens in {_whose(sessions)}")
    elif bill.each:
        parts.append(
            f"rewrites about {_tokens(bill.each)} tokens of tools and system, and {talk}, in {_whose(sessions)}"
        )
    else:
        parts.append(f"rewrites {talk} in {_whose(sessions)}")
    return f"{', and '.join(parts)}{_price(rewrite, bill)}"


def _price(rewrite: Rewrite, bill: Bill) -> str:
    """What is known of it."""
    model, more = rewrite.model, "" if bill.is_whole else ", and more with the conversations"
    if bill.total:
        least = "at least " if not bill.is_whole else ""
        return f": {least}{_tokens(bill.total)} tokens, {_usd(bill.usd)} once on {model}{more}"
    if bill.each:
        once = f"{_usd(bill.usd)} once and " if bill.once else ""
        return f": {once}{_usd(bill.usd_each)} each on {model}{more}"
    return f": {_usd(bill.usd)} once on {model}{more}" if bill.once else ""


def _dearer(prices: Prices | None, ttl: str) -> float | None:
    """Dollars for a million tokens that are written instead of read; without a breakpoint, sent instead of read."""
    if prices is None or prices.cache_read is None:
        return None
    paid = {"1h": prices.cache_write_1h, "5m": prices.cache_write_5m, "": prices.input}[ttl]
    return None if paid is None else max(paid - prices.cache_read, 0.0)


def _whose(sessions: Sessions) -> str:
    if sessions.number is None:
        return "each live session"
    most = "at most " if sessions.most else ""
    return f"each of {most}{count(sessions.number, 'live session')}"


def _tokens(tokens: int) -> str:
    """To three digits: these are estimates."""
    return tokens_text(float(f"{tokens:.3g}"))


def _usd(usd: float | None) -> str:
    if usd is None:
        return "at a price that is not known"
    return f"about ${usd:,.0f}" if usd >= _LARGE else f"about {dollars(usd)}"
