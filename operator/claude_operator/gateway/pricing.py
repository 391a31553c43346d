"""What an answer would cost if both arms' caches were equally warm.

A canary begins with a cold cache and stable with a warm one, so its first answers cost more whatever it is. The judge
compares `steady_price` instead: the cacheable part of a prompt is priced as if the share `HitRatio` of it had been
read from the cache and the rest written, for both arms alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claude_operator.core.catalogue.cost import LIST_PRICES, PRIORITY, Book, at_standard_tier, cost_usd
from claude_operator.gateway.usage import cache_parts, entries

__all__ = ["HitRatio", "steady_price"]

_PRIOR_TOKENS = 1000.0


class HitRatio:
    """The share of the stable arm's cacheable prompt tokens that were read, over the life of this process.

    It starts as if 1,000 tokens had been seen, half of them read. Without them the first answer, often a write, would
    set the ratio to 0; with them a handful of answers outweigh the start, since prompts below about a thousand tokens
    are not cached at all.
    """

    __slots__ = ("_read", "_total")

    def __init__(self) -> None:
        self._read, self._total = _PRIOR_TOKENS / 2, _PRIOR_TOKENS

    def add(self, tokens: Mapping[str, int]) -> None:
        """Take in the tokens by kind of a request that the stable arm answered."""
        read = tokens["cacheRead"]
        self._read += read
        self._total += read + tokens["cacheWrite5m"] + tokens["cacheWrite1h"]

    @property
    def value(self) -> float:
        """Between 0 and 1."""
        return self._read / self._total


def steady_price(
    model: str,
    usage: Mapping[str, Any],
    tokens: Mapping[str, int],
    cost: float | None,
    hit_ratio: float,
    book: Book = LIST_PRICES,
) -> float | None:
    """US dollars with `hit_ratio` of the cacheable tokens read, None where a price is not known.

    `tokens` are the sums of `usage` by kind and `cost` is what it adds to the bill. A price is linear in the tokens of
    each kind while the prompt keeps its size, so this is the weighted mean of the price with all of them read and the
    price with all of them written. An answer that a Priority Tier commitment covers is compared by what it would cost
    without one.
    """
    if usage.get("service_tier") == PRIORITY:
        usage = at_standard_tier(usage)
        cost = cost_usd(model, usage, book)
    writes = tokens["cacheWrite5m"] + tokens["cacheWrite1h"]
    cacheable = tokens["cacheRead"] + writes
    if cost is None or not cacheable:
        return cost
    read: float | None
    written: float | None
    if usage.get("iterations"):  # each has its own proportions, and may have its own model
        read = cost_usd(model, {**usage, "iterations": [_as_read(entry) for entry in entries(usage)]}, book)
        written = cost_usd(model, {**usage, "iterations": [_as_written(entry) for entry in entries(usage)]}, book)
    else:
        read = cost_usd(model, _as_read(usage), book) if writes else cost
        written = cost_usd(model, _as_written(usage), book)
    if read is None or written is None:
        return None
    return hit_ratio * read + (1.0 - hit_ratio) * written


def _as_read(entry: Mapping[str, Any]) -> dict[str, Any]:
    cacheable = sum(cache_parts(entry))
    return {**entry, "cache_read_input_tokens": cacheable, "cache_creation_input_tokens": 0, "cache_creation": None}


def _as_written(entry: Mapping[str, Any]) -> dict[str, Any]:
    """All written for five minutes: a pure read does not say for how long it was, and both have to come out equal."""
    cacheable = sum(cache_parts(entry))
    return {
        **entry,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": cacheable,
        "cache_creation": {"ephemeral_5m_input_tokens": cacheable},
    }
