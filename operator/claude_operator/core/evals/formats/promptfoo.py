"""Tells a configuration of promptfoo from one of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["IMPORT", "TEST_FIELDS", "is_config", "looks_like_config"]

IMPORT = (
    "is a configuration of promptfoo: run `claude-operator eval import FILE -o set.yaml`, which turns it into a"
    " ClaudeEvalSet and names what cannot be taken"
)
TEST_FIELDS = ("options", "provider", "providers", "providerOutput", "assertScoringFunction", "prompts")
"""Fields of promptfoo's tests that ours do not have."""
_FIELDS = ("prompts", "providers", "targets", "redteam", "scenarios", "evaluateOptions")
_LINE = re.compile(
    r"^(?:prompts|providers|targets|scenarios)[ \t]*:|^[ \t]*\{\s*\"(?:prompts|providers)\"", re.MULTILINE
)


def is_config(document: Mapping[str, Any]) -> bool:
    """Whether a document is one of promptfoo's."""
    return "kind" not in document and any(name in document for name in _FIELDS)


def looks_like_config(text: str) -> bool:
    """Whether a text that is not what it should be is a configuration of promptfoo."""
    return _LINE.search(text) is not None
