"""Cache breakpoints of one request: at most four, and those of an hour before those of five minutes.

Order of the prefix: tools, system, messages; an automatic breakpoint (top-level `cache_control`) is the last of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

__all__ = [
    "LIMIT",
    "MARKER",
    "Breakpoint",
    "breakpoint_ttl",
    "keep_breakpoints",
    "longest_ttl",
    "message_breakpoints",
]

LIMIT = 4
MARKER = b"cache_control"
_HOUR = "1h"
_DEEPEST = 8  # lists and objects within one another that are looked at; the API has five


class Breakpoint(NamedTuple):
    """A breakpoint: the field and the place in it, how long its entry lives, and whether the revision set it."""

    where: str
    place: int
    ttl: str
    ours: bool

    @property
    def label(self) -> str:
        """The name that `x-claude-overridden` gives it."""
        return "cache_control" if self.where == "cache_control" else f"{self.where}[{self.place}].cache_control"


_NOTHING = msgspec.Raw(b"null")


class _Message(msgspec.Struct):
    content: msgspec.Raw = _NOTHING


class _Block(msgspec.Struct):
    """What is read of a block. Where it may hold others: `input` of a tool use is free, whatever it looks like."""

    cache_control: Any = None
    content: msgspec.Raw = _NOTHING
    source: msgspec.Raw = _NOTHING
    tool: msgspec.Raw = _NOTHING
    definition: msgspec.Raw = _NOTHING
    tool_references: msgspec.Raw = _NOTHING


_messages = msgspec.json.Decoder(list[_Message])
_blocks = msgspec.json.Decoder(list[_Block])
_block = msgspec.json.Decoder(_Block)


def breakpoint_ttl(control: Any) -> str | None:
    """The ttl of a `cache_control` value (the API's default is 5m), None where it sets none."""
    return str(control.get("ttl") or "5m") if isinstance(control, dict) else None


def keep_breakpoints(points: Sequence[Breakpoint], *, last_is_marked: bool = False) -> list[Breakpoint]:
    """What stays of `points`, given in prefix order. Only the revision's are given up, its earliest first.

    `last_is_marked`: the last message block carries a breakpoint; the revision's automatic one would fall on it.
    """
    kept = [point for point in points if not (point.ours and point.where == "cache_control" and last_is_marked)]
    kept = [
        point for number, point in enumerate(kept) if not (_after_short(kept[:number]) and point.ours and _long(point))
    ]
    kept = [
        point
        for number, point in enumerate(kept)
        if not (point.ours and not _long(point) and any(map(_long, kept[number + 1 :])))
    ]
    while len(kept) > LIMIT and any(point.ours for point in kept):
        kept.remove(next(point for point in kept if point.ours))
    return kept


def longest_ttl(points: Iterable[Breakpoint]) -> str:
    """How long the entries live that a request with these writes, the longest of them; 5m where it has none."""
    return _HOUR if any(map(_long, points)) else "5m"


def _long(point: Breakpoint) -> bool:
    return point.ttl == _HOUR


def _after_short(earlier: Sequence[Breakpoint]) -> bool:
    """Whether the client set a five-minute breakpoint before: it stays, so no hour of ours may follow."""
    return any(not point.ours and not _long(point) for point in earlier)


def message_breakpoints(raw: msgspec.Raw | None) -> tuple[list[Breakpoint], bool]:
    """The breakpoints in `messages`, and whether the last block of all carries one. Unreadable messages have none."""
    if raw is None or MARKER not in bytes(raw):
        return [], False
    ttls: list[str] = []
    last = False
    try:
        for message in _messages.decode(raw):
            last = _collect(message.content, ttls, _DEEPEST)
    except msgspec.MsgspecError:
        return [], False
    return [Breakpoint("messages", number, ttl, False) for number, ttl in enumerate(ttls)], last


def _collect(value: msgspec.Raw, ttls: list[str], deepest: int) -> bool:
    """Add the ttls of blocks, or of one, in order; returns whether the last carries one. Copies nothing."""
    kind = bytes(memoryview(value)[:1])
    if not deepest or kind not in (b"[", b"{"):
        return False
    try:
        blocks = _blocks.decode(value) if kind == b"[" else [_block.decode(value)]
    except msgspec.MsgspecError:
        return False
    ttl = None
    for block in blocks:
        for inner in (block.content, block.source, block.tool, block.definition, block.tool_references):
            if inner is not _NOTHING:
                _collect(inner, ttls, deepest - 1)
        ttl = breakpoint_ttl(block.cache_control)
        if ttl:
            ttls.append(ttl)
    return ttl is not None
