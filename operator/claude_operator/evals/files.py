"""Reads the files of an eval run on a laptop: manifests or bare fields, a key, the values of `$(NAME)`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from claude_operator.api import gateway as wire
from claude_operator.api.deployment import DeploymentSpec, McpCalls
from claude_operator.api.evals import EvalSetSpec
from claude_operator.api.faults import first_fault, yaml_fault
from claude_operator.api.request import Request
from claude_operator.api.resources import RevisionSpec
from claude_operator.core.evals.contents import Contents, config_maps, contents_of, item_keys
from claude_operator.core.evals.formats.promptfoo import IMPORT, is_config, looks_like_config
from claude_operator.core.evals.formats.text import as_text
from claude_operator.core.evals.prompt import Prompt, read_blocks
from claude_operator.core.spec import revision
from claude_operator.evals.beside import Beside, read_file

__all__ = ["RequestFile", "api_key", "directory", "read_prompt", "read_request", "read_set"]

_SET = "write a ClaudeEvalSet, or its spec: tests: [{id: ..., input: ..., assert: [...]}]"
_BESIDE = "put it into the same file or folder"
_ARMS = ("ClaudeDeployment", "ClaudeRevision")
_SUFFIXES = (".yaml", ".yml", ".json")
_REQUEST = "write a ClaudeDeployment, a ClaudeRevision, or a bare request: {model: ..., max_tokens: ...}"


@dataclass(frozen=True, slots=True)
class RequestFile:
    """An arm from a file. `base_url` and `mcp` (of its evals) are what its ClaudeDeployment says, if it says so."""

    arm: wire.Arm
    base_url: str | None = None
    mcp: McpCalls | None = None


def read_set(path: Path, jsonl: Path | None, volume: Path | None = None) -> tuple[EvalSetSpec, Contents]:
    """A set and what it refers to: `jsonl`, ConfigMaps in the same file or folder, files beside it or in `volume`.

    Raises ValueError.
    """
    documents = _documents(path)
    ours = [one for one in documents if not is_config(one)]
    spec = _spec(ours, "ClaudeEvalSet", ("tests", "dataset"))
    if spec is None:
        if len(ours) < len(documents):
            raise ValueError(f"{path} {IMPORT}")
        raise ValueError(f"{path} has no eval set: {_SET}")
    try:
        parsed = EvalSetSpec.model_validate(spec)
    except ValidationError as error:
        raise ValueError(f"{path}: {first_fault(error)}") from error
    if jsonl is not None and parsed.dataset is None:
        raise ValueError(f"{path} has its own tests: leave out --jsonl, or write dataset instead of tests")
    folder = path if path.is_dir() else path.parent
    found = {_name(one): one for one in documents if _kind(one) == "ConfigMap"}
    try:
        texts = dict(contents_of(spec, {name: found[name] for name in config_maps(spec) if name in found}).texts)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    beside = Beside(volume or folder, "on the volume" if volume else "beside the set")
    for number, place in enumerate(item_keys(parsed)):
        if jsonl is not None and number == 0:
            texts[place] = read_file(jsonl)
        elif place not in texts:
            data = beside(place[1])
            if data is None:
                raise ValueError(f"{path}: the items are in the ConfigMap {place[0]}: {_BESIDE}, or give --jsonl")
            texts[place] = data
    if jsonl is not None and parsed.dataset is not None and parsed.dataset.volume is not None:
        raise ValueError(f"{path} has its items on a volume: give the folder with --volume, in place of --jsonl")
    return parsed, Contents(texts, beside, beside.what)


def read_request(path: Path) -> RequestFile:
    """An arm and its upstream. Raises ValueError that says what to write instead."""
    documents = _documents(path)
    name = next((_name(one) for one in documents if _kind(one) in _ARMS), None) or path.stem
    try:
        if (spec := _spec(documents, "ClaudeDeployment", ())) is not None:
            parsed = DeploymentSpec.model_validate(spec)
            prompts = _config_maps(documents)
            for missing in (one for one in revision.prompt_keys(parsed) if one not in prompts):
                raise ValueError(f"{path}: promptFrom reads key {missing[1]} of the ConfigMap {missing[0]}: {_BESIDE}")
            content = revision.revision_spec(revision.content(spec, prompts))
            base_url = parsed.upstream.base_url if "baseURL" in (spec.get("upstream") or {}) else None
            return RequestFile(_arm(name, content), base_url, parsed.evals.mcp if parsed.evals else None)
        if (spec := _spec(documents, "ClaudeRevision", ("request",))) is not None:
            RevisionSpec.model_validate(spec)
            return RequestFile(_arm(name, spec))
        bare = next((one for one in documents if "model" in one and "kind" not in one), None)
        if bare is not None:
            Request.model_validate(bare)
            return RequestFile(_arm(name, {"request": bare}))
    except ValidationError as error:
        raise ValueError(f"{path}: {first_fault(error)}") from error
    raise ValueError(f"{path} has no request: {_REQUEST}")


def read_prompt(path: Path) -> Prompt:
    """The system prompt of a file that `read_request` takes, by where each block is written. Raises ValueError."""
    documents = _documents(path)
    name = next((_name(one) for one in documents if _kind(one) in _ARMS), None) or path.stem
    if (spec := _spec(documents, "ClaudeDeployment", ())) is not None:
        system = spec["request"].get("system") or ()
        places = [
            (one["configMapKeyRef"]["name"], one["configMapKeyRef"]["key"]) for one in spec.get("promptFrom") or ()
        ]
        if len(set(places)) < len(places):
            raise ValueError(f"{path}: promptFrom reads one key twice, so a patch cannot change one of the texts alone")
        return Prompt(
            "ClaudeDeployment", name, read_blocks(system, spec.get("promptFrom") or (), _config_maps(documents))
        )
    if _spec(documents, "ClaudeRevision", ()) is not None:
        raise ValueError(f"{path}: a ClaudeRevision never changes: give the ClaudeDeployment that it was made of")
    bare = next(one for one in documents if "model" in one and "kind" not in one)
    return Prompt("", name, read_blocks(bare.get("system") or (), (), {}))


def api_key(path: Path) -> str | None:
    """The key in a mounted file, None where there is none."""
    try:
        return path.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def directory(path: Path) -> dict[str, str]:
    """Values by file name; empty where there is no such folder. The kubelet's own entries begin with a dot."""
    values = {}
    try:
        files = sorted(path.iterdir())
    except OSError:
        return {}
    for file in files:
        if not file.name.startswith(".") and file.is_file():
            try:
                values[file.name] = file.read_text().rstrip("\r\n")
            except (OSError, UnicodeDecodeError):
                continue
    return values


