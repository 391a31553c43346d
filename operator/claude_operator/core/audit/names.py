"""The id of a model by what the Console calls it: "Claude Sonnet 4.5" is `claude-sonnet-4-5-20250929`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from claude_operator.core.catalogue.lifecycle import NO_MODELS, model_of
from claude_operator.core.catalogue.table import Model, all_models

__all__ = ["id_finder"]

_DATE = re.compile(r"(?<!\d)(20\d\d)-?(\d\d)-?(\d\d)(?!\d)")
_PART = re.compile(r"[a-z]+|\d+")
_MAKER = "claude"


class _Told(NamedTuple):
    """What a name says: words such as sonnet, the version, and the date of a snapshot (empty where it has none)."""

    words: frozenset[str]
    version: tuple[int, ...]
    date: str


def id_finder(overrides: Mapping[str, Model] = NO_MODELS) -> Callable[[str], str]:
    """A function that gives the id of a model by its id, alias or name for people; the name itself where none fits.

    Of several snapshots with the same name, it is the newest: it is the one that is retired last.
    """
    known = _index((*overrides.values(), *all_models()))

    def find_id(name: str) -> str:
        if (model := model_of(name, overrides)) is not None:
            return model.id
        told = _told(name)
        found = known.get((told.words, told.version), {}) if told is not None else {}
        if told is None or not found:
            return name
        return found.get(told.date, name) if told.date else found[max(found)]

    return find_id


def _index(models: Iterable[Model]) -> dict[tuple[frozenset[str], tuple[int, ...]], dict[str, str]]:
    """Ids by words and version, and then by date; a model of the cluster comes before one of the list."""
    index: dict[tuple[frozenset[str], tuple[int, ...]], dict[str, str]] = {}
    for model in models:
        for name in (model.id, *model.aliases):
            if (told := _told(name)) is not None:
                index.setdefault((told.words, told.version), {}).setdefault(told.date, model.id)
    return index


def _told(name: str) -> _Told | None:
    """None for what is no name of a Claude model."""
    text = name.lower()
    if _MAKER not in text or len(text) > 256:
        return None
    date = _DATE.search(text)
    rest = text if date is None else text[: date.start()] + " " + text[date.end() :]
    parts = _PART.findall(rest)
    words = frozenset(part for part in parts if part.isalpha() and part != _MAKER)
    version = tuple(int(part[:9]) for part in parts if not part.isalpha())
    return _Told(words, version, "".join(date.groups()) if date else "")
