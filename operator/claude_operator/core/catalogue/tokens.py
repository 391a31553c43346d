"""Token counts, estimated by length. A model of 4.7 or later needs about a third more tokens for the same text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from claude_operator.api.cel import SINCE_4_7
from claude_operator.core.catalogue.table import Model

__all__ = ["AROUND", "characters_per_token", "has_newer_tokenizer", "part_tokens", "text_tokens"]

_NEWER = (4, 7)
AROUND = 3
"""Tokens around each block of a prompt."""


def has_newer_tokenizer(model: Model | str | None) -> bool:
    """Whether a model is of 4.7 or later, or nothing is known of it; a preview's tokenizer is a new one too."""
    if isinstance(model, str):
        return re.search(SINCE_4_7, model) is not None
    version = model.version if model else None
    return not (version and (0,) < version < _NEWER)


def characters_per_token(model: Model | None) -> int:
    """Characters of text in one token."""
    return 3 if has_newer_tokenizer(model) else 4


def text_tokens(text: str, model: Model | None) -> int:
    """Tokens of a text."""
    return -(-len(text) // characters_per_token(model))


def part_tokens(part: Mapping[str, Any], model: Model | None) -> int:
    """Tokens of a tool or system block in a prompt."""
    if part.get("type") == "text" and isinstance(part.get("text"), str):
        return AROUND + text_tokens(part["text"], model)
    plain = {key: value for key, value in part.items() if key != "cache_control"}
    data = json.dumps(plain, separators=(",", ":"), ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")
    return AROUND + -(-len(data) // characters_per_token(model))
