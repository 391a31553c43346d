"""Values are counted where they are, and not in what a text says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_operator.core.request.json_size import holds_more_values


@pytest.mark.parametrize(
    ("data", "commas"),
    [
        (b"[]", 0),
        (b"[1,2,3]", 2),
        (b'{"a":"b,c,,","d":[1,{"e":2,"f":"\\",,\\\\"},3]}', 4),
        (b'["\\\\","a,b"]', 1),
        (b'["' + b'\\",' * 1000 + b'"]', 0),
        (b'["unended, 1, 2', 2),
    ],
)
def test_commas_within_strings_do_not_count(data: bytes, commas: int) -> None:
    assert not holds_more_values(bytearray(data), commas)
    assert not commas or holds_more_values(bytearray(data), commas - 1)


leaves = st.none() | st.integers() | st.text(alphabet='a,"\\\n é', max_size=8)
texts = st.text(alphabet='a,"', max_size=3)
documents = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=30)


def commas(value: Any) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return max(len(inner) - 1, 0) + sum(map(commas, inner))


@given(documents)
def test_every_document_has_its_commas(document: Any) -> None:
    data, expected = json.dumps(document, ensure_ascii=False).encode(), commas(document)
    assert not holds_more_values(data, expected)
    assert not expected or holds_more_values(data, expected - 1)
