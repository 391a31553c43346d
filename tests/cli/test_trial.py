"""`advise --try`: the eval set is asked by the real program, with both specs, where the person's key may go."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.evals.servers import Body, Text, question, upstream

from claude_operator.cli.failure import Failure
from claude_operator.cli.trial import Trial, run_trial
from claude_operator.core.advice.patches import merged

ROOT = Path(__file__).parents[2]
API = "claudeops.dev/v1alpha1"
ITEMS = '{"id": "a", "input": "twice", "assert": [{"type": "equals", "value": "billing"}]}\n'


def trial() -> Trial:
    """A smaller model, tried; the spec names a host of somebody else's."""
    request = {
        "model": "claude-opus-5-5",
        "max_tokens": 16,
        "betas": ["mcp-client-2025-11-20"],
        "mcp_servers": [
            {
                "type": "url",
                "name": "docs",
                "url": "https://docs.example.com",
                "authorization_token": "$(HOME_TOKEN)",
            }
        ],
        "tools": [{"type": "mcp_toolset", "mcp_server_name": "docs"}],
    }
    spec: dict[str, Any] = {
        "request": request,
        "promptFrom": [{"configMapKeyRef": {"name": "prompts", "key": "system"}}],
        "upstream": {"baseURL": "http://127.0.0.1:9", "apiKeySecretRef": {"name": "a", "key": "b"}},
        "evals": {"setRef": {"name": "support-set"}},
    }
    eval_set = {
        "apiVersion": API,
        "kind": "ClaudeEvalSet",
        "metadata": {"name": "support-set", "uid": "1"},
        "spec": {
            "dataset": {"configMapKeyRef": {"name": "items", "key": "items.jsonl"}},
            "gate": {"passRate": 0.5, "margin": 0.9},
            "execution": {"epochs": 3},
        },
    }
    deployment = {"apiVersion": API, "kind": "ClaudeDeployment", "metadata": {"name": "support"}, "spec": spec}
    maps = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        for name, data in (("prompts", {"system": "Sort it."}), ("items", {"items.jsonl": ITEMS}))
    ]
    return Trial(deployment, merged(spec, {"request": {"model": "claude-haiku-5-5"}}), eval_set, maps)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "claude-operator"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m claude_operator "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "operator"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-mine")
    monkeypatch.setenv("HOME_TOKEN", "token-of-mine")


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(("wrong", "code"), [("", 0), ("claude-haiku-5-5", 100)])
async def test_both_specs_are_asked_and_the_code_is_that_of_the_gate(
    monkeypatch: pytest.MonkeyPatch, wrong: str, code: int
) -> None:
    asked: list[tuple[str, str, str]] = []

    def answer(body: Body) -> Text:
        asked.append((body["model"], body["system"][0]["text"], question(body)))
        return Text("delivery" if body["model"] == wrong else "billing", model=body["model"])

    async with upstream(answer) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        assert await asyncio.to_thread(run_trial, trial(), 5.0) == code
    for call in api.calls:
        assert b"mcp_" not in call.raw and b"token-of-mine" not in call.raw
    assert set(asked) == {(model, "Sort it.", "twice") for model in ("claude-opus-5-5", "claude-haiku-5-5")}


@pytest.mark.usefixtures("program")
async def test_no_more_is_spent_than_a_person_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    async with upstream(lambda body: Text("billing")) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        assert await asyncio.to_thread(run_trial, trial(), 0.0) == 1


def test_without_the_program_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failure, match="claude-operator is not in PATH: install it"):
        run_trial(trial(), None)
