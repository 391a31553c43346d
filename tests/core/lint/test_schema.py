"""The schema of a kind and its rules, as the API server holds an object to them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.lint.cases import deployment, eval_set, request

from claude_operator.api.kinds import KINDS, object_schema
from claude_operator.core.lint.finding import path_text
from claude_operator.core.lint.schema import defaulted, schema_faults

SCHEMAS = {kind.kind: object_schema(kind) for kind in KINDS}
TOOL = {"name": "book", "description": "Book.", "input_schema": {"type": "object"}}
TEST = {"id": "a", "input": "Hi", "assert": [{"type": "contains", "value": "x"}]}


def faults(value: dict[str, Any], old: dict[str, Any] | None = None) -> list[tuple[str, str, str]]:
    """(check, path, message)."""
    found = schema_faults(SCHEMAS[value["kind"]], value, old=old)
    return [(one.check, path_text(one.path), one.message) for one in found]


LET_IN: list[dict[str, Any]] = [
    deployment(),
    deployment(max_tokens=1024.0),
    deployment(top_k=None, anything_new={"a": [1]}, tools=[{**TOOL, "strict": False}]),
    deployment({"strategy": {"canary": {"steps": [{"setWeight": 0.5}, {"pause": {}}]}}}),
    deployment({"strategy": None, "evals": None}),  # a null counts as left out
    deployment({"gateway": {"resources": {"requests": {"cpu": 1, "memory": "64Mi"}}}}),
    deployment({"subagents": {"scout": {"request": {"max_tokens": 5}}}}),
    eval_set(tests=[TEST]),
]


@pytest.mark.parametrize("value", LET_IN)
def test_what_is_let_in(value: dict[str, Any]) -> None:
    assert faults(value) == []


REFUSED: list[tuple[dict[str, Any], str, str, str]] = [
    (deployment(max_tokens="1024"), "schema-type", "spec.request.max_tokens", "must be a whole number"),
    (deployment(max_tokens=True), "schema-type", "spec.request.max_tokens", "is true, and must be a whole number"),
    (deployment(max_tokens=-1), "schema-value", "spec.request.max_tokens", "is too small: write 0 or more"),
    (deployment(model=False), "schema-type", "spec.request.model", "yes, no, on and off"),
    (deployment(system="Hi"), "schema-type", "spec.request.system", "must be a list"),
    (
        deployment(system=[{"type": "text", "text": ""}]),
        "schema-value",
        "spec.request.system[0].text",
        "write at least 1",
    ),
    (
        deployment(system=[{"type": "image", "text": "x"}]),
        "schema-value",
        "spec.request.system[0].type",
        "write text",
    ),
    (deployment({"request": {"model": "x"}}), "schema-required", "spec.request", "max_tokens is missing"),
    (deployment(system=[None]), "schema-type", "spec.request.system[0]", "is empty"),
    (deployment(max_tokens=None), "schema-required", "spec.request", "max_tokens is missing"),
    (deployment({"strategie": {}}), "schema-unknown-field", "spec.strategie", "write strategy"),
    (deployment({"xyz": {}}), "schema-unknown-field", "spec.xyz", "correct its name"),
    (
        deployment({"paused": "yes"}),
        "schema-type",
        "spec.paused",
        "must be true or false",
    ),
    (
        deployment({"strategy": {"canary": {"steps": [{"setWeight": 101}]}}}),
        "schema-value",
        "spec.strategy.canary.steps[0].setWeight",
        "101 is too large: write 100 or less",
    ),
    (
        deployment({"strategy": {"canary": {"steps": [{"setWeight": 5, "pause": {}}]}}}),
        "schema-rule",
        "spec.strategy.canary.steps[0]",
        "exactly one of setWeight, pause and bake",
    ),
    (
        deployment({"strategy": {"canary": {"steps": [{"setWeight": 5}, {"setWeight": 5}]}}}),
        "schema-rule",
        "spec.strategy.canary.steps",
        "weights must rise",
    ),
    (
        deployment({"strategy": {"canary": {"soak": {"duration": "soon"}}}}),
        "schema-rule",
        "spec.strategy.canary.soak.duration",
        "is not a duration",
    ),
    (
        deployment({"upstream": {}}),
        "schema-rule",
        "spec.upstream",
        "name the Secret and its key",
    ),
    (
        deployment({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}] * 2}),
        "schema-duplicate",
        "spec.env[1]",
        "name 'A' is there already",
    ),
    (
        deployment({"subagents": {"a b": {"request": {}}}}),
        "schema-rule",
        "spec.subagents",
        "a subagent's name is not valid",
    ),
    (deployment(messages=[]), "schema-rule", "spec.request.messages", "messages come from the client"),
    (
        {**deployment(), "metadata": {"name": "9"}},
        "schema-rule",
        "",
        "must begin with a letter",
    ),
    (eval_set(), "schema-rule", "spec", "exactly one of tests and dataset"),
    (eval_set(tests=[{"id": "a", "input": "x"}]), "schema-rule", "spec.tests", "checks nothing"),
]


@pytest.mark.parametrize(("value", "check", "path", "said"), REFUSED)
def test_what_is_refused(value: dict[str, Any], check: str, path: str, said: str) -> None:
    ((found, where, message),) = faults(value)
    assert (found, where) == (check, path)
    assert said in message


def test_a_rule_about_a_change_needs_what_was_there_before() -> None:
    def revision(text: str) -> dict[str, Any]:
        return {"kind": "ClaudeRevision", "metadata": {"name": "a"}, "spec": {"request": request(model=text)}}

    assert faults(revision("a")) == []
    assert faults(revision("a"), revision("a")) == []
    ((check, path, message),) = faults(revision("b"), revision("a"))
    assert (check, path) == ("schema-rule", "spec")
    assert "is immutable" in message


def test_rules_wait_until_what_they_read_is_well_formed() -> None:
    found = faults(deployment({"upstream": {}}, max_tokens="x"))
    assert [one[0] for one in found] == ["schema-type"]  # not the rule about upstream, which reads the whole spec


def test_defaults_are_those_that_the_server_fills_in() -> None:
    found = defaulted(SCHEMAS["ClaudeDeployment"], deployment())["spec"]
    assert found["gateway"]["auth"] == {"type": "ApiKey"}
    assert found["upstream"]["timeouts"]["connect"] == "5s"
    assert found["request"] == deployment()["spec"]["request"]  # what is hashed gets none
