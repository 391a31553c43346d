"""Bodies that are read whole, and not beyond a limit: of any document, in operator and gateway."""

from __future__ import annotations

import aiohttp

from claude_operator.api.packing import TooLarge

__all__ = ["read_body"]


async def read_body(content: aiohttp.StreamReader, limit: int) -> bytes:
    """A body to its end, however it is cut into packets; raises `TooLarge` beyond `limit` bytes."""
    data = bytearray()
    async for part in content.iter_any():
        data += part
        if len(data) > limit:
            raise TooLarge(f"a document of more than {limit} bytes")
    return bytes(data)
