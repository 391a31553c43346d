"""What a later request of a conversation quotes of it: the answers that its client was given.

An answer is known by its last tool use, whose id nobody else has, or else by its text together with the user message
before it. White space is left out, as are thinking blocks, which clients drop, and the places of cache breakpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import TypeVar

import msgspec

__all__ = ["Answer", "Block", "Turns", "blocks_of", "count_turns", "read_turns"]


_PIECE = 1 << 16  # characters whose words are taken apart at once


class Block(msgspec.Struct):
    """The fields that are read of a content block."""

    type: str = ""
    id: str | None = None
    text: str | None = None


class _Part(msgspec.Struct):
    """The fields that are read of a block of a user message: those that tell it from others, and no large ones."""

    type: str = ""
    text: str | None = None
    tool_use_id: str | None = None
    source: msgspec.Raw = msgspec.Raw(b"")


class _Message(msgspec.Struct):
    role: str = ""
    content: msgspec.Raw = msgspec.Raw(b"null")


class _Role(msgspec.Struct):
    role: str = ""


T = TypeVar("T")

_messages = msgspec.json.Decoder(list[_Message])
_roles = msgspec.json.Decoder(list[_Role])
_blocks = msgspec.json.Decoder(str | list[Block])
_parts = msgspec.json.Decoder(str | list[_Part])


class Answer:
    """An answer, taken in piece by piece; `begun` is the assistant turn that the request ended with."""

    __slots__ = ("_base", "_has_text", "_hash", "_tool")

    def __init__(self, base: blake2b, question: bytes, begun: Iterable[Block] = ()) -> None:
        self._base = base
        self._hash = base.copy()
        self._hash.update(b"%d\0" % len(question) + question)
        self._has_text = False
        self._tool = ""
        for block in begun:
            self.add(block)

    def add(self, block: Block) -> None:
        """Take in a block."""
        if block.type.endswith("tool_use") and block.id:
            self._tool = block.id
        elif block.type == "text" and block.text:
            self.add_text(block.text)

    def add_text(self, text: str) -> None:
        """Take in more of its text."""
        words = _words(text)
        if words:
            self._has_text = True
            self._hash.update(words)

    def digest(self) -> int | None:
        """What it is known by, None where it said nothing that a client would send back."""
        found = self._hash
        if self._tool:
            found = self._base.copy()
            found.update(b"tool\0" + self._tool.encode("utf-8", "surrogatepass"))
        elif not self._has_text:
            return None
        return int.from_bytes(found.digest())


@dataclass(frozen=True, slots=True)
class _Turn:
    """What an assistant said at once, and the user message before it."""

    question: msgspec.Raw
    contents: list[msgspec.Raw]

    def digest(self, base: blake2b) -> int | None:
        try:
            answer = Answer(base, _told(self.question))
            for content in self.contents:
                for block in blocks_of(content):
                    answer.add(block)
        except msgspec.MsgspecError:
            return None
        return answer.digest()


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns of a request. `begun`: the assistant turn that it ends with, to be continued."""

    answers: Sequence[_Turn]
    question: msgspec.Raw
    """The last user message."""
    begun: _Turn | None

    @property
    def count(self) -> int:
        """Answers that were given before."""
        return len(self.answers)

    def quotes(self, base: blake2b) -> Iterator[int]:
        """Digests of the answers that tell most of whose conversation it is: the last ones, then the first."""
        wanted = [self.begun, *self.answers[-1:], *(self.answers[:1] if len(self.answers) > 1 else ())]
        found = (turn.digest(base) for turn in wanted if turn is not None)
        return (digest for digest in found if digest is not None)

    def answer(self, base: blake2b) -> Answer | None:
        """The answer to come, to be taken in; None where the request cannot be read."""
        try:
            begun = [block for content in self.begun.contents for block in blocks_of(content)] if self.begun else ()
            return Answer(base, _told(self.question), begun)
        except msgspec.MsgspecError:
            return None


def read_turns(body: Mapping[str, msgspec.Raw]) -> Turns:
    """The turns of a request; none of one that the API refuses."""
    turns: list[_Turn] = []
    question, last = msgspec.Raw(b"null"), ""
    for message in _decode(_messages, body):
        if message.role == "assistant" and last == "assistant":
            turns[-1].contents.append(message.content)
        elif message.role == "assistant":
            turns.append(_Turn(question, [message.content]))
        elif message.role == "user":
            question = message.content
        last = message.role
    begun = turns.pop() if last == "assistant" else None
    return Turns(turns, question, begun)


def count_turns(body: Mapping[str, msgspec.Raw]) -> int:
    """The number of answers that a request has, without reading them."""
    roles = [message.role for message in _decode(_roles, body)]
    return sum(role == "assistant" and after != "assistant" for role, after in pairwise(roles))


def blocks_of(content: msgspec.Raw | bytes | bytearray) -> Sequence[Block]:
    """The blocks of a message's content; raises what decoding raises."""
    blocks = _blocks.decode(content)
    return [Block("text", text=blocks)] if isinstance(blocks, str) else blocks


def _told(question: msgspec.Raw) -> bytes:
    """What a user message says, of an image or a document its size alone."""
    found = _parts.decode(question)
    parts = [_Part("text", found)] if isinstance(found, str) else found
    told = (
        b"%b %b %b %d" % (part.type.encode(), _words(part.text or ""), _words(part.tool_use_id or ""), len(part.source))
        for part in parts
    )
    return b"\0".join(told)


def _words(text: str) -> bytes:
    """Without white space. Piece by piece: a list of all words of a large body takes twenty times its memory."""
    pieces = (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
    return b"".join("".join(piece.split()).encode("utf-8", "surrogatepass") for piece in pieces)


def _decode(decoder: msgspec.json.Decoder[list[T]], body: Mapping[str, msgspec.Raw]) -> list[T]:
    try:
        return decoder.decode(body["messages"]) if "messages" in body else []
    except msgspec.MsgspecError:
        return []
