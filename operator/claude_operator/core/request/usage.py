"""`usage` of an answer: of a stream, which gives it at its start and again, cumulative, in every `message_delta`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["merge_usage", "split_writes"]

_HOUR = "1h"


def merge_usage(known: dict[str, Any], newer: Mapping[str, Any]) -> None:
    """Update `known`: the last value holds, but a zero or null takes nothing back."""
    for name, value in newer.items():
        old = known.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            known[name] = old | {part: count for part, count in value.items() if count or old.get(part) is None}
        elif value or (old is None and value is not None):
            known[name] = value


def split_writes(usage: dict[str, Any], ttl: str) -> None:
    """Say for how long cache writes are where the API does not: for `ttl`, the longest that the request asked for.

    Five minutes is what a write counts as that nothing is said of.
    """
    if ttl != _HOUR:
        return
    iterations = usage.get("iterations")
    for entry in (usage, *(iterations if isinstance(iterations, list) else ())):
        if isinstance(entry, dict) and entry.get("cache_creation_input_tokens") and not _is_split(entry):
            entry["cache_creation"] = {"ephemeral_1h_input_tokens": entry["cache_creation_input_tokens"]}


def _is_split(entry: Mapping[str, Any]) -> bool:
    split = entry.get("cache_creation")
    return isinstance(split, dict) and any(split.values())
