"""Bytes of a file as text. What is not UTF-8 is named by what it most likely is, with what to do."""

from __future__ import annotations

import codecs

__all__ = ["as_text"]

_BOM = "\ufeff"
_WIDE = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_SAVE = "save it as UTF-8 (in a spreadsheet: CSV UTF-8)"
_PROBE = 200  # bytes


def as_text(data: bytes | str) -> str:
    """The text without a byte order mark; raises ValueError such as "is UTF-16: save it as UTF-8"."""
    if isinstance(data, str):
        return data.removeprefix(_BOM)
    for mark, name in _WIDE:
        if data.startswith(mark):
            raise ValueError(f"is {name}: {_SAVE}")
    if data[:_PROBE].count(0) * 4 > len(data[:_PROBE]):
        raise ValueError(f"is UTF-16 without a byte order mark: {_SAVE}")
    try:
        return data.decode().removeprefix(_BOM)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise ValueError(
            f"is not UTF-8 at line {line} (byte {byte:#04x} at {error.start}), probably Latin-1 or Windows-1252:"
            f" {_SAVE}"
        ) from None
