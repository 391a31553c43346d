"""The project's kinds and their schemas."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from claude_operator.api.kinds import KINDS, object_schema

__all__ = ["NAMES", "schema_of"]

NAMES = tuple(kind.kind for kind in KINDS)
_BY_NAME = {kind.kind: kind for kind in KINDS}


@cache
def schema_of(kind: str) -> Mapping[str, Any] | None:
    """The schema of an object of a kind, None of one that is not the project's."""
    found = _BY_NAME.get(kind)
    return None if found is None else object_schema(found)
