"""The GitHub Actions workflow of examples/gate-pull-requests: what it is, and its commands, run as a runner does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Tree

import pytest
import yaml
from tests.simulator.harness import FAST, running_simulator

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDER = EXAMPLES / "gate-pull-requests"
TEXT = (FOLDER / "eval-gate.yaml").read_text()
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
JOB = WORKFLOW["jobs"]["gate"]
COMMANDS = [step for step in JOB["steps"] if "run" in step]


def test_it_runs_on_pull_requests_with_no_more_rights_than_it_needs() -> None:
    assert list(WORKFLOW[True]) == ["pull_request"]  # `on` is true in YAML 1.1; never pull_request_target
    assert WORKFLOW["permissions"] == {}
    assert JOB["permissions"] == {"contents": "read"}
    assert JOB["timeout-minutes"]
    for step in JOB["steps"]:
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


def test_what_others_publish_is_named_by_its_content() -> None:
    used = [line.strip() for line in TEXT.splitlines() if "uses:" in line]
    assert len(used) == 3
    assert [line for line in used if not re.search(r"uses: [\w./-]+@[0-9a-f]{40}  # v[\d.]+$", line)] == []
    assert re.search(r"@sha256:[0-9a-f]{64}$", JOB["container"]["image"])
    repository = (Path(__file__).parents[2] / ".github/workflows/check.yaml").read_text()
    [checkout] = set(re.findall(r"actions/checkout@\S+  # v[\d.]+", TEXT))
    assert checkout in repository


def test_no_expression_is_in_a_command() -> None:
    """What a pull request names, such as its branch, would be run as a command."""
    assert [step for step in COMMANDS if "${{" in step["run"]] == []


def test_only_the_gate_has_the_key() -> None:
    with_key = [step["name"] for step in JOB["steps"] if "secrets." in str(step)]
    assert with_key == ["Ask, grade and judge"]
    assert "secrets." not in str({name: value for name, value in JOB.items() if name != "steps"})


def checkout(folder: Path, prompt: str | None) -> None:
    """A repository with a set and a prompt; `prompt` in place of the example's."""
    deployment = (EXAMPLES / "03-canary-with-evals/claudedeployment.yaml").read_text()
    deployment = re.sub(r"^    baseURL: .*\n", "", deployment, flags=re.MULTILINE)
    if prompt is not None:
        deployment = deployment.replace("Sort a customer's message.", prompt)
    for name, text in (
        ("prompts/triage.yaml", deployment),
        ("evals/triage.yaml", (EXAMPLES / "03-canary-with-evals/claudeevalset.yaml").read_text()),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def run(folder: Path, step: dict[str, Any], url: str, key: str) -> subprocess.CompletedProcess[str]:
    """A step as the runner runs it: its commands in a file, with bash's options of GitHub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "KUBE"))}
    own = {name: key if "secrets." in value else value for name, value in step.get("env", {}).items()}
    path = f"{folder.parent}/bin:{kept['PATH']}"
    summary = str(folder.parent / "summary.md")
    script = folder.parent / "step.sh"
    script.write_text(step["run"])
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**kept, **JOB["env"], **own, "PATH": path, "GITHUB_STEP_SUMMARY": summary, "ANTHROPIC_BASE_URL": url},
        timeout=200,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prompt", "key", "code", "said"),
    [
        ("Sort each message of a customer.", "sk-test", 0, "Passed: "),
        ("Sort a message, badly.", "sk-test", 100, "Failed: "),
        (None, "", 1, "no Claude API key"),
    ],
    ids=["passes", "fails", "a-fork-without-the-secret"],
)
async def test_its_commands(tmp_path: Path, prompt: str | None, key: str, code: int, said: str) -> None:
    import asyncio

    folder = tmp_path / "repository"
    checkout(folder, prompt)
    checkout(folder / "before", None)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/claude-operator").write_text(f'#!/bin/sh\nexec {sys.executable} -m claude_operator "$@"\n')
    (tmp_path / "bin/claude-operator").chmod(0o755)
    scenario = FAST.rstrip("}") + "}, rules: [{match: {systemContains: badly}, accuracy: 0.1}]}"
    async with running_simulator(scenario) as api:
        gate, summary = [await asyncio.to_thread(run, folder, step, api.url, key) for step in COMMANDS]
    assert gate.returncode == code, gate.stderr
    assert summary.returncode == 0, summary.stderr
    assert said in gate.stdout + gate.stderr
    if code == 1:
        assert not (folder / "report.jsonl").exists()
        return
    shown = (tmp_path / "summary.md").read_text()
    assert said in shown
    assert all(line.startswith("    ") for line in shown.splitlines())  # a block of code
    [case] = [one for one in Tree.parse(folder / "junit.xml").iter("testcase") if one.get("name") == "the gate"]
    assert [one.tag for one in case] == (["failure"] if code else [])
    assert (folder / "report.html").stat().st_size > 1000
