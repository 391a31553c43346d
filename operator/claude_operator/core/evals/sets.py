"""The content of a ClaudeEvalSet: its items, and the hash that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from claude_operator.api.datasets import EvalDataset, EvalVolume
from claude_operator.api.evals import EvalSetSpec, EvalTest
from claude_operator.api.faults import first_fault
from claude_operator.core.evals.checks import check_graders, with_graders
from claude_operator.core.evals.contents import Contents
from claude_operator.core.evals.formats.promptfoo import IMPORT, TEST_FIELDS, looks_like_config
from claude_operator.core.evals.formats.rows import FIELDS, format_of, iter_rows
from claude_operator.core.evals.formats.text import as_text
from claude_operator.core.evals.items import LARGEST_SET, Item, ItemReader

__all__ = ["LARGEST_SET", "NOTHING", "Item", "hash_with_files", "iter_items", "load_items", "set_hash"]

NOTHING = Contents()
"""Of a set that refers to nothing."""

_SHOWN = 80  # characters of a check's value in a message
_VERSION = b"v1"
_NOT_CONTENT = ("execution", "calibration")  # how fast they are asked, and labels, do not change what is found


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
    graders = spec.graders or ()
    check_graders(graders)
    reader = ItemReader(spec.default_test, contents)
    first: dict[str, str] = {}
    for place, test in _inline(spec.tests or ()) if spec.dataset is None else _stored(spec, spec.dataset, contents):
        if test is None:
            yield None
            continue
        if test.id in first:
            raise ValueError(f"{place}: the id {test.id!r} is already used at {first[test.id]}: give each item its own")
        first[test.id] = place
        item = reader.item(place, test)
        yield replace(item, checks=with_graders(place, item.checks, graders))


def set_hash(spec_as_stored: Mapping[str, Any], contents: Contents = NOTHING) -> str:
    """sha256 in hex over `v1`, canonical JSON of the spec and what it refers to; nothing is defaulted or filled in.

    `execution` and `calibration` are left out. This never changes: another hash would make every upgrade ask all
    questions again.
    """
    content = {name: value for name, value in spec_as_stored.items() if name not in _NOT_CONTENT}
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


def hash_with_files(set_hash: str, files: Mapping[str, str]) -> str:
    """The hash of a set of this `set_hash` with what it read from a volume: the sha256 of each file, by its name."""
    return hashlib.sha256(_VERSION + _canonical([set_hash, dict(files)])).hexdigest() if files else set_hash


def _canonical(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


# ------------------------------------------------------------------------------------------------------ tests


def _inline(tests: Sequence[EvalTest]) -> Iterator[tuple[str, EvalTest | None]]:
    for number, test in enumerate(tests, 1):
        yield f"test {number} ({test.id})", test


def _stored(spec: EvalSetSpec, dataset: EvalDataset, contents: Contents) -> Iterator[tuple[str, EvalTest | None]]:
    """The tests of a dataset."""
    if [dataset.config_map_key_ref, dataset.config_maps, dataset.volume].count(None) != 2:
        raise ValueError("dataset must have exactly one of configMapKeyRef, configMaps and volume: keep one of them")
    if dataset.volume is not None:
        yield from _on_volume(spec, dataset.volume, contents)
        return
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


def _on_volume(spec: EvalSetSpec, volume: EvalVolume, contents: Contents) -> Iterator[tuple[str, EvalTest | None]]:
    """The tests of the file on a volume."""
    path = volume.path
    form = volume.format or format_of(path)
    if form is None:
        raise ValueError(
            "dataset.volume: write format: JSONL, JSON, CSV or YAML, or a path that ends in .jsonl or .csv"
        )
    data = contents.beside(path) if contents.beside is not None else None
    if data is None:
        raise ValueError(
            f"there is no file {path} {contents.place}: put the items there, or correct dataset.volume.path"
        )
    try:
        text = as_text(data)
    except ValueError as error:
        raise ValueError(f"the file {path} {error}") from None
    yield from _tests(spec, text, form, f"{path}, ", "row-")


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
    defaults = spec.default_test
    asked = defaults is not None and (defaults.input is not None or defaults.messages is not None)
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
