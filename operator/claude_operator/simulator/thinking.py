"""Thinking blocks: a model signs what it thought, and takes back only what it has signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from claude_operator.core.catalogue.table import Model
from claude_operator.simulator.request import Request, blocks_of

__all__ = ["first_foreign_block", "signature", "thoughts"]

_SECRET = b"simulator"  # nothing is protected by it
_THINKS = frozenset(("adaptive", "enabled"))


def thoughts(request: Request) -> str:
    """What the model thinks before it answers; empty where the request does not turn thinking on."""
    if request.body.get("thinking", {}).get("type") not in _THINKS or request.body.get("max_tokens") == 0:
        return ""
    return f"The question has {len(request.question)} characters. "


def signature(text: str, model: Model) -> str:
    """The model's signature on its thinking, the same in every process."""
    digest = hmac.digest(_SECRET, f"{model.id}\0{text}".encode("utf-8", "replace"), hashlib.sha256)
    return base64.b64encode(digest).decode()


def first_foreign_block(request: Request, model: Model) -> str | None:
    """The API's words for the first thinking block that this model has not signed, None where there is none."""
    for number, message in enumerate(request.body["messages"]):
        if message["role"] != "assistant":
            continue
        for position, block in enumerate(blocks_of(message["content"])):
            if block.get("type") == "thinking" and not _is_own(block, model):
                return f"messages.{number}.content.{position}: Invalid `signature` in `thinking` block"
    return None


def _is_own(block: dict[str, Any], model: Model) -> bool:
    text, given = block.get("thinking"), block.get("signature")
    if not isinstance(text, str) or not isinstance(given, str):
        return False
    return hmac.compare_digest(given.encode("utf-8", "replace"), signature(text, model).encode())
