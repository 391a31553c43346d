"""The content of a ClaudeEvalSet: its items, and the hash that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from pydantic import ValidationError

from claude_operator.api.evals import EvalDataset, EvalSetSpec, EvalTest, EvalTestDefaults
from claude_operator.api.faults import first_fault
from claude_operator.api.graders import Assert
from claude_operator.core.evals.checks import Check, check_graders, check_together, read_check, with_graders
from claude_operator.core.evals.contents import SCHEME, Contents, block_source, is_media
from claude_operator.core.evals.formats.promptfoo import IMPORT, TEST_FIELDS, looks_like_config
from claude_operator.core.evals.formats.rows import FIELDS, format_of, iter_rows
from claude_operator.core.evals.formats.templates import fill, fill_deep
from claude_operator.core.evals.formats.text import as_text

__all__ = ["LARGEST_SET", "NOTHING", "Item", "iter_items", "load_items", "set_hash"]

NOTHING = Contents()
"""Of a set that refers to nothing."""

_SHOWN = 80  # characters of a check's value in a message
_VERSION = b"v1"
_NOT_CONTENT = "execution"  # how fast the questions are asked does not change what they find
_OF_FILES = ("is-json", "contains-json", "llm-rubric", "factuality", "tool-call")  # their values may be in a file
_MOST_TURNS = 10
LARGEST_SET = 64 * 1024 * 1024
"""Bytes of all messages and values to compare with: a file, or a text of defaultTest, counts for each of its items."""
_NO_DEFAULTS = EvalTestDefaults()
_DEEPEST = 100  # levels of a message


@dataclass(frozen=True, slots=True)
class Item:
    """A question, its conversation as JSON bytes, and what must hold of the answer. Variables are filled in."""

    id: str
    messages: bytes
    checks: tuple[Check, ...]
    critical: bool = False
    subagent: str | None = None
    place: str = field(default="", compare=False)
    """Where it stands in the set, for people."""
    threshold: float | None = None
    """What the weighted mean of the checks' scores must reach; None where every check must hold."""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    tool_results: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """By tool: what its calls are answered with, in their order; the last one answers all further ones."""
    max_turns: int = 1
    """How often the model is asked in one epoch, at most: each answer of a tool asks it again."""
    held_out: bool = False
    """Counted, and never shown by name."""


def load_items(spec: EvalSetSpec, contents: Contents = NOTHING) -> list[Item]:
    """The items of a set in their order, from `spec.tests` or from the dataset's contents.

    Raises ValueError that names the test or line and says what to write instead. Regular expressions are not compiled:
    that can take hours, and is done where it can be broken off (`evals.patterns`).
    """
    return [item for item in iter_items(spec, contents) if item is not None]


def iter_items(spec: EvalSetSpec, contents: Contents = NOTHING) -> Iterator[Item | None]:
    """As `load_items`, in small steps, of which some give no item."""
    if (spec.tests is None) == (spec.dataset is None):
        raise ValueError("the set must have exactly one of tests and dataset: keep one of them")
    defaults = spec.default_test or _NO_DEFAULTS
    graders = spec.graders or ()
    check_graders(graders)
    first: dict[str, str] = {}
    size = 0
    for place, test in _inline(spec.tests or ()) if spec.dataset is None else _stored(spec, spec.dataset, contents):
        if test is None:
            yield None
            continue
        if test.id in first:
            raise ValueError(f"{place}: the id {test.id!r} is already used at {first[test.id]}: give each item its own")
        first[test.id] = place
        try:
            item = _item(place, test, defaults, contents)
            item = replace(item, checks=with_graders(place, item.checks, graders))
        except ValueError as error:
            said = str(error)
            raise ValueError(said if said.startswith(place) else f"{place}: {said}") from None
        size += _size(item)
        if size > LARGEST_SET:
            raise ValueError(
                f"{place}: the items have more than {LARGEST_SET:,} bytes together when they are filled in: use fewer"
                " or shorter ones"
            )
        yield item


def set_hash(spec_as_stored: Mapping[str, Any], contents: Contents = NOTHING) -> str:
    """sha256 in hex over `v1`, canonical JSON of the spec and what it refers to; nothing is defaulted or filled in.

    `execution` is left out. This never changes: another hash would make every upgrade ask all questions again.
    """
    content = {name: value for name, value in spec_as_stored.items() if name != _NOT_CONTENT}
    data = _VERSION + _canonical(content)
    texts = {place: value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
             for place, value in contents.texts.items()}  # fmt: skip
    dataset = spec_as_stored.get("dataset")
    if isinstance(dataset, Mapping) and dataset.get("configMapKeyRef") and not spec_as_stored.get("files"):
        data += b"".join(b"\0" + text for text in texts.values())
    else:
        for place in sorted(texts):
            data += b"\0" + _canonical(place) + hashlib.sha256(texts[place]).digest()
    return hashlib.sha256(data).hexdigest()


