"""How numbers are written in sentences for people."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Iterable

__all__ = ["count", "cut", "duration", "is_seen", "join_names", "minute", "percent", "share", "tokens_text"]

_LONGEST = 1024  # characters of a sentence
_NAMED = 3  # names that a list of many gives
_SPACES = "\n\t"
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_JOINERS = "\u200c\u200d\ufe0f"  # scripts and emoji are made with them


def percent(value: float) -> str:
    """A percentage, `10 %` or `0.5 %`."""
    return f"{value:g} %"


def share(part: float) -> str:
    """A share of 1 as a percentage, `31 %`, `6.0 %` or `0 %`."""
    number = 100.0 * part
    return f"{number:.0f} %" if number >= 9.95 or not number else f"{number:.1f} %"


def duration(seconds: float) -> str:
    """A time span, `2.1 s`, `3 min 20 s` or `1 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return _pair(whole // 60, "min", whole % 60, "s")
    minutes = round(seconds / 60)
    return _pair(minutes // 60, "h", minutes % 60, "min")


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 request`, `58 requests`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def join_names(names: Iterable[str]) -> str:
    """A list of names, of many the first three: `a, b, c and 4 more`."""
    known = list(names)
    more = f" and {len(known) - _NAMED:,} more" if len(known) > _NAMED else ""
    return f"{', '.join(known[:_NAMED])}{more}"


def minute(moment: dt.datetime) -> str:
    """A moment to the minute, `2026-11-30 12:00 UTC`."""
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def tokens_text(tokens: float) -> str:
    """A number of tokens, `9.2M`, `18.4k` or `812`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if tokens >= size:
            return f"{tokens / size:.4g}{unit}" if tokens < 1e4 * size else f"{tokens / size:,.0f}{unit}"
    return f"{tokens:.3g}"


def cut(text: str) -> str:
    """A sentence that quotes others, at most 1,024 characters of it."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def is_seen(char: str) -> bool:
    """Whether a reader sees a character: it does not move the cursor, turn the writing round or hide."""
    return char in _SPACES or char in _JOINERS or unicodedata.category(char) not in _HIDDEN


def _pair(large: int, unit: str, small: int, subunit: str) -> str:
    return f"{large} {unit} {small} {subunit}" if small else f"{large} {unit}"
