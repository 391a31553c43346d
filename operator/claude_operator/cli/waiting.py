"""Waits for what the operator does, for a limited time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from claude_operator.cli.kubectl import KubectlError

__all__ = ["until"]

T = TypeVar("T")

_EVERY = 0.5  # seconds between two looks


def until(look: Callable[[], T | None], timeout: float) -> T | None:
    """What `look` returns once it is something, None after `timeout` seconds.

    The API server may be away for a moment: only an error that lasts to the end is raised.
    """
    end = time.monotonic() + timeout
    while True:
        last: KubectlError | None = None
        try:
            found = look()
        except KubectlError as error:
            if not error.is_passing:
                raise
            found, last = None, error
        if found is not None:
            return found
        if time.monotonic() + _EVERY > end:
            if last is not None:
                raise last
            return None
        time.sleep(_EVERY)