def _canonical(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


# ------------------------------------------------------------------------------------------------------ tests


def _inline(tests: Sequence[EvalTest]) -> Iterator[tuple[str, EvalTest | None]]:
    for number, test in enumerate(tests, 1):
        yield f"test {number} ({test.id})", test


def _stored(spec: EvalSetSpec, dataset: EvalDataset, contents: Contents) -> Iterator[tuple[str, EvalTest | None]]:
    """The tests of a dataset."""
    if (dataset.config_map_key_ref is None) == (dataset.config_maps is None):
        raise ValueError("dataset must have exactly one of configMapKeyRef and configMaps: keep one of them")
    if (reference := dataset.config_map_key_ref) is not None:
        text = _text(contents, reference.name, reference.key)
        try:
            yield from _tests(spec, text, "JSONL", "", "" if dataset.fields is None else "row-")
        except ValueError as error:
            if (form := format_of(reference.key)) not in (None, "JSONL", "JSON") and text.lstrip()[:1] != "{":
                remedy = f"{form} is read from dataset.configMaps: [{{name: {reference.name}, key: {reference.key}}}]"
                raise ValueError(f"{error}; {remedy}") from None
            raise
        return
    sources = dataset.config_maps or ()
    for number, source in enumerate(sources, 1):
        place = f"ConfigMap {source.name}, key {source.key}"
        form = source.format or format_of(source.key)
        if form is None:
            raise ValueError(f"{place}: write format: JSONL, JSON, CSV or YAML, or a key that ends in .jsonl or .csv")
        text = _text(contents, source.name, source.key)
        prefix = "row-" if len(sources) == 1 else f"row-{number}."
        try:
            yield from _tests(spec, text, form, f"{place}, ", prefix)
        except ValueError as error:
            said = str(error)
            raise ValueError(said if said.startswith(place) else f"{place}, {said}") from None


def _text(contents: Contents, name: str, key: str) -> str:
    value = contents.texts.get((name, key))
    if value is None:
        raise ValueError(f"the set's items are in the ConfigMap {name}, key {key}, which is missing: create it")
    try:
        return as_text(value)
    except ValueError as error:
        raise ValueError(f"the key {key} of the ConfigMap {name} {error}") from None


def _tests(spec: EvalSetSpec, text: str, form: str, where: str, ids: str) -> Iterator[tuple[str, EvalTest | None]]:
    """The tests of one text. `ids` begins the ids of rows without one, empty where each row must have its own."""
    if form != "CSV" and looks_like_config(text):
        raise ValueError(f"the text {IMPORT}")
    defaults = spec.default_test or _NO_DEFAULTS
    asked = defaults.input is not None or defaults.messages is not None
    fields = spec.dataset.fields if spec.dataset is not None else None
    for line, row in iter_rows(text, form, fields, template=asked):
        if row is not None and ids and row.get("id") in (None, ""):
            row["id"] = f"{ids}{line}"
        place = f"{where}line {line}"
        yield place, None if row is None else _parsed(place, row)


def _parsed(place: str, fields: dict[str, Any]) -> EvalTest:
    # The first one alone: a line may have a hundred thousand.
    unknown = next((name for name in fields if name not in FIELDS and name not in EvalTest.model_fields), None)
    if unknown is not None:
        if unknown in TEST_FIELDS:
            raise ValueError(f"{place}: {unknown} is a field of promptfoo's tests: run `claude-operator eval import`")
        fault = f"{unknown[:_SHOWN]}: is not a field here; correct its name or remove it"
        raise ValueError(f"{place}, {fault}. The fields of an item are {', '.join(FIELDS)}")
    try:
        return EvalTest.model_validate(fields)
    except ValidationError as error:
        raise ValueError(f"{place}, {first_fault(error)}") from None


# ------------------------------------------------------------------------------------------------------- items


def _item(place: str, test: EvalTest, defaults: EvalTestDefaults, contents: Contents) -> Item:
    """A test as it is asked, with what defaultTest says where it does not, and its variables filled in."""
    messages, templates = _conversation(place, test, defaults)
    variables = _variables(test, defaults, contents)
    if variables or templates:
        messages = fill_deep(messages, variables)
    asserts = _asserts(place, test, defaults, variables, contents)
    checks = tuple(read_check(place, one) for one in asserts)
    if not checks:
        hint = (
            "; for the target write defaultTest: {assert: [{type: equals, value: '{{target}}'}]}" if test.target else ""
        )
        raise ValueError(f"{place}: nothing is checked: add assert to it, or to defaultTest for all{hint}")
    threshold = test.threshold if test.threshold is not None else defaults.threshold
    check_together(place, checks, threshold)
    try:
        encoded = msgspec.json.encode(_with_files(messages, contents))
    except (UnicodeEncodeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{place}: the messages cannot be sent as JSON: {error}") from None
    labels = {**(defaults.metadata or {}), **(test.metadata or {})}
    results = {tool: tuple(fill(one, variables) if variables else one for one in given)
               for tool, given in (test.tool_results or {}).items()}  # fmt: skip
    return Item(
        test.id,
        encoded,
        checks,
        test.critical,
        test.subagent,
        place,
        threshold=threshold,
        metadata={name: fill(value, variables) if variables else value for name, value in labels.items()},
        tool_results=results,
        max_turns=test.max_turns or (_MOST_TURNS if results else 1),
        held_out=test.held_out,
    )


def _size(item: Item) -> int:
    return len(item.messages) + sum(len(str(check.value)) for check in item.checks)


def _conversation(place: str, test: EvalTest, defaults: EvalTestDefaults) -> tuple[list[dict[str, Any]], bool]:
    """The messages, and whether they are defaultTest's."""
    if test.input is not None and test.messages is not None:
        raise ValueError(f"{place}: exactly one of input and messages: keep one of them")
    own = test.input is not None or test.messages is not None
    source: EvalTest | EvalTestDefaults = test if own else defaults
    if source.messages is not None and source.input is not None:
        raise ValueError("defaultTest: at most one of input and messages: keep one of them")
    if source.messages is not None:
        if not source.messages:
            raise ValueError(f"{place}: messages is empty: write at least one message of the user, or input")
        return source.messages, not own
    if source.input is None:
        raise ValueError(f"{place}: exactly one of input and messages: write one, or defaultTest.input for all")
    return [{"role": "user", "content": source.input}], not own


def _variables(test: EvalTest, defaults: EvalTestDefaults, contents: Contents) -> dict[str, Any]:
    """The item's vars, with the texts that file:// names; an image or a PDF stays a name, for a block."""
    variables = {**(defaults.vars or {}), **(test.vars or {})}
    if test.target is not None:
        variables.setdefault("target", test.target)
    return {
        name: contents.text(value)
        if isinstance(value, str) and value.startswith(SCHEME) and not is_media(value)
        else value
        for name, value in variables.items()
    }


def _asserts(
    place: str, test: EvalTest, defaults: EvalTestDefaults, variables: Mapping[str, Any], contents: Contents
) -> list[Assert]:
    common = defaults.asserts or []
    own = test.asserts or []
    chosen = [*common, *own] if defaults.combine == "Append" else own or common
    filled = []
    for one in chosen:
        value = one.value
        if variables:
            value = fill_deep(value, variables)
        if isinstance(value, str) and value.startswith(SCHEME) and one.type.removeprefix("not-") in _OF_FILES:
            value = contents.text(value)
        filled.append(one if value is one.value else _with_value(place, one, value))
    return filled


def _with_value(place: str, one: Assert, value: Any) -> Assert:
    """The assert with its value filled in, held to the same rules."""
    fields = one.model_dump(by_alias=True, exclude_unset=True) | {"value": value}
    try:
        return Assert.model_validate(fields)
    except ValidationError as error:
        raise ValueError(f"{place}, {first_fault(error, 'assert')}") from None


def _with_files(value: Any, contents: Contents, depth: int = 0) -> Any:
    """Messages in which the source of a block is never a name."""
    if depth > _DEEPEST:
        raise RecursionError(f"more than {_DEEPEST} levels")
    if isinstance(value, list):
        return [_with_files(one, contents, depth + 1) for one in value]
    if not isinstance(value, dict):
        return value
    source = value.get("source")
    if isinstance(source, str) and source.startswith(SCHEME) and value.get("type") in ("image", "document"):
        value = {**value, "source": block_source(source, contents)}
    return {key: _with_files(one, contents, depth + 1) for key, one in value.items()}
