"""Every example is what the models and the schemas take, and refers only to what its folder holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from claude_operator.api.base import API_VERSION
from claude_operator.api.kinds import KINDS, object_schema

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = sorted(path for path in EXAMPLES.iterdir() if path.name[0].isdigit())  # the others are not applied
KIND = {kind.kind: kind for kind in KINDS}
folders = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def objects(folder: Path, pattern: str = "*.yaml") -> list[dict[str, Any]]:
    """The Kubernetes objects of a folder; other YAML, such as a simulator's scenario, has no kind."""
    documents = [item for file in sorted(folder.glob(pattern)) for item in yaml.safe_load_all(file.read_text())]
    return [item for item in documents if "kind" in item]


def references(node: Any) -> list[tuple[str, str, str | None]]:
    """(kind, name, key) of everything that an object refers to by name."""
    if isinstance(node, list):
        return [found for item in node for found in references(item)]
    if not isinstance(node, dict):
        return []
    kinds = {
        "apiKeySecretRef": "Secret",
        "secretKeyRef": "Secret",
        "configMapKeyRef": "ConfigMap",
        "setRef": "ClaudeEvalSet",
    }
    own = [(kinds[key], ref["name"], ref.get("key")) for key, ref in node.items() if key in kinds]
    return own + [found for item in node.values() for found in references(item)]


def test_the_four_are_there_and_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    assert [folder.name[:2] for folder in FOLDERS] == ["01", "02", "03", "04"]
    assert all(f"[{folder.name}]({folder.name})" in listed for folder in FOLDERS)


@folders
def test_models_and_schemas_take_it(folder: Path) -> None:
    ours = [item for item in objects(folder, "**/*.yaml") if item["apiVersion"] == API_VERSION]
    assert ours
    for item in ours:
        kind = KIND[item["kind"]]
        kind.spec.model_validate(item["spec"])
        # OpenAPI 3.0 has exclusive bounds as flags, as JSON Schema's draft 4 has.
        jsonschema.Draft4Validator(strict(object_schema(kind))).validate(json.loads(json.dumps(item)))


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that refuses unknown fields where the API server would drop them."""
    out = {key: value for key, value in schema.items() if key != "x-kubernetes-validations"}
    if "properties" in schema:
        out["properties"] = {name: strict(field) for name, field in schema["properties"].items()}
        out["additionalProperties"] = schema.get("x-kubernetes-preserve-unknown-fields", False)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            out[key] = strict(schema[key])
    return out


def test_strict_schema_refuses_a_typo() -> None:
    item = next(item for item in objects(FOLDERS[0]) if item["kind"] == "ClaudeDeployment")
    schema = strict(object_schema(KIND["ClaudeDeployment"]))
    item["spec"]["stratgy"] = {}
    with pytest.raises(jsonschema.ValidationError, match="stratgy"):
        jsonschema.Draft4Validator(schema).validate(item)


@folders
def test_refers_to_what_it_brings_along(folder: Path) -> None:
    here = objects(folder)
    data = {
        (item["kind"], item["metadata"]["name"]): {**item.get("stringData", {}), **item.get("data", {})}
        for item in here
    }
    found = [reference for item in objects(folder, "**/*.yaml") for reference in references(item.get("spec"))]
    assert found
    for kind, name, key in found:
        assert (kind, name) in data
        assert key is None or key in data[kind, name]


@folders
def test_asks_the_simulator_and_says_how_to_ask_claude(folder: Path) -> None:
    for item in objects(folder, "**/*.yaml"):
        if item["kind"] == "ClaudeDeployment":
            assert item["spec"]["upstream"]["baseURL"] == "http://claude-simulator.claude-system.svc:8081"
        if item["kind"] == "Secret":
            assert set(item["stringData"].values()) == {"replace-me"}
        assert "namespace" not in item["metadata"]
    readme = (folder / "README.md").read_text()
    assert "**With the Claude API**" in readme
    assert f"kubectl apply -f examples/{folder.name}" in readme


def test_second_version_differs_in_the_prompt_alone() -> None:
    folder = EXAMPLES / "03-canary-with-evals"
    first = next(item for item in objects(folder) if item["kind"] == "ClaudeDeployment")
    second = objects(folder / "v2")[0]
    assert first["spec"]["request"].pop("system") != second["spec"]["request"].pop("system")
    assert first == second
