"""What a row of the table is made of: the check, what it looks at, what it finds."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

from claude_operator.api.cel import SINCE_4_7
from claude_operator.core.catalogue.table import Model

__all__ = [
    "LATEST_VERSION",
    "OLDER_VERSION",
    "Asked",
    "Check",
    "Fault",
    "Finding",
    "Path",
    "Severity",
    "Where",
    "either",
    "field_of",
    "is_since_4_7",
]

Path = tuple[str | int, ...]
"""Fields and places below the request; `promptFrom` stands for the blocks that come from ConfigMaps."""

LATEST_VERSION = "2026-10-21"
OLDER_VERSION = "2023-06-01"
"""The two values of the header `anthropic-version`."""

_HOLDERS = ("content", "source", "tool", "definition", "tool_references")  # fields of a block that hold blocks
_DEEPEST = 8  # blocks within one another


class Severity(StrEnum):
    """ERROR: the API refuses it, or it contradicts itself. WARNING: it is legal, and costs or risks something."""

    ERROR = "Error"
    WARNING = "Warning"


Where = Literal["spec", "lifecycle", "messages", "version", "streaming", "key", "rollout"]
"""What has to be known for the check to find anything.

`spec`: a request of a revision or subagent shows it. `lifecycle`: it does too, and what happens then is decided by
spec.lifecycle. `messages`: the conversation, of an eval item or a client. `version`: a client's anthropic-version.
`streaming`: whether a client streams. `key`: the API key. `rollout`: the revision that serves beside it.
"""


@dataclass(frozen=True)
class Asked:
    """A request and what is known beside it. `model` is the one that it names, None where nothing is known of it."""

    model: Model | None
    request: Mapping[str, Any]
    today: datetime.date
    prompts: int = 0
    """How many blocks at the beginning of `system` come from promptFrom; their text is None where it is not known."""
    client: frozenset[str] = frozenset()
    """Which of `tools` and `system` the client adds to."""
    version: str | None = None
    """The client's anthropic-version, None where it is not known."""
    key: str | None = None
    """What the API key is for, `admin` or `inference`; None where it is not known."""
    before: Asked | None = None
    """The request of the revision that serves: this one is to take its place."""

    @property
    def model_id(self) -> str:
        """The model as the request names it."""
        return str(self.request.get("model") or "")

    def part(self, name: str) -> Mapping[str, Any]:
        """A field that is an object; empty where it is none."""
        value = self.request.get(name)
        return value if isinstance(value, Mapping) else {}

    def entries(self, name: str) -> list[Mapping[str, Any]]:
        """The objects of a field that is a list."""
        return [entry for _, entry in self.places(name)]

    def places(self, name: str) -> list[tuple[int, Mapping[str, Any]]]:
        """The objects of a field that is a list, each with its place."""
        value = self.request.get(name)
        listed = enumerate(value) if isinstance(value, list) else ()
        return [(place, entry) for place, entry in listed if isinstance(entry, Mapping)]

    def has_beta(self, *beginnings: str) -> bool:
        """Whether `betas` names one that begins so."""
        value = self.request.get("betas")
        return isinstance(value, list) and any(str(beta).startswith(beginnings) for beta in value)

    def path(self, *path: str | int) -> Path:
        """A path below the request as it was written: the first blocks of `system` are those of promptFrom."""
        match path:
            case ("system", int(place), *rest):
                return ("promptFrom", place, *rest) if place < self.prompts else ("system", place - self.prompts, *rest)
        return path

    @cached_property
    def blocks(self) -> tuple[tuple[Path, Mapping[str, Any]], ...]:
        """Every part that can carry `cache_control`, in the order of the prefix, with its path in what is sent."""
        found: list[tuple[Path, Mapping[str, Any]]] = []
        for name in ("tools", "system"):
            found.extend(((name, place), entry) for place, entry in self.places(name))
        for number, message in self.places("messages"):
            content = message.get("content")
            for place, block in enumerate(content if isinstance(content, list) else ()):
                found.extend(_within(("messages", number, "content", place), block, _DEEPEST))
        return tuple(found)

    @cached_property
    def controls(self) -> tuple[tuple[Path, Any], ...]:
        """Every `cache_control` that is not null in the order of the prefix, the automatic one last."""
        found = [((*path, "cache_control"), block["cache_control"]) for path, block in self.blocks if _marked(block)]
        top = self.request.get("cache_control")
        return (*found, *(() if top is None else (((("cache_control",)), top),)))


def _marked(block: Mapping[str, Any]) -> bool:
    return block.get("cache_control") is not None


def _within(path: Path, block: Any, depth: int) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The blocks inside a block, in order, and then the block itself."""
    if not isinstance(block, Mapping):
        return
    for name in _HOLDERS if depth else ():
        inner = block.get(name)
        if isinstance(inner, Mapping):
            yield from _within((*path, name), inner, depth - 1)
        elif isinstance(inner, list):
            for number, one in enumerate(inner):
                yield from _within((*path, name, number), one, depth - 1)
    yield path, block


@dataclass(frozen=True, slots=True)
class Fault:
    """What a check found: where, `<field>: <what>: <what to write instead>`, and the API's words where it refuses."""

    path: Path
    message: str
    api: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One row. `id` is stable and shown to users; `number` is the row of the list of checks, None for one of ours."""

    id: str
    number: int | None
    severity: Severity
    find: Callable[[Asked], Iterable[Fault]]
    where: Where = "spec"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found in a request. `message` is `<field>: <what>: <what to write>`; `api` the API's own words."""

    check_id: str
    severity: Severity
    path: Path
    message: str
    api: str | None = None


def is_since_4_7(model_id: str) -> bool:
    """Whether an id is of Claude 4.7 or later: other rules of sampling, and another tokenizer."""
    return re.search(SINCE_4_7, model_id) is not None


def either(words: Iterable[str]) -> str:
    """The words that may be written."""
    return " or ".join(words)


def field_of(path: Path) -> str:
    """A path as the API names it: tools.0.name."""
    return ".".join(map(str, path))
