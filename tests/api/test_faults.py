"""What is wrong with a document is said in plain English, with the field and what to write, and without the value."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.evidence import Cohorts, Evidence, parse_grade
from claude_operator.api.faults import decode, faults, first_fault, yaml_fault
from claude_operator.api.gateway import GatewayConfig, parse_config

Object = dict[str, Any]
CONFIG: Object = {"generation": 1, "deployment": {"name": "support", "namespace": "demo", "uid": "u"}}
ARM: Object = {"revision": "r", "role": "stable", "weight": 10_000, "request": {}}
SPEC: Object = {
    "request": {"model": "claude-opus-5-5", "max_tokens": 100},
    "upstream": {"apiKeySecretRef": {"name": "anthropic", "key": "api-key"}},
}
OURS = ("`", "$", "Expected", "Input should", "msgspec", "pydantic")


def config(**fields: Any) -> str:
    return json.dumps(CONFIG | fields)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            config(upstream={"timeouts": {"idle": "2m"}}),
            "upstream.timeouts.idle: must be a number, not text; write it in seconds: 120",
        ),
        (config(upstream={"timeouts": {"idle": "long"}}), "upstream.timeouts.idle: must be a number, not text"),
        (config(upstream={"timeouts": {"connect": None}}), "upstream.timeouts.connect: must be a number, not null"),
        (config(arms=[ARM | {"weight": "all"}]), "arms[0].weight: must be a whole number, not text"),
        (config(arms=[ARM | {"role": "blue"}]), "arms[0].role: must be canary or former or stable"),
        (config(arms=[ARM | {"overrides": {"system": "No"}}]), "arms[0].overrides.system: must be Append or Prepend"),
        (
            config(arms=[ARM | {"subagents": {"a": 1}}]),
            "arms[0].subagents{}: must be an object with fields, not a whole",
        ),
        (config(arms=[{"revision": "r"}]), "arms[0].role: is missing; add it"),
        (config(arms={}), "arms: must be a list, not an object with fields"),
        (config(auth={"type": "Token"}), "auth.type: must be ApiKey or None or Passthrough"),
        (config(env=[1]), "env[0]: must be text, not a whole number"),
        (config(settled=1), "settled: must be an object with fields or null, not a whole number"),
        (config(version=2), "version: must be 1"),
        (config(generation=1.5), "generation: must be a whole number, not a number"),
        (config(surface=[]), "surface: is not a field here; correct its name or remove it"),
        ("[]", "must be an object with fields, not a list"),
        ("", "empty; write a JSON object"),
        ('{"generation": 1', "the JSON ends too early"),
        ('{\n  "generation": nothing}', "not JSON at line 2, column "),
        (b'{"deployment": {"name": "\xff"}}', "not UTF-8 at byte 25; save it as UTF-8"),
        ("[" * 100_000, "must be an object with fields, not a list"),
    ],
)
def test_a_gateway_config_is_refused_with_the_field_and_what_to_write(document: str | bytes, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_config(document)
    assert str(caught.value).startswith(f"gateway config: {said}")
    assert not [word for word in OURS if word in str(caught.value)]


@pytest.mark.parametrize("type_", [GatewayConfig, Evidence, Cohorts])
def test_deep_documents_are_a_fault_of_the_document(type_: type[Any]) -> None:
    deep = json.dumps(CONFIG)[:-1] + ', "arms": [{"request": {"x": ' + "[" * 100_000
    with pytest.raises(ValueError, match=r"^it: "):
        decode(deep, type_, "it")


def test_limits_are_said_in_words() -> None:
    with pytest.raises(ValueError, match=r"^evidence: bootId: must have at most 1024 characters$"):
        decode(json.dumps({"bootId": "x" * 2000}), Evidence, "evidence")
    with pytest.raises(ValueError, match=r"^evidence: configGeneration: must be 0 or more$"):
        decode(json.dumps({"bootId": "x", "configGeneration": -1}), Evidence, "evidence")


def test_a_grade_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match=r"^grade: passed: must be true or false or null, not text; write for exa"):
        parse_grade(b'{"revision": "r", "passed": "yes"}')


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gateway": {"replicas": "two"}}, "spec.gateway.replicas: must be a whole number"),
        ({"gateway": {"replicas": 0}}, "spec.gateway.replicas: must be 1 or more"),
        ({"gateway": {"auth": {"type": "Token"}}}, "spec.gateway.auth.type: must be 'ApiKey', 'Passthrough' or 'None'"),
        ({"gateways": {}}, "spec.gateways: is not a field here; correct its name or remove it"),
        (
            {"strategy": {"canary": {"steps": [{"bake": {"minDuration": "long"}}]}}},
            "spec.strategy.canary.steps[0].bake.minDuration: is not a duration; use e.g. 30s, 10m or 1500ms",
        ),
        ({"strategy": {"canary": {"steps": {}}}}, "spec.strategy.canary.steps: must be a list"),
        ({"paused": "maybe"}, "spec.paused: must be true or false"),
        ({"upstream": {"apiKeySecretRef": {"name": "a"}}}, "spec.upstream.apiKeySecretRef.key: is missing; add it"),
    ],
)
def test_a_spec_is_refused_with_the_field_and_what_to_write(change: Object, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DeploymentSpec.model_validate(SPEC | change)
    assert first_fault(caught.value, "spec").startswith(said)
    assert not [word for word in OURS if word in " ".join(faults(caught.value, "spec"))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b: c", "is not YAML at line 1, column 5: mapping values are not allowed here; look at indents and quotes"),
        ("a: [", "is not YAML at line 1, column 5: "),
        ("a: \x00", "is not YAML; look for control characters"),
    ],
)
def test_a_text_that_is_no_yaml_says_where(text: str, said: str) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        yaml.safe_load(text)
    assert yaml_fault(caught.value).startswith(said)
