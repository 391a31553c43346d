"""When a conversation that stays bad counts again: the same in a gateway and in the operator that reads many."""

from __future__ import annotations

__all__ = ["BAD_INTERVAL", "next_wait"]

BAD_INTERVAL = 60.0
"""Seconds after which a conversation that is still bad counts again; the next time it takes twice as long, and so on.

A burst counts once, one that stays bad for an hour six times, and a service of few conversations is not blind.
"""


def next_wait(again: float, wait: float, now: float) -> float:
    """Seconds to wait after an event that counts at `now`, where `again` was the end of the last `wait`.

    The wait doubles, and starts again after as long a time again without such an event.
    """
    return 2.0 * wait if now < again + wait else BAD_INTERVAL
