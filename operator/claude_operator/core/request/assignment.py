"""What a conversation is known by, and which arm its name draws: pure, and the same in every gateway replica.

A name's cohort is permanent. A canary owns the cohorts whose rank in a permutation of its own lies below its weight, so
the next canary begins with other people. The key that a cohort is drawn from is a hash with a secret of the server's,
so that no client can choose a name for its arm.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b, shake_256
from typing import Any

import msgspec

from claude_operator.api.gateway import BASIS_POINTS
from claude_operator.core.request.privacy import identity, without_session

__all__ = [
    "Assignment",
    "cohort",
    "conversation_name",
    "in_canary",
    "is_named",
    "metadata_user_id",
    "opening_name",
    "rank",
    "user_name",
]

_LONGEST_USER = 4096  # characters; the API refuses far shorter ones
_LONGEST_NAME = 1024  # characters that are kept as they are
_BY_OPENING = "conversation:"
_WORD = 8  # bytes of a hash that stand for one number
_KEY = 16  # bytes of a hash that stand for a conversation


class _Turn(msgspec.Struct):
    role: str
    content: msgspec.Raw = msgspec.Raw(b"null")


class _Metadata(msgspec.Struct):
    user_id: str | None = None


_turns = msgspec.json.Decoder(list[_Turn])
_metadata = msgspec.json.Decoder(_Metadata)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What conversations are drawn with. `secret` is the same in all replicas, at most 64 bytes; empty on a laptop."""

    secret: bytes = field(default=b"", repr=False)

    @property
    def mark(self) -> str:
        """Tells one secret from another without telling it; empty where there is none."""
        return self._hash("mark", _WORD) if self.secret else ""

    def caller(self, api_key: str) -> str:
        """Who shows this API key."""
        return self._hash(f"caller\0{api_key}", _WORD)

    def key(self, name: str | None, caller: str = "") -> str | None:
        """The assignment key of a conversation that `caller` gave this name; without a secret the name, if not long."""
        if name is None or (not self.secret and len(name) <= _LONGEST_NAME):
            return name
        kind, _, _ = name.partition(":")
        drawn = self._hash(f"conversation\0{caller}\0{name}", _KEY)
        return f"{kind}:{drawn}"

    def digest(self, uid: str, name: str) -> int:
        """16 bytes that stand for a conversation of the deployment with this UID, and tell nothing of its name."""
        return int(self._hash(f"digest\0{uid}\0{name}", _KEY), 16)

    def quoting(self, uid: str, caller: str) -> blake2b:
        """A hash to begin with for what answers to this caller say."""
        return blake2b(f"quote\0{uid}\0{caller}\0".encode("utf-8", "surrogatepass"), digest_size=_WORD, key=self.secret)

    def _hash(self, text: str, size: int) -> str:
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size, key=self.secret).hexdigest()


def cohort(uid: str, key: str) -> int:
    """The cohort, 0 to 9999, of an assignment key in the deployment with this UID."""
    digest = blake2b(f"{uid}\0{key}".encode("utf-8", "surrogatepass"), digest_size=_WORD).digest()
    return int.from_bytes(digest) % BASIS_POINTS


@lru_cache(maxsize=64)
def rank(seed: str) -> Sequence[int]:
    """The rank of every cohort in a permutation of 0..9999 drawn from `seed`, a canary's revision name (2 ms once)."""
    stream = shake_256(seed.encode()).digest(_WORD * BASIS_POINTS)
    order = sorted(range(BASIS_POINTS), key=lambda number: (stream[_WORD * number : _WORD * (number + 1)], number))
    ranks = [0] * BASIS_POINTS
    for position, number in enumerate(order):
        ranks[number] = position
    return tuple(ranks)


def in_canary(uid: str, key: str, canary_revision: str, weight: int) -> bool:
    """Whether the canary at `weight` basis points answers the conversation `key`."""
    return rank(canary_revision)[cohort(uid, key)] < weight


def conversation_name(session: str, user_id: str) -> str | None:
    """The name that a client gives a conversation: the session header, else the session that `metadata.user_id` names.

    None without either: a user is not a conversation.
    """
    named = session or identity(user_id).session
    return f"session:{named}" if named else None


def user_name(user: str, user_id: str) -> str | None:
    """The name of who asks: the header x-claude-user, else `metadata.user_id` without its session."""
    named = user or without_session(user_id)
    return f"user:{named}" if named else None


def opening_name(body: Mapping[str, msgspec.Raw], caller: str) -> str | None:
    """What all later requests of a conversation without a name repeat: the caller's key with the first user message.

    None for a first turn: equal questions of many people are not one conversation.
    """
    opening = _opening(body)
    if opening is None:
        return None
    secret = blake2b(caller.encode("utf-8", "surrogatepass") + b"\0", digest_size=16)
    secret.update(opening)
    return f"{_BY_OPENING}{secret.hexdigest()}"


def is_named(key: str | None) -> bool:
    """Whether an assignment key is a name that the client gave: its first turn has the same as all later ones."""
    return key is not None and not key.startswith(_BY_OPENING)


def metadata_user_id(body: Mapping[str, msgspec.Raw]) -> str | None:
    """`metadata.user_id` as the client sent it, None where there is none, or one so long that the API refuses it."""
    raw = body.get("metadata")
    if raw is None:
        return None
    try:
        user_id = _metadata.decode(raw).user_id
    except msgspec.MsgspecError:
        return None
    return user_id if user_id is None or len(user_id) <= _LONGEST_USER else None


def _opening(body: Mapping[str, msgspec.Raw]) -> bytes | None:
    """The first user message of a conversation that has an assistant turn, in a form that later turns repeat."""
    raw = body.get("messages")
    if raw is None:
        return None
    try:
        turns = _turns.decode(raw)
        if not any(turn.role == "assistant" for turn in turns):
            return None
        first = next((turn for turn in turns if turn.role == "user"), None)
        return None if first is None else _canonical(first.content)
    except msgspec.MsgspecError:
        return None


def _canonical(content: msgspec.Raw) -> bytes:
    """A message's content in a form that is the same however a client writes it in later turns."""
    plain = _plain(msgspec.json.decode(content))
    try:
        return msgspec.json.encode(plain, order="sorted")
    except OverflowError:  # an integer of more than 64 bits
        return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _plain(content: Any) -> Any:
    """Content without what clients change from turn to turn: the string form and the place of cache breakpoints."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if isinstance(content, list):
        return [_without_breakpoint(block) for block in content]
    return content


def _without_breakpoint(block: Any) -> Any:
    if not isinstance(block, dict):
        return block
    return {name: value for name, value in block.items() if name != "cache_control"}
