"""Texts as people see them: what looks the same is the same, and what only seems so is named."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping

__all__ = ["composed", "distance_within", "folded", "hidden_difference", "loosened", "plain", "token_f1", "tokens"]

_LOOKED_AT = 100_000  # characters of an answer in which hidden differences are looked for
# Characters below U+0300 never join with one before them. Long runs are cut: to sort marks takes the square of them.
_PIECE = re.compile("[\x00-\u02ff]?[\u0300-\U0010ffff]{1,200}")
_WORD = re.compile(r"\w+")
_ARTICLES = frozenset(("a", "an", "the"))

_HIDDEN: Mapping[str, dict[int, str | None]] = {
    "a typographic quote": {
        **dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b\u2032\u02bc"), "'"),
        **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u2033"), '"'),
    },
    "a no-break space": dict.fromkeys(map(ord, "\u00a0\u202f\u2007"), " "),
    "another kind of space": dict.fromkeys((*range(0x2000, 0x2007), *range(0x2008, 0x200B), 0x205F, 0x3000), " "),
    "a zero-width character": dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad")),
    "another kind of dash": dict.fromkeys((*range(0x2010, 0x2015), 0x2212), "-"),
}
_ALL_HIDDEN = {code: to for table in _HIDDEN.values() for code, to in table.items()}


def plain(text: str) -> str:
    """A text with composed letters (NFC) and line ends of one kind."""
    return composed(text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text)


def composed(text: str) -> str:
    """A text with composed letters (NFC)."""
    return text if text.isascii() else _PIECE.sub(lambda piece: unicodedata.normalize("NFC", piece[0]), text)


def folded(text: str) -> str:
    """A plain text in no case; the Turkish dotted I is an i."""
    return plain(text.casefold().replace("i\u0307", "i"))


def loosened(text: str) -> str:
    """A text with the common quotes, spaces and dashes, and without characters of no width."""
    return text if text.isascii() else text.translate(_ALL_HIDDEN)


def hidden_difference(text: str, value: str, holds: Callable[[str, str], bool]) -> str:
    """What keeps a text from holding though it looks as if it did, such as `a no-break space`; empty where it does not.

    `holds` is asked for both texts with such characters replaced by the common ones.
    """
    if len(text) > _LOOKED_AT or (text.isascii() and value.isascii()):
        return ""
    if not holds(loosened(text), loosened(value)):
        return ""
    for name, table in _HIDDEN.items():
        if holds(text.translate(table), value.translate(table)):
            return name
    return "characters that look alike"


def tokens(text: str) -> list[str]:
    """The words of a text in no case, without punctuation and English articles."""
    return [word for word in _WORD.findall(folded(text)) if word not in _ARTICLES]


def token_f1(text: str, wanted: str) -> float:
    """Harmonic mean of the shares of words that two texts have in common, each word as often as it stands."""
    ours, theirs = Counter(tokens(text)), Counter(tokens(wanted))
    common = (ours & theirs).total()
    return 2 * common / (ours.total() + theirs.total()) if common else 0.0


def distance_within(one: str, other: str, most: int) -> int | None:
    """The Levenshtein distance of two texts, None where it is over `most`.

    Bit-parallel (Myers 1999, as Hyyrö 2003 has it): a step a character of the one, on integers as wide as the other.
    """
    if abs(len(one) - len(other)) > most:
        return None
    if not one or not other:
        return len(one) + len(other)
    places: dict[str, int] = {}
    for index, character in enumerate(other):
        places[character] = places.get(character, 0) | 1 << index
    full, last = (1 << len(other)) - 1, 1 << len(other) - 1
    plus, minus, distance = full, 0, len(other)
    for character in one:
        same = places.get(character, 0) | minus
        diagonal = (((same & plus) + plus) ^ plus) | same
        up, down = minus | ~(diagonal | plus) & full, plus & diagonal
        distance += 1 if up & last else -1 if down & last else 0
        up, down = (up << 1 | 1) & full, down << 1 & full
        plus, minus = down | ~(diagonal | up) & full, up & diagonal
    return distance if distance <= most else None
