"""`spec.overrides.unsupported: Drop`: what a client sends and the revision's model is known to refuse is left out."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import msgspec

__all__ = ["SAMPLING", "Takes", "drop_unsupported"]

SAMPLING = ("temperature", "top_p", "top_k")


@dataclass(frozen=True, slots=True)
class Takes:
    """What a model takes, as far as that is known."""

    sampling: bool = True
    thinking: frozenset[str] | None = None
    """The types of `thinking`, None where they are not known."""
    prefill: bool = True
    """Whether it continues from an assistant's message at the end."""


class _Typed(msgspec.Struct):
    type: str | None = None


class _Message(msgspec.Struct):
    role: str = ""


_thinking = msgspec.json.Decoder(_Typed)
_values = msgspec.json.Decoder(list[msgspec.Raw])
_message = msgspec.json.Decoder(_Message)


def drop_unsupported(fields: dict[str, msgspec.Raw], takes: Takes, declared: Container[str]) -> list[str]:
    """Take out of a composed request what its model refuses; `declared` is the revision's own and stays.

    Returns the names, `messages[n]` for an assistant's message at the end, which is a prefill.
    """
    dropped = [] if takes.sampling else [name for name in SAMPLING if name in fields]
    if "thinking" in fields and not _is_taken(fields["thinking"], takes.thinking):
        dropped.append("thinking")
    dropped = [name for name in dropped if name not in declared]
    for name in dropped:
        del fields[name]
    return dropped if takes.prefill else [*dropped, *_drop_prefill(fields)]


def _is_taken(thinking: msgspec.Raw, types: frozenset[str] | None) -> bool:
    try:
        kind = _thinking.decode(thinking).type
    except msgspec.MsgspecError:
        return True
    return types is None or kind is None or kind in types


def _drop_prefill(fields: dict[str, msgspec.Raw]) -> list[str]:
    """Take out the assistant's messages after the last of anybody else. The others keep their bytes."""
    try:
        messages = _values.decode(fields["messages"]) if "messages" in fields else []
        end = len(messages)
        while end and _message.decode(messages[end - 1]).role == "assistant":
            end -= 1
    except msgspec.MsgspecError:
        return []
    if end in (0, len(messages)):
        return []
    fields["messages"] = msgspec.Raw(b"[" + b",".join(map(bytes, messages[:end])) + b"]")
    return [f"messages[{place}]" for place in range(end, len(messages))]