def _arm(name: str, spec: Mapping[str, Any]) -> wire.Arm:
    return revision.arm({"metadata": {"name": name}, "spec": spec}, "canary", 0)


def _documents(path: Path) -> list[dict[str, Any]]:
    """The YAML or JSON objects in a file, or in the files of a folder as `kubectl apply -f` reads it."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES and file.is_file())
        return [one for file in files for one in _documents(file)]
    text = _text(path)
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        if looks_like_config(text):  # it may have tags of its own
            raise ValueError(f"{path} {IMPORT}") from error
        raise ValueError(f"{path} {yaml_fault(error)}") from error
    objects = [one for one in documents if isinstance(one, dict)]
    for one in objects:
        for field in ("metadata", "spec", "data") if _kind(one) else ():
            if not isinstance(one.get(field, {}), dict):
                raise ValueError(f"{path}: {field} of the {_kind(one)} must be an object with fields")  # noqa: TRY004
    return objects


def _text(path: Path) -> str:
    try:
        return as_text(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error


def _name(document: Mapping[str, Any]) -> str:
    return str(document.get("metadata", {}).get("name") or "")


def _kind(document: Mapping[str, Any]) -> str:
    return str(document.get("kind") or "")


def _spec(documents: list[dict[str, Any]], kind: str, bare: tuple[str, ...]) -> dict[str, Any] | None:
    """The spec of the only object of a kind, or the first document that is such a spec itself."""
    found = [one for one in documents if _kind(one) == kind]
    if len(found) > 1:
        raise ValueError(f"{len(found)} objects of kind {kind} in one file or folder: put each into its own file")
    if found:
        return dict(found[0].get("spec") or {})
    return next((one for one in documents if "kind" not in one and any(name in one for name in bare)), None)


def _config_maps(documents: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    return dict(_entries(documents))


def _entries(documents: list[dict[str, Any]]) -> Iterator[tuple[tuple[str, str], str]]:
    for one in documents:
        if _kind(one) == "ConfigMap":
            for key, text in (one.get("data") or {}).items():
                yield (_name(one), key), text
