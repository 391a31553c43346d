"""An item of an eval set as it is asked, and how it is made from a test and what all tests share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from pydantic import ValidationError

from claude_operator.api.evals import EvalTest, EvalTestDefaults
from claude_operator.api.faults import first_fault
from claude_operator.api.graders import Assert
from claude_operator.core.evals.checks import Check, check_together, read_check
from claude_operator.core.evals.contents import SCHEME, Contents, block_source, is_media
from claude_operator.core.evals.formats.templates import Templates

__all__ = ["LARGEST_SET", "MOST_ITEMS", "OF_FILES", "Item", "ItemReader"]

LARGEST_SET = 64 * 1024 * 1024
"""Bytes of messages and values to compare with, filled in: a text that many items have counts for each of them."""

MOST_ITEMS = 50_000
_MOST_PAIRS = 20_000_000  # of asserts of one item, over all items: each is compared with the others
OF_FILES = ("is-json", "contains-json", "llm-rubric", "factuality", "tool-call")
"""Asserts whose value may be in a file."""
_MOST_TURNS = 10
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

    @property
    def shown(self) -> str:
        """How a message names it."""
        return "a held-out item" if self.held_out else f"item {self.id}"


class ItemReader:
    """Makes the items of one set, within bounds on their size and on the work of filling them in."""

    def __init__(self, defaults: EvalTestDefaults | None, contents: Contents) -> None:
        self._defaults, self._contents = defaults or _NO_DEFAULTS, contents
        self._templates, self._texts = Templates(), dict[str, str]()
        self._shared: tuple[Check, ...] | None = None
        """The checks of defaultTest, once they have been read as they are."""
        self._size = self._items = self._pairs = 0

    def item(self, place: str, test: EvalTest) -> Item:
        """A test as it is asked; raises ValueError that begins with its place."""
        self._items += 1
        if self._items > MOST_ITEMS:
            raise ValueError(f"{place}: a set has at most {MOST_ITEMS:,} items: remove the others")
        self._templates.begin()
        try:
            made = self._item(place, test)
        except ValueError as error:
            said = str(error)
            raise ValueError(said if said.startswith(place) else f"{place}: {said}") from None
        if self._size > LARGEST_SET:
            raise ValueError(
                f"{place}: the items have more than {LARGEST_SET:,} bytes together when they are filled in: use fewer"
                " or shorter ones"
            )
        return made

    def _item(self, place: str, test: EvalTest) -> Item:
        defaults = self._defaults
        messages, templates = _conversation(place, test, defaults)
        variables = self._variables(test)
        if variables or templates:
            messages = self._templates.fill_deep(messages, variables)
        threshold = test.threshold if test.threshold is not None else defaults.threshold
        checks = self._checks(place, test, variables, threshold)
        try:
            encoded = msgspec.json.encode(_with_files(messages, self._contents))
        except (UnicodeEncodeError, OverflowError, RecursionError) as error:
            raise ValueError(f"{place}: the messages cannot be sent as JSON: {error}") from None
        self._size += len(encoded)
        labels = {**(defaults.metadata or {}), **(test.metadata or {})}
        results = test.tool_results or {}
        return Item(
            test.id,
            encoded,
            checks,
            test.critical,
            test.subagent,
            place,
            threshold=threshold,
            metadata={name: self._filled(value, variables) for name, value in labels.items()},
            tool_results={
                name: tuple(self._filled(one, variables) for one in given) for name, given in results.items()
            },
            max_turns=test.max_turns or (_MOST_TURNS if results else 1),
            held_out=test.held_out,
        )

    def _filled(self, text: str, variables: Mapping[str, Any]) -> str:
        if not variables:
            return text
        filled = self._templates.fill(text, variables)
        self._size += len(filled)
        return filled

    def _variables(self, test: EvalTest) -> dict[str, Any]:
        """The item's vars, with the texts that file:// names; an image or a PDF stays a name, for a block."""
        variables = {**(self._defaults.vars or {}), **(test.vars or {})}
        if test.target is not None:
            variables.setdefault("target", test.target)
        for name, value in variables.items():
            if isinstance(value, str) and value.startswith(SCHEME) and not is_media(value):
                variables[name] = self._text(value)
        return variables

    def _text(self, reference: str) -> str:
        if reference not in self._texts:
            self._texts[reference] = self._contents.text(reference)
        return self._texts[reference]

    def _checks(
        self, place: str, test: EvalTest, variables: Mapping[str, Any], threshold: float | None
    ) -> tuple[Check, ...]:
        """The item's checks, of which all can hold together; those that are defaultTest's alone are read once."""
        defaults = self._defaults
        common, own = defaults.asserts or [], test.asserts or []
        shared = not own and not variables and threshold == defaults.threshold
        if shared and self._shared is not None:
            return self._shared
        chosen = [*common, *own] if defaults.combine == "Append" else own or common
        checks = tuple(read_check(place, self._assert(place, one, variables)) for one in chosen)
        if not checks:
            hint = "; for the target write defaultTest: {assert: [{type: equals, value: '{{target}}'}]}"
            said = "nothing is checked: add assert to it, or to defaultTest for all"
            raise ValueError(f"{place}: {said}{hint if test.target else ''}")
        self._pairs += len(checks) ** 2
        if self._pairs > _MOST_PAIRS:
            raise ValueError(f"{place}: the items have too many asserts: write fewer a test, or those of all once")
        check_together(place, checks, threshold)
        if variables:
            self._size += sum(len(str(check.value)) for check in checks)
        if shared:
            self._shared = checks
        return checks

    def _assert(self, place: str, one: Assert, variables: Mapping[str, Any]) -> Assert:
        value = one.value
        if variables:
            value = self._templates.fill_deep(value, variables)
        if isinstance(value, str) and value.startswith(SCHEME) and one.type.removeprefix("not-") in OF_FILES:
            value = self._text(value)
        return one if value is one.value else _with_value(place, one, value)


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
    source = source.get("data") if isinstance(source, dict) else source
    if isinstance(source, str) and source.startswith(SCHEME) and value.get("type") in ("image", "document"):
        value = {**value, "source": block_source(source, contents)}
    return {key: _with_files(one, contents, depth + 1) for key, one in value.items()}
