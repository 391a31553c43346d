"""`kubectl claude lint` as a person and a CI job have it: what it prints, how it ends, SARIF."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tests.cli.test_views import GOLDEN
from tests.core.lint.cases import SONNET, TODAY, config_map, deployment, eval_set, text_of
from tests.core.lint.test_edit import AUTOMATIC, SHORT, sized

from claude_operator.cli.main import main
from claude_operator.cli.view.lint import edit_facts, lint_facts, lint_view, sarif
from claude_operator.cli.view.paint import to_text
from claude_operator.core.lint.against import Side, edits_of, keeping
from claude_operator.core.lint.lint import lint
from claude_operator.core.lint.price import Sessions
from claude_operator.core.lint.sources import Source

ROOT = Path(__file__).parents[2]
TOOL = {"name": "book a table", "description": "Book.", "input_schema": {"type": "object"}}
BAD = """\
apiVersion: claudeops.dev/v1alpha1
kind: ClaudeDeployment
metadata:
  name: support
  namespace: shop
spec:
  request:
    model: claude-sonnet-4-5-20250929
    max_tokens: 4096
    temperature: 0.2
    thinking: {type: enabled, budget_tokens: 1500}
    system:
    - type: text
      text: "You support customers. Today is 2026-11-23T10:00."
      cache_control: {type: ephemeral}
    tools:
    - name: book a table
      description: Book.
      input_schema: {type: object}
  upstream:
    baseURL: https://api.anthropic.com/v1
    apiKeySecretRef: {name: anthropic, key: api-key}
  evals:
    setref: {name: support-set}
---
apiVersion: claudeops.dev/v1alpha1
kind: ClaudeEvalSet
metadata: {name: support-set, namespace: shop}
spec:
  tests:
  - id: hours
    input: When do you open?
    assert: [{type: contains, value: "9"}]
  - id: prices
    input: What does it cost?
