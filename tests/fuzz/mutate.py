"""Inputs made of other inputs: the same ones for the same seed, on every machine."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

_LONGEST = 1 << 14  # bytes of an input
_TOKENS = (
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"null", b"true", b"-0", b"1e400", b"9" * 400, b"NaN", b'""'),
    *(b"\\ud83d", b"\xed\xa0\x80", b"\xff", b"\xef\xbb\xbf", b"\x00", b"\x1b[2J", "\u202e".encode(), "🎉".encode()),
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b" ", b"\t", b": ", b";", b"#", b"?", b"/", b"//", b"/../", b"%2f"),
    *(b"event: ", b"data: ", b"message_stop", b"message_start", b"error", b"message_delta", b"content_block_delta"),
    *(b"POST ", b"GET ", b" HTTP/1.1", b" HTTP/1.0", b"transfer-encoding: chunked", b"content-length: 5", b"0\r\n\r\n"),
    *(b"host: a", b"expect: 100-continue", b"connection: close", b"upgrade: websocket", b"te: gzip", b"ffffffff\r\n"),
    *(b"$(NAME)", b"cache_control", b"ephemeral", b"system", b"messages", b"metadata", b"user_id", b"stream", b"model"),
)


_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 7, 2**31, 2**63, 10**30, 1e308, -0.0, 0.5, "", "x", "x" * 300, [], {}, [[]], [None]),
    *(
        [{}],
        {"type": []},
        {"type": "ephemeral"},
        {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
        "$(NAME)",
        "1h",
    ),
    *("\ud83d", "🎉", "\x00", "\r\n", "\x1b[2J", "../..", "a/b", "%2e%2e", "100%", "-5s", "1e999", "regex", "^(a+)+$"),
)


def mutations(seeds: Sequence[bytes], seed: int, count: int) -> Iterator[bytes]:
    """So many inputs, each a seed with one to eight changes: of its bytes or, where it is JSON, of its values."""
    source = random.Random(seed)
    documents = [(text, _parsed(text)) for text in seeds]
    for _ in range(count):
        text, document = source.choice(documents)
        changes = source.choice((1, 1, 1, 2, 2, 3, 5, 8))
        if document is not None and source.random() < 0.6:
            document = json.loads(text)
            for _ in range(changes):
                document = _changed(source, document)
            yield json.dumps(document, ensure_ascii=source.random() < 0.5).encode("utf-8", "surrogatepass")[:_LONGEST]
            continue
        data = bytearray(text)
        for _ in range(changes):
            _change(source, data, seeds)
        yield bytes(data[:_LONGEST])


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _changed(source: random.Random, document: Any) -> Any:
    """A document with one value somewhere in it replaced, doubled, moved or taken out."""
    if isinstance(document, (dict, list)) and document and source.random() < 0.8:
        key = source.choice(list(document)) if isinstance(document, dict) else source.randrange(len(document))
        match source.randrange(8):
            case 0:
                del document[key]
            case 1 if isinstance(document, list):
                document.append(document[key])
            case 1 if isinstance(document, dict):
                document[source.choice(("unknown", "name", "type", "système", str(key).upper()))] = document[key]
            case _:
                document[key] = _changed(source, document[key])
        return document
    if source.random() < 0.2 and isinstance(document, str):
        return document + source.choice(("\n", " ", "\x00", "é", document))
    return copy.deepcopy(source.choice(_VALUES))


def _change(source: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = source.randrange(len(data) + 1)
    length = min(source.choice((1, 1, 2, 4, 8, 32, 128)), len(data) - at)
    match source.randrange(7):
        case 0 if data:
            data[at % len(data)] ^= 1 << source.randrange(8)
        case 1:
            del data[at : at + length]
        case 2:
            data[at:at] = source.choice(_TOKENS)
        case 3:
            data[at : at + length] = source.choice(_TOKENS)
        case 4:
            data[at:at] = data[at : at + length] * source.choice((1, 2, 16))
        case 5:
            other = source.choice(seeds)
            begin = source.randrange(len(other) + 1)
            data[at:] = other[begin:]
        case _:
            data[at:at] = source.randbytes(length)
