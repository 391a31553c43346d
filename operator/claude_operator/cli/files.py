"""Files of manifests that a person names: single ones, folders as `kubectl apply -f` reads them, and standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from claude_operator.cli.failure import Exit, Failure
from claude_operator.core.evals.formats.text import as_text
from claude_operator.core.lint.sources import Source

__all__ = ["read_files"]

_SUFFIXES = (".yaml", ".yml", ".json")
_LARGEST = 64 * 1024 * 1024  # bytes of a file
_MOST = 10_000  # files in folders
_STDIN = "-"


def read_files(names: Sequence[str], *, recursive: bool = False) -> tuple[list[Source], list[tuple[str, str]]]:
    """The texts of the files, and what is wrong with those that have none: (name, why).

    Raises `Failure` where a file is not there or cannot be read.
    """
    sources: list[Source] = []
    broken: list[tuple[str, str]] = []
    for name, is_named in dict.fromkeys(_listed(names, recursive)):
        try:
            sources.append(Source(name, as_text(_data(name)), is_named))
        except ValueError as error:
            broken.append((name, str(error)))
    return sources, broken


def _listed(names: Sequence[str], recursive: bool) -> Iterator[tuple[str, bool]]:
    for name in names:
        path = Path(name)
        if name == _STDIN or not path.is_dir():
            yield name, True
            continue
        inside = path.rglob("*") if recursive else path.iterdir()
        files = sorted(one for one in inside if one.suffix.lower() in _SUFFIXES and one.is_file())
        if not files:
            deeper = "" if recursive else ", or look into its folders with --recursive"
            raise Failure(f"{name} has no .yaml, .yml or .json file: name another folder{deeper}", Exit.USAGE)
        if len(files) > _MOST:
            raise Failure(f"{name} has {len(files):,} files, more than {_MOST:,}: name its folders", Exit.USAGE)
        yield from ((str(one), False) for one in files)


def _data(name: str) -> bytes:
    try:
        if name == _STDIN:
            data = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(_LARGEST + 1)
    except OSError as error:
        raise Failure(f"{name} cannot be read: {error.strerror}", Exit.USAGE) from error
    if len(data) > _LARGEST:
        raise ValueError(f"has more than {_LARGEST:,} bytes: split it")
    return data
