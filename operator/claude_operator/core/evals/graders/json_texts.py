"""Whether a text is JSON, and why it is not."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from claude_operator.core.evals.graders.texts import plain

__all__ = ["is_json", "line", "same_json", "why_not_json"]

_FENCE = re.compile(r"\s*(`{3,}|~{3,})[^\n]*\n(.*?)\n?\s*\1\s*", re.DOTALL)
_LOOKED_AT = 100_000  # characters in which the reason is looked for
_DEEPEST = 100


def is_json(text: str) -> bool:
    """Whether a text is one JSON value, white space around it aside."""
    try:
        msgspec.json.decode(text.strip().encode())
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return False
    return True


def why_not_json(text: str) -> str:
    """Why a text is not JSON, without quoting it; empty where it is."""
    if is_json(text):
        return ""
    if len(text) > _LOOKED_AT:
        return "it is not one JSON value"
    bare = text.strip()
    if not bare:
        return "the answer has no text"
    if bare.startswith("\ufeff"):
        return "a byte order mark stands before it"
    if (fenced := _FENCE.fullmatch(bare)) and is_json(fenced[2]):
        return "a code fence is around it"
    start, end = re.search(r"[{\[]", bare), max(bare.rfind("}"), bare.rfind("]"))
    if (
        start
        and start.start() < end
        and (start.start(), end) != (0, len(bare) - 1)
        and is_json(bare[start.start() : end + 1])
    ):
        return "other text is around it"
    if re.search(r"[:\[,]\s*-?(NaN|Infinity)\b", bare):
        return "NaN and Infinity are not JSON"
    try:
        msgspec.json.decode(bare.encode())
    except msgspec.DecodeError as error:
        return str(error).replace("Input data was truncated", "it ends too early")[:100]
    except (UnicodeEncodeError, RecursionError):
        return "half a surrogate pair or too many levels"
    return "it is not one JSON value"


def same_json(one: Any, other: Any, depth: int = 0) -> bool:
    """Whether two decoded values mean the same: 1 is 1.0, true is not 1, texts are compared as they look."""
    if depth > _DEEPEST:
        return False
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, str) and isinstance(other, str):
        return plain(one) == plain(other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same_json(*pair, depth + 1) for pair in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[name], other[name], depth + 1) for name in one)
    return False


def line(value: Any) -> str | None:
    """A decoded value as a line of JSON, None where it cannot be written."""
    try:
        return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return None
