"""What an older CustomResourceDefinition lacks, and what it would drop of an object."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from claude_operator.api.kinds import KINDS, object_schema
from claude_operator.core.spec.definitions import compare

Schema = dict[str, Any]
OURS = {kind.kind: object_schema(kind) for kind in KINDS}


def properties(schema: Schema, *path: str) -> Schema:
    """The properties of a field."""
    found = schema
    for name in path:
        found = found["properties"][name] if name != "[]" else found["items"]
    fields: Schema = found["properties"]
    return fields


def older(kind: str, *path: str) -> tuple[dict[str, Schema], Schema]:
    """Schemas to change, and the properties of a field of one of them."""
    served = copy.deepcopy(OURS)
    return served, properties(served[kind], *path)


def test_our_own_definitions_lack_nothing() -> None:
    found = compare(OURS, OURS)
    assert not found
    assert found.dropped({"kind": "ClaudeRevision", "spec": {"anything": 1}}) == []


def test_newer_definitions_are_no_fault() -> None:
    served, fields = older("ClaudeDeployment", "spec", "gateway")
    fields["next"] = {"type": "string", "default": "x"}
    fields["auth"]["properties"]["type"]["enum"].append("Token")
    assert not compare(served, OURS)


def test_a_missing_field_is_named_once_with_the_command_that_helps() -> None:
    served, fields = older("ClaudeDeployment", "spec")
    del fields["overrides"]
    del properties(served["ClaudeDeployment"], "spec", "strategy", "canary", "steps", "[]")["bake"]
    del properties(served["ClaudeModel"], "status")["replacement"]
    found = compare(served, OURS)
    assert found.sentence() == (
        "the CustomResourceDefinitions of this cluster are older than this operator: ClaudeDeployment lacks"
        " spec.overrides, spec.strategy.canary.steps.bake; ClaudeModel lacks status.replacement. The API server drops"
        " what they lack. Apply those of the operator's version: kubectl apply --server-side --force-conflicts -f crds/"
    )


def test_a_sentence_names_few_of_many() -> None:
    served, fields = older("ClaudeDeployment", "status")
    fields.clear()
    said = compare(served, OURS).sentence()
    assert said.count("status.") == 4
    assert " more" in said


def test_a_missing_value_and_an_earlier_default_are_named() -> None:
    served, fields = older("ClaudeDeployment", "spec", "gateway")
    fields["auth"]["properties"]["type"]["enum"].remove("Passthrough")
    fields["replicas"]["default"] = 2
    said = compare(served, OURS).sentence()
    assert "spec.gateway.auth.type: Passthrough" in said
    assert "a spec.gateway.replicas without the default 2" in said


@pytest.mark.parametrize(
    ("spec", "dropped"),
    [
        ({"request": {}}, []),
        ({"request": {}, "overrides": {"system": "Append"}}, ["spec.overrides"]),
        ({"subagents": {"a": {}}}, []),
        ({"subagents": {"a": {}, "b": {"request": {}}}}, ["spec.subagents{}.request"]),
    ],
)
def test_what_would_be_dropped_of_an_object(spec: Schema, dropped: list[str]) -> None:
    served, fields = older("ClaudeRevision", "spec")
    del fields["overrides"]
    del fields["subagents"]["additionalProperties"]["properties"]["request"]
    found = compare(served, OURS)
    assert found.dropped({"kind": "ClaudeRevision", "spec": spec}) == dropped
    assert found.dropped({"kind": "ClaudeEvalSet", "spec": spec}) == []


def test_a_field_inside_a_list_is_found() -> None:
    served, _ = older("ClaudeDeployment", "spec")
    del properties(served["ClaudeDeployment"], "spec", "strategy", "canary", "steps", "[]")["bake"]
    found = compare(served, OURS)
    steps: list[Schema] = [{"setWeight": 1}]
    body = {"kind": "ClaudeDeployment", "spec": {"strategy": {"canary": {"steps": steps}}}}
    assert found.dropped(body) == []
    steps.append({"bake": {}})
    assert found.dropped(body) == ["spec.strategy.canary.steps.bake"]
