"""The objects of several files: what each is, and what they know of one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from claude_operator.core.catalogue.objects import models_by_name
from claude_operator.core.catalogue.table import Model
from claude_operator.core.lint.documents import Document, read_documents
from claude_operator.core.lint.finding import Fault, Finding, Path, path_text
from claude_operator.core.lint.kinds import schema_of
from claude_operator.core.lint.schema import schema_faults, without_nulls

__all__ = ["Found", "Objects", "Source", "read_sources"]


@dataclass(frozen=True, slots=True)
class Source:
    """A file and its text. `is_named`: whether a person named it, rather than the folder that it is in."""

    name: str
    text: str
    is_named: bool = True


@dataclass(frozen=True)
class Found:
    """An object in a file. `at` leads to it in its document: an entry of a List's items."""

    source: Source
    document: Document
    value: Any
    """As the API server takes it: without empty fields of the project's kinds."""
    at: Path = ()

    @property
    def written(self) -> Any:
        """The object as it is written."""
        value = self.document.value
        for step in self.at:
            value = value[step]
        return value

    @property
    def kind(self) -> str:
        """Its kind, empty where it has none."""
        return _word(_mapping(self.value).get("kind"))

    @property
    def group(self) -> str:
        """The group of its apiVersion."""
        return _word(_mapping(self.value).get("apiVersion")).rpartition("/")[0]

    @property
    def name(self) -> str:
        """`metadata.name`, empty where it has none."""
        return _word(_mapping(_mapping(self.value).get("metadata")).get("name"))

    @property
    def namespace(self) -> str:
        """`metadata.namespace`, empty where it has none."""
        return _word(_mapping(_mapping(self.value).get("metadata")).get("namespace"))

    @property
    def spec(self) -> Mapping[str, Any]:
        """Its spec, empty where it is no object."""
        return _mapping(_mapping(self.value).get("spec"))

    @property
    def label(self) -> str:
        """`ClaudeDeployment shop/support`."""
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {name}".strip()

    def finding(self, fault: Fault) -> Finding:
        """A fault with its place in the file."""
        path = (*self.at, *fault.path)
        place = self.document.place(path)
        return Finding(self.source.name, place, fault.check, fault.level, self.label, path_text(path), fault.message)


@dataclass(frozen=True, slots=True)
class Objects:
    """All that the files have."""

    found: tuple[Found, ...] = ()
    models: Mapping[str, Model] = field(default_factory=dict)
    """Of ClaudeModel objects, by id and alias."""

    def of_kind(self, kind: str) -> list[Found]:
        """Those of a kind."""
        return [one for one in self.found if one.kind == kind]

    def config_map(self, name: str, near: Found) -> Found | None:
        """The ConfigMap of a name that an object means."""
        return self.named("ConfigMap", name, near)

    def named(self, kind: str, name: str, near: Found) -> Found | None:
        """The object of a kind and name that another one means: of its namespace, where one is known, and its file or
        folder before others.
        """
        found = [one for one in self.of_kind(kind) if one.name == name]
        fitting = [one for one in found if not near.namespace or one.namespace in ("", near.namespace)]
        return min(fitting, key=lambda one: _distance(one, near), default=None)

    def prompts(self, keys: Sequence[tuple[str, str]], near: Found) -> dict[tuple[str, str], str]:
        """Texts by name and key of their ConfigMap, of those that the files have, for an object."""
        texts: dict[tuple[str, str], str] = {}
        for name, key in keys:
            found = self.config_map(name, near)
            text = _mapping(_mapping(found.value).get("data")).get(key) if found is not None else None
            if isinstance(text, str):
                texts[name, key] = text
        return texts


def read_sources(sources: Sequence[Source]) -> Objects:
    """The objects of files in their order."""
    found = tuple(one for source in sources for one in _objects(source))
    specs = [one.spec for one in found if one.kind == "ClaudeModel" and _has_its_types(one)]
    return Objects(found, models_by_name(specs))


def _has_its_types(one: Found) -> bool:
    """Whether each of its values has the type of its field; of others it is said, and nothing is read from them."""
    schema = schema_of(one.kind)
    return schema is not None and all(fault.check != "schema-type" for fault in schema_faults(schema, one.value))


def _distance(one: Found, near: Found) -> tuple[bool, bool, bool]:
    mine, theirs = (PurePath(found.source.name) for found in (one, near))
    return one.namespace != near.namespace, mine != theirs, mine.parent != theirs.parent


def _objects(source: Source) -> Iterator[Found]:
    for document in read_documents(source.text):
        value = document.value
        items = _mapping(value).get("items")
        if _word(_mapping(value).get("kind")).endswith("List") and isinstance(items, list):
            yield from (Found(source, document, _taken(one), ("items", number)) for number, one in enumerate(items))
        else:
            yield Found(source, document, _taken(value))


def _taken(value: Any) -> Any:
    schema = schema_of(_word(_mapping(value).get("kind")))
    return value if schema is None else without_nulls(schema, value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _word(value: Any) -> str:
    return value[:253] if isinstance(value, str) else ""