"""
GOOD = text_of(deployment())


def check(facts: dict[str, Any], name: str) -> None:
    """The view is what is kept, each finding on a line of its own, and the facts are of JSON."""
    json.dumps(facts, allow_nan=False)
    text, path = to_text(lint_view(facts), width=1_000), GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDENS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["lint", *words])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, without a cluster: kubectl is not in PATH."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_findings() -> None:
    report = lint([Source("shop/support.yaml", BAD)], TODAY)
    facts = lint_facts(report)
    check(facts, "lint_findings")


def test_what_is_fine() -> None:
    facts = lint_facts(lint([Source("support.yaml", GOOD)], TODAY))
    check(facts, "lint_fine")


def edited(old: Mapping[str, Any], new: Mapping[str, Any], sessions: Sessions) -> dict[str, Any]:
    found = edits_of(Side(old["spec"]), Side(new["spec"]), sessions)
    return edit_facts("ClaudeDeployment shop/support", "live", found, keeping(new["spec"]))


def test_an_edit() -> None:
    old = deployment(system=sized(4_000), tools=[{**TOOL, "name": "book"}], **AUTOMATIC)
    scout = {"subagents": {"scout": {"request": {"model": SONNET}}}}
    new = deployment(scout, system=[*sized(4_000), {"type": "text", "text": "Be kind."}], **AUTOMATIC)
    new["spec"]["request"]["tools"] = old["spec"]["request"]["tools"]
    live = Sessions(1_200, 41_000, True, "1,200 calls of the stable revision in the last hour")
    facts = lint_facts(lint([Source("support.yaml", text_of(new))], TODAY), [edited(old, new, live)])
    check(facts, "lint_edit")


def test_an_edit_of_nothing_that_is_cached() -> None:
    old, new = deployment(), deployment(max_tokens=99)
    facts = lint_facts(lint([Source("support.yaml", text_of(new))], TODAY), [edited(old, new, Sessions())])
    check(facts, "lint_edit_of_nothing")


def test_the_examples_of_the_docs_are_what_is_printed() -> None:
    shown = (ROOT / "docs/lint.md").read_text(encoding="utf-8")
    for name in ("lint_findings", "lint_edit"):
        assert (GOLDEN / f"{name}.txt").read_text(encoding="utf-8") in shown, name


# --------------------------------------------------------------------------------------------------------- exit codes


def test_how_it_ends(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "good.yaml").write_text(GOOD)
    (folder / "bad.yaml").write_text(BAD)
    (folder / "warn.yaml").write_text(text_of(deployment(model="claude-opus-5")))
    assert run(capsys, "-f", "good.yaml")[0] == 0
    assert run(capsys, "-f", "bad.yaml", "--as-of", "2026-11-23")[0] == 1
    assert run(capsys, "-f", "warn.yaml")[0] == 0
    assert run(capsys, "-f", "warn.yaml", "--strict")[0] == 1
    code, _, err = run(capsys, "-f", "nowhere.yaml")
    assert (code, "nowhere.yaml cannot be read" in err) == (2, True)
    assert run(capsys)[0] == 2
    code, _, err = run(capsys, "-f", "good.yaml", "--sessions", "5")
    assert (code, "go with --against" in err) == (2, True)


def test_folders_are_read_as_kubectl_reads_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "app/deep").mkdir(parents=True)
    (folder / "app/values.yaml").write_text("replicas: 2\n")
    (folder / "app/notes.txt").write_text("no: [yaml")
    code, out, _ = run(capsys, "-f", "app")
    assert (code, out) == (0, "no objects of claudeops.dev in these files\n")
    (folder / "app/deep/good.json").write_text(json.dumps(deployment()))
    assert "0 errors, 0 warnings in 1 object" in run(capsys, "-f", "app", "-R")[1]
    code, _, _ = run(capsys, "-f", "app/deep", "-f", "app/empty")
    assert code == 2
    (folder / "app/empty").mkdir()
    assert "has no .yaml, .yml or .json file" in run(capsys, "-f", "app/empty")[2]


def test_standard_input(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Given:
        buffer = io.BytesIO(BAD.encode())

    monkeypatch.setattr(sys, "stdin", Given)
    code, out, _ = run(capsys, "-f", "-", "--as-of", "2026-11-23")
    assert (code, out.startswith("-:8:5: warning: spec.request.model")) == (1, True)


def test_a_file_that_is_no_text_is_a_finding(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "wide.yaml").write_bytes(GOOD.encode("utf-16"))
    (folder / "bom.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    code, out, _ = run(capsys, "-f", "wide.yaml", "-f", "bom.yaml")
    assert code == 1
    assert "wide.yaml:1:1: error: is UTF-16: save it as UTF-8" in out
    assert "1 error, 0 warnings in 1 object" in out


def test_long_lines_stay_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.yaml").write_text(text_of(deployment(service_tier="x" * 200)))
    code, out, _ = run(capsys, "-f", "a.yaml")
    assert (code, len(out.splitlines())) == (1, 2)


def test_text_that_steers_a_terminal_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.yaml").write_text(text_of(deployment({"\x1b[2J\u202e": 1}), deployment(service_tier="\x1b[31m")))
    for form in ("table", "json", "yaml", "sarif"):
        code, out, _ = run(capsys, "-f", "a.yaml", "-o", form)
        assert code == 1
        assert not re.search("[\x1b\u202e]", out), form


# -------------------------------------------------------------------------------------------------------- for programs


def test_facts_for_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.yaml").write_text(BAD)
    words = ("-f", "bad.yaml", "--as-of", "2026-11-23")
    code, out, _ = run(capsys, *words, "-o", "json")
    facts = json.loads(out)
    assert (code, facts["errors"]) == (1, sum(one["level"] == "error" for one in facts["findings"]))
    assert facts["checked"] == ["ClaudeDeployment shop/support", "ClaudeEvalSet shop/support-set"]
    assert {"file", "line", "column", "level", "check", "object", "path", "message"} == set(facts["findings"][0])
    assert yaml.safe_load(run(capsys, *words, "-o", "yaml")[1]) == facts


REQUIRED = {  # what the SARIF 2.1.0 schema requires, of the parts that are written
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "$schema": {"type": "string", "format": "uri"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool"],
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "required": ["id"],
                                            "properties": {
                                                "shortDescription": {"required": ["text"]},
                                                "defaultConfiguration": {
                                                    "properties": {
                                                        "level": {"enum": ["none", "note", "warning", "error"]}
                                                    }
                                                },
                                            },
                                        },
                                    }
                                },
                            }
                        },
                    },
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message", "ruleId", "ruleIndex", "level", "locations"],
                            "properties": {
                                "message": {"required": ["text"], "properties": {"text": {"minLength": 1}}},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "locations": {
                                    "minItems": 1,
                                    "items": {
                                        "required": ["physicalLocation"],
                                        "properties": {
                                            "physicalLocation": {
                                                "required": ["artifactLocation", "region"],
                                                "properties": {
                                                    "artifactLocation": {"required": ["uri"]},
                                                    "region": {
                                                        "required": ["startLine"],
                                                        "properties": {
                                                            "startLine": {"type": "integer", "minimum": 1},
                                                            "startColumn": {"type": "integer", "minimum": 1},
                                                        },
                                                    },
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def test_sarif_has_what_its_schema_requires(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "my app").mkdir()
    (folder / "my app/bad.yaml").write_text(BAD)
    (folder / "my app/broken.yaml").write_text("kind: [\n")
    code, out, _ = run(capsys, "-f", "my app", "--as-of", "2026-11-23", "-o", "sarif")
    log = json.loads(out)
    jsonschema.validate(log, REQUIRED)
    (ran,) = log["runs"]
    listed = ran["tool"]["driver"]["rules"]
    assert code == 1
    assert len(ran["results"]) > 6
    for result in ran["results"]:
        assert listed[result["ruleIndex"]]["id"] == result["ruleId"]
        (location,) = result["locations"]
        uri = location["physicalLocation"]["artifactLocation"]["uri"]
        assert uri in ("my%20app/bad.yaml", "my%20app/broken.yaml")
    finding = next(one for one in ran["results"] if one["ruleId"] == "sampling-with-thinking")
    assert finding["locations"][0]["physicalLocation"]["region"] == {"startLine": 10, "startColumn": 5}


def test_sarif_names_files_elsewhere_by_their_whole_path(tmp_path: Path) -> None:
    report = lint([Source("/srv/a.yaml", BAD), Source("-", BAD)], TODAY)
    uris = {
        one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for one in sarif(report, tmp_path)["runs"][0]["results"]
    }
    assert uris == {"file:///srv/a.yaml", "stdin"}


# ------------------------------------------------------------------------------------------------------------ edits


def write(path: Path, *objects: Any) -> None:
    path.write_text(text_of(*objects))


def test_an_edit_against_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "old.yaml", deployment(system=sized(4_000), **AUTOMATIC), deployment_named("other"))
    write(folder / "new.yaml", deployment(system=sized(5_000), **AUTOMATIC), deployment_named("new-here"))
    known = ("--sessions", "1200", "--cached-tokens", "41000")
    code, out, err = run(capsys, "-f", "new.yaml", "--against", "old.yaml", *known)
    assert code == 0, err
    assert (
        "rewrites 41k cached tokens in each of 1,200 live sessions: 49.2M tokens, about $236 once on claude-opus-5-5"
        in out
    )
    assert "new-here against" not in out
    facts = json.loads(run(capsys, "-f", "new.yaml", "--against", "old.yaml", *known, "-o", "json")[1])
    (edit,) = facts["edits"]
    assert (edit["against"], edit["rewrites"][0]["tokens"], edit["rewrites"][0]["sessions"]) == (
        "old.yaml",
        49_200_000,
        1_200,
    )
    log = json.loads(run(capsys, "-f", "new.yaml", "--against", "old.yaml", "-o", "sarif")[1])
    assert [(one["ruleId"], one["level"]) for one in log["runs"][0]["results"]] == [("cache-rewrite", "note")]


def deployment_named(name: str) -> dict[str, Any]:
    return {**deployment(), "metadata": {"name": name, "namespace": "shop"}}


def test_prompts_are_those_of_each_side(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = {"promptFrom": [{"configMapKeyRef": {"name": "p", "key": "main"}, "cache_control": SHORT}]}
    write(folder / "old.yaml", deployment(prompt), config_map("p", main="abc" * 5_000))
    write(folder / "new.yaml", deployment(prompt), config_map("p", main="abd" * 5_000))
    assert "writes about 5k tokens" in run(capsys, "-f", "new.yaml", "--against", "old.yaml")[1]
    assert "nothing that is cached" in run(capsys, "-f", "new.yaml", "--against", "new.yaml")[1]


@pytest.mark.parametrize(
    ("against", "said"),
    [
        ("nowhere.yaml", "there is no file nowhere.yaml"),
        ("sets.yaml", "has none of these ClaudeDeployments"),
        ("support-1234567890", "kubectl is not in PATH"),
        ("live", "kubectl is not in PATH"),
    ],
)
def test_what_cannot_be_compared(folder: Path, capsys: pytest.CaptureFixture[str], against: str, said: str) -> None:
    write(folder / "new.yaml", deployment())
    write(folder / "sets.yaml", eval_set(tests=[]))
    code, _, err = run(capsys, "-f", "new.yaml", "--against", against)
    assert code in (1, 2)
    assert said in err
    assert run(capsys, "-f", "sets.yaml", "--against", "new.yaml")[0] == 2
    write(folder / "two.yaml", deployment(), deployment_named("b"))
    assert "goes with one ClaudeDeployment" in run(capsys, "-f", "two.yaml", "--against", "support-1")[2]


def test_an_edit_that_cannot_be_read_is_not_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "old.yaml", deployment())
    write(folder / "new.yaml", deployment(max_tokens="x"), deployment_named("other"))
    code, out, _ = run(capsys, "-f", "new.yaml", "--against", "old.yaml")
    assert code == 1
    assert "support against" not in out
