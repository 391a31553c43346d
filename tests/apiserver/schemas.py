"""Objects made from the CRDs' schemas, with a text in every string that takes any."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CRDS = Path(__file__).parents[2] / "crds"
_CLOSED = ("enum", "pattern", "format", "x-kubernetes-validations")


@functools.cache
def schemas(part: str) -> dict[str, dict[str, Any]]:
    """The schema of `spec` or `status`, by kind."""
    found = {}
    for path in sorted(CRDS.glob("*.yaml")):
        body = yaml.safe_load(path.read_text())["spec"]
        properties = body["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        if part in properties:
            found[body["names"]["kind"]] = properties[part]
    return found


def filled(schema: dict[str, Any], text: str) -> Any:
    """A value of the schema with `text` wherever it takes a free one, None where there is no such place."""
    kind = schema.get("type")
    if kind == "string":
        longest = schema.get("maxLength", 1 << 20)
        return None if any(key in schema for key in _CLOSED) else text[:longest]
    if kind == "array":
        one = filled(schema["items"], text) if "items" in schema else None
        return None if one is None else [one]
    if kind != "object":
        return None
    properties, required = schema.get("properties", {}), schema.get("required", [])
    found = {name: value for name, one in properties.items() if (value := filled(one, text)) is not None}
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict) and (value := filled(extra, text)) is not None:
        found["key"] = value
    if not found:
        return None
    for name in required:
        if name not in found:
            found[name] = _least(properties[name])
    return found


def _least(schema: dict[str, Any]) -> Any:
    """The least value that a schema takes."""
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("x-kubernetes-int-or-string"):
        return 1
    match schema.get("type"):
        case "string":
            return "2026-01-01T00:00:00Z" if schema.get("format") == "date-time" else "a" * schema.get("minLength", 1)
        case "integer" | "number":
            return max(schema.get("minimum", 1), 1)
        case "boolean":
            return True
        case "array":
            return [_least(schema["items"])] * schema.get("minItems", 0)
        case "object":
            return {name: _least(schema["properties"][name]) for name in schema.get("required", [])}
    return {}


def strings(value: Any) -> Iterator[str]:
    """Every string value in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)
