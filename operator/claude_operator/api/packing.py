"""Documents in gzip, in operator, gateways and ConfigMaps."""

from __future__ import annotations

import zlib

__all__ = ["PACKED", "TooLarge", "pack", "unpack"]

PACKED = "gzip"
"""The content coding of what is packed."""

_GZIP = zlib.MAX_WBITS | 16
_EFFORT = 4  # a quarter of the bytes of counts; 6 takes twice as long for a tenth less


class TooLarge(ValueError):  # noqa: N818  (an answer, not a fault)
    """The body is larger than what is read."""


def pack(data: bytes) -> bytes:
    """A document in gzip."""
    stream = zlib.compressobj(_EFFORT, wbits=_GZIP)
    return stream.compress(data) + stream.flush()


def unpack(data: bytes, limit: int) -> bytes:
    """A document out of gzip, one member and nothing after it; no more than `limit` bytes are ever made of it.

    Raises `TooLarge` beyond them, and `ValueError` where it is not gzip, or not whole.
    """
    stream = zlib.decompressobj(wbits=_GZIP)
    try:
        found = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise ValueError(f"not gzip: {error}") from None
    if len(found) > limit:
        raise TooLarge(f"a document of more than {limit} bytes")
    if not stream.eof or stream.unused_data:
        raise ValueError("gzip that is cut, or with something after it")
    return found
