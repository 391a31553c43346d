"""What is drawn by chance in an eval: the same on each machine and each time, for the same seed and names."""

from __future__ import annotations

import hashlib

__all__ = ["draw"]


def draw(seed: str, *names: object) -> bytes:
    """A number drawn for these names: what is sorted by it is in an order of chance."""
    text = "\0".join(map(str, (seed, *names)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
