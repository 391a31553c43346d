"""Bodies as bytes: UTF-8 that reads the same as JSON and as YAML, since the API server parses an apply as YAML."""

from __future__ import annotations

import re
from typing import Any

import orjson

__all__ = ["encode"]

# Raw in a JSON string, and yet refused by a YAML reader (DEL, C1 controls, noncharacters of the BMP) or taken for a
# line break or a byte order mark (NEL, LINE SEPARATOR, PARAGRAPH SEPARATOR, BOM). Outside strings JSON is ASCII.
_UNSAFE_IN_YAML = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]|\xef\xbb\xbf|\xef\xbf[\xbe\xbf]")


def encode(body: Any) -> bytes:
    """The bytes of a body. A lone surrogate, which UTF-8 cannot encode, becomes U+FFFD.

    Raises `TypeError` for a value that JSON cannot express.
    """
    try:
        data = orjson.dumps(body)
    except TypeError:
        data = orjson.dumps(_without_surrogates(body))
    return _UNSAFE_IN_YAML.sub(_escape, data)


def _escape(match: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(match[0].decode())


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        # Two halves that make one character are put together; what is left alone is replaced.
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(one) for key, one in value.items()}
    return [_without_surrogates(one) for one in value] if isinstance(value, (list, tuple)) else value
