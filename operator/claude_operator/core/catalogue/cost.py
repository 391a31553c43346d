"""What one call costs: the one place for gateways, evals, their graders and the simulator's ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from claude_operator.core.catalogue.table import Model, Prices, find

__all__ = [
    "LIST_PRICES",
    "PRIORITY",
    "Book",
    "at_standard_tier",
    "cost_of_reading",
    "cost_usd",
    "price_ratio",
    "prices_at",
    "request_factor",
]

Book = Mapping[str, Prices]
"""Prices by model id and alias that hold instead of the shipped list prices."""

LIST_PRICES: Book = MappingProxyType({})
PRIORITY = "priority"

_TIER_TOKENS = 100_000
_WEB_SEARCH_USD = 0.01
_US, _FAST, _BATCH = 1.1, 2.0, 0.5
_MOST_TOKENS = 10**9  # of one answer: more is no number of tokens
_MOST_USD = 1e4  # of one answer


class _NoPriceError(ValueError):
    """The price of a part is not known, or the usage makes no sense."""


def cost_usd(model: Model | str | None, usage: Mapping[str, Any], book: Book = LIST_PRICES) -> float | None:
    """US dollars that a response's `usage` adds to the bill; None where the price of a part is not known.

    With `usage.iterations` the sum runs over its entries, since compaction is billed but not in the top-level fields;
    an entry that names a model of its own is priced by that one. What Priority Tier answers is paid in advance, by a
    commitment: nobody can say what one answer costs (`at_standard_tier` is for comparisons).
    """
    if not usage or usage.get("service_tier") == PRIORITY:
        return None
    try:
        total = sum(_entry(entry.get("model") or model, entry, usage, book) for entry in _entries(usage))
        total += _count(usage.get("server_tool_use") or {}, "web_search_requests") * _WEB_SEARCH_USD
    except (_NoPriceError, AttributeError, TypeError):
        return None
    return total if total <= _MOST_USD else None


def cost_of_reading(
    model: Model | str | None, usage: Mapping[str, Any], tokens: Mapping[str, int], lost: int, book: Book = LIST_PRICES
) -> float | None:
    """US dollars that a call would have cost less had `lost` of its tokens been read from the cache, those that it
    wrote first; None where a price is not known. `tokens` are its sums by kind.
    """
    short, long, fresh = tokens["cacheWrite5m"], tokens["cacheWrite1h"], tokens["input"]
    ran = {name: usage.get(name) for name in ("inference_geo", "speed", "service_tier")}
    was = cost_usd(model, {**ran, **_prompt(fresh, tokens["cacheRead"], short, long)}, book)
    from_long = min(lost, long)
    from_short = min(lost - from_long, short)
    from_fresh = min(lost - from_long - from_short, fresh)
    read = tokens["cacheRead"] + from_long + from_short + from_fresh
    after = cost_usd(model, {**ran, **_prompt(fresh - from_fresh, read, short - from_short, long - from_long)}, book)
    return None if was is None or after is None else max(was - after, 0.0)


def at_standard_tier(usage: Mapping[str, Any]) -> Mapping[str, Any]:
    """The usage as if it were not covered by a commitment: to compare answers, or to limit what a run may take."""
    return {**usage, "service_tier": "standard"} if usage.get("service_tier") == PRIORITY else usage


def price_ratio(before: Prices | None, after: Prices | None) -> float:
    """How many times as dear `after` is as `before`: the largest ratio of a price that both have, 1 at least."""
    if before is None or after is None:
        return 1.0
    return max([1.0, *_ratios(before, after)])


def request_factor(fields: Mapping[str, Any]) -> float:
    """What `inference_geo` and `speed`, of a request or of a usage, do to all token prices."""
    geo = _US if fields.get("inference_geo") == "us" else 1.0
    return geo * (_FAST if fields.get("speed") == "fast" else 1.0)


def prices_at(model: Model | str | None, prompt_tokens: float, book: Book = LIST_PRICES) -> Prices | None:
    """Prices of a call whose prompt has so many tokens; None where they are not known."""
    try:
        return _tier(_prices(model, book), prompt_tokens)
    except _NoPriceError:
        return None


def _prompt(fresh: int, read: int, short: int, long: int) -> dict[str, Any]:
    return {
        "input_tokens": fresh,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": short + long,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
    }


def _ratios(before: Prices, after: Prices) -> Iterator[float]:
    pairs = (
        (before.input, after.input),
        (before.cache_write_5m, after.cache_write_5m),
        (before.cache_write_1h, after.cache_write_1h),
        (before.cache_read, after.cache_read),
        (before.output, after.output),
    )
    yield from (theirs / ours for ours, theirs in pairs if ours and theirs)
    if after.above_100k is not None:
        yield from _ratios(before.above_100k or before, after.above_100k)


def _entries(usage: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    iterations = usage.get("iterations")
    return list(iterations) if iterations else [usage]


def _entry(model: Model | str | None, entry: Mapping[str, Any], usage: Mapping[str, Any], book: Book) -> float:
    """US dollars for one entry: tokens of each kind times the price of the prompt's size tier."""
    fresh, read = _count(entry, "input_tokens"), _count(entry, "cache_read_input_tokens")
    written, split = _count(entry, "cache_creation_input_tokens"), entry.get("cache_creation") or {}
    long, short = _count(split, "ephemeral_1h_input_tokens"), _count(split, "ephemeral_5m_input_tokens")
    short = max(short, written - long)
    prices = _tier(_prices(model, book), fresh + read + short + long)
    parts = (
        (fresh, prices.input),
        (short, prices.cache_write_5m),
        (long, prices.cache_write_1h),
        (read, prices.cache_read),
        (_count(entry, "output_tokens"), prices.output),
    )
    if any(tokens and price is None for tokens, price in parts):
        raise _NoPriceError
    return sum(tokens * (price or 0.0) for tokens, price in parts) / 1_000_000 * _factor(model, entry, usage)


def _factor(model: Model | str | None, entry: Mapping[str, Any], usage: Mapping[str, Any]) -> float:
    """What where and how the call ran does to all token prices; an entry may say it for itself."""
    ran = {name: entry.get(name) or usage.get(name) for name in ("inference_geo", "speed", "service_tier")}
    if ran["speed"] == "fast":
        known = find(model) if isinstance(model, str) else model
        if known is None or not known.fast_mode:
            raise _NoPriceError
    return request_factor(ran) * (_BATCH if ran["service_tier"] == "batch" else 1.0)


def _prices(model: Model | str | None, book: Book) -> Prices:
    known = find(model) if isinstance(model, str) else model
    own = book.get(model if isinstance(model, str) else model.id if model else "")
    prices = own or (known.prices if known else None)
    if prices is None:
        raise _NoPriceError
    return prices


def _tier(prices: Prices, prompt_tokens: float) -> Prices:
    return prices.above_100k if prices.above_100k and prompt_tokens > _TIER_TOKENS else prices


def _count(usage: Mapping[str, Any], key: str) -> int:
    value = usage.get(key)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= _MOST_TOKENS:
        raise _NoPriceError
    return value
