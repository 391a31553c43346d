"""Lints files: every object of the project's kinds against its schema, the operator's rules and the table of checks."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from claude_operator.api.base import API_VERSION, GROUP
from claude_operator.core.lint.deployments import deployment_faults
from claude_operator.core.lint.eval_sets import eval_set_faults
from claude_operator.core.lint.finding import Fault, Finding, Level
from claude_operator.core.lint.kinds import NAMES, schema_of
from claude_operator.core.lint.schema import empty_fields, schema_faults
from claude_operator.core.lint.sources import Found, Objects, Source, read_sources

__all__ = ["Report", "lint", "lint_objects"]

_MADE = {"ClaudeRevision": "its ClaudeDeployment", "ClaudeEvalRun": "the gate of a ClaudeDeployment"}
_FURTHER = {"ClaudeDeployment": deployment_faults, "ClaudeEvalSet": eval_set_faults}
_CLOSE = 0.7  # of a kind to one that is known
_RULES = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, by file and place. `checked`: labels of the objects that were looked at."""

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    passed_over: int
    """Objects of other kinds."""

    def count(self, level: Level) -> int:
        """Findings of a level."""
        return sum(one.level is level for one in self.findings)


def lint(sources: Sequence[Source], today: dt.date) -> Report:
    """Everything wrong with the objects of these files on a day."""
    return lint_objects(read_sources(sources), today)


def lint_objects(objects: Objects, today: dt.date) -> Report:
    """The same of objects that have been read."""
    findings: list[Finding] = []
    ours = [one for one in objects.found if one.group == GROUP or one.kind in NAMES]
    for one in objects.found:
        faults = list(_document_faults(one))
        faults += _faults(one, objects, today) if one in ours else _foreign(one)
        findings += [one.finding(fault) for fault in faults]
    findings += _twice(ours)
    files = {one.source.name: number for number, one in enumerate(objects.found)}
    findings.sort(key=lambda one: (files.get(one.file, 0), one.file, one.place, one.check, one.message))
    checked = tuple(one.label for one in ours)
    return Report(tuple(dict.fromkeys(findings)), checked, len(objects.found) - len(ours))


def _document_faults(found: Found) -> Iterator[Fault]:
    """Of the document; of a List they are told with its first object."""
    at = found.at
    for fault in found.document.faults:
        if not at or fault.path[: len(at)] == at:
            yield Fault(fault.check, fault.level, fault.path[len(at) :], fault.message)
        elif at[1:] == (0,) and fault.path[:1] != ("items",):
            yield Fault(fault.check, fault.level, (), fault.message)


def _foreign(found: Found) -> list[Fault]:
    """A file that a person named has objects of Kubernetes."""
    if found.kind or found.document.faults or not found.source.is_named:
        return []
    said = f"is not a Kubernetes object: write apiVersion: {API_VERSION}, kind, metadata and spec"
    return [Fault("no-kind", Level.ERROR, (), said)]


def _faults(found: Found, objects: Objects, today: dt.date) -> list[Fault]:
    schema = schema_of(found.kind)
    if schema is None:
        close = difflib.get_close_matches(found.kind, NAMES, 1, _CLOSE)
        said = f"{found.kind or 'nothing'} is not a kind of {GROUP}: write {close[0] if close else ' or '.join(NAMES)}"
        return [Fault("kind-unknown", Level.ERROR, ("kind",), said)]
    faults = []
    if found.value.get("apiVersion") != API_VERSION:
        said = f"{str(found.value.get('apiVersion'))[:80]!r} is not served: write {API_VERSION}"
        faults.append(Fault("api-version", Level.ERROR, ("apiVersion",), said))
    if found.kind in _MADE:
        said = f"a {found.kind} is made by the operator for {_MADE[found.kind]}: do not apply one"
        faults.append(Fault("made-by-operator", Level.WARNING, ("kind",), said))
    if not found.name and not _generated(found.value):
        faults.append(Fault("name-missing", Level.ERROR, ("metadata",), "metadata.name is missing: add it"))
    # The rules of the whole object are about metadata.name.
    wrong = schema_faults(schema if found.name else {**schema, _RULES: ()}, found.value)
    faults += [*wrong, *empty_fields(schema, found.written)]
    further = _FURTHER.get(found.kind)
    if further is not None and found.spec:
        faults += further(found, objects, today, wrong)
    return _once(faults)


def _once(faults: list[Fault]) -> list[Fault]:
    """Without what a rule of the schema and a check of the table both say of a request: the check says more."""
    told = [one.path for one in faults if one.level is Level.ERROR and not one.check.startswith("schema-")]

    def is_told(rule: Fault) -> bool:
        return rule.path[1:2] in (("request",), ("subagents",)) and any(
            path[: len(rule.path)] == rule.path for path in told
        )

    return [one for one in faults if one.check != "schema-rule" or not is_told(one)]


def _generated(value: Any) -> bool:
    metadata = value.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("generateName"))


def _twice(ours: list[Found]) -> Iterator[Finding]:
    """Two objects of one name: the later one would replace the earlier."""
    first: dict[tuple[str, str, str], Found] = {}
    for one in ours:
        key = (one.kind, one.namespace, one.name)
        earlier = first.setdefault(key, one)
        if earlier is not one and one.name:
            place = earlier.document.place(earlier.at)
            said = f"is already at {earlier.source.name}:{place.line}: rename or remove one of them"
            level = Level.ERROR if earlier.source is one.source else Level.NOTE  # files may be versions of one object
            yield one.finding(Fault("object-twice", level, ("metadata", "name"), said))
