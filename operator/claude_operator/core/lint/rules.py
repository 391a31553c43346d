"""Every check that lint has, with a sentence for people: those of the table, and lint's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from claude_operator.core.catalogue.checks.check import CHECKS
from claude_operator.core.catalogue.checks.row import Severity
from claude_operator.core.lint.finding import Level

__all__ = ["OWN", "Rule", "rules"]


class Rule(NamedTuple):
    """A check as reports list it. `number`: its row in the list of checks of the Claude API, None for one of lint's."""

    id: str
    level: Level
    text: str
    number: int | None = None


OWN = (
    Rule("yaml-syntax", Level.ERROR, "The file is YAML or JSON."),
    Rule("yaml-duplicate-key", Level.ERROR, "A key is written once."),
    Rule("yaml-tag", Level.ERROR, "Values have no tags of their own."),
    Rule("yaml-number", Level.ERROR, "Numbers are finite."),
    Rule("yaml-too-large", Level.ERROR, "A file stays within bounds, with all that anchors repeat."),
    Rule("encoding", Level.ERROR, "The file is UTF-8."),
    Rule("no-kind", Level.ERROR, "A file that is named has objects of Kubernetes."),
    Rule("kind-unknown", Level.ERROR, "The kind is one of the API group."),
    Rule("api-version", Level.ERROR, "The version is one that is served."),
    Rule("name-missing", Level.ERROR, "An object has a name."),
    Rule("object-twice", Level.ERROR, "An object is written once."),
    Rule("made-by-operator", Level.WARNING, "Objects that the operator makes are not applied by people."),
    Rule("schema-type", Level.ERROR, "A value has the type of its field."),
    Rule("schema-required", Level.ERROR, "A field that has to be there is there."),
    Rule("empty-field", Level.WARNING, "A field that is written has a value."),
    Rule("schema-unknown-field", Level.ERROR, "A field is one of its object."),
    Rule("schema-value", Level.ERROR, "A value is one that its field takes."),
    Rule("schema-duplicate", Level.ERROR, "Entries of a list that are told apart by a key have each key once."),
    Rule("schema-rule", Level.ERROR, "The rules of the API server hold."),
    Rule("spec-invalid", Level.ERROR, "The operator accepts the spec."),
    Rule("prompt-missing", Level.ERROR, "A ConfigMap has the key that promptFrom reads."),
    Rule("prompt-unknown", Level.NOTE, "The text of promptFrom is in the files."),
    Rule("model-undated", Level.NOTE, "The dates of the model on its platform are known."),
    Rule("items-invalid", Level.ERROR, "The items of an eval set can be read, and each checks something."),
    Rule("items-unknown", Level.NOTE, "The items of an eval set are in the files."),
    Rule("item-refused", Level.ERROR, "The model that is asked takes the item's conversation."),
    Rule("cache-behind-client", Level.WARNING, "No cache breakpoint of the revision stands behind what clients send."),
    Rule("cache-unmarked", Level.WARNING, "A long prefix has a cache breakpoint."),
    Rule("cache-tail", Level.NOTE, "Little stands behind the last cache breakpoint."),
    Rule("cache-rewrite", Level.NOTE, "What an edit makes the API write again instead of reading it."),
)


def rules() -> Iterator[Rule]:
    """All of them."""
    yield from OWN
    for check in CHECKS:
        level = Level.ERROR if check.severity is Severity.ERROR else Level.WARNING
        said = " ".join((check.find.__doc__ or check.id).split())
        yield Rule(check.id, level, said, check.number)
