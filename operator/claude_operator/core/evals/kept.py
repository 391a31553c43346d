"""Answers that are kept: their keys, and the batches that they are stored in.

A batch is a compressed list of values by key, written whole or not at all, under a name that says when it was made and
what is in it. Whatever is wrong with one, a reader passes over it: the question is then asked again.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Container, Iterable, Mapping
from typing import Any

import msgspec

from claude_operator.core.evals.outcomes import Answer
from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import Composed, PreparedArm, compose

__all__ = [
    "BATCH_BYTES",
    "SLOTS",
    "SLOT_BYTES",
    "answer_key",
    "batch_age",
    "batch_name",
    "first_request",
    "grade_key",
    "is_wanted",
    "oldest_first",
    "pack_answer",
    "pack_batch",
    "read_answer",
    "read_batch",
    "request_digest",
    "slot_names",
]

SLOTS = 4
SLOT_BYTES = 900_000  # bytes of batches in a slot; a Secret holds 1 MiB
BATCH_BYTES = 200_000  # bytes of one batch at most
_UNPACKED = 32 << 20  # bytes of a batch, unpacked, at most
_VERSION = b"kept-1\0"
_GRADE = b"g"
_GRADE_KEY = 35  # bytes
_NAME = re.compile(r"([0-9]{10,12})-[0-9a-f]{16}")
_encoder = msgspec.msgpack.Encoder()
_batch = msgspec.msgpack.Decoder(dict[bytes, bytes])
_answer = msgspec.json.Decoder(Answer)


def slot_names(set_name: str) -> tuple[str, ...]:
    """The names of the Secrets that hold what is kept for a set."""
    return tuple(f"{set_name}-eval-answers-{number}" for number in range(SLOTS))


def first_request(arm: PreparedArm, item: Item, *, stream: bool = True) -> Composed:
    """The request that an item begins with; without `stream` as a batch takes it."""
    body = {"messages": msgspec.Raw(item.messages)}
    if stream:
        body["stream"] = msgspec.Raw(b"true")
    return compose(arm, body, subagent=item.subagent)


def request_digest(url: str, arm: PreparedArm, item: Item) -> bytes:
    """What an answer depends on, but the epoch: where it is asked, the request as sent, and the item's tool loop."""
    composed = first_request(arm, item)
    hashed = hashlib.sha256(_VERSION)
    loop = (item.max_turns, sorted(item.tool_results.items())) if item.max_turns > 1 else None
    for part in (url, item.id, ",".join(composed.betas), loop, composed.body):
        data = part if isinstance(part, bytes) else msgspec.json.encode(part)
        hashed.update(len(data).to_bytes(8) + data)
    return hashed.digest()


def answer_key(digest: bytes, epoch: int) -> bytes:
    """The key of the answer in one epoch to what has this `request_digest`."""
    return digest + epoch.to_bytes(2)


def grade_key(digest: bytes, vote: int) -> bytes:
    """The key of a grader's answer; `digest` is its request's."""
    return _GRADE + answer_key(digest, vote)


def is_wanted(key: bytes, digests: Container[bytes]) -> bool:
    """Whether a key is of one of these requests, or of a grade: what will be graded is not known before."""
    return key[:-2] in digests or (key[:1] == _GRADE and len(key) == _GRADE_KEY)


def pack_answer(answer: Answer) -> bytes | None:
    """An answer as bytes; None where it holds what JSON cannot, such as half a surrogate pair."""
    try:
        return msgspec.json.encode(answer)
    except (UnicodeEncodeError, OverflowError, RecursionError):
        return None


def read_answer(data: bytes) -> Answer | None:
    """The answer, None where it cannot be read, as after an upgrade."""
    try:
        return _answer.decode(data)
    except msgspec.MsgspecError:
        return None


def batch_name(made: float, data: bytes) -> str:
    """Of a packed batch that was made at `made` (seconds since the epoch)."""
    return f"{int(made):010d}-{hashlib.sha256(data).hexdigest()[:16]}"


def batch_age(name: str, now: float) -> float | None:
    """Seconds since a batch was made, None where this is not the name of one."""
    found = _NAME.fullmatch(name)
    return now - int(found[1]) if found else None


def pack_batch(values: Mapping[bytes, bytes]) -> bytes:
    return zlib.compress(_encoder.encode(dict(values)), 6)


def read_batch(data: bytes) -> dict[bytes, bytes]:
    """The values of a packed batch; nothing where it is damaged, or larger than any that is written."""
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(data, _UNPACKED)
        return _batch.decode(plain) if stream.eof else {}
    except (zlib.error, msgspec.MsgspecError, RecursionError):
        return {}


def oldest_first(sizes: Mapping[Any, Mapping[str, int]]) -> Iterable[tuple[Any, str]]:
    """All batches of all slots, `sizes` in bytes by slot and name, the oldest first."""
    return sorted(((slot, name) for slot, names in sizes.items() for name in names), key=lambda one: (one[1], one[0]))
