"""Where results are kept by scenario, each with the day and commit that it was made at."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.judge.report import Made
from bench.judge.runner import Cell

__all__ = ["RESULTS", "commit", "load", "save", "today"]

RESULTS = Path(__file__).parent / "results"
_CODE = ("../../operator", ".", ":!results")


def load(folder: Path, name: str, made_of: Mapping[str, object] | None = None) -> tuple[list[Cell], Made] | None:
    """The cells of a scenario, None where there are none, or none that are made of this."""
    file = folder / "requests" / f"{name}.json"
    if not file.exists():
        return None
    found: dict[str, Any] = json.loads(file.read_text())
    if made_of is not None and {one: found.get(one) for one in made_of} != made_of:
        return None
    made = Made(found["date"], found["commit"], found["seed"], found["tick_seconds"])
    return [Cell.from_json(one) for one in found["cells"]], made


def save(folder: Path, name: str, made_of: Mapping[str, object], cells: Sequence[Cell]) -> None:
    """Keep the cells of a scenario."""
    file = folder / "requests" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    document = {**made_of, "date": today(), "commit": commit(), "cells": [cell.as_json() for cell in cells]}
    file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def today() -> str:
    """The day, as results name it."""
    return f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"


@lru_cache(maxsize=1)
def commit() -> str:
    """The commit of the code that runs, with `+` where it was changed since."""
    try:
        name, changed = _git("rev-parse", "--short=9", "HEAD"), _git("status", "--porcelain", "--", *_CODE)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name}+" if changed else name


def _git(*words: str) -> str:
    found = subprocess.run(["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    return found.stdout.strip()
