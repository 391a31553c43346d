"""Token counts of a response's `usage`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claude_operator.api.evidence import CacheState

__all__ = ["cache_parts", "cache_state", "entries", "loggable", "token_counts"]

_MOST_TOKENS = 10**9  # of one answer: more is no number of tokens
_PARTS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_SPLIT = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")


def token_counts(usage: Mapping[str, Any]) -> dict[str, int]:
    """Tokens by kind, as in `Counters.tokens`; with `usage.iterations` the sum of its entries, which is billed."""
    totals = dict.fromkeys(("input", "output", "cacheRead", "cacheWrite5m", "cacheWrite1h"), 0)
    for entry in entries(usage):
        read, short, long = cache_parts(entry)
        totals["input"] += _number(entry, "input_tokens")
        totals["output"] += _number(entry, "output_tokens")
        totals["cacheRead"] += read
        totals["cacheWrite5m"] += short
        totals["cacheWrite1h"] += long
    return totals


def entries(usage: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What is billed: the entries of `usage.iterations`, or the usage itself where there are none."""
    iterations = usage.get("iterations")
    if isinstance(iterations, list) and iterations:
        return [entry for entry in iterations if isinstance(entry, dict)]
    return [usage]


def cache_parts(entry: Mapping[str, Any]) -> tuple[int, int, int]:
    """Cacheable prompt tokens of an entry: read, written for 5 minutes, written for an hour."""
    written = _number(entry, "cache_creation_input_tokens")
    short, long = (_number(_dict(entry.get("cache_creation")), name) for name in _SPLIT)
    return _number(entry, "cache_read_input_tokens"), max(short, written - long), long


def cache_state(tokens: Mapping[str, int]) -> CacheState:
    """Whether a call read from the prompt cache, only wrote to it, or neither."""
    if tokens["cacheRead"]:
        return "read"
    return "write" if tokens["cacheWrite5m"] or tokens["cacheWrite1h"] else "none"


def loggable(usage: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of `usage` under the API's names, and those of each iteration; never anything else."""
    out: dict[str, Any] = {name: _number(usage, name) for name in _PARTS}
    split = _dict(usage.get("cache_creation"))
    out["cache_creation"] = {name: _number(split, name) for name in _SPLIT}
    if isinstance(usage.get("iterations"), list):
        out["iterations"] = [
            {"type": str(entry.get("type", ""))[:32], **{name: _number(entry, name) for name in _PARTS}}
            for entry in entries(usage)
        ]
    return out


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    return value if isinstance(value, int) and 0 < value <= _MOST_TOKENS else 0
