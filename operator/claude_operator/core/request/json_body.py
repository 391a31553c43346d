"""Where a client's body becomes JSON: whatever is wrong with its bytes is said here, with its place, and nowhere else.

A value that nobody reads keeps its bytes, so they are checked beforehand: text has to be UTF-8 and numbers have to be
such that Python can hold them. What passes can be decoded again, as a whole or in parts.
"""

from __future__ import annotations

import codecs
import math
import re

import msgspec

__all__ = ["BodyError", "JsonObject", "decode_object"]

JsonObject = dict[str, msgspec.Raw]

_BOM = b"\xef\xbb\xbf"
_PIECE = 1 << 20  # bytes that are looked at together
_DIGITS = 200  # digits up to which a number with a two-digit exponent is within a float
_LONGEST_INTEGER = 4300  # digits; Python converts no more
_LONGEST_SEARCH = 1 << 18  # bytes in which the field of an error is looked for; beyond them its byte has to do
_LONGEST_QUOTE = 32  # characters
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_NUMBERS = re.compile(_STRING + rb"|(-?[0-9][0-9.eE+-]*)", re.DOTALL)
_TOKENS = re.compile(_STRING + rb"|[{}\[\],]", re.DOTALL)
_HALF_A_PAIR = re.compile(
    rb"(?<!\\)(?:\\\\)*+(\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2}))"
)
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")
_MALFORMED = re.compile(r"JSON is malformed: (.*) \(byte (\d+)\)")
# Digits as 0, e and E as e, + as itself: numbers whose exponent or length is suspect then look alike.
_SHAPES = bytes(
    ord("0") if chr(byte) in "0123456789" else ord("e") if chr(byte) in "eE" else byte if chr(byte) == "+" else 32
    for byte in range(256)
)
_SUSPECT = (b"0e000", b"0e+000", b"0" * _DIGITS)

_object = msgspec.json.Decoder(JsonObject)


class BodyError(ValueError):
    """A body that is not what it has to be; the message says where, and quotes nothing of its texts."""


def decode_object(data: bytes | bytearray) -> JsonObject:
    """The fields of a JSON object, each with the bytes it was sent in; raises BodyError."""
    if data.startswith(_BOM):
        raise BodyError("the body begins with a byte order mark (byte 0): send UTF-8 without one")
    bad = _first_byte_not_utf8(data)
    if bad is not None:
        raise BodyError(f"{_place(data, bad)} is not UTF-8 (byte {bad} is 0x{data[bad]:02x}): encode the body as UTF-8")
    try:
        fields = _object.decode(data)
    except RecursionError:
        raise BodyError("the body is nested too deeply") from None
    except msgspec.ValidationError:
        raise BodyError("the body is not a JSON object: begin it with {") from None
    except msgspec.DecodeError as error:
        raise BodyError(_what_is_malformed(data, str(error))) from None
    _check_numbers(data)
    return fields


def _first_byte_not_utf8(data: bytes | bytearray) -> int | None:
    """The offset of the first byte that makes the data no UTF-8; decodes piece by piece, so that no copy is large."""
    if data.isascii():
        return None
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(data)
    for begin in range(0, len(data), _PIECE):
        piece = view[begin : begin + _PIECE]
        pending = len(decoder.getstate()[0])  # bytes of a character that began in the piece before
        try:
            decoder.decode(piece, begin + _PIECE >= len(data))
        except UnicodeDecodeError as error:
            return begin - pending + error.start
    return None


def _check_numbers(data: bytes | bytearray) -> None:
    """Refuse numbers that JSON allows and Python cannot hold: 1e400, integers of more than 4,300 digits."""
    if not _has_suspect_numbers(data):
        return
    for token in _NUMBERS.finditer(data):
        number = token[1]
        if number is None:
            continue
        whole = number.lstrip(b"-").isdigit()
        if len(number) > _LONGEST_INTEGER if whole else math.isinf(float(number)):
            quoted = number[:_LONGEST_QUOTE].decode()
            raise BodyError(f"{_place(data, token.start())} is a number out of range, {quoted} (byte {token.start()})")


def _has_suspect_numbers(data: bytes | bytearray) -> bool:
    """Whether something looks like such a number, in a text or not: cheap, since every request is looked at."""
    for begin in range(0, len(data), _PIECE):
        shapes = data[begin : begin + _PIECE + _DIGITS].translate(_SHAPES)
        if any(shape in shapes for shape in _SUSPECT):
            return True
    return False


def _what_is_malformed(data: bytes | bytearray, error: str) -> str:
    """The sentence for a text that is not JSON."""
    half = _HALF_A_PAIR.search(data)
    if half is not None:
        return f"{_place(data, half.start(1))} holds half a surrogate pair, {half[1].decode()} (byte {half.start(1)})"
    if not data.strip():
        return "the body is empty: send a JSON object"
    known = _MALFORMED.fullmatch(error)
    if known is None:
        return f"the body is not valid JSON: it ends in the middle of a value (byte {len(data)})"
    where = min(int(known[2]), len(data))
    return f"the body is not valid JSON at byte {where}, in {_place(data, where)}: {known[1]}"


def _place(data: bytes | bytearray, offset: int) -> str:
    """The field that a byte stands in, as the API names it: `messages.0.content`."""
    if offset > _LONGEST_SEARCH:
        return "the body"
    path: list[str | int] = []
    is_key = False
    for token in _TOKENS.finditer(data, 0, _LONGEST_SEARCH):
        if token.start() > offset:
            break
        match token[0][:1]:
            case b"{":
                path.append("")
                is_key = True
            case b"[":
                path.append(0)
            case b"}" | b"]":
                del path[-1:]
            case b",":
                is_key = bool(path) and isinstance(path[-1], str)
                if path and isinstance(path[-1], int):
                    path[-1] += 1
            case _ if is_key and path:
                path[-1] = _UNPRINTABLE.sub("?", token[0][1:-1].decode("utf-8", "replace"))[:_LONGEST_QUOTE]
                is_key = False
    return ".".join(str(part) for part in path if part != "") or "the body"
