"""Checks an object against the schema of its CustomResourceDefinition, as the API server does: fields, types, bounds,
and the CEL rules, each where everything below it is well formed.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from claude_operator.core.lint.cel.evaluate import CelError, holds
from claude_operator.core.lint.finding import Fault, Level, Path

__all__ = ["defaulted", "empty_fields", "schema_faults", "without_nulls"]

Schema = Mapping[str, Any]

_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "array": ((list,), "must be a list: write [...], or an entry a line, each with a dash"),
    "boolean": ((bool,), "must be true or false"),
    "integer": ((int,), "must be a whole number"),
    "number": ((int, float), "must be a number"),
    "object": ((dict,), "must be an object with fields"),
    "string": ((str,), "must be text: put it in quotes"),
}
_SHOWN = 60  # characters of a value in a message
_CLOSE = 0.7  # of a name to one that is known
_STEP = re.compile(r"\.?([A-Za-z_][A-Za-z0-9_]*)")


def schema_faults(schema: Schema, value: Any, *, old: Any = None) -> list[Fault]:
    """What the API server refuses of an object; `old`: as it was before, where a change is checked."""
    return list(_walk(schema, defaulted(schema, without_nulls(schema, value)), old, ()))


def defaulted(schema: Schema, value: Any) -> Any:
    """A value with what the API server fills in."""
    if isinstance(value, list) and "items" in schema:
        return [defaulted(schema["items"], one) for one in value]
    if not isinstance(value, dict):
        return value
    inner = {name: _field(schema, name) for name in value}
    found = {name: defaulted(inner[name] or {}, one) for name, one in value.items()}
    known: Schema = schema.get("properties") or {}
    missing = {name: one for name, one in known.items() if name not in found and "default" in one}
    return found | {name: defaulted(one, one["default"]) for name, one in missing.items()}


def without_nulls(schema: Schema, value: Any) -> Any:
    """A value without the nulls that the API server takes for fields that are left out."""
    if isinstance(value, list) and "items" in schema:
        return [without_nulls(schema["items"], one) for one in value]
    if not isinstance(value, dict):
        return value
    inner = {name: _field(schema, name) for name in value}
    return {
        name: without_nulls(inner[name] or {}, one)
        for name, one in value.items()
        if one is not None or inner[name] is None
    }


def empty_fields(schema: Schema, value: Any, path: Path = ()) -> Iterator[Fault]:
    """Fields without a value: the API server takes them for fields that are left out, which is seldom what is meant."""
    if isinstance(value, list) and "items" in schema:
        for number, one in enumerate(value):
            yield from empty_fields(schema["items"], one, (*path, number))
    for name, one in value.items() if isinstance(value, dict) else ():
        inner = _field(schema, name)
        if inner is None:
            continue
        if one is None:
            said = "is empty, and counts as left out: write a value, or remove the field"
            yield Fault("empty-field", Level.WARNING, (*path, name), said)
        yield from empty_fields(inner, one, (*path, name))


def _field(schema: Schema, name: str) -> Schema | None:
    """The schema of a field or of a value by its key; None where any value is taken."""
    extra = schema.get("additionalProperties")
    found = (schema.get("properties") or {}).get(name, extra if isinstance(extra, Mapping) else None)
    return found if isinstance(found, Mapping) else None


def _walk(schema: Schema, value: Any, old: Any, path: Path) -> Iterator[Fault]:
    own = list(_own(schema, value, path))
    yield from own
    if any(fault.check == "schema-type" for fault in own):
        return
    inner = list(_below(schema, value, old, path))
    yield from inner
    if not own and not inner:
        yield from _rules(schema, value, old, path)


def _own(schema: Schema, value: Any, path: Path) -> Iterator[Fault]:
    """What is wrong with the value itself."""
    if value is None:
        yield _fault("schema-type", path, "is empty: write a value, or remove the field")
        return
    if schema.get("x-kubernetes-int-or-string"):
        if not isinstance(value, int | str) or isinstance(value, bool):
            yield _fault("schema-type", path, "must be text or a whole number")
        return
    wrong = _wrong_type(schema.get("type"), value)
    if wrong:
        yield _fault("schema-type", path, wrong)
        return
    if "enum" in schema and value not in schema["enum"]:
        yield _fault(
            "schema-value", path, f"{_quoted(value)} is not one of its values: write {_either(schema['enum'])}"
        )
    match value:
        case str():
            yield from _text_faults(schema, value, path)
        case bool():
            pass
        case int() | float():
            yield from _number_faults(schema, value, path)
        case list():
            yield from _size_faults(schema, len(value), "Items", "entries", path)
            yield from _unique(schema, value, path)
        case dict():
            yield from _size_faults(schema, len(value), "Properties", "fields", path)


def _wrong_type(wanted: str | None, value: Any) -> str:
    if wanted is None or wanted not in _TYPES:
        return ""
    types, message = _TYPES[wanted]
    if isinstance(value, bool) and bool not in types:
        hint = " (YAML takes yes, no, on and off for that)" if wanted == "string" else ""
        return f"is {str(value).lower()}, and {message}{hint}"
    if wanted == "integer" and isinstance(value, float) and value.is_integer():
        return ""
    return "" if isinstance(value, types) else message


def _text_faults(schema: Schema, value: str, path: Path) -> Iterator[Fault]:
    yield from _size_faults(schema, len(value), "Length", "characters", path)
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield _fault("schema-value", path, f"{_quoted(value)} does not match {schema['pattern']}")
    if schema.get("format") in ("date-time", "date") and not _is_time(value, schema["format"]):
        example = "2026-11-30" if schema["format"] == "date" else "2026-11-30T00:00:00Z"
        yield _fault("schema-value", path, f"{_quoted(value)} is not a time: write it like {example}")


def _is_time(value: str, form: str) -> bool:
    try:
        if form == "date":
            dt.date.fromisoformat(value)
            return True
        return dt.datetime.fromisoformat(value).tzinfo is not None and "T" in value.upper()
    except ValueError:
        return False


def _number_faults(schema: Schema, value: float, path: Path) -> Iterator[Fault]:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and (value < least or (value == least and schema.get("exclusiveMinimum") is True)):
        more = f"more than {least:g}" if schema.get("exclusiveMinimum") is True else f"{least:g} or more"
        yield _fault("schema-value", path, f"{value:g} is too small: write {more}")
    if most is not None and (value > most or (value == most and schema.get("exclusiveMaximum") is True)):
        less = f"less than {most:g}" if schema.get("exclusiveMaximum") is True else f"{most:g} or less"
        yield _fault("schema-value", path, f"{value:g} is too large: write {less}")


def _size_faults(schema: Schema, size: int, suffix: str, noun: str, path: Path) -> Iterator[Fault]:
    least, most = schema.get(f"min{suffix}", 0), schema.get(f"max{suffix}")
    if size < least:
        yield _fault("schema-value", path, f"has {size:,} {noun}: write at least {least:,}")
    if most is not None and size > most:
        yield _fault("schema-value", path, f"has {size:,} {noun}: at most {most:,} are taken")


def _unique(schema: Schema, value: list[Any], path: Path) -> Iterator[Fault]:
    """A list that is a map has each key once."""
    if schema.get("x-kubernetes-list-type") != "map":
        return
    names, seen = schema["x-kubernetes-list-map-keys"], []
    for number, one in enumerate(value):
        if not isinstance(one, dict):
            continue
        key = [one.get(name) for name in names]
        if key in seen:
            told = ", ".join(f"{name} {_quoted(part)}" for name, part in zip(names, key, strict=True))
            yield _fault("schema-duplicate", (*path, number), f"{told} is there already: remove one of them")
        seen.append(key)


def _below(schema: Schema, value: Any, old: Any, path: Path) -> Iterator[Fault]:
    """What is wrong with its fields or entries."""
    if isinstance(value, list) and "items" in schema:
        for number, one in enumerate(value):
            yield from _walk(schema["items"], one, None, (*path, number))
    if not isinstance(value, dict):
        return
    known: Schema = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    closed = known and not schema.get("x-kubernetes-preserve-unknown-fields") and extra is None
    meant = {name: _meant(name, known) for name in value if closed and name not in known}
    for name in schema.get("required") or ():
        if name not in value and name not in meant.values():
            yield _fault("schema-required", path, f"{name} is missing: add it. {_first(known.get(name, {}))}".rstrip())
    for name, one in value.items():
        inner: Path = (*path, name)
        before = old.get(name) if isinstance(old, Mapping) else None
        if name in known:
            yield from _walk(known[name], one, before, inner)
        elif isinstance(extra, Mapping):
            yield from _walk(extra, one, before, inner)
        elif name in meant:
            remedy = f"write {meant[name]}, or remove it" if meant[name] else "correct its name, or remove it"
            yield _fault("schema-unknown-field", inner, f"is not a field here: {remedy}")


def _meant(name: str, known: Schema) -> str | None:
    """The field whose name is nearly this one."""
    close = difflib.get_close_matches(name.lower(), [one.lower() for one in known], 1, _CLOSE)
    return next((one for one in known if close and one.lower() == close[0]), None)


def _first(schema: Schema) -> str:
    """The first sentence of a description."""
    return f"{str(schema.get('description') or '').partition('. ')[0].rstrip('.')}".strip()


def _rules(schema: Schema, value: Any, old: Any, path: Path) -> Iterator[Fault]:
    for rule in schema.get("x-kubernetes-validations") or ():
        names = {"self": value}
        if "oldSelf" in rule["rule"]:
            if old is None:
                continue
            names["oldSelf"] = old
        try:
            kept = holds(rule["rule"], names)
        except CelError:
            kept = False
        if not kept:
            yield _fault("schema-rule", _led(path, value, rule.get("fieldPath", "")), rule["message"])


def _led(path: Path, value: Any, field: str) -> Path:
    """The path that a rule names, as far as it is there."""
    for name in _STEP.findall(field):
        if not isinstance(value, Mapping) or name not in value:
            break
        path, value = (*path, name), value[name]
    return path


def _fault(check: str, path: Path, message: str) -> Fault:
    return Fault(check, Level.ERROR, path, message)


def _quoted(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _either(values: Any) -> str:
    return " or ".join(map(str, values))
