"""How a revision meets a client's request: one pure function for the gateway and for evals.

What the revision declares wins; everything else passes through untouched, known or not, and `messages` keeps its
bytes. `prepare` does once a config what `compose` would else do on each request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec

from claude_operator.api.gateway import Merge
from claude_operator.core.request.breakpoints import (
    MARKER,
    Breakpoint,
    breakpoint_ttl,
    keep_breakpoints,
    longest_ttl,
    message_breakpoints,
)
from claude_operator.core.request.prefix import LISTS, Part, Prompt, prompt_of
from claude_operator.core.request.prepare import (
    MissingName,
    PreparedArm,
    Variant,
    joined,
    list_breakpoints,
    prepare,
    raw_body,
)
from claude_operator.core.request.threads import thread_of
from claude_operator.core.request.unsupported import drop_unsupported

__all__ = ["Composed", "MissingName", "PreparedArm", "compose", "prepare", "raw_body", "warms_cache"]

Body = Mapping[str, msgspec.Raw]

_EMPTY = (b"null", b"[]", b'""')
_LARGE = 1 << 16  # bytes from which a value is not copied into the body
_SMALL = 2048  # bytes up to which two values are also compared by what they mean


class _Settled(NamedTuple):
    """The breakpoints that stay, and those of the revision's that have to go."""

    kept: Sequence[Breakpoint]
    dropped: tuple[Breakpoint, ...]


@dataclass(frozen=True, slots=True)
class Composed:
    """A request as it goes upstream. `overridden` names what the client sent or the revision marked in vain.

    `pieces` make up the body. A large value is not copied: its piece is a view of what the client sent.
    """

    pieces: tuple[bytes | memoryview, ...]
    betas: tuple[str, ...]
    overridden: tuple[str, ...]
    model: str
    stream: bool
    cache_ttl: str = "5m"
    """The longest ttl of its breakpoints."""
    prompt: Prompt | None = None
    """What the cache can keep of tools and system; None where the API has them from an earlier request."""

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return sum(map(len, self.pieces))

    @property
    def body(self) -> bytes:
        """The body in one piece."""
        return b"".join(self.pieces)


class _Item(msgspec.Struct):
    cache_control: dict[str, Any] | None = None
    name: str | None = None


_items = msgspec.json.Decoder(list[msgspec.Raw])
_item = msgspec.json.Decoder(_Item)


def compose(prepared: PreparedArm, body: Body, *, subagent: str | None = None, count_tokens: bool = False) -> Composed:
    """The client's `body` under the arm's revision, as JSON bytes.

    `overridden` holds: a field of the client that the revision replaced by another value, `tools.<name>` for a tool of
    the client's that one of the revision's displaced, `system[i].cache_control` and the like for a breakpoint that
    the revision gave up, what was dropped because the model refuses it, and `x-claude-subagent` where the revision has
    no such subagent (its request is used).
    """
    overridden: list[str] = []
    variant = prepared.variants.get(subagent or "")
    if variant is None:
        overridden.append("x-claude-subagent")
        variant = prepared.variants[""]
    thread = thread_of(body)
    continues = thread is not None and thread.continues
    if continues:  # its system and tools are those that it began with
        variant = replace(variant, lists={}, whole={}, dropped=())
    out = dict(body)
    for name, raw in (variant.counted if count_tokens else variant.fields).items():
        if name == "max_tokens" and warms_cache(body):
            continue
        if name in body and not _same(bytes(body[name]), bytes(raw)):
            overridden.append(name)
        out[name] = raw
    if prepared.arm.overrides.unsupported == "Drop":
        overridden += drop_unsupported(out, variant.takes, variant.fields)
    lists: dict[str, Sequence[Part]] = {}
    for name in LISTS:
        lists[name] = _merged(name, prepared.modes[name], variant, body.get(name), overridden.append)
    points = _settle(lists, variant, body)
    for name, parts in variant.lists.items():
        settled = lists[name] is parts and points.dropped is variant.dropped
        out[name] = variant.whole[name] if settled else joined(name, lists[name], points.dropped)
    for point in points.dropped:
        overridden.append(point.label)
        if point.where == "cache_control":
            out.pop("cache_control", None)
    model, stream = _text(out.get("model")), _true(out.get("stream"))
    is_own = points.kept is variant.kept
    return Composed(
        _pieces(out),
        variant.betas,
        tuple(overridden),
        model,
        stream,
        cache_ttl=variant.cache_ttl if is_own else longest_ttl(points.kept),
        prompt=None if continues else _prompt(lists, variant, points),
    )


def warms_cache(body: Body) -> bool:
    """Whether the client asks for no answer, with `max_tokens: 0`: the prompt is put into the cache and that is all."""
    return "max_tokens" in body and bytes(body["max_tokens"]) == b"0"


