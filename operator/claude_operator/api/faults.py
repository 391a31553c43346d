"""What is wrong with a document, as a sentence for people: where, and what to write. Values are never repeated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from claude_operator.api.base import DURATION_PATTERN, seconds

__all__ = ["decode", "faults", "first_fault", "yaml_fault"]

T = TypeVar("T")

_DURATION = "is not a duration; use e.g. 30s, 10m or 1500ms"
_BY_TYPE = {
    "missing": "is missing; add it",
    "extra_forbidden": "is not a field here; correct its name or remove it",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text; put it in quotes",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be an object with fields",
    "model_type": "must be an object with fields",
    "model_attributes_type": "must be an object with fields",
    "date_parsing": "is not a date; use e.g. 2027-02-01",
    "date_from_datetime_parsing": "is not a date; use e.g. 2027-02-01",
    "date_type": "is not a date; use e.g. 2027-02-01",
    "datetime_parsing": "is not a time; use e.g. 2027-02-01T10:00:00Z",
}
_BOUNDS = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
}
_KINDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object with fields",
    "null": "null",
}


# --------------------------------------------------------------------------------------------- pydantic's models


def first_fault(error: ValidationError, root: str = "") -> str:
    """The first thing that a model refuses, as `<root>.<field>: <why>`."""
    return faults(error, root)[0]


def faults(error: ValidationError, root: str = "") -> list[str]:
    """All that a model refuses, each as `<root>.<field>: <why>`."""
    found = error.errors(include_url=False, include_input=False)
    return [f"{place}: {why}" if (place := _place(root, one["loc"])) else why for one in found for why in [_why(one)]]


def _place(root: str, location: tuple[int | str, ...]) -> str:
    """As in `spec.steps[0].setWeight`; names of the alternatives of a union are left out."""
    place = root
    for part in location:
        if isinstance(part, int):
            place += f"[{part}]"
        elif "[" not in part:
            place += f".{part}" if place else part
    return place


def _why(one: ErrorDetails) -> str:
    kind, context = one["type"], one.get("ctx") or {}
    if kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern"))
        return _DURATION if pattern == DURATION_PATTERN else _form(pattern)
    if kind in _BOUNDS:
        shown = {name: f"{value:g}" if isinstance(value, float) else value for name, value in context.items()}
        return _BOUNDS[kind].format_map(shown)
    message = one["msg"].removeprefix("Value error, ")
    return _BY_TYPE.get(kind) or f"{message[:1].lower()}{message[1:]}"


def _form(pattern: str) -> str:
    if "%" in pattern:
        return "is not a percentage; use e.g. 10%"
    return f"must have the form {pattern}"


# ----------------------------------------------------------------------------------------------------------- YAML


def yaml_fault(error: yaml.YAMLError) -> str:
    """Why a text is not YAML, and at which line and column."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "is not YAML; look for control characters"
    mark = error.problem_mark
    return f"is not YAML at line {mark.line + 1}, column {mark.column + 1}: {error.problem}; look at indents and quotes"


# ------------------------------------------------------------------------------------------ msgspec's documents


def decode(data: bytes | str, type_: type[T], what: str) -> T:
    """Read a JSON document; raises `ValueError` that begins with `what` and says where and what to write."""
    try:
        return msgspec.json.decode(data, type=type_)
    except msgspec.ValidationError as error:
        raise ValueError(f"{what}: {_explain(str(error), data, type_)}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{what}: {_not_json(error, data)}") from error


def _not_json(error: Exception, data: bytes | str) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply; write fewer levels"
    text = data.encode("utf-8", "replace") if isinstance(data, str) else data
    try:
        text.decode()
    except UnicodeDecodeError as fault:  # the error's own place is that in a value
        return f"not UTF-8 at byte {fault.start}; save it as UTF-8"
    found = re.fullmatch(r"JSON is malformed: (.*) \(byte (\d+)\)", str(error))
    if found is None:
        return "the JSON ends too early" if text.strip() else "empty; write a JSON object"
    before = text[: int(found[2])]
    line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    return f"not JSON at line {line}, column {column}: {found[1]}"


def _explain(message: str, data: bytes | str, type_: Any) -> str:
    """msgspec's sentence in other words."""
    said, _, path = message.partition(" - at `$")
    place = path.rstrip("`").lstrip(".").replace("[...]", "{}")
    where = f"{place}: " if place else ""
    if found := re.match(r"Object (?:missing required|contains unknown) field `(.*)`", said):
        field = f"{place}.{found[1]}" if place else found[1]
        kind = "missing" if "missing" in said else "extra_forbidden"
        return f"{field}: {_BY_TYPE[kind]}"
    if said.startswith("Invalid enum value"):
        return f"{where}must be {_choices(type_, place)}"
    if found := re.fullmatch(r"Expected `(.+)`, got `(.+)`", said):
        return f"{where}must be {_kinds(found[1])}, not {_kinds(found[2])}{_in_seconds(data, place, found[1])}"
    if found := re.fullmatch(r"Expected `(\w+)` of length <= (\d+)", said):
        return f"{where}must have at most {found[2]} characters"
    if found := re.fullmatch(r"Expected `(\w+)` (>=|<=|<|>) (\S+)", said):
        bounds = {">=": "{} or more", "<=": "{} or less", "<": "less than {}", ">": "more than {}"}[found[2]]
        return f"{where}must be {bounds.format(found[3])}"
    return f"{where}{said[:1].lower()}{said[1:]}"


def _kinds(names: str) -> str:
    return " or ".join(_KINDS.get(name, name) for name in names.split(" | "))


def _in_seconds(data: bytes | str, place: str, wanted: str) -> str:
    """For a duration such as `2m` in place of a number: how many seconds it is."""
    if wanted not in ("float", "int"):
        return ""
    try:
        value = _at(msgspec.json.decode(data), place)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # of what comes after the fault
        return ""
    if not isinstance(value, str) or not re.fullmatch(DURATION_PATTERN, value):
        return ""
    return f"; write it in seconds: {seconds(value):g}"


def _parts(place: str) -> list[str]:
    return re.findall(r"[^.\[\]{}]+|\{\}", place)


def _at(document: Any, place: str) -> Any:
    for part in _parts(place):
        if isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        elif isinstance(document, Mapping):
            document = document.get(part)
        else:
            return None
    return document


def _choices(type_: Any, place: str) -> str:
    """The values that a field may have, as its type has them."""
    found: Any = msgspec.inspect.type_info(type_)
    for part in _parts(place):
        while isinstance(found, msgspec.inspect.UnionType):
            found = next((one for one in found.types if not isinstance(one, msgspec.inspect.NoneType)), found)
        if isinstance(found, msgspec.inspect.StructType):
            found = next((field.type for field in found.fields if field.encode_name == part), None)
        else:
            found = getattr(found, "item_type", getattr(found, "value_type", None))
    values = getattr(found, "values", ())
    return " or ".join(map(str, values)) if values else "another value"
