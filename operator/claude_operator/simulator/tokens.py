"""Tokens of the blocks of a prompt and of answers, by the estimate that all the project uses."""

from __future__ import annotations

from typing import Any

from claude_operator.core.catalogue.table import Model
from claude_operator.core.catalogue.tokens import AROUND, characters_per_token, part_tokens, text_tokens

__all__ = ["block_tokens", "characters_per_token", "split", "text_tokens"]

_BINARY = {"image": 1500, "document": 3000}


def block_tokens(block: dict[str, Any], model: Model) -> int:
    """Tokens of a tool, system block or message block in a prompt."""
    source = block.get("source")
    if block.get("type") != "text" and isinstance(source, dict) and source.get("type") == "base64":
        return _BINARY.get(str(block.get("type")), AROUND)
    return part_tokens(block, model)


def split(text: str, model: Model, tokens: int) -> list[str]:
    """The text in pieces of this many tokens."""
    size = max(1, tokens) * characters_per_token(model)
    return [text[start : start + size] for start in range(0, len(text), size)]
