"""The generated CustomResourceDefinitions: structural, documented, in step with the models and with the chart."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from claude_operator.api import cel
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.evals import EvalRunSpec
from claude_operator.api.kinds import DEPLOYMENT, EVAL_RUN, EVAL_SET, HASHED, KINDS, REVISION, Kind, object_schema
from claude_operator.api.schema import RULED
from claude_operator.core.catalogue.table import all_models
from claude_operator.crds import cli

ROOT = Path(__file__).parents[2]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.short)


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema node below and including this one, with its path."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from nodes(field, f"{path}.{name}")
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], path + suffix)


def at(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """The node at a path such as `.spec.request`."""
    for name in path.strip(".").split("."):
        schema = schema["properties"][name]
    return schema


def rules(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any], dict[str, str]]]:
    return [(path, node, rule) for path, node in nodes(schema) for rule in node.get("x-kubernetes-validations", [])]


def filled(schema: dict[str, Any], value: Any) -> Any:
    """A value as the API server stores it: defaults filled in."""
    if isinstance(value, dict) and "properties" in schema:
        missing = {
            name: field["default"]
            for name, field in schema["properties"].items()
            if name not in value and "default" in field
        }
        return {name: filled(schema["properties"].get(name, {}), item) for name, item in (value | missing).items()}
    if isinstance(value, list) and "items" in schema:
        return [filled(schema["items"], item) for item in value]
    return value


@kinds
def test_schema_is_structural(kind: Kind) -> None:
    for path, node in nodes(object_schema(kind)):
        if node.get("x-kubernetes-int-or-string"):
            continue
        if path.endswith(".assert[].value"):  # of any type, and so out of reach of rules
            assert node["x-kubernetes-preserve-unknown-fields"] is True
            continue
        assert node.get("type") in {"object", "array", "string", "integer", "number", "boolean"}, path
        assert not {"$ref", "anyOf", "const", "title", "nullable"} & node.keys(), path
        assert not ("properties" in node and "additionalProperties" in node), path
        if node["type"] == "array":
            assert "items" in node, path


@kinds
def test_every_field_is_described(kind: Kind) -> None:
    for path, node in nodes(object_schema(kind)):
        if path and path != ".metadata" and not path.endswith(("[]", "{}")):
            assert re.search(r"\w.*[.:)]$", node.get("description", "")), path


def test_request_takes_fields_that_are_not_known_yet() -> None:
    schema = object_schema(DEPLOYMENT)
    for path in (".spec.request", ".spec.request.tool_choice", ".spec.request.cache_control"):
        assert at(schema, path)["x-kubernetes-preserve-unknown-fields"], path
    for path in (".spec.request.system", ".spec.request.tools", ".spec.request.mcp_servers"):
        assert at(schema, path)["items"]["x-kubernetes-preserve-unknown-fields"], path
    assert "x-kubernetes-preserve-unknown-fields" not in at(schema, ".spec.strategy.canary")


def test_what_earlier_versions_do_not_know_is_not_defaulted() -> None:
    """The API server would show it to them in every spec, while they are replaced, and they refuse what they lack."""
    gateway = at(object_schema(DEPLOYMENT), ".spec.gateway")["properties"]
    assert [name for name, field in gateway.items() if "default" in field] == ["auth"]


def test_nothing_that_names_a_revision_is_defaulted() -> None:
    schema = object_schema(DEPLOYMENT)
    for field in HASHED:
        assert not [path for path, node in nodes(at(schema, f".spec.{field}")) if "default" in node], field
    for kind in (REVISION, EVAL_SET):
        assert not [path for path, node in nodes(object_schema(kind)) if "default" in node], kind.kind
    assert "Default: Replace." in at(schema, ".spec.overrides.system")["description"]


def test_api_server_fills_in_what_the_models_assume() -> None:
    spec = {"request": {"model": "claude-opus-5-5", "max_tokens": 1}}
    stored = filled(object_schema(DEPLOYMENT)["properties"]["spec"], spec)
    assert stored["strategy"]["canary"]["steps"][0] == {"setWeight": 1}
    assert DeploymentSpec.model_validate(stored) == DeploymentSpec.model_validate(spec)
    run = {"revision": "a-1", "setRef": "s"}
    stored = filled(object_schema(EVAL_RUN)["properties"]["spec"], run)
    assert stored["attempt"] == 1
    assert EvalRunSpec.model_validate(stored) == EvalRunSpec.model_validate(run)


@kinds
def test_what_the_operator_writes_is_checked_for_types_alone(kind: Kind) -> None:
    schema = object_schema(kind)
    assert not rules(at(schema, ".status"))
    assert not [path for path, node in nodes(at(schema, ".status")) if "default" in node or "maxItems" in node]


def test_revisions_and_runs_are_immutable() -> None:
    assert [rule["rule"] for _, _, rule in rules(object_schema(REVISION))] == ["self == oldSelf"]
    spec = at(object_schema(EVAL_RUN), ".spec")
    assert [rule["rule"] for rule in spec["x-kubernetes-validations"]] == ["self == oldSelf"]


@kinds
def test_rules_name_fields_that_exist_and_say_a_remedy(kind: Kind) -> None:
    for path, node, rule in rules(object_schema(kind)):
        assert len(rule["message"]) > 20, path
        assert rule["message"][-1] != ".", path
        if "fieldPath" in rule:
            at(node, rule["fieldPath"])
        # The API server drops the message of this reason.
        assert rule.get("reason") != "FieldValueDuplicate", path


def test_rules_stand_on_models_that_exist() -> None:
    stand = {name for name in cel.RULES if name != "RequestOverlay"}
    marked = {
        name for kind in KINDS for name in re.findall(rf'"{RULED}": "(\w+)"', json.dumps(kind.spec.model_json_schema()))
    }
    known = {
        name
        for kind in KINDS
        for name in [kind.spec.__name__, *kind.spec.model_json_schema(by_alias=True).get("$defs", {})]
    }
    assert stand <= known | marked
    assert not known & marked


def test_sampling_rule_agrees_with_the_catalogue() -> None:
    """The API takes non-default sampling parameters of no model that the rule's pattern names, and of all others."""
    pattern = re.compile(cel.SINCE_4_7)
    for model in all_models():
        if model.sampling_on_2023_06_01 is not None:
            assert bool(pattern.search(model.id)) == (model.sampling_on_2023_06_01 == "default_only"), model.id
    assert not pattern.search("claude-opus-4-20250514")
    assert not pattern.search("claude-3-7-sonnet-20250219")


