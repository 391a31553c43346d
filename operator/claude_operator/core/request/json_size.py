"""How many values a JSON text holds, found without reading it: each takes many times its size once it is read."""

from __future__ import annotations

import re

__all__ = ["holds_more_values"]

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)  # keeps no place to come back to, however long the string


def holds_more_values(data: bytes | bytearray, most: int) -> bool:
    """Whether more than `most` values stand in lists and objects; commas within strings separate none."""
    if data.count(b",") <= most:
        return False
    found = end = 0
    for string in _STRING.finditer(data):
        found += data.count(b",", end, string.start())
        if found > most:
            return True
        end = string.end()
    return found + data.count(b",", end) > most
