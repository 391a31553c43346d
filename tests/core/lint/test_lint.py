"""Objects in files as lint reports them: by check, level and place."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.core.lint.cases import (
    OPUS,
    TODAY,
    config_map,
    deployment,
    eval_set,
    linted,
    only,
    text_of,
    told,
)

from claude_operator.core.catalogue.checks.check import CHECKS
from claude_operator.core.lint.finding import Level
from claude_operator.core.lint.lint import lint
from claude_operator.core.lint.rules import rules
from claude_operator.core.lint.sources import Source

ROOT = Path(__file__).parents[3]
TOOL = {"name": "book", "description": "Book a table.", "input_schema": {"type": "object"}}
SHORT = {"type": "ephemeral"}
LONG = "Answer in full sentences. " * 400
PROMPT = {"promptFrom": [{"configMapKeyRef": {"name": "prompts", "key": "main"}}]}
ITEM = {"id": "a", "input": "Hi", "assert": [{"type": "contains", "value": "x"}]}
GATE = {"evals": {"setRef": {"name": "support-set"}}}


def test_nothing_is_wrong_with_what_is_fine() -> None:
    report = linted(deployment(), eval_set(tests=[ITEM]), config_map("other", a="b"))
    assert report.findings == ()
    assert report.checked == ("ClaudeDeployment shop/support", "ClaudeEvalSet shop/support-set")
    assert report.passed_over == 1


@pytest.mark.parametrize(
    ("objects", "check", "level", "path", "said"),
    [
        # The object.
        ([{**deployment(), "apiVersion": "claudeops.dev/v2"}], "api-version", "error", "apiVersion", "v1alpha1"),
        ([{**deployment(), "kind": "ClaudeDeploymnt"}], "kind-unknown", "error", "kind", "write ClaudeDeployment"),
        ([{**deployment(), "metadata": {}}], "name-missing", "error", "metadata", "add it"),
        ([deployment(), deployment()], "object-twice", "error", "metadata.name", "is already at app.yaml:1"),
        ([{"a": 1}], "no-kind", "error", "", "is not a Kubernetes object"),
        ([deployment(max_token=5)], None, "", "", ""),  # a field that the project does not know passes through
        (
            [{**deployment(), "spec": {**deployment()["spec"], "request": {"model": OPUS}}}],
            "schema-required",
            "error",
            "spec.request",
            "max_tokens is missing",
        ),
        (
            [deployment({"strategie": {}})],
            "schema-unknown-field",
            "error",
            "spec.strategie",
            "write strategy",
        ),
        # What the operator refuses.
        (
            [deployment({"upstream": {"apiKeySecretRef": {"name": "A", "key": "k"}}})],
            "spec-invalid",
            "error",
            "spec.upstream.apiKeySecretRef.name",
            "is not the name of an object",
        ),
        (
            [
                deployment(
                    {
                        "upstream": {
                            "baseURL": "https://api.anthropic.com/v1",
                            "apiKeySecretRef": {"name": "a", "key": "k"},
                        }
                    }
                )
            ],
            "spec-invalid",
            "error",
            "spec.upstream.baseURL",
            "remove /v1",
        ),
        ([deployment({"evals": None})], "empty-field", "warning", "spec.evals", "counts as left out"),
        # Prompts.
        ([deployment(PROMPT)], "prompt-unknown", "note", "spec.promptFrom[0].configMapKeyRef", "add it with -f"),
        (
            [deployment(PROMPT), config_map("prompts", other="x")],
            "prompt-missing",
            "error",
            "spec.promptFrom[0].configMapKeyRef.key",
            "has no key main (it has other)",
        ),
        ([deployment(PROMPT), config_map("prompts", main="Be kind.")], None, "", "", ""),
        # Prompt caching.
        (
            [deployment(system=[{"type": "text", "text": LONG}])],
            "cache-unmarked",
            "warning",
            "spec.request.system[0]",
            "about 3.5k tokens and no cache breakpoint",
        ),
        (
            [deployment(PROMPT, system=None), config_map("prompts", main=LONG)],
            "cache-unmarked",
            "warning",
            "spec.promptFrom[0]",
            "no cache breakpoint",
        ),
        (
            [
                deployment(
                    system=[{"type": "text", "text": LONG, "cache_control": SHORT}, {"type": "text", "text": LONG}]
                )
            ],
            "cache-tail",
            "note",
            "spec.request.system[1]",
            "stand behind the last cache breakpoint",
        ),
        (
            [
                deployment(
                    {"overrides": {"system": "Append"}},
                    system=[{"type": "text", "text": LONG, "cache_control": SHORT}],
                )
            ],
            "cache-behind-client",
            "warning",
            "spec.overrides.system",
            "write Prepend",
        ),
        ([deployment(system=[{"type": "text", "text": LONG}], cache_control=SHORT)], None, "", "", ""),
        # The table of checks, at the place in the file that it is about.
        (
            [deployment(tools=[TOOL], tool_choice={"type": "tool", "name": "reserve"}, model="claude-opus-5")],
            "forced-tool-undeclared",
            "error",
            "spec.request.tool_choice.name",
            "reserve",
        ),
        (
            [deployment(PROMPT), config_map("prompts", main=f"Today is 2026-11-23T10:00. {LONG}")],
            "volatile-prefix",
            "warning",
            "spec.promptFrom[0].configMapKeyRef",
            "a time",
        ),
    ],
)
def test_a_finding(objects: list[Any], check: str | None, level: str, path: str, said: str) -> None:
    if check == "volatile-prefix":
        objects[0]["spec"]["promptFrom"][0] = {**PROMPT["promptFrom"][0], "cache_control": SHORT}
    report = linted(*objects)
    if check is None:
        assert report.findings == ()
        return
    states = ("model-legacy",)
    (finding,) = [one for one in report.findings if one.check not in states]
    assert (finding.check, finding.level.value, finding.path) == (check, level, path)
    assert said in finding.message


def test_the_line_and_column_are_those_of_the_file() -> None:
    text = """\
