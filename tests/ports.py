"""Ports that nobody takes between the moment at which they are chosen and that at which somebody listens."""

from __future__ import annotations

import random
import socket

__all__ = ["free_ports"]

# Below those that Linux gives to connections (32,768 and up): one of these may be taken as soon as it is free.
_RANGE = range(12_000, 32_000)
_draw = random.SystemRandom()


def free_ports(count: int = 1, address: str = "127.0.0.1") -> list[int]:
    """Ports of an address of this machine that nobody listens on; they stay free when their server is away."""
    found: list[int] = []
    probes: list[socket.socket] = []
    try:
        while len(found) < count:
            probe = socket.socket()
            probes.append(probe)
            port = _draw.choice(_RANGE)
            try:
                probe.bind((address, port))
            except OSError:
                continue
            found.append(port)
        return found
    finally:
        for probe in probes:
            probe.close()
