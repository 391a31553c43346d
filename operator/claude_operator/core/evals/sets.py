"""The content of a ClaudeEvalSet: its items, the hash that names it, and the checks on an answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from pydantic import ValidationError

from claude_operator.api.evals import EvalSetSpec, EvalTest
from claude_operator.api.faults import first_fault
from claude_operator.api.graders import Assert
from claude_operator.core.evals.checks import Check, check_together, read_check

__all__ = ["Item", "iter_items", "load_items", "set_hash"]

_SHOWN = 80  # characters of a check's value in a message
_VERSION = b"v1"
_NOT_CONTENT = "execution"  # how fast the questions are asked does not change what they find
_FIELDS = tuple(field.alias or key for key, field in EvalTest.model_fields.items())


@dataclass(frozen=True, slots=True)
class Item:
    """A question, its conversation as JSON bytes, and what must hold of the answer."""

    id: str
    messages: bytes
    checks: tuple[Check, ...]
    critical: bool = False
    subagent: str | None = None
    place: str = field(default="", compare=False)
    """Where it stands in the set, for people."""


def load_items(spec: EvalSetSpec, jsonl: str | None) -> list[Item]:
    """The items of a set in their order, from `spec.tests` or from the dataset's text, one JSON object a line.

    Raises ValueError that names the test or line and says what to write instead. Regular expressions are not compiled:
    that can take hours, and is done where it can be broken off (`evals.patterns`).
    """
    return [item for item in iter_items(spec, jsonl) if item is not None]


def iter_items(spec: EvalSetSpec, jsonl: str | None) -> Iterator[Item | None]:
    """As `load_items`, in small steps, of which some give no item."""
    if (spec.tests is None) == (spec.dataset is None):
        raise ValueError("the set must have exactly one of tests and dataset: keep one of them")
    if spec.dataset is not None and jsonl is None:
        key = spec.dataset.config_map_key_ref
        raise ValueError(f"the set's items are in the ConfigMap {key.name}, key {key.key}, which is missing: create it")
    tests = _inline(spec.tests or ()) if spec.dataset is None else _lines(jsonl or "")
    defaults = (spec.default_test.asserts if spec.default_test else None) or ()
    first: dict[str, str] = {}
    for place, test in tests:
        if test is None:
            yield None
            continue
        if test.id in first:
            raise ValueError(f"{place}: the id {test.id!r} is already used at {first[test.id]}: give each item its own")
        first[test.id] = place
        yield _item(place, test, defaults)


def set_hash(spec_as_stored: Mapping[str, Any], jsonl: str | None) -> str:
    """sha256 in hex over `v1`, canonical JSON of the spec and the dataset's text; nothing is defaulted or filled in.

    `execution` is left out. This never changes: another hash would make every upgrade ask all questions again.
    """
    content = {name: value for name, value in spec_as_stored.items() if name != _NOT_CONTENT}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    data = _VERSION + text.encode("utf-8", "surrogatepass")
    if jsonl is not None:
        data += b"\0" + jsonl.encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()


def _inline(tests: Sequence[EvalTest]) -> Iterator[tuple[str, EvalTest | None]]:
    for number, test in enumerate(tests, 1):
        yield f"test {number} ({test.id})", test


def _lines(jsonl: str) -> Iterator[tuple[str, EvalTest | None]]:
    """The tests of a JSONL text; empty lines are not items."""
    for number, line in enumerate(jsonl.split("\n"), 1):
        if not line.strip():
            yield "", None
            continue
        place = f"line {number}"
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{place} is not JSON ({error}): write one object a line") from None
        if not isinstance(fields, dict):
            raise ValueError(f'{place} is not an object: write {{"id": ..., "input": ...}}')  # noqa: TRY004
        yield place, _parsed(place, fields)


def _parsed(place: str, fields: dict[str, Any]) -> EvalTest:
    # The first one alone: a line may have a hundred thousand.
    unknown = next((name for name in fields if name not in _FIELDS and name not in EvalTest.model_fields), None)
    if unknown is not None:
        fault = f"{unknown[:_SHOWN]}: is not a field here; correct its name or remove it"
        raise ValueError(f"{place}, {fault}. The fields of an item are {', '.join(_FIELDS)}")
    try:
        return EvalTest.model_validate(fields)
    except ValidationError as error:
        raise ValueError(f"{place}, {first_fault(error)}") from None


def _item(place: str, test: EvalTest, defaults: Sequence[Assert]) -> Item:
    """A test as it is asked, with the checks of defaultTest where it has none of its own."""
    if (test.input is None) == (test.messages is None):
        raise ValueError(f"{place}: exactly one of input and messages: keep one of them")
    if test.messages is not None and not test.messages:
        raise ValueError(f"{place}: messages is empty: write at least one message of the user, or input")
    checks = tuple(read_check(place, one) for one in test.asserts or defaults)
    if not checks:
        raise ValueError(f"{place}: nothing is checked: add assert to it, or to defaultTest for all")
    check_together(place, checks, None)
    conversation = test.messages or [{"role": "user", "content": test.input}]
    try:
        messages = msgspec.json.encode(conversation)
    except (UnicodeEncodeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{place}: the messages cannot be sent as JSON: {error}") from None
    return Item(test.id, messages, checks, test.critical, test.subagent, place)
