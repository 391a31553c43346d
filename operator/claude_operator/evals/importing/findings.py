"""What cannot be taken, with its place, and files that a configuration names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claude_operator.core.evals.contents import LARGEST
from claude_operator.core.evals.formats.text import as_text
from claude_operator.core.evals.formats.yaml_values import Document

__all__ = ["SCHEME", "Files", "Findings", "Place", "as_mapping", "as_sequence", "shortened"]

SCHEME = "file://"
_SHOWN = 70
_LINES = 20  # lines that are listed


def shortened(value: Any) -> str:
    """A value on one line, cut."""
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def as_mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is an object, else nothing."""
    return value if isinstance(value, dict) else {}


def as_sequence(value: Any) -> Sequence[Any]:
    """The value where it is a list, else nothing."""
    return value if isinstance(value, list) else ()


@dataclass(slots=True)
class Findings:
    """What is to be told, by file and sentence: the lines. What is found on many lines is one sentence."""

    refused: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    told: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    @property
    def not_taken(self) -> tuple[str, ...]:
        """A sentence for each thing that is not taken."""
        return tuple(_sentence(*one) for one in self.refused.items())

    @property
    def hints(self) -> tuple[str, ...]:
        """A sentence for each thing that a person needs to know or do."""
        return tuple(_sentence(*one) for one in self.told.items())


def _sentence(what: tuple[str, str], lines: list[int]) -> str:
    file, text = what
    shown = ", ".join(map(str, lines[:_LINES]))
    more = f" and {len(lines) - _LINES:,} more lines" if len(lines) > _LINES else ""
    return f"{file}:{shown}{more}: {text}"


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a file, and where findings on it go."""

    findings: Findings
    file: str
    document: Document
    path: tuple[str | int, ...] = ()

    def at(self, *path: str | int) -> Place:
        """A part of it."""
        return Place(self.findings, self.file, self.document, (*self.path, *path))

    def refuse(self, what: str, instead: str) -> None:
        """Name a thing that is not taken, and what to write instead."""
        self._add(self.findings.refused, f"{what}: {instead}")

    def hint(self, text: str) -> None:
        """Tell what a person needs to know or do."""
        self._add(self.findings.told, text)

    def _add(self, sentences: dict[tuple[str, str], list[int]], text: str) -> None:
        lines = sentences.setdefault((self.file, text), [])
        if (line := self.document.line(self.path)) not in lines[-1:]:
            lines.append(line)


@dataclass(frozen=True, slots=True)
class Files:
    """The files that a configuration names: beside it, and nowhere outside of `root`."""

    folder: Path
    root: Path

    def data(self, name: str) -> bytes:
        """A file's bytes; raises ValueError."""
        path = self.folder / name.removeprefix(SCHEME)
        try:
            if not path.resolve().is_relative_to(self.root.resolve()):
                raise ValueError(f"{path} is outside of {self.root}: give --root, a folder that has them all")
            if path.stat().st_size > LARGEST:
                raise ValueError(f"{path} has more than {LARGEST:,} bytes: use a smaller file")
            return path.read_bytes()
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error

    def text(self, name: str) -> str:
        """A file's text; raises ValueError."""
        try:
            return as_text(self.data(name))
        except ValueError as error:
            said = str(error)
            raise ValueError(f"{name} {said}" if said.startswith("is ") else said) from error
