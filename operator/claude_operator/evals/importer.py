"""`eval import`: a configuration of promptfoo as a ClaudeEvalSet, with what it refers to."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from claude_operator.api.base import API_VERSION
from claude_operator.api.evals import EvalSetSpec
from claude_operator.api.faults import first_fault
from claude_operator.core.evals.contents import Contents, config_maps, contents_of
from claude_operator.core.evals.formats.promptfoo import is_config
from claude_operator.core.evals.formats.text import as_text
from claude_operator.core.evals.formats.yaml_values import Document, read_document
from claude_operator.core.evals.sets import load_items
from claude_operator.evals.importing.asserts import Asserts
from claude_operator.evals.importing.findings import Files, Findings, Place, as_mapping, shortened
from claude_operator.evals.importing.prompts import take_prompts
from claude_operator.evals.importing.tests import MOST, Tests, iter_tests
from claude_operator.evals.manifests import as_yaml

__all__ = ["Imported", "import_config"]

_INLINE = 200  # tests in the set itself
_LARGEST_SET = 900_000  # bytes of one object
_QUIET = (
    "description", "outputPath", "sharing", "tags", "commandLineOptions", "writeLatestResults", "metadata", "$schema",
    "assertionTemplates", "providers", "targets", "prompts", "defaultTest", "tests", "evaluateOptions", "tracing",
)  # fmt: skip
_INSTEAD = {
    "redteam": "a gate asks a fixed set: export the generated tests as tests",
    "scenarios": "write their tests out",
    "derivedMetrics": "write metric beside asserts: results are counted for each",
    "nunjucksFilters": "write the values as they are to be into vars",
    "extensions": "a set runs no programs: leave it out",
    "env": "a set does not read the environment: write the values into vars",
}
_SETTINGS = ("max_tokens", "temperature", "top_p", "top_k", "tools", "tool_choice", "thinking", "system")


@dataclass(frozen=True, slots=True)
class Imported:
    """The YAML, empty where there is nothing to write; what was not taken, and what a person needs to know."""

    text: str
    items: int
    not_taken: tuple[str, ...]
    hints: tuple[str, ...]


def import_config(path: Path, root: Path | None = None, grader: str | None = None) -> Imported:
    """Turn a configuration into ours. Files that it names are read in `root`, else beside it. Raises ValueError."""
    if path.suffix in (".js", ".ts", ".mjs", ".cjs", ".py"):
        raise ValueError(f"{path} is a program: write what it makes as YAML, and import that")
    try:
        document = _read(as_text(path.read_bytes()), path.suffix == ".json")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    config = document.value
    if not isinstance(config, dict) or not (is_config(config) or "tests" in config):
        raise ValueError(f"{path} is not a configuration of promptfoo: it has neither prompts, providers nor tests")
    if "kind" in config:
        raise ValueError(f"{path} is a {shortened(config['kind'])} already: nothing is to be imported")
    files = Files(path.parent, root or path.parent)
    return _Import(Place(Findings(), path.name, document), config, files, grader).run()


def _read(text: str, is_json: bool) -> Document:
    """A configuration with its lines, as far as JSON is YAML."""
    try:
        return read_document(text)
    except ValueError:
        if not is_json:
            raise
    try:
        return Document(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON ({error})") from None


class _Import:
    def __init__(self, place: Place, config: Mapping[str, Any], files: Files, grader: str | None) -> None:
        self._place, self._config, self._files = place, config, files
        self._asserts = Asserts(files, config.get("assertionTemplates"), grader)
        self._tests = Tests(files, self._asserts)
        self._request: dict[str, Any] | None = None

    def run(self) -> Imported:
        """Take everything that can be taken."""
        findings = self._place.findings
        for name, value in self._config.items():
            if name.partition(".")[0] not in _QUIET and value is not None:
                self._place.at(name).refuse(name, _INSTEAD.get(name, "leave it out"))
        self._providers()
        taken, shared = self._items()
        spec: dict[str, Any] = {"defaultTest": shared} if shared else {}
        if self._asserts.graders:
            spec["graders"] = [{"name": name, "model": model} for name, model in self._asserts.graders.items()]
        tests = [one for one, place in taken if self._fits(one, spec, place)]
        if not tests:
            return Imported("", 0, findings.not_taken, ())
        spec |= self._execution()
        name = _slug(self._config.get("description")) or _slug(self._files.folder.resolve().name) or "imported"
        objects = self._objects(name, spec, tests)
        items = self._verified(objects)
        return Imported(self._written(objects), items, findings.not_taken, findings.hints)

    def _providers(self) -> None:
        for field in ("providers", "targets"):
            given = self._config.get(field)
            listed = given if isinstance(given, list) else [given] if given is not None else []
            for number, one in enumerate(listed):
                place = self._place.at(field, number) if isinstance(given, list) else self._place.at(field)
                self._provider(one, place)
        if self._request is not None:
            shown = {name: value for name, value in self._request.items() if name != "tools"}
            tools = ", and its tools" if "tools" in self._request else ""
            self._place.at("providers").hint(
                f"the provider is what is evaluated: write {json.dumps(shown)}{tools} into a file for --request, or"
                " into request of a ClaudeDeployment"
            )

    def _provider(self, one: Any, place: Place) -> None:
        name = one.get("id") if isinstance(one, dict) else one
        if isinstance(one, dict) and name is None and len(one) == 1:  # {"anthropic:...": {config}}
            name, one = next(iter(one.items()))
        if not isinstance(name, str) or not name.startswith("anthropic:"):
            place.refuse(f"the provider {shortened(name)}", "only Claude is asked: leave it out")
        elif self._request is not None:
            place.refuse(
                f"the provider {shortened(name)}",
                "a gate compares two revisions: write it as a request of its own, and give --baseline",
            )
        else:
            config = as_mapping(as_mapping(one).get("config"))
            settings = {key: config[key] for key in _SETTINGS if key in config}
            self._request = {"model": name.rpartition(":")[2], "max_tokens": 1024, **settings}

    def _items(self) -> tuple[list[tuple[dict[str, Any], Place]], dict[str, Any]]:
        shared = self._tests.shared(self._config.get("defaultTest"), self._place.at("defaultTest"))
        shared |= take_prompts(self._config.get("prompts"), self._files, self._place.at("prompts"))
        tests: list[tuple[dict[str, Any], Place]] = []
        given = self._config.get("tests")
        for one, place in iter_tests(given, self._files, self._place.at("tests")):
            tests.extend((made, place) for made in self._tests.take(one, place, shared="assert" in shared))
            if len(tests) > MOST:
                place.refuse("further tests", f"a set has at most {MOST:,}")
                break
        if tests and "input" not in shared and "messages" not in shared:
            names = list(tests[0][0].get("vars") or shared.get("vars") or {})
            if not names:
                return [], shared
            shared["input"] = f"{{{{{names[0]}}}}}"
            self._place.at("prompts").hint(
                f"no prompt was taken, so each item asks {shared['input']} alone: correct defaultTest.input"
            )
        return tests, shared

    def _fits(self, test: dict[str, Any], shared: dict[str, Any], place: Place) -> bool:
        """Whether a test is an item on its own; what is wrong with it is named."""
        data = {("", key): self._files.data(name) for key, name in self._tests.media.items()}
        try:
            load_items(EvalSetSpec.model_validate({**shared, "tests": [test]}), Contents(data))
        except ValidationError as error:
            place.refuse("a test", first_fault(error))
        except ValueError as error:
            place.refuse("a test", str(error).removeprefix(f"test 1 ({test['id']}): "))
        else:
            return True
        return False

    def _execution(self) -> dict[str, Any]:
        options = as_mapping(self._config.get("evaluateOptions"))
        execution: dict[str, Any] = {}
        if isinstance(most := options.get("maxConcurrency"), int):
            execution["maxConcurrency"] = max(1, min(most, 64))
        if isinstance(times := options.get("repeat"), int) and times > 1:
            self._place.at("evaluateOptions", "repeat").hint(f"repeat: {times} is execution.epochs here")
        return {"execution": execution} if execution else {}

    def _objects(self, name: str, spec: dict[str, Any], tests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The set and its ConfigMaps: the tests where they are too many for it, and files."""
        maps = []
        lines = [json.dumps(one, ensure_ascii=False) for one in tests]
        if len(tests) <= _INLINE and sum(len(line.encode()) for line in lines) < _LARGEST_SET:
            spec["tests"] = tests
        else:
            chunks = _chunks(lines)
            names = [f"{name}-items-{number}" for number in range(1, len(chunks) + 1)]
            spec["dataset"] = {"configMaps": [{"name": one, "key": "items.jsonl"} for one in names]}
            maps = [_config_map(one, data={"items.jsonl": text}) for one, text in zip(names, chunks, strict=True)]
        for number, (key, reference) in enumerate(sorted(self._tests.media.items()), 1):
            encoded = base64.b64encode(self._files.data(reference)).decode()
            if len(encoded) > _LARGEST_SET:
                self._place.refuse(f"the file {shortened(reference)}", "is too large for a ConfigMap: make it smaller")
            maps.append(_config_map(f"{name}-file-{number}", binaryData={key: encoded}))
            spec.setdefault("files", []).append({"name": f"{name}-file-{number}"})
        made = {"apiVersion": API_VERSION, "kind": "ClaudeEvalSet", "metadata": {"name": name}, "spec": spec}
        return [made, *maps]

    def _verified(self, objects: list[dict[str, Any]]) -> int:
        """The number of items; what is still wrong with the set is named."""
        spec = objects[0]["spec"]
        maps = {one["metadata"]["name"]: one for one in objects[1:]}
        try:
            parsed = EvalSetSpec.model_validate(spec)
            return len(load_items(parsed, contents_of(spec, {name: maps[name] for name in config_maps(spec)})))
        except ValidationError as error:
            self._place.refuse("the set", first_fault(error, "spec"))
        except ValueError as error:
            self._place.refuse("the set", f"{error}")
        return 0

    def _written(self, objects: list[dict[str, Any]]) -> str:
        findings = self._place.findings
        head = [f"From {self._place.file}, written by claude-operator eval import."]
        if findings.not_taken:
            head += ["Not taken:", *(f"- {one}" for one in findings.not_taken)]
        lines = (line for one in head for line in one.splitlines())
        comment = "".join(f"# {''.join(c if c.isprintable() else '�' for c in line)}\n" for line in lines)
        return comment + "---\n".join(map(as_yaml, objects))


def _config_map(name: str, **content: Mapping[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **content}


def _chunks(lines: list[str]) -> list[str]:
    """JSONL texts that fit into an object each."""
    chunks, size = [""], 0
    for line in lines:
        length = len(line.encode()) + 1
        if size + length > _LARGEST_SET and chunks[-1]:
            chunks.append("")
            size = 0
        chunks[-1] += line + "\n"
        size += length
    return chunks


def _slug(text: Any) -> str:
    return re.sub(r"[^a-z0-9]+", "-", str(text or "").lower()).strip("-")[:40].strip("-")
