"""Token counts, estimated by length. A model of 4.7 or later needs about a third more tokens."""

from __future__ import annotations

from typing import Any

from claude_operator.core.catalogue.table import Model
from claude_operator.simulator.request import canonical

__all__ = ["block_tokens", "characters_per_token", "split", "text_tokens"]

_NEWER = (4, 7)
_MESSAGE = 3  # tokens around each block
_BINARY = {"image": 1500, "document": 3000}


def characters_per_token(model: Model) -> int:
    """Characters of text in one token."""
    return 4 if model.version and (0,) < model.version < _NEWER else 3


def text_tokens(text: str, model: Model) -> int:
    """Tokens of an answer's text."""
    return -(-len(text) // characters_per_token(model))


def block_tokens(block: dict[str, Any], model: Model) -> int:
    """Tokens of a tool, system block or message block in a prompt."""
    kind = block.get("type")
    if kind == "text":
        return _MESSAGE + text_tokens(block["text"], model)
    source = block.get("source")
    if isinstance(source, dict) and source.get("type") == "base64":
        return _BINARY.get(str(kind), _MESSAGE)
    plain = {key: value for key, value in block.items() if key != "cache_control"}
    return _MESSAGE + -(-len(canonical(plain)) // characters_per_token(model))


def split(text: str, model: Model, tokens: int) -> list[str]:
    """The text in pieces of this many tokens."""
    size = max(1, tokens) * characters_per_token(model)
    return [text[start : start + size] for start in range(0, len(text), size)]
