"""Token counts of a response's `usage`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claude_operator.api.gateway import CacheState
from claude_operator.core.catalogue.cost import cost_usd

__all__ = ["cache_state", "list_price", "loggable", "token_counts"]

_PARTS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_SPLIT = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")


def token_counts(usage: Mapping[str, Any]) -> dict[str, int]:
    """Tokens by kind, as in `Counters.tokens`; with `usage.iterations` the sum of its entries, which is billed."""
    totals = dict.fromkeys(("input", "output", "cacheRead", "cacheWrite5m", "cacheWrite1h"), 0)
    for entry in _entries(usage):
        written = _number(entry, "cache_creation_input_tokens")
        short, long = (_number(_dict(entry.get("cache_creation")), name) for name in _SPLIT)
        totals["input"] += _number(entry, "input_tokens")
        totals["output"] += _number(entry, "output_tokens")
        totals["cacheRead"] += _number(entry, "cache_read_input_tokens")
        totals["cacheWrite5m"] += max(short, written - long)
        totals["cacheWrite1h"] += long
    return totals


def cache_state(tokens: Mapping[str, int]) -> CacheState:
    """Whether a call read from the prompt cache, only wrote to it, or neither."""
    if tokens["cacheRead"]:
        return "read"
    return "write" if tokens["cacheWrite5m"] or tokens["cacheWrite1h"] else "none"


def list_price(model: str, usage: Mapping[str, Any]) -> float | None:
    """US dollars, None where the catalogue has no price or the usage makes no sense."""
    if not usage:
        return None
    try:
        return cost_usd(model, usage)
    except (TypeError, ValueError, AttributeError):
        return None


def loggable(usage: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of `usage` under the API's names, and those of each iteration; never anything else."""
    out: dict[str, Any] = {name: _number(usage, name) for name in _PARTS}
    split = _dict(usage.get("cache_creation"))
    out["cache_creation"] = {name: _number(split, name) for name in _SPLIT}
    if isinstance(usage.get("iterations"), list):
        out["iterations"] = [
            {"type": str(entry.get("type", ""))[:32], **{name: _number(entry, name) for name in _PARTS}}
            for entry in _entries(usage)
        ]
    return out


def _entries(usage: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    iterations = usage.get("iterations")
    if isinstance(iterations, list) and iterations:
        return [entry for entry in iterations if isinstance(entry, dict)]
    return [usage]


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    return value if isinstance(value, int) and value > 0 else 0
