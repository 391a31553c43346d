"""What lint says of one place in a file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

__all__ = ["Fault", "Finding", "Level", "Path", "Place", "path_text"]

Path = tuple[str | int, ...]
"""Keys and numbers that lead to a value in a document."""


class Level(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """The API server, the operator or the Claude API refuses it."""
    WARNING = "warning"
    """It is legal, and costs money or does not do what is meant."""
    NOTE = "note"
    """It was not checked, or is good to know."""


class Place(NamedTuple):
    """Where a value begins in its file; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a value of a document. `check` is a stable id in kebab-case."""

    check: str
    level: Level
    path: Path
    message: str
    """What is wrong, and what to write; without the path."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault with the file and the object that it was found in."""

    file: str
    place: Place
    check: str
    level: Level
    object: str
    """`ClaudeDeployment shop/support`; empty where the document names none."""
    path: str
    """`spec.request.tools[0].name`; empty for the document as a whole."""
    message: str


def path_text(path: Path) -> str:
    """A path as Kubernetes writes it."""
    text = ""
    for one in path:
        if isinstance(one, int):
            text += f"[{one}]"
        elif text:
            text += f".{one}"
        else:
            text = one
    return text
