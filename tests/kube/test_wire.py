"""Bodies that mean the same as JSON and as YAML."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from claude_operator.kube.wire import encode

TEXT = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from("\x00\x7f\x80\x85\x9f\u2028\u2029\ufeff\ufffe\uffff\U0001f600\U0010ffff")
)


@given(
    st.recursive(
        TEXT | st.integers(-(2**53), 2**53) | st.none(), lambda one: st.lists(one) | st.dictionaries(TEXT, one)
    )
)
def test_a_body_reads_back_as_json_and_as_yaml(body: Any) -> None:
    data = encode({"a": body})
    text = data.decode()
    assert json.loads(text) == {"a": body}
    # One line of what YAML calls printable: nothing is folded or refused.
    assert len(text.splitlines()) == 1
    assert yaml.reader.Reader.NON_PRINTABLE.search(text) is None
    assert "\ufeff" not in text


def test_astral_characters_go_as_they_are() -> None:
    assert encode({"a": "😀"}) == '{"a":"😀"}'.encode()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("\udfff", "\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("😀\ud83d", "😀\ufffd"),
        ("\udc80é", "\ufffdé"),
    ],
)
def test_lone_surrogates_are_replaced(text: str, read: str) -> None:
    assert json.loads(encode({text: [text, (1, text)]})) == {read: [read, [1, read]]}


def test_what_is_no_json_is_an_error() -> None:
    with pytest.raises(TypeError):
        encode({"a": object()})
