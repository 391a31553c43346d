"""File descriptors: as many as the process may have, and how many of them connections of clients may take."""

from __future__ import annotations

import resource
from contextlib import suppress

__all__ = ["ADMIN_CONNECTIONS", "connections_for", "raise_limit"]

ADMIN_CONNECTIONS = 64
_OTHERS = 64  # files, the API server, and connections on their way in or out
_ENOUGH = 1 << 20


def raise_limit() -> int:
    """Raise the soft limit to the hard one, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return _ENOUGH if soft == resource.RLIM_INFINITY else min(soft, _ENOUGH)


def connections_for(descriptors: int) -> int:
    """How many connections of clients fit: each may take a second descriptor, for the upstream."""
    return max((descriptors - ADMIN_CONNECTIONS - _OTHERS) // 2, 16)
