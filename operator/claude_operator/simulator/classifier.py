"""The rehearsal classifier: answers "with one word: a, b or c" from a table of keywords. It is not a model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import resources

__all__ = ["classify", "options"]

_END = r"\s*:?\s+([^.:;\n]{3,300})"
_LISTS = (  # the more explicit wording first
    re.compile(r"\b(?:one|single)\s+(?:word|label|category|of(?:\s+these)?)" + _END, re.IGNORECASE),
    re.compile(r"\b(?:answer|reply|respond)\s+(?:only\s+)?with(?:\s+either)?" + _END, re.IGNORECASE),
)
_SEPARATOR = re.compile(r"\s*(?:,|/|\||\bor\b)\s*", re.IGNORECASE)
_OPTION = re.compile(r"[\w-]+(?: [\w-]+){0,2}")
_REST = ("other", "neutral", "none", "unknown")


@lru_cache(maxsize=256)
def options(system: str) -> tuple[str, ...]:
    """The answers that a system prompt allows, in its order; empty where it lists none."""
    for found in (match for pattern in _LISTS for match in pattern.finditer(system)):
        parts = [part.strip(" \"'`*") for part in _SEPARATOR.split(found[1])]
        named = [part for part in parts if part]
        if len(named) >= 2 and all(_OPTION.fullmatch(part) for part in named):
            return tuple(dict.fromkeys(named))
    return ()


def classify(choices: tuple[str, ...], text: str) -> str:
    """The choice with most keywords in the text, the first of equals; without any keyword, the catch-all choice."""
    plain = " ".join(re.findall(r"[\w'-]+", text.lower()))
    scores = {choice: sum(_contains(plain, keyword) for keyword in _keywords(choice)) for choice in choices}
    best = max(choices, key=lambda choice: scores[choice])
    return best if scores[best] else next((choice for choice in choices if choice.lower() in _REST), choices[-1])


def _keywords(choice: str) -> list[str]:
    """The keyword prefixes of a choice; a choice that is not in the table has its own name."""
    return _table().get(choice.lower(), [choice.lower()])


def _contains(plain: str, beginning: str) -> bool:
    return f" {beginning}" in f" {plain}"


@cache
def _table() -> Mapping[str, list[str]]:
    table: dict[str, list[str]] = json.loads(resources.files(__package__).joinpath("keywords.json").read_bytes())
    return table
