"""`docs/api.md`: the reference of all kinds, from the same schemas as the CustomResourceDefinitions."""

from __future__ import annotations

from collections.abc import Iterator

from claude_operator.api.base import API_VERSION
from claude_operator.api.kinds import KINDS, Kind
from claude_operator.api.schema import Schema

_INTRO = f"""# API reference

Made by `make crds` from operator/claude_operator/api; edit the models there. The same text is in the cluster:
`kubectl explain claudedeployment.spec`. Version `{API_VERSION}`.

Durations are written as `500ms`, `30s`, `10m` or `1h30m`. Fields in snake_case are those of the Messages API.
*Required* means required by the object that the field is in; `[]` is an entry of a list, `{{}}` a value by name.
"""
# Fields whose own fields are those of ClaudeDeployment's spec.request, told there.
_SAME_AS_REQUEST = {("ClaudeDeployment", "spec.subagents{}.request"), ("ClaudeRevision", "spec.request")}


def reference(schemas: dict[str, Schema]) -> str:
    """The whole page; `schemas` by kind."""
    index = "".join(f"- [{kind.kind}](#{kind.kind.lower()}), short `{kind.short}`\n" for kind in KINDS)
    return "\n".join([_INTRO, index, *(_kind(kind, schemas[kind.kind]) for kind in KINDS)])


def _kind(kind: Kind, schema: Schema) -> str:
    scope = "" if kind.namespaced else " Cluster-scoped."
    columns = ", ".join(column.name.upper() for column in kind.columns if not column.wide)
    parts = [f"## {kind.kind}\n", f"{kind.doc}{scope}\n", f"`kubectl get {kind.short}` shows: {columns}.\n"]
    for name in ("spec", "status"):
        part = schema["properties"][name]
        told = [path for owner, path in _SAME_AS_REQUEST if owner == kind.kind]
        rows = "".join(
            _row(path, field, required)
            for path, field, required in _fields(part, name)
            if not any(path.startswith(f"{above}.") for above in told)
        )
        parts.append(
            f"### {kind.kind} {name}\n\n{part['description']}\n\n| Field | Type | Meaning |\n|---|---|---|\n{rows}"
        )
    checks = list(dict.fromkeys(_checks(schema, "")))
    if checks:
        parts.append("### Checked by the API server\n\n| Where | Message |\n|---|---|\n" + "".join(checks))
    return "\n".join(parts)


def _fields(schema: Schema, path: str) -> Iterator[tuple[str, Schema, bool]]:
    """Every field below a node: its path, its schema and whether its object requires it."""
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        yield here, field, name in required
        yield from _fields(*_inner(field, here))


def _inner(field: Schema, path: str) -> tuple[Schema, str]:
    """Down through lists and maps to the object whose fields are to be listed."""
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(field.get(key), dict):
            return _inner(field[key], path + suffix)
    return field, path


def _row(path: str, field: Schema, required: bool) -> str:
    kind = _type(field)
    return f"| `{path}` | {kind}{', required' if required else ''} | {_cell(field['description'])} |\n"


def _type(field: Schema) -> str:
    if field.get("enum"):
        return " \\| ".join(f"`{word}`" for word in field["enum"])
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if isinstance(field.get("items"), dict):
        return f"list of {_type(field['items'])}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"map of {_type(field['additionalProperties'])}"
    return str(field.get("type", "any"))


def _checks(schema: Schema, path: str) -> Iterator[str]:
    """A row for each rule at or below a node."""
    for rule in schema.get("x-kubernetes-validations", []):
        where = f"{path}{rule.get('fieldPath', '')}".lstrip(".") or "metadata.name"
        yield f"| `{where}` | {_cell(rule['message'])} |\n"
    for name, field in schema.get("properties", {}).items():
        yield from _checks(field, f"{path}.{name}")
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(key), dict):
            yield from _checks(schema[key], path + suffix)


def _cell(text: str) -> str:
    """Text that is safe in a table: no pipes, and angle brackets as they are."""
    return text.replace("|", "\\|").replace("<", "&lt;")
