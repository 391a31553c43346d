"""Content codings: an answer that comes compressed without being asked for is relayed as it is, and decoded to read."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

__all__ = ["Inflater", "is_plain", "make_inflater"]

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32  # gzip or zlib, by their first bytes
_CHUNK = 1 << 16  # decoded bytes at a time: a few encoded bytes may decode to very many


class Inflater:
    """Decodes gzip and deflate in chunks. After bytes that are neither, it yields nothing more."""

    def __init__(self) -> None:
        self.failed = False
        self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)

    def feed(self, data: bytes | bytearray) -> Iterator[bytes]:
        """The decoded bytes."""
        rest: bytes | bytearray = b"" if self.failed else data
        while rest:
            if self._stream.eof:  # gzip may have several members
                self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)
            try:
                piece = self._stream.decompress(rest, _CHUNK)
            except zlib.error:
                self.failed = True
                return
            rest = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            if piece:
                yield piece


def is_plain(encoding: str) -> bool:
    """Whether a content-encoding says that nothing is compressed."""
    return encoding.strip().lower() in ("", "identity")


def make_inflater(encoding: str) -> Inflater | None:
    """The decoder of a content-encoding, None for an unknown one."""
    return Inflater() if encoding.strip().lower() in ("gzip", "x-gzip", "deflate") else None