def test_names_columns_and_status() -> None:
    found = {kind.kind: cli.crd(kind)["spec"] for kind in KINDS}
    assert {spec["names"]["shortNames"][0]: name for name, spec in found.items()} == {
        "cld": "ClaudeDeployment",
        "clr": "ClaudeRevision",
        "ces": "ClaudeEvalSet",
        "cer": "ClaudeEvalRun",
        "clm": "ClaudeModel",
        "cor": "ClaudeOrganization",
        "csg": "ClaudeSignature",
        "ccl": "ClaudeChecklist",
    }
    assert {name for name, spec in found.items() if spec["scope"] == "Cluster"} == {
        "ClaudeModel",
        "ClaudeOrganization",
        "ClaudeChecklist",
    }
    for spec in found.values():
        assert spec["names"]["categories"] == ["claude"]
        assert spec["versions"][0]["subresources"] == {"status": {}}
    columns = found["ClaudeDeployment"]["versions"][0]["additionalPrinterColumns"]
    assert [column["name"] for column in columns if "priority" not in column] == [
        *("Model", "Stable", "Canary", "Weight", "Ready", "Reason", "ModelState", "MigratesTo", "Age")
    ]


@kinds
def test_columns_show_fields_that_exist(kind: Kind) -> None:
    schema = object_schema(kind)
    for column in kind.columns:
        path = re.sub(r"\[\?.*?\]", "", column.path)
        if path.startswith(".metadata"):
            continue
        if ".conditions" in path:
            conditions = at(schema, ".status.conditions")
            assert conditions["x-kubernetes-list-map-keys"] == ["type"]
            assert path.rpartition(".")[2] in conditions["items"]["properties"]
        else:
            parent, _, field = path.rpartition(".")
            listed = at(schema, parent).get("items")  # chosen from a list by a filter
            shown = (listed["properties"][field] if listed else at(schema, path))["type"]
            assert shown == column.type or (shown, column.type) == ("string", "date"), column


def test_committed_files_are_in_step(capsys: pytest.CaptureFixture[str]) -> None:
    args = argparse.Namespace(
        output=ROOT / "crds",
        chart=ROOT / "charts/claude-operator/templates/crds",
        docs=ROOT / "docs/api.md",
        check=True,
    )
    assert cli.run(args) == 0, capsys.readouterr().err


def test_check_names_the_files_that_drift(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = argparse.Namespace(output=tmp_path / "crds", chart=tmp_path / "chart", docs=None, check=False)
    assert cli.run(args) == 0
    args.check = True
    assert cli.run(args) == 0
    capsys.readouterr()
    drifted = tmp_path / "chart" / "claudemodels.yaml"
    drifted.write_text("")
    (tmp_path / "crds" / "claudeevalruns.yaml").unlink()
    assert cli.run(args) == 1
    said = capsys.readouterr().err
    assert str(drifted) in said
    assert "crds/claudeevalruns.yaml" in said
    assert "claudedeployments" not in said


@kinds
def test_chart_copy_is_kept_on_uninstall_and_has_no_stray_template(kind: Kind) -> None:
    text = cli.chart_template(kind)
    body = text.split("\n", 2)[2].removesuffix("{{- end }}\n").replace('{{ "{{" }}', "{{")
    document = yaml.safe_load(body)
    assert document["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert document == yaml.safe_load(cli.manifest(kind))
    assert re.findall(r"\{\{.*?\}\}", text.replace('{{ "{{" }}', "")) == [
        "{{- if .Values.crds.install }}",
        "{{- end }}",
    ]


def unbounded(node: dict[str, Any], path: str) -> Iterator[str]:
    """Where a schema lets in strings, lists and maps of any size."""
    match node.get("type"):
        case "string" if not {"maxLength", "enum"} & node.keys():
            yield path
        case "array":
            yield from [] if "maxItems" in node else [path]
            yield from unbounded(node["items"], f"{path}[]")
        case "object":
            for name, field in node.get("properties", {}).items():
                yield from unbounded(field, f"{path}.{name}")
            if isinstance(extra := node.get("additionalProperties"), dict):
                yield from [] if "maxProperties" in node else [path]
                yield from unbounded(extra, f"{path}{{}}")
        case _:
            pass


@pytest.mark.parametrize("kind", ["ClaudeDeployment", "ClaudeEvalSet"])
def test_all_that_a_user_writes_has_a_limit(kind: str) -> None:
    """But for `messages` of a request, of which each is refused."""
    schema = object_schema(next(one for one in KINDS if one.kind == kind))["properties"]["spec"]
    assert [path for path in unbounded(schema, "spec") if not path.endswith("request.messages")] == []
