"""What is wrong with a ClaudeEvalSet that its schema lets in, and with its items for the models that are asked."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from claude_operator.api.evals import EvalSetSpec
from claude_operator.api.faults import first_fault
from claude_operator.core.catalogue.checks.check import CHECKS, check_asked
from claude_operator.core.catalogue.checks.row import Asked
from claude_operator.core.evals.contents import Contents, config_maps, contents_of, item_keys
from claude_operator.core.evals.items import Item
from claude_operator.core.evals.sets import load_items
from claude_operator.core.lint.finding import Fault, Level, Path
from claude_operator.core.lint.messages import split_message
from claude_operator.core.lint.prefix import fields_of, served_requests
from claude_operator.core.lint.sources import Found, Objects

__all__ = ["eval_set_faults"]

_TEST = re.compile(r"test (\d+) \([^)]*\)(?:, ([A-Za-z_][A-Za-z0-9_.\[\]]*))?:? ?")
_OF_MESSAGES = frozenset(check.id for check in CHECKS if check.where == "messages")
_MOST_ITEMS = 2_000  # that are held against each model


def eval_set_faults(found: Found, objects: Objects, today: dt.date, wrong: Sequence[Fault]) -> Iterator[Fault]:
    """Items that cannot be read, and conversations that a model refuses; nothing where its schema does not hold."""
    if any(fault.path[:1] == ("spec",) for fault in wrong):
        return
    try:
        spec = EvalSetSpec.model_validate(found.spec)
    except ValidationError as error:
        path, said = split_message(first_fault(error))
        yield Fault("spec-invalid", Level.ERROR, ("spec", *path), said)
        return
    contents = _contents(found, spec, objects)
    if isinstance(contents, Fault):
        yield contents
        return
    try:
        items = load_items(spec, contents)
    except ValueError as error:
        yield _item_fault(str(error))
        return
    yield from _conversations(found, items, objects, today)


def _contents(found: Found, spec: EvalSetSpec, objects: Objects) -> Contents | Fault:
    """The texts that a set refers to; a note where the files do not have them."""
    if spec.dataset is not None and spec.dataset.volume is not None:
        said = "its items are on a volume and are not checked: claude-operator eval run -f FILE --volume DIR asks them"
        return Fault("items-unknown", Level.NOTE, ("spec", "dataset", "volume"), said)
    held = {name: objects.config_map(name, found) for name in config_maps(found.spec)}
    for name, one in held.items():
        if one is None:
            said = f"the ConfigMap {name} is in none of the files, so the items are not checked: add it with -f"
            return Fault("items-unknown", Level.NOTE, ("spec", "dataset" if spec.dataset else "files"), said)
    texts = {name: one.value for name, one in held.items() if one is not None and isinstance(one.value, dict)}
    try:
        contents = contents_of(found.spec, texts)
    except (AttributeError, TypeError, ValueError) as error:
        return Fault("items-invalid", Level.ERROR, ("spec",), str(error))
    for name, key in item_keys(spec):
        if (name, key) not in contents.texts:
            said = f"the ConfigMap {name} has no key {key}: correct one of them"
            return Fault("items-invalid", Level.ERROR, ("spec", "dataset"), said)
    return contents


def _item_fault(message: str) -> Fault:
    """A message that begins with `test 3 (id)` at that test."""
    match = _TEST.match(message)
    if match is None:
        return Fault("items-invalid", Level.ERROR, ("spec",), message)
    inner, _ = split_message(f"{match[2]}: ") if match[2] else ((), "")
    path: Path = ("spec", "tests", int(match[1]) - 1, *inner)
    return Fault("items-invalid", Level.ERROR, path, message[match.end() :] or message)


def _conversations(found: Found, items: list[Item], objects: Objects, today: dt.date) -> Iterator[Fault]:
    """Conversations that the model of a ClaudeDeployment refuses whose evals are of this set."""
    said: set[str] = set()
    for user in objects.of_kind("ClaudeDeployment"):
        if not _is_of(user, found):
            continue
        by_name = {served.name: served for served in served_requests(user.spec, {}, objects.models)}
        for item in items[:_MOST_ITEMS]:
            served = by_name.get(item.subagent or "")
            if served is None:
                yield _item(item, found, f"{item.shown}: {user.label} has no subagent {item.subagent}: correct it")
                continue
            for one in _refused(served.request, item, Asked(served.model, {}, today)):
                text = f"{item.shown}: {one} ({user.label})"
                if text not in said:
                    said.add(text)
                    yield _item(item, found, text)


def _refused(request: Mapping[str, Any], item: Item, asked: Asked) -> Iterator[str]:
    messages = json.loads(item.messages)
    whole = Asked(asked.model, {**request, "messages": messages}, asked.today)
    for one in check_asked(whole):
        if one.check_id in _OF_MESSAGES:
            yield one.message


def _item(item: Item, found: Found, message: str) -> Fault:
    match = _TEST.match(item.place)
    path: Path = ("spec", "tests", int(match[1]) - 1) if match else ("spec", "dataset")
    return Fault("item-refused", Level.ERROR, path, message)


def _is_of(user: Found, found: Found) -> bool:
    """Whether a ClaudeDeployment's gate asks this set."""
    name = fields_of(fields_of(user.spec.get("evals")).get("setRef")).get("name")
    alike = not user.namespace or not found.namespace or user.namespace == found.namespace
    return alike and bool(name) and name == found.name
