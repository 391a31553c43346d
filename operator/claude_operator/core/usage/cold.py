"""Why a call found less in the prompt cache than it could have: the call is compared with those before it.

What happens once is no cause: the first call of a process or a revision, the first of a prefix that comes back, and
calls that began together with the one that fills the cache.
"""

from __future__ import annotations

import re
from collections import Counter
from enum import StrEnum
from itertools import zip_longest
from typing import NamedTuple

import msgspec

from claude_operator.core.request.prefix import LISTS, Block, Shape

__all__ = ["HOUR", "TTL", "Cause", "Change", "Placement", "Seen", "Tokens", "compare", "find_cause", "lost_tokens"]

HOUR = 3600.0
TTL = {"5m": 300.0, "1h": HOUR}
_AROUND = 40  # bytes on either side of the first difference that are looked at
_UNKNOWN_MINIMUM = 1024  # tokens; of a model that the catalogue does not know
_SHORT = 1.5  # a prompt with breakpoints that is neither read nor written has at most this many times the minimum


class Cause(StrEnum):
    """Why something was not read from the cache."""

    VOLATILE_TEXT = "VolatileText"
    """A client's block before a breakpoint differs from call to call."""
    TOOLS_REORDERED = "ToolsReordered"
    TOOLS_CHANGED = "ToolsChanged"
    CLIENT_BLOCK_FIRST = "ClientBlockFirst"
    """A client's block that differs stands before the revision's."""
    BREAKPOINT_DROPPED = "BreakpointDropped"
    """The revision's breakpoint gave way to the client's: there are four at most."""
    PREFIX_UNMARKED = "PrefixUnmarked"
    """The only breakpoints are in messages, which conversations do not share."""
    TTL_TOO_SHORT = "TTLTooShort"
    UNDER_MINIMUM = "UnderMinimum"
    MODEL_CHANGED = "ModelChanged"
    MESSAGES_CHANGED = "MessagesChanged"
    """The API says that a conversation's earlier messages are not those that it had before."""
    NOT_CACHED = "NotCached"
    """There is no cache_control."""
    UNEXPLAINED = "Unexplained"


class Change(NamedTuple):
    """The first difference between two prefixes. `hint`: what the differing text looks like, never the text."""

    cause: Cause
    where: str = ""
    hint: str = ""


class Seen(NamedTuple):
    """What was known of a call's prefix when the call went upstream."""

    first: bool = False
    """No call came before on the same revision, surface and subagent."""
    gap: float | None = None
    """Seconds since the last call with this prefix; None where there was none."""
    warming: bool = False
    """That call's answer had not begun, so that nothing could be read yet."""
    change: Change | None = None
    """The first difference from the call before; None where there is none."""


class Tokens(NamedTuple):
    """A call's prompt, in tokens. `prefix` is an estimate of tools and system up to the last breakpoint."""

    read: int
    written: int
    prefix: int
    minimum: int | None
    missed: int = 0
    """What the API itself says was missed, where it does."""


class Placement(NamedTuple):
    """The breakpoints of a call."""

    in_lists: bool
    in_messages: bool
    lost: bool
    """Whether one of the revision's gave way."""
    ttl: str = "5m"

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return self.in_lists or self.in_messages


_API = {
    "model_changed": Cause.MODEL_CHANGED,
    "tools_changed": Cause.TOOLS_CHANGED,
    "system_changed": Cause.VOLATILE_TEXT,
    "messages_changed": Cause.MESSAGES_CHANGED,
}
_PREFIX_ONLY = (Cause.NOT_CACHED, Cause.PREFIX_UNMARKED)  # what the conversation adds would be written anyway
_FINER = {
    Cause.TOOLS_CHANGED: {Cause.TOOLS_REORDERED, Cause.CLIENT_BLOCK_FIRST, Cause.BREAKPOINT_DROPPED},
    Cause.VOLATILE_TEXT: {Cause.CLIENT_BLOCK_FIRST, Cause.BREAKPOINT_DROPPED},
}


def find_cause(seen: Seen, placed: Placement, tokens: Tokens, said: str = "") -> Cause | None:
    """Why the call found less than it could have; None where it did not, or where that happens once only.

    `said` is the API's own `diagnostics.cache_miss_reason.type`, which wins unless the comparison says the same in more
    detail.
    """
    own = _compared(seen, placed, tokens)
    told = _API.get(said)
    if told is None or (tokens.read and not tokens.written):
        return own
    return own if own in _FINER.get(told, ()) else told


def lost_tokens(cause: Cause, tokens: Tokens) -> int:
    """Tokens that could have been read: what was written again, or what nothing was done with."""
    if tokens.missed:
        return tokens.missed
    return tokens.prefix if cause in _PREFIX_ONLY or not tokens.written else tokens.written


