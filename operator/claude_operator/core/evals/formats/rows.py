"""The rows of a dataset, as fields of an EvalTest: from JSONL, JSON, CSV and YAML."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from claude_operator.api.datasets import EvalFields
from claude_operator.api.evals import EvalTest
from claude_operator.core.evals.formats.expected import from_cell
from claude_operator.core.evals.formats.yaml_values import iter_entries

__all__ = ["FIELDS", "Row", "format_of", "iter_rows"]

Row = tuple[int, dict[str, Any] | None]
"""Its line, and its fields; None for a step that gave no row."""

FIELDS = tuple(field.alias or key for key, field in EvalTest.model_fields.items())
_SUFFIXES = {"jsonl": "JSONL", "ndjson": "JSONL", "json": "JSON", "csv": "CSV", "yaml": "YAML", "yml": "YAML"}
_SHOWN = 80
_MOST_CELLS = 1000
_OWN = {"__description": "description", "__id": "id", "__subagent": "subagent"}
_SWITCHES = {"__critical": "critical", "__heldOut": "heldOut"}
_COLUMNS = (
    "__expected, __expected1 and so on, __threshold, __metric, __config:__expected1:threshold, __metadata:NAME, __id,"
    " __description, __critical, __heldOut, __subagent"
)

_ALL_BUT_INPUT = EvalFields(input="\0")  # no column is called that


def format_of(key: str) -> str | None:
    """What a key's suffix says of its text."""
    return _SUFFIXES.get(key.rpartition(".")[2].lower())


def iter_rows(text: str, form: str, fields: EvalFields | None, *, template: bool = False) -> Iterator[Row]:
    """The rows of a text; raises ValueError that begins with the line.

    Where the set has a `template` of its own for the question, a column `input` is a var, unless `fields` says that it
    is the question.
    """
    if form == "CSV":
        yield from _csv(text, fields or (_ALL_BUT_INPUT if template else EvalFields()))
        return
    rows = {"JSONL": _jsonl, "JSON": _json, "YAML": iter_entries}[form](text)
    for line, row in rows:
        if row is not None and not isinstance(row, dict):
            raise ValueError(f'line {line} is not an object: write {{"id": ..., "input": ...}}')
        yield line, _mapped(row, fields) if row is not None and fields is not None else row


