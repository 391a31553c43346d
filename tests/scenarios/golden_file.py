"""A world's transcript beside the one that is kept."""

from __future__ import annotations

import os
from pathlib import Path

from tests.scenarios.world import World

__all__ = ["check_transcript"]


def check_transcript(world: World, path: Path) -> None:
    """Compare; with UPDATE_GOLDENS in the environment, keep this one."""
    world.check_quiet()
    text = world.transcript()
    if os.environ.get("UPDATE_GOLDENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
