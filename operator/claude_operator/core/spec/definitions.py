"""Whether the cluster's CustomResourceDefinitions are those of this operator: older ones drop what they do not know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["APPLY_CRDS", "Definitions", "compare"]

Schema = Mapping[str, Any]
Path = tuple[str, ...]

APPLY_CRDS = "kubectl apply --server-side --force-conflicts -f crds/"
"""With the folder crds/ of the operator's own version."""
_NAMED = 4  # fields of a kind that a sentence names
_FREE = ("apiVersion", "kind", "metadata")
_ANY = "*"  # any key of a mapping


@dataclass(frozen=True, slots=True)
class Definitions:
    """What the definitions that are served lack of the operator's, by kind; nothing where they are current."""

    fields: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    """Fields that the API server drops, or refuses in a server-side apply."""
    rules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values that it refuses, and defaults that it still fills in."""

    def __bool__(self) -> bool:
        """Whether they are older than the operator."""
        return bool(self.fields or self.rules)

    def sentence(self) -> str:
        """What is missing, and the command that helps."""
        parts = []
        for kind in sorted({*self.fields, *self.rules}):
            found = [*map(_text, self.fields.get(kind, ())), *self.rules.get(kind, ())]
            more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            parts.append(f"{kind} lacks {', '.join(found[:_NAMED])}{more}")
        what = "the CustomResourceDefinitions of this cluster are older than this operator"
        helps = f"Apply those of the operator's version: {APPLY_CRDS}"
        return f"{what}: {'; '.join(parts)}. The API server drops what they lack. {helps}"

    def dropped(self, body: Mapping[str, Any]) -> list[str]:
        """The fields of an object that would not be stored."""
        return [_text(path) for path in self.fields.get(str(body.get("kind")), ()) if _has(body, path)]


def compare(served: Mapping[str, Schema], wanted: Mapping[str, Schema]) -> Definitions:
    """Compare the schemas of each kind; a kind that is not served at all is reported elsewhere."""
    fields: dict[str, tuple[Path, ...]] = {}
    rules: dict[str, tuple[str, ...]] = {}
    for kind in wanted.keys() & served.keys():
        found = list(_lacks(served[kind], wanted[kind], ()))
        paths, others = [one for one in found if isinstance(one, tuple)], [one for one in found if isinstance(one, str)]
        fields |= {kind: tuple(paths)} if paths else {}
        rules |= {kind: tuple(others)} if others else {}
    return Definitions(fields, rules)


def _lacks(served: Schema, wanted: Schema, path: Path) -> Iterator[Path | str]:
    """Paths of missing fields, the outermost of each; a sentence for any other thing that an older schema has."""
    known: Schema = served.get("properties") or {}
    for name, schema in (wanted.get("properties") or {}).items():
        if not path and name in _FREE:
            continue
        if name in known:
            yield from _lacks(known[name], schema, (*path, name))
        elif not served.get("x-kubernetes-preserve-unknown-fields"):
            yield (*path, name)
    for key, step in (("items", ()), ("additionalProperties", (_ANY,))):
        mine, theirs = wanted.get(key), served.get(key)
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            yield from _lacks(theirs, mine, (*path, *step))
    if "enum" in served:
        for value in wanted.get("enum", ()):
            if value not in served["enum"]:
                yield f"{_text(path)}: {value}"
    if "default" in served and "default" not in wanted:
        yield f"a {_text(path)} without the default {served['default']}"


def _has(value: Any, path: Path) -> bool:
    if isinstance(value, list):
        return any(_has(one, path) for one in value)
    if not path:
        return True
    if not isinstance(value, Mapping):
        return False
    name, *rest = path
    chosen = list(value.values()) if name == _ANY else [value[name]] if name in value else []
    return any(_has(one, tuple(rest)) for one in chosen) or (bool(chosen) and not rest)


def _text(path: Path) -> str:
    return ".".join(path).replace(f".{_ANY}", "{}")  # as in docs/api.md
