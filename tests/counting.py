"""The work that a call does, counted: the same number on every machine, however busy."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType


def calls_of(work: Callable[[], object], *, warm: bool = True) -> int:
    """How many functions are called, those written in C too.

    `warm`: it is called once before, so that what only the first call in a process does is not counted.
    """
    count = 0
    if warm:
        work()

    def note(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()  # what others have a collection call is not this work
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return count