def _pieces(fields: Body) -> tuple[bytes | memoryview, ...]:
    """The JSON object of `fields`: the small ones joined, the large ones as they are."""
    pieces: list[bytes | memoryview] = []
    small: list[bytes | memoryview] = [b"{"]
    for name, raw in fields.items():
        value = memoryview(raw)
        small += (b"," if len(small) > 1 or pieces else b"", msgspec.json.encode(name), b":")
        if len(value) > _LARGE:
            pieces += (b"".join(small), value)
            small = []
        else:
            small.append(value)
    return (*pieces, b"".join([*small, b"}"]))


def _merged(
    name: str, mode: Merge, variant: Variant, theirs: msgspec.Raw | None, note: Callable[[str], None]
) -> Sequence[Part]:
    """The parts of a list in their final order. Where the revision has none they matter for their breakpoints only."""
    ours = variant.lists.get(name)
    data = b"null" if theirs is None else bytes(theirs)
    if ours is None:
        return _their_parts(data) if MARKER in data else _as_one_part(data)
    if data == b"null":
        return ours
    if mode == "Replace":
        if not _same(data, bytes(variant.whole[name])):
            note(name)
        return ours
    taken = {part.name for part in ours if part.name}
    kept = []
    for part in _their_parts(data):
        if part.name in taken and name == "tools":
            note(f"tools.{part.name}")
        else:
            kept.append(part)
    return (*ours, *kept) if mode == "Prepend" else (*kept, *ours)


def _their_parts(data: bytes) -> list[Part]:
    """The client's blocks or tools. A string is one text block; what cannot be read is left for the API to refuse."""
    if data.startswith(b'"'):
        return [] if data == b'""' else [Part(text := b'{"type":"text","text":' + data + b"}", text, ours=False)]
    try:
        return [_their_part(bytes(item)) for item in _items.decode(data)]
    except msgspec.MsgspecError:
        return [Part(data, data, ours=False)]


def _their_part(data: bytes) -> Part:
    try:
        item = _item.decode(data)
    except msgspec.MsgspecError:
        return Part(data, data, ours=False)
    return Part(data, data, breakpoint_ttl(item.cache_control), item.name, ours=False)


def _as_one_part(data: bytes) -> Sequence[Part]:
    """A list of the client's that nothing is done with."""
    return () if data in _EMPTY else (Part(data, data, ours=False),)


def _settle(lists: Mapping[str, Sequence[Part]], variant: Variant, body: Body) -> _Settled:
    """Which breakpoints stay; `variant.kept` and `variant.dropped` themselves where the client has none."""
    points = list_breakpoints(lists)
    theirs, last_is_marked = message_breakpoints(body.get("messages"))
    automatic = variant.automatic or _automatic(body.get("cache_control"))
    if not theirs and all(point.ours for point in points) and (variant.automatic or not automatic):
        return _Settled(variant.kept, variant.dropped)
    points += theirs
    if automatic:
        points.append(Breakpoint("cache_control", 0, automatic, variant.automatic is not None))
    kept = keep_breakpoints(points, last_is_marked=last_is_marked)
    return _Settled(kept, tuple(point for point in points if point not in kept))


def _prompt(lists: Mapping[str, Sequence[Part]], variant: Variant, points: _Settled) -> Prompt:
    """Tools and system; what was prepared where they are the revision's own and keep its breakpoints."""
    own = variant.lists
    given_up = [point for point in points.dropped if point not in variant.dropped and point.where in LISTS]
    if not given_up and all(lists[name] is own[name] if name in own else not lists[name] for name in LISTS):
        return variant.prompts[any(point.where not in LISTS for point in points.kept)]
    return prompt_of(lists, points.kept, given_up)


def _same(theirs: bytes, ours: bytes) -> bool:
    """Whether two JSON values are alike: by their bytes, small ones also by what they mean."""
    if theirs == ours:
        return True
    if max(len(theirs), len(ours)) > _SMALL:
        return False
    return bool(msgspec.json.decode(theirs) == msgspec.json.decode(ours))


def _automatic(raw: msgspec.Raw | None) -> str | None:
    try:
        return breakpoint_ttl(msgspec.json.decode(raw)) if raw is not None else None
    except msgspec.MsgspecError:
        return None


def _text(raw: msgspec.Raw | None) -> str:
    """A JSON string's value, empty where there is none."""
    try:
        return msgspec.json.decode(raw, type=str) if raw is not None else ""
    except msgspec.MsgspecError:
        return ""


def _true(raw: msgspec.Raw | None) -> bool:
    return raw is not None and bytes(raw) == b"true"