def _jsonl(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        yield number, _loads(line, f"line {number}", "write one object a line") if line.strip() else None


def _json(text: str) -> Iterator[tuple[int, Any]]:
    rows = _loads(text, "the text", "write a list of objects") if text.strip() else []
    if not isinstance(rows, list):
        raise ValueError("line 1 is not a list: write [{...}, ...], or one object a line in a key ending in .jsonl")  # noqa: TRY004
    yield from enumerate(rows, 1)


def _loads(text: str, place: str, remedy: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place} is not JSON ({error}): {remedy}") from None


# -------------------------------------------------------------------------------------------------------- CSV


def _csv(text: str, fields: EvalFields) -> Iterator[Row]:
    """A table with a header. Columns that begin with two underscores say what is checked, all others are vars."""
    lines = (found[0] for found in re.finditer(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text))
    first = text.lstrip("\r\n").partition("\n")[0]
    reader = csv.reader(lines, delimiter=max(",;\t", key=_outside_quotes(first).count), strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            start, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                yield start, None
            elif header is None:
                header = _header(cells, start)
                yield start, None
            else:
                yield start, _row(header, cells, start, fields)
    except csv.Error as error:
        raise ValueError(
            f"line {line} is not CSV ({error}): put cells with commas or quotes into double quotes"
        ) from None


def _outside_quotes(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line)


def _header(cells: Sequence[str], line: int) -> list[str]:
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    if len(names) > _MOST_CELLS:
        raise ValueError(f"line {line}: more than {_MOST_CELLS:,} columns: remove some")
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise ValueError(f"line {line}: two columns are called {twice[:_SHOWN]!r}: give each column a name of its own")
    for name in names:
        if name.startswith("__") and not re.fullmatch(
            r"__(expected\d*|threshold|metric|metadata:.+|config:__expected\d*:threshold|id|description|critical|heldOut|subagent)",
            name,
        ):
            raise ValueError(f"line {line}: the column {name[:_SHOWN]} is not known here: write one of {_COLUMNS}")
    return names


def _row(header: Sequence[str], cells: list[str], line: int, fields: EvalFields) -> dict[str, Any]:
    while len(cells) > len(header) and not cells[-1].strip():
        cells.pop()
    if len(cells) != len(header):
        raise ValueError(
            f"line {line} has {len(cells)} cells, the header has {len(header)}: put cells with commas or line breaks"
            " into double quotes"
        )
    row: dict[str, Any] = {"vars": {}}
    metric = next((cell for name, cell in zip(header, cells, strict=True) if name == "__metric" and cell.strip()), None)
    for name, cell in zip(header, cells, strict=True):
        if not name.startswith("__"):
            row["vars"][name] = cell
        elif cell.strip():
            _special(row, name, cell.strip(), line)
    for one in row.get("assert", ()) if metric else ():
        one["metric"] = metric
    _limits(row, header, cells, line)
    return _named(row, row["vars"], fields)


def _limits(row: dict[str, Any], header: Sequence[str], cells: Sequence[str], line: int) -> None:
    """Thresholds of asserts, from the columns `__config:__expected2:threshold`."""
    filled = [name for name, cell in zip(header, cells, strict=True) if name.startswith("__expected") and cell.strip()]
    for name, cell in zip(header, cells, strict=True):
        if name.startswith("__config:") and cell.strip():
            column = name.split(":")[1]
            column = column if column in filled or column != "__expected" else "__expected1"
            if column in filled:
                row["assert"][filled.index(column)]["threshold"] = _number(cell, f"line {line}, {name}")


def _number(cell: str, place: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"{place}: must be a number") from None


def _special(row: dict[str, Any], name: str, cell: str, line: int) -> None:
    if name.startswith("__expected"):
        row.setdefault("assert", []).append(from_cell(cell))
    elif name.startswith("__metadata:"):
        row.setdefault("metadata", {})[name.partition(":")[2].removesuffix("[]")] = cell
    elif name in _OWN:
        row[_OWN[name]] = cell
    elif name in _SWITCHES:
        if cell.lower() not in ("true", "false", "1", "0", "yes", "no"):
            raise ValueError(f"line {line}, {name}: must be true or false")
        row[_SWITCHES[name]] = cell.lower() in ("true", "1", "yes")
    elif name == "__threshold":
        row["threshold"] = _number(cell, f"line {line}, __threshold")


# ------------------------------------------------------------------------------------------------------ fields


def _mapped(row: dict[str, Any], fields: EvalFields) -> dict[str, Any]:
    """A row whose fields have names of their own: those that an item does not know are vars."""
    named = {fields.input, fields.target, fields.id, *(fields.metadata or ())}
    known = {name: value for name, value in row.items() if name in FIELDS and name not in named}
    given = row.get("vars")
    variables = {name: value for name, value in row.items() if name not in known}
    known["vars"] = {**variables, **(given if isinstance(given, dict) else {})}
    return _named(known, known["vars"], fields)


def _named(row: dict[str, Any], values: dict[str, Any], fields: EvalFields) -> dict[str, Any]:
    """The row with what `fields` names put where it belongs; it stays a var too."""
    for name, column in (("id", fields.id), ("target", fields.target), ("input", fields.input)):
        value = values.get(column)
        if value is None or value == "" or name in row:
            continue
        if name == "input" and isinstance(value, list):
            row["messages"] = value
        elif name == "target" and isinstance(value, list):
            values.setdefault("target", value)
        elif name != "input" or "messages" not in row:
            row[name] = value if isinstance(value, str | dict | list) else _scalar(value)
    for column in fields.metadata or ():
        if (value := values.get(column)) not in (None, ""):
            labels = row.setdefault("metadata", {})
            if isinstance(labels, dict):  # what is none is told when the row is read
                labels[column] = _scalar(value)
    return row


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
