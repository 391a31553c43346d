"""Reads the values of asserts, and refuses those with which a check could never fail or never hold."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from claude_operator.api.graders import LONGEST_VALUE, Assert
from claude_operator.core.evals.graders import patterns, schemas
from claude_operator.core.evals.graders.check import Value
from claude_operator.core.evals.graders.texts import composed, plain, tokens

__all__ = [
    "call_list",
    "distance_text",
    "list_of_texts",
    "name_list",
    "nothing",
    "object_schema",
    "pattern",
    "question_texts",
    "schema",
    "some_text",
    "whole_text",
    "words",
]

_LONGEST_COMPARED = 10_000  # characters of a value whose distance is measured
_MOST_TEXTS = 256


def some_text(one: Assert) -> Value:
    """A text to look for."""
    text = plain(_text(one.value))
    if not text:
        raise ValueError("the value is empty, and is in every answer: write what to look for")
    return text


def whole_text(one: Assert) -> Value:
    """A text that is compared without the white space around it."""
    text = plain(_text(one.value))
    if not text.strip():
        raise ValueError("the value is blank, and no answer is: write what to compare the answer with")
    return text


def distance_text(one: Assert) -> Value:
    """A text whose distance is measured."""
    text = str(whole_text(one))
    if len(text) > _LONGEST_COMPARED:
        raise ValueError(f"the value has over {_LONGEST_COMPARED:,} characters: use token-f1 for long texts")
    return text


def words(one: Assert) -> Value:
    """A text with at least one word."""
    text = plain(_text(one.value))
    if not tokens(text):
        raise ValueError("the value has no words beside articles: write the text that the answer should be like")
    return text


def list_of_texts(one: Assert) -> Value:
    """Texts to look for."""
    found = tuple(plain(text) for text in _texts(one.value))
    if "" in found:
        raise ValueError("one of the values is empty, and is in every answer: remove it")
    return found


def name_list(one: Assert) -> Value:
    """Names of tools."""
    found = tuple(dict.fromkeys(text.strip() for text in _texts(one.value)))
    if "" in found:
        raise ValueError("one of the names is empty: remove it")
    return found


def question_texts(one: Assert) -> Value:
    """One criterion or several, each answered by yes or no."""
    found = (plain(one.value),) if isinstance(one.value, str) else tuple(plain(text) for text in _texts(one.value))
    if not all(text.strip() for text in found):
        raise ValueError("a blank criterion cannot be graded: write what must be true of the answer")
    return found


def pattern(one: Assert) -> Value:
    """A regular expression."""
    text = composed(_text(one.value))
    if why := patterns.problem_of(text):
        raise ValueError(f"the value {why}")
    return text


def nothing(one: Assert) -> Value:
    """No value at all."""
    if one.value not in (None, ""):
        raise ValueError("takes no value: remove it")
    return ""


def schema(one: Assert) -> Value:
    """A JSON Schema as a line of JSON, empty for none."""
    if one.value in (None, ""):
        return ""
    return _checked_schema(one.value if isinstance(one.value, str) else _line(one.value))


@lru_cache(maxsize=64)  # one of defaultTest is read for each item
def _checked_schema(text: str) -> str:
    found = _decoded(text, "a JSON Schema, as an object or its text")
    line = _line(found)
    if why := schemas.problem_of(found):
        raise ValueError(f"the value is not a JSON Schema that can be checked: {why}")
    return line


def object_schema(one: Assert) -> Value:
    """As `schema`, for what is an object or a list."""
    line = str(schema(one))
    wanted = json.loads(line).get("type") if line.startswith("{") else None
    if wanted and not {"object", "array"} & {wanted, *(wanted if isinstance(wanted, list) else ())}:
        raise ValueError(f"only objects and lists are looked for, and the schema wants type {wanted}: use is-json")
    return line


def call_list(one: Assert) -> Value:
    """Expected calls as a line of JSON: a list of {"name", "input"}."""
    found = _decoded(one.value, 'a call such as {"name": "get_order", "input": {"id": "A17"}}, or a list of them')
    calls = found if isinstance(found, list) else [found]
    if not calls:
        raise ValueError("the list of calls is empty: write at least one")
    for call in calls:
        if not isinstance(call, dict) or not isinstance(call.get("name"), str) or not call["name"].strip():
            raise ValueError(
                'a call must be an object with a name: write {"name": "get_order", "input": {"id": "A17"}}'
            )
        if not isinstance(call.get("input", {}), dict):
            raise ValueError(  # noqa: TRY004
                f"the input of {call['name'][:80]!r} must be an object: write the fields that it must have"
            )
        unknown = next((name for name in call if name not in ("name", "input")), None)
        if unknown is not None:
            raise ValueError(f"{unknown[:80]!r} is not a field of a call: write name and input")
    return _line(calls)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if value is None:
        raise ValueError("has no value: write what to compare the answer with")
    raise ValueError("the value must be text; put it in quotes")


def _texts(value: Any) -> list[str]:
    """A list, or a text with commas between its parts."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if value is None:
        raise ValueError("has no value: write a list of texts")
    if not isinstance(value, list):
        raise ValueError("the value must be a list of texts")  # noqa: TRY004
    if not value:
        raise ValueError("the list is empty: write at least one text")
    if len(value) > _MOST_TEXTS:
        raise ValueError(f"the list has over {_MOST_TEXTS} texts: shorten it")
    return [_text(one) for one in value]


def _decoded(value: Any, what: str) -> Any:
    if value is None:
        raise ValueError(f"has no value: write {what}")
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the value is text that is not JSON ({str(error)[:80]}): write {what}") from None


def _line(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"the value cannot be written as JSON ({str(error)[:80]})") from None
    if len(text) > LONGEST_VALUE:
        raise ValueError(f"the value must have at most {LONGEST_VALUE} characters")
    return plain(text)
