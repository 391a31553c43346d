"""Files as they are in the world: encodings, tables, YAML."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_operator.api.datasets import EvalFields
from claude_operator.core.evals.formats.expected import from_cell
from claude_operator.core.evals.formats.rows import format_of, iter_rows
from claude_operator.core.evals.formats.text import as_text
from claude_operator.core.evals.formats.yaml_values import iter_entries, read_document


def rows(text: str, form: str = "CSV", fields: dict[str, Any] | None = None, **more: Any) -> list[dict[str, Any]]:
    parsed = EvalFields.model_validate(fields) if fields is not None else None
    return [row for _, row in iter_rows(text, form, parsed, **more) if row is not None]


# ------------------------------------------------------------------------------------------------ encodings


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert as_text("a€".encode("utf-8-sig")) == as_text("\ufeffa€") == as_text("a€".encode()) == "a€"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("id,é".encode("utf-16"), r"is UTF-16: save it as UTF-8 \(in a spreadsheet: CSV UTF-8\)"),
        ("id,é".encode("utf-16-be"), "is UTF-16 without a byte order mark: save it"),
        (b"\xfe\xff" + "id".encode("utf-16-be"), "is UTF-16: "),
        ("id".encode("utf-32"), "is UTF-32: "),
        ("id\ncafé".encode("latin-1"), r"is not UTF-8 at line 2 \(byte 0xe9 at 6\), probably Latin-1 or Windows-1252:"),
    ],
)
def test_other_encodings_are_named(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_text(data)


# ------------------------------------------------------------------------------------------------------ CSV


def test_a_table_as_promptfoo_has_it() -> None:
    text = (
        "question,tone,__expected1,__expected2,__threshold,__metadata:topic,__metric,__description\r\n"
        '"Where is it,\r\nmy parcel?",kind,icontains: delivery,"contains-any: a, b",0.5,parcels,words,First\r\n'
        "\r\n"
        "Hi,,Hello,,,,,\r\n"
    )
    first, second = rows(text)
    assert first == {
        "vars": {"question": "Where is it,\r\nmy parcel?", "tone": "kind"},
        "assert": [
            {"type": "icontains", "value": "delivery", "metric": "words"},
            {"type": "contains-any", "value": ["a", "b"], "metric": "words"},
        ],
        "threshold": 0.5,
        "metadata": {"topic": "parcels"},
        "description": "First",
    }
    assert second == {"vars": {"question": "Hi", "tone": ""}, "assert": [{"type": "equals", "value": "Hello"}]}
    assert [line for line, row in iter_rows(text, "CSV", None) if row is not None] == [2, 5]


def test_columns_called_input_target_and_id_are_what_they_say() -> None:
    text = "id;input;target;topic\na;Hi;Hello;x\n"  # as a spreadsheet writes it where the comma is decimal
    all_of_them = {"input": "Hi", "target": "Hello", "id": "a", "topic": "x"}
    assert rows(text) == [{"id": "a", "input": "Hi", "target": "Hello", "vars": all_of_them}]
    assert rows(text, template=True) == [{"id": "a", "target": "Hello", "vars": all_of_them}]
    renamed = {"input": "topic", "id": "input", "metadata": ["target"]}
    assert rows(text, fields=renamed) == [
        {"id": "Hi", "input": "x", "target": "Hello", "metadata": {"target": "Hello"}, "vars": all_of_them}
    ]


def test_switches_of_our_own() -> None:
    [row] = rows("q\t__id\t__critical\t__heldOut\t__subagent\nHi\tone\ttrue\tFALSE\tsmall\n")
    assert row == {"vars": {"q": "Hi"}, "id": "one", "critical": True, "heldOut": False, "subagent": "small"}


def test_thresholds_of_asserts() -> None:
    [row] = rows("q,__expected1,__expected2,__config:__expected2:threshold\nHi,a,token-f1: b,0.25\n")
    assert row["assert"] == [{"type": "equals", "value": "a"}, {"type": "token-f1", "value": "b", "threshold": 0.25}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2,3\n", "line 2 has 3 cells, the header has 2: put cells with commas"),
        ("a,b\n1\n", "line 2 has 1 cells"),
        ('a,b\n"1,2\n', "line 2 is not CSV .*put cells with commas or quotes into double quotes"),
        ('a,b\n"1"x,2\n', "line 2 is not CSV"),
        ("a,a\n1,2\n", "line 1: two columns are called 'a'"),
        ("a,__expect\n1,2\n", "line 1: the column __expect is not known here: write one of __expected"),
        ("a,__threshold\n1,high\n", "line 2, __threshold: must be a number"),
        ("a,__critical\n1,perhaps\n", "line 2, __critical: must be true or false"),
        (",".join(f"c{n}" for n in range(1001)) + "\n", "line 1: more than 1,000 columns"),
        ("a\n" + "x" * 140_000 + "\n", "line 2 is not CSV"),
    ],
)
def test_what_is_wrong_in_a_table(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rows(text)


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("Paris", {"type": "equals", "value": "Paris"}),
        ("Note: this is no type", {"type": "equals", "value": "Note: this is no type"}),
        ("not-icontains: Paris", {"type": "not-icontains", "value": "Paris"}),
        ("is-json", {"type": "is-json"}),
        ("contains", {"type": "equals", "value": "contains"}),
        ("not-contains-any: a , b", {"type": "not-contains-any", "value": ["a", "b"]}),
        ("levenshtein(3): abc", {"type": "levenshtein", "value": "abc", "threshold": 3}),
        ("latency(1000)", {"type": "latency", "threshold": 1000}),
        ("cost: 0.01", {"type": "cost", "threshold": 0.01}),
        ("grade: is kind", {"type": "llm-rubric", "value": "is kind"}),
        ("fn: output.length < 9", {"type": "javascript", "value": "output.length < 9"}),
        ("python: len(output)", {"type": "python", "value": "len(output)"}),
        ("file://check.py", {"type": "python", "value": "file://check.py"}),
        ("regex: ^a:b$", {"type": "regex", "value": "^a:b$"}),
    ],
)
def test_an_assert_in_a_cell(cell: str, found: dict[str, Any]) -> None:
    assert from_cell(cell) == found


def test_the_suffix_says_what_it_is() -> None:
    assert [format_of(key) for key in ("a.jsonl", "a.CSV", "a.yml", "a.json", "a.txt", "csv", "a")] == [
        "JSONL", "CSV", "YAML", "JSON", None, "CSV", None,
    ]  # fmt: skip


# ----------------------------------------------------------------------------------------------------- YAML


def test_yaml_has_the_words_of_version_1_2() -> None:
    text = (
        "- {id: no, n: 07, f: 1.5, on: yes, t: true, d: 2026-11-30, e: , q: '1', s: !!str 1, big: 12345678901234567890}"
    )
    assert list(iter_entries(text)) == [
        (1, {"id": "no", "n": "07", "f": 1.5, "on": "yes", "t": True, "d": "2026-11-30", "e": None, "q": "1", "s": "1",
             "big": "12345678901234567890"}),
    ]  # fmt: skip


def test_anchors_and_merges() -> None:
    text = "- &a {x: 1, y: 2}\n- <<: *a\n  y: 3\n- [*a]\n"
    assert [value for _, value in iter_entries(text)] == [{"x": 1, "y": 2}, {"x": 1, "y": 3}, [{"x": 1, "y": 2}]]


def test_lines_are_known() -> None:
    document = read_document("tests:\n  - vars: {a: 1}\n\n  - vars:\n      a: 2\n")
    paths = (("tests", 0), ("tests", 1, "vars", "a"), ("tests", 1, "z"))
    assert [document.line(path) for path in paths] == [2, 5, 4]
    assert read_document("").value is None


BOMB = "- &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"- &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(9)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n", "line 1 is not a list: write the items as - id"),
        ("- a\n---\n- b\n", "line 2: a second document"),
        ("- {a: 1, a: 2}\n", "line 1: a is written twice"),
        ("- [1, 2\n", "is not YAML at line"),
        ("- !!python/object:os.system x\n", "line 1: the tag .* is not taken"),
        ("- &a [*a]\n", r"line 1: \*a refers to itself or to nothing"),
        ("- ? [1]\n  : 2\n", "a key is not a text"),
        ("- <<: 1\n", "line 1: << needs an object"),
        (f"- {'[' * 70}{']' * 70}\n", "line 1 is nested too deeply"),
        ("- " + "[" * 100_000, "nested too deeply|is not YAML"),
        (BOMB, "more than 20,000 values in one entry"),
        ("- \x00\n", "is not YAML"),
        ("- \ud800\n", "is not YAML"),
    ],
)
def test_what_is_wrong_in_yaml(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(iter_entries(text))


# -------------------------------------------------------------------------------------------------- anything

LINES = st.lists(
    st.text(max_size=12)
    | st.sampled_from(["a,b", '"', "- id: a", "- *a", "&a x", "{", "[", "]}", "- {a: [", "__expected", "\0", "\ufeff"]),
    max_size=8,
)


@settings(max_examples=300)
@given(LINES.map("\n".join), st.sampled_from(["CSV", "YAML", "JSON", "JSONL"]), st.booleans())
def test_whatever_stands_in_a_file_is_rows_or_a_sentence(text: str, form: str, named: bool) -> None:
    try:
        found = rows(text, form, {"metadata": ["a"]} if named else None)
    except ValueError as error:
        assert 0 < len(str(error)) < 1000
        assert not any(word in str(error) for word in ("Traceback", "codec", "NoneType"))
    else:
        assert all(isinstance(row, dict) for row in found)


@settings(max_examples=200)
@given(st.binary(max_size=40))
def test_whatever_bytes_are_a_text_or_a_sentence(data: bytes) -> None:
    try:
        assert isinstance(as_text(data), str)
    except ValueError as error:
        assert "save it as UTF-8" in str(error)


def test_json_is_a_list() -> None:
    assert rows(json.dumps([{"a": 1}]), "JSON") == [{"a": 1}]
    with pytest.raises(ValueError, match="line 1 is not a list"):
        rows("{}", "JSON")
    with pytest.raises(ValueError, match=r"the text is not JSON .*: write a list of objects"):
        rows("[", "JSON")
