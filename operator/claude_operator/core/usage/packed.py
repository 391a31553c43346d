"""Reads a part of the usage record as it is stored: a JSON document in gzip."""

from __future__ import annotations

from typing import TypeVar

from claude_operator.api.faults import decode
from claude_operator.api.packing import unpack

__all__ = ["read_packed"]

T = TypeVar("T")


def read_packed(data: bytes, document: type[T], part: str, *, largest: int) -> T:
    """What was stored as `part`, of at most `largest` bytes unpacked; raises `ValueError` that begins with its name."""
    try:
        text = unpack(data, largest)
    except ValueError as error:
        raise ValueError(f"{part}: {error}") from error
    return decode(text, document, part)
