"""`usage` of a streamed answer: given at its start, and again, cumulative, in every `message_delta`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["merge_usage"]


def merge_usage(known: dict[str, Any], newer: Mapping[str, Any]) -> None:
    """Update `known`: the last value holds, but a zero or null takes nothing back."""
    for name, value in newer.items():
        old = known.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            known[name] = old | {part: count for part, count in value.items() if count or old.get(part) is None}
        elif value or (old is None and value is not None):
            known[name] = value