# Support
apiVersion: claudeops.dev/v1alpha1
kind: ClaudeDeployment
metadata: {name: support, namespace: shop}
spec:
  request:
    model: claude-opus-5-5
    max_tokens: 1024
    tool_choice: {type: any}
    stop_sequences: ["ok", "  "]
  upstream:
    apiKeySecretRef: {name: anthropic, key: api-key}
---
kind: List
apiVersion: v1
items:
- apiVersion: claudeops.dev/v1alpha1
  kind: ClaudeEvalSet
  metadata: {name: s}
  spec:
    tests:
    - id: a
      input: Hi
      assert: [{type: equals}]
"""
    report = lint([Source("f.yaml", text)], TODAY)
    places = {(one.place.line, one.place.column, one.path) for one in report.findings}
    assert (10, 28, "spec.request.stop_sequences[1]") in places
    assert {line for line, _, path in places if "tool_choice" in path} == {9}
    assert {(line, path) for line, _, path in places if path.startswith("items")} == {(22, "items[0].spec.tests[0]")}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"stop_sequences": ["  "]}, "spec.request.stop_sequences[0]"),
        ({"system": [{"type": "text", "text": "", "cache_control": SHORT}]}, "spec.request.system[0].text"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "spec.request.tool_choice.name"),
        ({"tool_choice": {"type": "any"}}, "spec.request.tool_choice"),
        (
            {
                "model": "claude-sonnet-4-5-20250929",
                "max_tokens": 4096,
                "temperature": 0.2,
                "thinking": {"type": "enabled", "budget_tokens": 1500},
            },
            "spec.request.temperature",
        ),
        ({"temperature": 0.3, "top_p": 0.9}, "spec.request.top_p"),
        (
            {
                "max_tokens": 4096,
                "thinking": {"type": "enabled", "budget_tokens": 1500},
                "tools": [TOOL],
                "tool_choice": {"type": "tool", "name": "book"},
            },
            "spec.request.tool_choice",
        ),
    ],
)
def test_requests_that_contradict_themselves(fields: dict[str, Any], path: str) -> None:
    report = linted(deployment(**{"model": "claude-sonnet-4-6", **fields}))
    (error,) = [one for one in report.findings if one.level is Level.ERROR]
    assert error.path.startswith(path)
    assert error.place.line > 5


@pytest.mark.parametrize(
    ("today", "policy", "level"),
    [
        (dt.date(2026, 9, 29), None, "warning"),  # Legacy
        (dt.date(2026, 11, 29), None, "warning"),  # the last day but one
        (dt.date(2026, 11, 29), {"onDeprecated": "Reject"}, "error"),
        (dt.date(2026, 11, 29), {"onDeprecated": "Ignore"}, None),
        (dt.date(2026, 11, 30), None, "error"),  # Retired
        (dt.date(2026, 11, 30), {"onRetired": "Warn"}, "warning"),
    ],
)
def test_states_of_a_model_are_what_the_policy_makes_of_them(
    today: dt.date, policy: dict[str, str] | None, level: str | None
) -> None:
    spec = {"lifecycle": policy} if policy else {}
    report = linted(deployment(spec, model="claude-sonnet-4-5-20250929"), today=today)
    found = [one for one in report.findings if one.check.startswith("model-")]
    assert [one.level.value for one in found] == ([level] if level else [])
    for one in found:
        assert ("Reject)" in one.message) == (level == "error" and bool(one.message.count("spec.lifecycle")))


@pytest.mark.parametrize(
    ("platform", "model", "found"),
    [
        ("ClaudeAPI", "claude-sonnet-4-5-20250929", [("model-deprecated", "warning")]),
        ("AWS", "claude-sonnet-4-5-20250929", [("model-deprecated", "warning")]),
        ("Bedrock", "claude-sonnet-4-5-20250929", [("model-undated", "note")]),
        ("Bedrock", "anthropic.claude-opus-5-5", [("model-undated", "note")]),
        ("ClaudeAPI", "anthropic.claude-opus-5-5", [("model-unknown", "warning")]),
    ],
)
def test_dates_are_those_of_the_platform(platform: str, model: str, found: list[tuple[str, str]]) -> None:
    upstream = {"apiKeySecretRef": {"name": "a", "key": "k"}, "platform": platform}
    report = linted(deployment({"upstream": upstream}, model=model))
    assert [(one.check, one.level.value) for one in report.findings] == found


def test_models_of_the_cluster_in_the_files_hold_before_the_catalogue() -> None:
    model = {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeModel",
        "metadata": {"name": "own"},
        "spec": {"id": "claude-of-our-own", "retiresAt": "2026-01-01T00:00:00Z"},
    }
    alone = only(linted(deployment(model="claude-of-our-own")))
    assert (alone.check, alone.level) == ("model-unknown", Level.WARNING)
    assert only(linted(deployment(model="claude-of-our-own"), model)).check == "model-retired"


def test_a_subagent_tells_what_is_its_own() -> None:
    thinking = {"type": "adaptive"}
    scout = {"subagents": {"scout": {"request": {"model": "claude-haiku-4-5-20251001"}}}}
    report = linted(deployment(scout, thinking=thinking))
    (finding,) = [one for one in report.findings if one.check == "thinking-type"]
    assert finding.path == "spec.subagents.scout.request.model"
    assert "thinking.type" in finding.message  # the field is spec.request's, and fine there
    both = linted(deployment({"subagents": {"scout": {"request": {"max_tokens": 9}}}}, service_tier="x"))
    assert told(both) == [("service-tier", "error", "spec.request.service_tier")]
    tools = [{**TOOL, "name": "a b"}]
    own = linted(deployment({"subagents": {"scout": {"request": {"tools": tools}}}}))
    assert {one.path for one in own.findings} == {"spec.subagents.scout.request.tools[0].name"}


def test_a_rule_and_a_check_of_the_same_are_told_once() -> None:
    ((check, level, path),) = told(linted(deployment(tools=[TOOL, TOOL])))
    assert (check, level) == ("tool-duplicate", "error")
    assert path.startswith("spec.request.tools")


@pytest.mark.parametrize(
    ("field", "value", "wrong"),
    [
        ("stringData", "sk-ant-admin01-abcdef", True),
        ("data", "c2stYW50LWFkbWluMDEtYWJjZGVm", True),
        ("stringData", "sk-ant-api03-abcdef", False),
        ("data", "not base64!", False),
        ("data", 5, False),
    ],
)
def test_a_key_of_the_wrong_kind_is_found_and_not_shown(field: str, value: Any, wrong: bool) -> None:
    metadata = {"name": "anthropic", "namespace": "shop"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, field: {"api-key": value}}
    report = linted(deployment(), secret)
    assert [(one.check, one.path) for one in report.findings] == (
        [("key-kind", "spec.upstream.apiKeySecretRef")] if wrong else []
    )
    assert "abcdef" not in str(report.findings)
    elsewhere = {**secret, "metadata": {"name": "anthropic", "namespace": "other"}}
    assert linted(deployment(), elsewhere).findings == ()


# ---------------------------------------------------------------------------------------------------------- eval sets


@pytest.mark.parametrize(
    ("spec", "more", "check", "level", "path", "said"),
    [
        (
            {"tests": [ITEM, {**ITEM, "input": "Ho"}]},
            [],
            "schema-duplicate",
            "error",
            "spec.tests[1]",
            "id 'a' is there",
        ),
        (
            {"tests": [ITEM, {**ITEM, "id": "b", "assert": [{"type": "contains-any", "value": []}]}]},
            [],
            "items-invalid",
            "error",
            "spec.tests[1]",
            "contains-any",
        ),
        (
            {"dataset": {"configMapKeyRef": {"name": "items", "key": "a.jsonl"}}},
            [],
            "items-unknown",
            "note",
            "spec.dataset",
            "add it with -f",
        ),
        (
            {"dataset": {"configMapKeyRef": {"name": "items", "key": "a.jsonl"}}},
            [config_map("items", b="x")],
            "items-invalid",
            "error",
            "spec.dataset",
            "has no key a.jsonl",
        ),
        (
            {"dataset": {"configMapKeyRef": {"name": "items", "key": "a.jsonl"}}},
            [config_map("items", **{"a.jsonl": '{"id": "x"}\n'})],
            "items-invalid",
            "error",
            "spec",
            "line 1",
        ),
        (
            {"dataset": {"volume": {"claimName": "data", "path": "a.jsonl"}}},
            [],
            "items-unknown",
            "note",
            "spec.dataset.volume",
            "claude-operator eval run",
        ),
        (
            {
                "tests": [
                    {
                        "id": "pre",
                        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "{"}],
                        "assert": ITEM["assert"],
                    }
                ]
            },
            [deployment(GATE)],
            "item-refused",
            "error",
            "spec.tests[0]",
            "does not continue from an assistant's message",
        ),
        (
            {"tests": [{**ITEM, "subagent": "nobody"}]},
            [deployment(GATE)],
            "item-refused",
            "error",
            "spec.tests[0]",
            "has no subagent nobody",
        ),
    ],
)
def test_an_eval_set(spec: dict[str, Any], more: list[Any], check: str, level: str, path: str, said: str) -> None:
    finding = only(linted(eval_set(**spec), *more))
    assert (finding.check, finding.level.value, finding.path) == (check, level, path)
    assert said in finding.message


def test_items_of_another_namespaces_set_are_not_asked_of_its_models() -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "{"}]
    items = eval_set(tests=[{"id": "pre", "messages": messages, "assert": ITEM["assert"]}])
    items["metadata"]["namespace"] = "elsewhere"
    assert linted(items, deployment(GATE)).findings == ()


# ----------------------------------------------------------------------------------------------------------- hostile


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "ClaudeDeployment", "apiVersion": "claudeops.dev/v1alpha1"},
        {**deployment(), "spec": None},
        {**deployment(), "spec": []},
        {**deployment(), "metadata": []},
        {**deployment(), "metadata": {"name": 5}},
        {**deployment(), "kind": ["ClaudeDeployment"]},
        {**deployment(), "apiVersion": {}},
        deployment({"promptFrom": "x"}),
        deployment({"promptFrom": [{"configMapKeyRef": None}]}),
        deployment({"subagents": {"a": None}}),
        deployment({"subagents": {"a": {"request": {"system": [None], "tools": "x"}}}}),
        deployment(system=[{"type": "text", "text": "\u202e\x1b[2J\x00"}], tools=[{"name": 5}], betas=[None]),
        deployment(thinking={"type": []}, output_config={"effort": {}}, tool_choice={"type": 7}),
        deployment({"evals": {"setRef": []}}),
        deployment(system=[{"type": "text", "text": "x" * 1_000_001}]),
        eval_set(tests=[{"id": "a", "messages": [{"role": 5}], "assert": [{"type": "contains", "value": 1}]}]),
        {**eval_set(), "spec": {"dataset": {"configMapKeyRef": {"name": [], "key": {}}}}},
        {"kind": "List", "items": [None, 5, deployment()]},
        {"kind": "ClaudeModel", "apiVersion": "claudeops.dev/v1alpha1", "metadata": {"name": "m"}, "spec": {"id": 5}},
    ],
)
def test_an_object_of_any_shape_is_reported_and_never_breaks_it(value: Any) -> None:
    text = yaml.safe_dump(value)
    report = lint([Source("f.yaml", text), Source("g.yaml", text_of(eval_set(tests=[ITEM]), deployment(GATE)))], TODAY)
    for one in report.findings:
        assert one.message
        assert one.place.line >= 1


def test_every_check_that_is_told_is_a_rule_that_reports_list() -> None:
    known = [rule.id for rule in rules()]
    assert len(set(known)) == len(known)
    assert {check.id for check in CHECKS} < set(known)
    assert all(rule.text and not rule.text.endswith("..") for rule in rules())


def test_the_examples_have_no_error_but_the_one_that_shows_it() -> None:
    files = sorted((ROOT / "examples").rglob("*.yaml"))
    sources = [Source(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"), is_named=False) for path in files]
    report = lint(sources, TODAY)
    wrong = [(one.file, one.check) for one in report.findings if one.level is Level.ERROR]
    assert wrong == [("examples/04-deprecated-model/claudedeployments.yaml", "model-deprecated")]


def test_files_in_a_folder_may_be_of_any_kind() -> None:
    assert lint([Source("values.yaml", "replicas: 2\n", is_named=False)], TODAY).findings == ()
