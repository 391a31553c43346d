"""The place where a client's bytes become JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_operator.core.request.json_body import BodyError, decode_object


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a":"\xe9"}', "a is not UTF-8 (byte 6 is 0xe9)"),
        (b'{"metadata":{"user_id":"ren\xe9"}}', "metadata.user_id is not UTF-8 (byte 27 is 0xe9)"),
        (
            b'{"messages":[{"role":"user","content":"a"},{"content":[1,"caf\xe9"]}]}',
            "messages.1.content.1 is not UTF-8",
        ),
        (b'{"a":1,"b\xff":1}', "(byte 9 is 0xff)"),
        (b'{"a":"\xed\xa0\x80"}', "a is not UTF-8 (byte 6 is 0xed)"),
        (b'\xff\xfe{\x00"\x00', "the body is not UTF-8 (byte 0 is 0xff)"),
        (b'{"a":"' + b"x" * (1 << 20) + b'\xc3"}', f"the body is not UTF-8 (byte {(1 << 20) + 6} is 0xc3)"),
        (b"\xef\xbb\xbf{}", "begins with a byte order mark (byte 0)"),
        (b'{"a":"\\ud83d"}', r"a holds half a surrogate pair, \ud83d (byte 6)"),
        (b'{"a":{"b":"\\\\\\udc00"}}', r"a.b holds half a surrogate pair, \udc00 (byte 13)"),
        (b'{"a":"\\ud83d\\u0041"}', r"a holds half a surrogate pair, \ud83d (byte 6)"),
        (b'{"temperature":NaN}', "not valid JSON at byte 15, in temperature: invalid character"),
        (b'{"a":-Infinity}', "not valid JSON at byte 6, in a"),
        (b'{"a":01}', "not valid JSON at byte 6, in a: invalid number"),
        (b'{"max_tokens":1e400}', "max_tokens is a number out of range, 1e400 (byte 14)"),
        (b'{"a":[0,{"b":-12.5E+0400}]}', "a.1.b is a number out of range, -12.5E+0400 (byte 13)"),
        (b'{"a":' + b"9" * 4301 + b"}", "a is a number out of range, 9999"),
        (b'{"a":' + b"9" * 250 + b"e99}", "a is a number out of range, 9999"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "the body is nested too deeply"),
        (b"[]", "not a JSON object"),
        (b'"a"', "not a JSON object"),
        (b"  ", "the body is empty"),
        (b"", "the body is empty"),
        (b'{"a":"b', "ends in the middle of a value (byte 7)"),
        (b'{"a":1} x', "not valid JSON at byte 9, in the body: trailing characters"),
        (b'{"a":1,}', "trailing comma"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(data: bytes, message: str) -> None:
    for form in (data, bytearray(data)):
        with pytest.raises(BodyError) as error:
            decode_object(form)
        assert message in str(error.value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":"1e400, 1e999 ","b":1e308,"c":-0,"d":1e-400,"e":123456789012345678901234567890}',
        b'{"a":' + b"9" * 4300 + b"}",
        b'{"a":"\\\\ud83d","b":"\\ud83d\\ude00 \xf0\x9f\x98\x80"}',
        b'{"a":"' + "é".encode() * (1 << 20) + b'"}',
        b'{"a":"x' + "é".encode() * (1 << 20) + b'"}',
        b'{"a":1,"a":2}',
    ],
)
def test_what_is_good_keeps_its_bytes(data: bytes) -> None:
    assert all(bytes(value) in data for value in decode_object(data).values())


NUMBERS = st.one_of(
    st.integers(-(10**320), 10**320).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.builds(
        lambda head, mark, exponent: f"{head}{mark}{exponent}",
        st.sampled_from(["1", "-9.99", "0", "0.001", "123456"]),
        st.sampled_from(["e", "E", "e+", "E-"]),
        st.integers(0, 1000),
    ),
)


@given(st.dictionaries(st.text(max_size=5), NUMBERS, min_size=1, max_size=5))
def test_a_number_passes_where_python_can_hold_it(numbers: dict[str, str]) -> None:
    data = ("{" + ",".join(f"{json.dumps(name)}:{number}" for name, number in numbers.items()) + "}").encode()
    good = all(abs(float(value)) <= sys.float_info.max for value in numbers.values() if not value.lstrip("-").isdigit())
    try:
        decode_object(data)
    except BodyError:
        assert not good
    else:
        assert good


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_what_passes_can_be_decoded_as_a_whole(value: Any) -> None:
    data = json.dumps({"a": value}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    try:
        fields = decode_object(data)
    except BodyError:
        with pytest.raises(UnicodeDecodeError):
            data.decode()
    else:
        assert msgspec.json.decode(fields["a"]) == value


@given(st.binary(max_size=40), st.integers(0, 30))
def test_any_bytes_are_decoded_or_refused(noise: bytes, at: int) -> None:
    good = b'{"messages":[{"role":"user","content":"a"}],"max_tokens":1}'
    for data in (noise, good[:at] + noise + good[at:]):
        try:
            decode_object(data)
        except BodyError as error:
            assert "\n" not in str(error)
