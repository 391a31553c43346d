"""What the prompt cache can keep of a composed request: its tools and system, up to the last breakpoint in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from claude_operator.core.request.breakpoints import Breakpoint

__all__ = ["LARGEST", "LISTS", "Block", "Part", "Prompt", "Shape", "prompt_of", "shape_of"]

LISTS = ("tools", "system")  # in the order in which the API caches them
_DIGEST = 8  # bytes
_SAMPLE = 2048  # bytes of the beginning and of the end of a client's block that are kept for a comparison
_SAMPLES = 4 * _SAMPLE  # of all blocks of a request together
_MOST_BLOCKS = 256  # that are compared one by one
LARGEST = 1 << 20
"""Bytes of tools and system up to which requests are compared: it takes time, and few are larger."""
_LISTED = b"["

_items = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Part:
    """A system block or tool: its JSON with and without its breakpoint, and whose it is.

    A list of the client's that has no breakpoint, and that the revision adds nothing to, is one part.
    """

    raw: bytes
    plain: bytes
    ttl: str | None = None
    name: str | None = None
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tools and system as they go upstream, and where the breakpoints are that stay."""

    lists: Mapping[str, Sequence[Part]]
    marks: tuple[int, ...]
    """Places of breakpoints among the parts of both lists."""
    lost: tuple[int, ...]
    """Places where the revision has a breakpoint that gave way to the client's."""
    in_messages: bool
    """Whether a breakpoint stands in messages, or the automatic one, which falls on the last message."""
    key: int
    """Stands, in this process, for the parts up to the last mark, for all of them where there is none; 0 where they are
    larger than `LARGEST`."""
    size: int
    """Bytes of those parts; 0: there are none."""


class Block(NamedTuple):
    """One tool or system block. `text` holds what is kept of a client's: its beginning and its end."""

    where: str
    place: int
    ours: bool
    digest: bytes
    text: bytes = b""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the next call's prefix is compared with."""

    model: str
    blocks: tuple[Block, ...]
    """Those before the last breakpoint in the lists, all where there is none."""
    lost: tuple[int, ...]
    """Numbers of blocks with a breakpoint of the revision's that gave way to the client's."""

    @property
    def name(self) -> str:
        """Stands for tools and system up to there: the same in every process."""
        blocks = [b"%s %s" % (block.where.encode(), block.digest) for block in self.blocks]
        return _digest(b";".join(blocks)).hex() if blocks else ""


def prompt_of(lists: Mapping[str, Sequence[Part]], kept: Iterable[Breakpoint], lost: Iterable[Breakpoint]) -> Prompt:
    """The prompt of lists in their final order, with the breakpoints that stay and those that the client displaced."""
    points = _places(lists)
    marks = tuple(sorted(points[point] for point in kept if point in points))
    end = marks[-1] + 1 if marks else None
    parts = [part for name in LISTS for part in lists.get(name, ())][:end]
    size = sum(len(part.plain) for part in parts)
    tools = min(len(lists.get("tools", ())), len(parts))
    return Prompt(
        lists=lists,
        marks=marks,
        lost=tuple(sorted(points[point] for point in lost if point in points)),
        in_messages=any(point.where not in LISTS for point in kept),
        key=hash((tools, *(part.plain for part in parts))) if size <= LARGEST else 0,
        size=size,
    )


def shape_of(model: str, prompt: Prompt) -> Shape:
    """What is kept of a prompt for a comparison: hashes, and of the client's blocks a little text."""
    blocks: list[Block] = []
    lost: list[int] = []
    left, place = _SAMPLES, -1
    placed = [(name, part) for name in LISTS for part in prompt.lists.get(name, ())]
    end = prompt.marks[-1] + 1 if prompt.marks else None
    for number, (name, part) in enumerate(placed[:end]):
        if number in prompt.lost:
            lost.append(len(blocks))
        for data in _elements(part):
            place = place + 1 if blocks and blocks[-1].where == name else 0
            text = b"" if part.ours else _sample(data, left)
            left -= len(text)
            blocks.append(Block(name, place, part.ours, _digest(part.plain if part.ours else _canonical(data)), text))
        if len(blocks) >= _MOST_BLOCKS:
            break
    return Shape(model, tuple(blocks), tuple(lost))


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST).digest()


def _places(lists: Mapping[str, Sequence[Part]]) -> dict[Breakpoint, int]:
    """The breakpoints of the lists, numbered as `list_breakpoints` does, and their places among all parts."""
    places: dict[Breakpoint, int] = {}
    offset = 0
    for name in LISTS:
        number = {True: -1, False: -1}
        for place, part in enumerate(lists.get(name, ())):
            number[part.ours] += 1
            if part.ttl:
                places[Breakpoint(name, number[part.ours], part.ttl, part.ours)] = offset + place
        offset += len(lists.get(name, ()))
    return places


def _elements(part: Part) -> Sequence[bytes]:
    """A part's blocks: itself, or those of the list that it stands for."""
    if part.ours or not part.raw.startswith(_LISTED):
        return (part.plain,)
    try:
        return [bytes(item) for item in _items.decode(part.raw)]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return (part.plain,)


def _canonical(data: bytes) -> bytes:
    """A client's block without spaces and without its breakpoint: moving one changes nothing that is cached."""
    try:
        block: Any = msgspec.json.decode(data)
        if isinstance(block, dict):
            block.pop("cache_control", None)
        return msgspec.json.encode(block)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError):
        return data


def _sample(data: bytes, left: int) -> bytes:
    kept = data if len(data) <= 2 * _SAMPLE else data[:_SAMPLE] + data[-_SAMPLE:]
    return kept if len(kept) <= left else b""
