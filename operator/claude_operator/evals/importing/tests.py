"""promptfoo's tests as ours."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from claude_operator.core.evals.contents import is_media
from claude_operator.core.evals.formats.rows import format_of, iter_rows
from claude_operator.core.evals.formats.yaml_values import Document, read_document
from claude_operator.evals.importing.asserts import Asserts
from claude_operator.evals.importing.findings import SCHEME, Files, Place, as_mapping, as_sequence, shortened
from claude_operator.evals.importing.members import OfTools, member

__all__ = ["MOST", "Tests", "iter_tests"]

MOST = 20_000  # items
_OURS = ("vars", "assert", "description", "threshold", "metadata", "options")
_PROGRAM = re.compile(r"\.(py|js|ts|mjs|cjs)(:|$)")
_INSTEAD = {
    "provider": "a gate asks the revision: leave it out",
    "providers": "a gate asks the revision: leave it out",
    "prompts": "there is one prompt: leave it out, or write a set of its own",
    "providerOutput": "a gate asks the revision: leave it out",
    "assertScoringFunction": "write threshold and weights",
    "postprocess": "write asserts that fit the answer as it is",
    "transform": "write asserts that fit the answer as it is",
    "prefix": "write it into the prompt",
    "suffix": "write it into the prompt",
    "storeOutputAs": "write the whole conversation as messages",
    "rubricPrompt": "write the criteria into the value of llm-rubric",
}
_FORMS: Mapping[str, type | tuple[type, ...]] = {
    "assert": list, "options": dict, "metadata": dict, "vars": (dict, str),
}  # fmt: skip
_QUIET = ("runSerially", "disableConversationVar", "disableVarExpansion", "disableDefaultAsserts")


def iter_tests(tests: Any, files: Files, place: Place) -> Iterator[tuple[Any, Place]]:
    """Each test with its place; files that tests name are read."""
    if isinstance(tests, str):
        yield from _of_file(tests, files, place)
        return
    if isinstance(tests, dict):
        place.refuse("tests that are generated", "write them out, or into a CSV file")
        return
    if not isinstance(tests, list) or not tests:
        place.refuse("there are no tests", "write tests: [{vars: ..., assert: ...}]")
        return
    for number, one in enumerate(tests):
        if isinstance(one, str):
            yield from _of_file(one, files, place.at(number))
        else:
            yield one, place.at(number)


def _of_file(name: str, files: Files, place: Place) -> Iterator[tuple[Any, Place]]:
    path = name.removeprefix(SCHEME)
    if "://" in path or path.startswith("huggingface:"):
        place.refuse(f"tests from {shortened(name)}", "download them as CSV or JSONL, and name the file")
    elif _PROGRAM.search(path):
        place.refuse(f"tests from the program {shortened(name)}", "run it, and write what it makes into a JSONL file")
    elif "*" in path:
        place.refuse(f"tests from several files ({shortened(name)})", "name each file")
    elif (form := format_of(path)) is None:
        place.refuse(f"tests from {shortened(name)}", "write a file that ends in .csv, .jsonl, .json or .yaml")
    else:
        try:
            yield from _rows(path, form, files.text(path), place)
        except ValueError as error:
            place.refuse(f"tests from {shortened(name)}", str(error))


def _rows(path: str, form: str, text: str, place: Place) -> Iterator[tuple[Any, Place]]:
    if form == "YAML":
        document = read_document(text)
        here = Place(place.findings, path, document)
        yield from ((one, here.at(number)) for number, one in enumerate(as_sequence(document.value)))
        return
    for line, row in iter_rows(text, form, None, template=True):
        if row is not None:
            if form == "CSV":  # an id, a target: vars here
                row = {name: value for name, value in row.items() if name not in ("id", "target")}
            yield row, Place(place.findings, path, Document(row, {(): line}))


class Tests:
    """Takes tests one by one, and what they share."""

    def __init__(self, files: Files, asserts: Asserts) -> None:
        self._files, self._asserts = files, asserts
        self._ids: dict[str, int] = {}
        self._refused = False  # defaultTest has asserts, and none is taken
        self._has_asserts, self._transformed = False, None  # defaultTest
        self.media: dict[str, str] = {}
        """Images and PDFs by the key that they get: the file as it is named."""

    def shared(self, default: Any, place: Place) -> dict[str, Any]:
        """`defaultTest` in our words."""
        if isinstance(default, str):
            try:
                document = read_document(self._files.text(default))
            except ValueError as error:
                place.refuse(f"defaultTest from {shortened(default)}", str(error))
                return {}
            default, place = document.value, Place(place.findings, default.removeprefix(SCHEME), document)
        if default is not None and not isinstance(default, dict):
            place.refuse(f"defaultTest ({shortened(default)})", "must be an object with fields")
        found, asserts = self._common(as_mapping(default), place)
        if "vars" in found:
            found["vars"] = self._variables(found["vars"], place.at("vars"))
        if asserts:
            found |= {"assert": asserts, "combine": "Append"}
        self._refused = not asserts and bool(as_mapping(default).get("assert"))
        self._transformed, self._has_asserts = self._transform(as_mapping(default), place), bool(asserts)
        return found

    def take(self, test: Any, place: Place, *, shared: bool) -> Iterator[dict[str, Any]]:
        """The test, several where a var is a list. `shared`: defaultTest has asserts, so it may have none."""
        if not isinstance(test, dict):
            place.refuse(f"the test {shortened(test)}", "write {vars: ..., assert: ...}")
            return
        found, asserts = self._common(test, place)
        if not asserts and not shared:
            if as_sequence(test.get("assert")) or self._refused:
                place.refuse("a test of which no assert is taken", "it would check nothing, so it is left out")
            else:
                place.refuse("a test without an assert", "promptfoo counts it as passed; write what must hold")
            return
        if as_mapping(test.get("options")).get("disableDefaultAsserts"):
            place.at("options", "disableDefaultAsserts").refuse(
                "disableDefaultAsserts", "put the asserts of defaultTest into the tests that need them"
            )
        if asserts:
            found["assert"] = asserts
        given = found.pop("vars", {})
        variables = self._variables(given, place.at("vars"))
        if isinstance(given, dict) and len(variables) < len(given):
            return  # without one of its vars it would ask something else
        for number, one in enumerate(self._expanded(variables, test, place)):
            item = {"id": self._id(test, place, number), **found}
            yield item | {"vars": one} if one else item

    def _common(self, test: Mapping[str, Any], place: Place) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """What a test and defaultTest have alike, and the asserts."""
        found: dict[str, Any] = {}
        transform = self._transform(test, place)
        for name, value in test.items():
            if (form := _FORMS.get(name)) and value is not None and not isinstance(value, form):
                kind = "a list" if form is list else "an object with fields"
                place.at(name).refuse(f"{name} ({shortened(value)})", f"must be {kind}")
            elif name == "options":
                for option, setting in as_mapping(value).items():
                    if option not in (*_QUIET, "transform") and setting is not None:
                        remedy = _INSTEAD.get(option, "leave it out")
                        place.at("options", option).refuse(f"options.{option} ({shortened(setting)})", remedy)
            elif name not in _OURS and name not in ("id", "critical", "heldOut", "subagent"):
                place.at(name).refuse(f"{name} ({shortened(value)})", _INSTEAD.get(name, "leave it out"))
            elif name == "metadata":
                found["metadata"] = {key: _label(one) for key, one in as_mapping(value).items()}
            elif name in ("description", "threshold", "vars", "critical", "heldOut", "subagent") and value is not None:
                found[name] = value
        taken = [
            self._asserts.take(one, place.at("assert", number), transform)
            for number, one in enumerate(as_sequence(test.get("assert")))
        ]
        return found, [one for one in taken if one is not None]

    def _transform(self, test: Mapping[str, Any], place: Place) -> Any:
        """What is done with an answer before its asserts: that of the test, else of defaultTest. None if not taken."""
        own = as_mapping(test.get("options")).get("transform")
        if own is None:
            return self._transformed
        try:
            remedy = _INSTEAD["transform"]
            if (path := member(own)) is not None:
                if not path:  # as JSON, which is what asserts on JSON read anyway
                    return None
                if not self._has_asserts:
                    return own
                remedy = "the asserts of defaultTest read another member: write them into the tests that need them"
        except OfTools as error:
            remedy = str(error)
        place.at("options", "transform").refuse(f"options.transform ({shortened(own)})", remedy)
        return None

    def _variables(self, given: Any, place: Place) -> dict[str, Any]:
        """Vars with the texts of the files that they name; images and PDFs stay names."""
        if isinstance(given, str):
            try:
                given = read_document(self._files.text(given)).value
            except ValueError as error:
                place.refuse("vars from a file", str(error))
        variables = {}
        for name, value in as_mapping(given).items():
            if isinstance(value, str) and value.startswith(SCHEME):
                try:
                    value = self._file(value)
                except ValueError as error:
                    place.at(name).refuse(f"the var {name} ({shortened(value)})", str(error))
                    continue
            variables[name] = value
        return variables

    def _file(self, reference: str) -> str:
        if _PROGRAM.search(reference):
            raise ValueError("a program is not run: write the value itself")
        if "*" in reference:
            raise ValueError("one test for each file is not made: name each file")
        if not is_media(reference):
            return self._files.text(reference).strip()
        self._files.data(reference)
        key = re.sub(r"[^-._a-zA-Z0-9]", "-", reference.rpartition("/")[2])
        while self.media.setdefault(key, reference) != reference:
            key = f"x{key}"
        return SCHEME + key

    def _expanded(self, variables: dict[str, Any], test: Mapping[str, Any], place: Place) -> Iterator[dict[str, Any]]:
        """promptfoo asks every combination of vars that are lists of texts."""
        off = as_mapping(test.get("options")).get("disableVarExpansion")
        lists = {
            name: value
            for name, value in variables.items()
            if isinstance(value, list) and value and all(isinstance(one, str) for one in value) and not off
        }
        size = 1
        for values in lists.values():
            size *= len(values)
        if size > MOST:
            place.at("vars").refuse(f"{size:,} combinations of vars", f"write up to {MOST:,} tests out")
            return
        for combination in itertools.product(*lists.values()):
            yield {**variables, **dict(zip(lists, combination, strict=True))}

    def _id(self, test: Mapping[str, Any], place: Place, number: int) -> str:
        """From the description, else from the line: the same as long as nothing above it changes."""
        said = test.get("id") or test.get("description")
        name = re.sub(r"[^a-z0-9]+", "-", str(said or "").lower()).strip("-")[:60]
        name = name or f"row-{place.document.line(place.path)}"
        name = f"{name}-{number + 1}" if number else name
        self._ids[name] = self._ids.get(name, 0) + 1
        return name if self._ids[name] == 1 else self._id({"id": f"{name}-{self._ids[name]}"}, place, 0)


def _label(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
