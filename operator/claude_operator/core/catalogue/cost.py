"""What one call costs at list price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claude_operator.core.catalogue.table import Model, Prices, find

_TIER_TOKENS = 100_000
_WEB_SEARCH_USD = 0.01


def cost_usd(model: Model | str | None, usage: Mapping[str, Any]) -> float | None:
    """US dollars for a response's `usage`; None where the price of a part is not known.

    With `usage.iterations` the sum runs over its entries, since compaction is billed but not in the top-level fields;
    an entry that names a model of its own is priced by that one.
    """
    entries = usage.get("iterations") or [usage]
    total = 0.0
    for entry in entries:
        own = entry.get("model")
        cost = _entry(find(own) if own else _resolve(model), entry)
        if cost is None:
            return None
        total += cost
    searches = _count(usage.get("server_tool_use") or {}, "web_search_requests")
    return total * _factor(usage) + searches * _WEB_SEARCH_USD


def price_ratio(before: Model | None, after: Model | None) -> float:
    """How many times as dear `after` is as `before` by the price lists: the largest ratio of a price, 1 at least."""
    if before is None or after is None or before.prices is None or after.prices is None:
        return 1.0
    old, new = before.prices, after.prices
    pairs = [(old.input, new.input), (old.output, new.output)]
    return max([1.0, *(theirs / ours for ours, theirs in pairs if ours and theirs)])


def _factor(usage: Mapping[str, Any]) -> float:
    """What where and how the call ran does to all token prices."""
    geo = 1.1 if usage.get("inference_geo") == "us" else 1.0
    speed = 2.0 if usage.get("speed") == "fast" else 1.0
    return geo * speed * (0.5 if usage.get("service_tier") == "batch" else 1.0)


def _resolve(model: Model | str | None) -> Model | None:
    return find(model) if isinstance(model, str) else model


def _entry(model: Model | None, usage: Mapping[str, Any]) -> float | None:
    """US dollars for one entry: tokens of each kind times the price of the prompt's size tier."""
    if model is None or model.prices is None:
        return None
    fresh, read = _count(usage, "input_tokens"), _count(usage, "cache_read_input_tokens")
    written = _count(usage, "cache_creation_input_tokens")
    split = usage.get("cache_creation") or {}
    long = _count(split, "ephemeral_1h_input_tokens")
    prompt = fresh + read + max(written, long + _count(split, "ephemeral_5m_input_tokens"))
    short = max(_count(split, "ephemeral_5m_input_tokens"), written - long)
    prices = _tier(model.prices, prompt)
    parts = (
        (fresh, prices.input),
        (short, prices.cache_write_5m),
        (long, prices.cache_write_1h),
        (read, prices.cache_read),
        (_count(usage, "output_tokens"), prices.output),
    )
    if any(tokens and price is None for tokens, price in parts):
        return None
    return sum(tokens * (price or 0.0) for tokens, price in parts) / 1_000_000


def _tier(prices: Prices, prompt_tokens: int) -> Prices:
    return prices.above_100k if prices.above_100k and prompt_tokens > _TIER_TOKENS else prices


def _count(usage: Mapping[str, Any], key: str) -> int:
    return int(usage.get(key) or 0)
