"""YAML as kubectl reads it, and where each key and value stands."""

from __future__ import annotations

import math
from typing import Any

import pytest

from claude_operator.core.lint.documents import read_documents
from claude_operator.core.lint.finding import Path, Place

TEXT = """\
# a comment
kind: A
spec:
  list:
  - name: x
    value: 1
  - {name: q, value: 2}
  text: |
    two
    lines
---
---
kind: B
"""


def test_each_key_and_entry_has_its_place() -> None:
    first, second = read_documents(TEXT)
    assert first.value["spec"]["list"][1] == {"name": "q", "value": 2}
    assert second.value == {"kind": "B"}
    places: list[tuple[Path, Place]] = [
        ((), Place(2, 1)),
        (("kind",), Place(2, 1)),
        (("spec", "list"), Place(4, 3)),
        (("spec", "list", 0), Place(5, 5)),
        (("spec", "list", 0, "value"), Place(6, 5)),
        (("spec", "list", 1, "value"), Place(7, 15)),
        (("spec", "text"), Place(8, 3)),
        (("spec", "text", "below", 3), Place(8, 3)),  # the nearest that is there
        (("nothing",), Place(2, 1)),
    ]
    for path, place in places:
        assert first.place(path) == place, path
    assert second.place(("kind",)) == Place(13, 1)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("yes", True),
        ("off", False),
        ("n", False),
        ("'no'", "no"),
        ("~", None),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", 1000),
        ("123456789012345678901234567890", 1.2345678901234568e29),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("2026-11-30", "2026-11-30"),
        ("12:30", "12:30"),
        ("!!str 5", "5"),
        ("100m", "100m"),
        ("'\\u00e9'", "\\u00e9"),
        ('"\\u00e9"', "é"),
    ],
)
def test_values_are_those_that_kubectl_reads(written: str, read: Any) -> None:
    (document,) = read_documents(f"a: {written}")
    assert document.value == {"a": read}
    assert type(document.value["a"]) is type(read)
    assert not document.faults


@pytest.mark.parametrize(
    ("text", "check", "place", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "yaml-duplicate-key", Place(3, 1), "a is written twice"),
        ("a: !!python/object:os.system x\n", "yaml-tag", Place(1, 1), "the tag"),
        ("a: .nan\n", "yaml-number", Place(1, 1), "not a number that JSON has"),
        ("a: -.inf\n", "yaml-number", Place(1, 1), "not a number that JSON has"),
        ("a: 1e999\n", "yaml-number", Place(1, 1), "not a number that JSON has"),
        ("a: [1,\nb: 2\n", "yaml-syntax", None, "is not YAML"),
        ("a: 1\nb: \x07\n", "yaml-syntax", Place(2, 4), "control character"),
        ("a: \ud800\n", "yaml-syntax", Place(1, 4), "half a character"),
        ("a: *b\n", "yaml-syntax", Place(1, 4), "refers to itself or to nothing"),
        ("a: &b [*b]\n", "yaml-syntax", Place(1, 8), "refers to itself or to nothing"),
        ("? [a]\n: 1\n", "yaml-syntax", Place(1, 3), "a key is not a text"),
        ("<<: 5\n", "yaml-syntax", Place(1, 1), "<< needs an object"),
        ("a:\n  {{ .Values.x }}: 1\n  b: 2\n", "yaml-syntax", Place(2, 3), "a key is not a text"),
        ("a: {{ if x }}\nb: {{ y\n", "yaml-syntax", None, "helm template"),
        ("a: " + "[" * 70 + "]" * 70, "yaml-too-large", None, "nested more than 60"),
    ],
)
def test_what_cannot_be_read_says_where_and_what_to_write(
    text: str, check: str, place: Place | None, said: str
) -> None:
    (document,) = read_documents(text)
    (fault,) = document.faults
    assert fault.check == check
    assert said in fault.message
    if place is not None:
        assert document.place(fault.path) == place


def test_what_stands_before_a_fault_is_read() -> None:
    first, second = read_documents("kind: A\n---\nkind: [\n---\nkind: C\n")
    assert first.value == {"kind": "A"}
    assert not first.faults
    assert [fault.check for fault in second.faults] == ["yaml-syntax"]


def test_anchors_are_expanded_and_bounded() -> None:
    (document,) = read_documents("a: &one {x: 1}\nb: *one\nc:\n  <<: *one\n  y: 2\n")
    assert document.value == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (bomb,) = read_documents("\n".join(lines))
    assert [fault.check for fault in bomb.faults] == ["yaml-too-large"]


def test_json_windows_lines_and_no_document_at_all() -> None:
    (document,) = read_documents('{"kind": "A",\r\n "spec": {"x": 1.5}}\r\n')
    assert document.value == {"kind": "A", "spec": {"x": 1.5}}
    assert document.place(("spec", "x")) == Place(2, 11)
    assert read_documents("") == []
    assert read_documents("# nothing\n---\n") == []
    assert math.isfinite(document.value["spec"]["x"])


def test_a_prefix_of_a_number_without_digits_is_a_text() -> None:
    (document,) = read_documents("a: [0x_, 0b_, 0o_, 0x, -0x__]\nb: [0x_1F, 0b_10, 0o_17]\n")
    assert document.value == {"a": ["0x_", "0b_", "0o_", "0x", "-0x__"], "b": [31, 2, 15]}
