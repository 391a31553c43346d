"""Structural schemas for CustomResourceDefinitions, from pydantic models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from claude_operator.api import cel

Schema = dict[str, Any]

OVERLAY = "x-overlay-on"  # marks a free-form object that holds the fields of a model, none of them required
RULED = "x-ruled-as"  # names the entry of `cel.RULES` for a field that is no model: a list or a map
_BOUNDS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_EXTENSIONS = (
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
)


@dataclass(frozen=True, slots=True)
class Profile:
    """How much a schema asks of its input.

    `defaults`: the API server fills in what is left out. `rules`: bounds, patterns and CEL hold; without them only
    types do, for what the operator itself writes. `undefaulted`: names of fields that are stored just as written.
    """

    defaults: bool = True
    rules: bool = True
    undefaulted: frozenset[str] = frozenset()


USER = Profile()
TRUSTED = Profile(defaults=False, rules=False)


def structural(model: type[BaseModel], profile: Profile) -> Schema:
    """The structural schema of a model: references inlined, no titles, nothing nullable."""
    document = model.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = document.pop("$defs", {})
    definitions[model.__name__] = document
    return _Walk(definitions, profile).schema({"$ref": f"#/$defs/{model.__name__}"})


@dataclass(frozen=True, slots=True)
class _Walk:
    """One pass over a pydantic JSON Schema document."""

    definitions: Mapping[str, Schema]
    profile: Profile

    def schema(self, node: Schema) -> Schema:
        """One node and everything below it."""
        model, flat = self._flat(node)
        ruled = flat.pop(RULED, "")
        if flat.pop(OVERLAY, None) and self.profile.rules:
            model, flat = self._overlay(flat)
        if model in ("Request", "RequestOverlay") and self.profile.rules:
            flat["properties"] = flat["properties"] | cel.REFUSED
        kind = flat.get("type")
        out: Schema = {"description": _sentence(flat)} if flat.get("description") else {}
        if kind:
            out["type"] = kind
        out |= self._scalar(flat)
        self._default(out, flat)
        if kind == "array":
            out["items"] = self.schema(flat["items"])
        if kind == "object":
            out |= self._object(flat)
            if not self.profile.rules and out.get("x-kubernetes-preserve-unknown-fields"):
                out["x-kubernetes-map-type"] = "atomic"  # one manager has it all: no account is kept of its keys
        out |= {key: flat[key] for key in _EXTENSIONS if key in flat}
        if self.profile.rules:
            rules = [rule.to_dict() for rule in (*cel.RULES.get(model or ruled, ()), *_pattern_rules(flat))]
            out |= {"x-kubernetes-validations": rules} if rules else {}
        return out

    def _flat(self, node: Schema) -> tuple[str | None, Schema]:
        """A node without `$ref` and without `anyOf: [X, null]`, and the name of the model that it is of."""
        outer = {key: value for key, value in node.items() if key not in ("$ref", "anyOf")}
        if "$ref" in node:
            name = node["$ref"].removeprefix("#/$defs/")
            _, inner = self._flat(self.definitions[name])
            return name, inner | outer
        if "x-kubernetes-int-or-string" in node:
            return None, dict(node)
        choices = [choice for choice in node.get("anyOf", ()) if choice != {"type": "null"}]
        if not choices:
            return None, outer
        if len(choices) > 1:
            raise TypeError(f"a structural schema has one type a field, not {choices}")
        name_, inner = self._flat(choices[0])
        if outer.get("default", ...) is None:
            del outer["default"]
        return name_, inner | outer

    def _overlay(self, flat: Schema) -> tuple[str, Schema]:
        """A free-form object as the fields of Request, none of them required."""
        _, request = self._flat({"$ref": "#/$defs/Request"})
        request.pop("required")
        return "RequestOverlay", request | {"description": flat["description"]}

    def _scalar(self, flat: Schema) -> Schema:
        """Enumerations, formats and bounds."""
        out: Schema = {}
        if "const" in flat:
            out["enum"] = [flat["const"]]
        out |= {key: flat[key] for key in ("enum", "format") if key in flat}
        if "x-kubernetes-int-or-string" in flat:
            return out | {"anyOf": flat["anyOf"]}
        if not self.profile.rules:
            return out
        out |= {key: flat[key] for key in _BOUNDS if key in flat}
        if "pattern" in flat and flat["pattern"] not in cel.PATTERNS:
            out["pattern"] = flat["pattern"]
        for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if bound in flat:
                out[bound] = flat[bound]
            if exclusive in flat:  # OpenAPI 3.0 has it as a flag
                out |= {bound: flat[exclusive], exclusive: True}
        return out

    def _default(self, out: Schema, flat: Schema) -> None:
        """Tell the default, which `kubectl explain` does not, and set it where the API server may fill it in."""
        default = _without_nulls(flat.get("default"))
        if default is None or not self.profile.rules:
            return
        if not isinstance(default, dict | list) and default != "":
            word = str(default).lower() if isinstance(default, bool) else default
            out["description"] = f"{out['description']} Default: {word}."
        if self.profile.defaults:  # of an object: {}, and its fields have their own
            out["default"] = {} if isinstance(default, dict) else default

    def _object(self, flat: Schema) -> Schema:
        """Fields, values by name, or anything."""
        out: Schema = {}
        if flat.get("required"):
            out["required"] = list(flat["required"])
        if "properties" in flat:
            out["properties"] = {name: self._property(name, field) for name, field in flat["properties"].items()}
        extra = flat.get("additionalProperties")
        if isinstance(extra, dict):
            out["additionalProperties"] = self.schema(extra)
        elif extra is True:
            out["x-kubernetes-preserve-unknown-fields"] = True
        return out

    def _property(self, name: str, field: Schema) -> Schema:
        """One field; where the profile says so, nothing below it is defaulted."""
        if name in self.profile.undefaulted:
            return _Walk(self.definitions, replace(self.profile, defaults=False)).schema(field)
        return self.schema(field)


def _pattern_rules(flat: Schema) -> tuple[cel.Rule, ...]:
    """A pattern as a rule that says what to write: a schema's own message would show the regular expression."""
    message = cel.PATTERNS.get(flat.get("pattern", ""))
    return (cel.Rule(f"self.matches({cel.quote(flat['pattern'])})", message),) if message else ()


def _sentence(flat: Schema) -> str:
    """The description on one line."""
    return " ".join(str(flat["description"]).split())


def _without_nulls(value: Any) -> Any:
    """A default as it would be written by hand."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
