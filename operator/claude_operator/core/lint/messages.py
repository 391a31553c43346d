"""Messages of other checks, `<field>: <what>: <what to write>`, taken apart into the field and the rest."""

from __future__ import annotations

import re

from claude_operator.core.lint.finding import Path

__all__ = ["split_message"]

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*(\[\d+\])*([.\[][A-Za-z0-9_.\-\[\]]+)?")
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def split_message(message: str) -> tuple[Path, str]:
    """The path of the field that a message begins with, and what it says of it."""
    field, colon, rest = message.partition(": ")
    if not colon or not _FIELD.fullmatch(field):
        return (), message
    path = tuple(int(number) if number else name for number, name in _STEP.findall(field))
    return path, rest