def _compared(seen: Seen, placed: Placement, tokens: Tokens) -> Cause | None:
    minimum = tokens.minimum if tokens.minimum is not None else _UNKNOWN_MINIMUM
    if not placed.any:
        return Cause.NOT_CACHED if tokens.prefix >= minimum and not seen.first else None
    if not tokens.written:
        return None if tokens.read or not placed.in_lists else _silent(tokens, minimum)
    if seen.first or seen.warming:
        return None
    if seen.gap is None:
        return seen.change.cause if seen.change else None
    if tokens.read:
        return None  # the prefix was there, and the conversation went on
    return _expired(seen.gap, placed, tokens, minimum)


def _silent(tokens: Tokens, minimum: int) -> Cause:
    """Why a prompt with a breakpoint was neither read nor written: the API passes over short ones."""
    return Cause.UNDER_MINIMUM if tokens.prefix < _SHORT * minimum else Cause.UNEXPLAINED


def _expired(gap: float, placed: Placement, tokens: Tokens, minimum: int) -> Cause | None:
    """Why a prefix that was there is not there any more."""
    if gap > HOUR:
        return None  # no entry lives that long: a quiet time
    if gap > TTL.get(placed.ttl, HOUR):
        return Cause.TTL_TOO_SHORT
    if placed.in_lists:
        return Cause.UNEXPLAINED
    if placed.lost:
        return Cause.BREAKPOINT_DROPPED
    return Cause.PREFIX_UNMARKED if tokens.prefix >= minimum else None


def compare(before: Shape, now: Shape) -> Change | None:
    """What changed first, in the order of the cache; None where all blocks that both have are the same."""
    if before.model != now.model:
        return Change(Cause.MODEL_CHANGED)
    pairs = zip_longest(before.blocks, now.blocks)
    number = next((number for number, (one, other) in enumerate(pairs) if not _is_same(one, other)), None)
    if number is None:
        return None
    old = before.blocks[number] if number < len(before.blocks) else None
    new = now.blocks[number] if number < len(now.blocks) else None
    changed = min((block for block in (new, old) if block), key=lambda block: LISTS.index(block.where))
    where = f"{changed.where}[{changed.place}]"
    if any(place < number for place in now.lost):
        return Change(Cause.BREAKPOINT_DROPPED, where)
    if changed.where == "tools" and _tools(before) == _tools(now):
        return Change(Cause.TOOLS_REORDERED, where)
    behind = (block.ours for block in now.blocks[number:] if block.where == changed.where)
    if any(behind):  # a revision's own blocks are the same in all calls
        return Change(Cause.CLIENT_BLOCK_FIRST, where, _hint(old, new))
    if changed.where == "tools":
        return Change(Cause.TOOLS_CHANGED, where, _hint(old, new))
    return Change(Cause.VOLATILE_TEXT, where, _hint(old, new))


def _is_same(one: Block | None, other: Block | None) -> bool:
    return one is not None and other is not None and (one.where, one.digest) == (other.where, other.digest)


def _tools(shape: Shape) -> Counter[bytes]:
    return Counter(block.digest for block in shape.blocks if block.where == "tools")


_LOOKS = (
    ("a UUID", re.compile(rb"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")),
    ("a time of day", re.compile(rb"\b\d{1,2}:\d{2}(?::\d{2})?")),
    ("a date", re.compile(rb"\b\d{4}-\d{2}-\d{2}|\b\d{1,2}[./]\d{1,2}[./]\d{4}")),
    ("a timestamp", re.compile(rb"\b1[5-9]\d{8}(?:\d{3})?\b")),
    ("a request id", re.compile(rb"\b(?:req|trace|session|msg)[_-][0-9A-Za-z_-]+")),
    ("a random token", re.compile(rb"\b[0-9a-f]{16,}\b")),
    ("an e-mail address", re.compile(rb"[\w.+-]+@[\w-]+\.[\w.]+")),
    ("a number", re.compile(rb"\b\d+\b")),
)
_STAMP = re.compile(rb"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}")


def _hint(old: Block | None, new: Block | None) -> str:
    """What the first differing text looks like; empty where nobody can tell."""
    if old is None or new is None or not old.text or not new.text:
        return ""
    if _same_json(old.text, new.text):
        return "the same JSON with its keys in another order"
    place = _first_difference(old.text, new.text)
    looks = _look(new.text, place)
    return f"looks like {looks}" if looks and looks == _look(old.text, place) else ""


def _look(text: bytes, place: int) -> str:
    begin = max(0, place - _AROUND)
    around, at = text[begin : place + _AROUND], place - begin
    if any(match.start() <= at <= match.end() for match in _STAMP.finditer(around)):
        return "a timestamp"
    for name, pattern in _LOOKS:
        if any(match.start() <= at <= match.end() for match in pattern.finditer(around)):
            return name
    return ""


def _first_difference(old: bytes, new: bytes) -> int:
    return next(
        (place for place, (one, other) in enumerate(zip(old, new, strict=False)) if one != other),
        min(len(old), len(new)),
    )


def _same_json(old: bytes, new: bytes) -> bool:
    try:
        return bool(msgspec.json.decode(old) == msgspec.json.decode(new))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # a sample may end within a character
        return False
