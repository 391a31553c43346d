"""The rehearsal classifier, and example 03, which passes its gate without any scenario."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.simulator.harness import Running, running_simulator

from claude_operator.simulator.classifier import classify, options

EXAMPLE = Path(__file__).parents[2] / "examples/03-canary-with-evals"


def documents(path: Path, kind: str) -> dict[str, Any]:
    (found,) = [item for item in yaml.safe_load_all(path.read_text()) if item["kind"] == kind]
    spec: dict[str, Any] = found["spec"]
    return spec


SET = documents(EXAMPLE / "claudeevalset.yaml", "ClaudeEvalSet")


async def passes(api: Running, request: dict[str, Any], test: dict[str, Any]) -> bool:
    status, answer = await api.ask(request | {"messages": [{"role": "user", "content": test["input"]}]})
    assert status == 200
    text = answer["content"][0]["text"]
    (wanted,) = test.get("assert", SET["defaultTest"]["assert"])
    return bool(re.search(wanted["value"], text)) if wanted["type"] == "regex" else text == wanted["value"]


@pytest.mark.parametrize("folder", [EXAMPLE, EXAMPLE / "v2"], ids=["v1", "v2"])
async def test_example_03_passes_its_gate_without_a_scenario(folder: Path) -> None:
    request = documents(folder / "claudedeployment.yaml", "ClaudeDeployment")["request"]
    async with running_simulator("{defaults: {latency: {median: 0s}, tokensPerSecond: 1e6}}") as api:
        results = {test["id"]: await passes(api, request, test) for test in SET["tests"]}
    assert all(results[test["id"]] for test in SET["tests"] if test.get("critical"))
    assert sum(results.values()) / len(results) >= SET["gate"]["passRate"]


async def test_a_rule_makes_the_example_fail_its_gate() -> None:
    request = documents(EXAMPLE / "v2/claudedeployment.yaml", "ClaudeDeployment")["request"]
    scenario = """{defaults: {latency: {median: 0s}, tokensPerSecond: 1e6},
      rules: [{match: {systemContains: If unsure}, accuracy: 0.2}]}"""
    async with running_simulator(scenario) as api:
        results = [await passes(api, request, test) for test in SET["tests"]]
    assert sum(results) / len(results) < SET["gate"]["passRate"]


@pytest.mark.parametrize(
    ("system", "found"),
    [
        ("Answer with one word: billing, delivery, returns or other.", ("billing", "delivery", "returns", "other")),
        ("Reply with yes or no.", ("yes", "no")),
        ('Reply with one of: "positive", "negative", "neutral"', ("positive", "negative", "neutral")),
        ("Answer with a single word: spam | ham", ("spam", "ham")),
        ("You are a helpful assistant. Answer with care and in full sentences.", ()),
        ("Be brief, honest or silent.", ()),
        ("", ()),
    ],
)
def test_options_of_a_prompt(system: str, found: tuple[str, ...]) -> None:
    assert options(system) == found


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("My credit card was debited too much", "billing"),
        ("The courier never came", "delivery"),
        ("I would like to exchange these shoes", "returns"),
        ("What is the weather?", "other"),
        ("", "other"),
    ],
)
def test_a_choice_by_its_words(text: str, choice: str) -> None:
    assert classify(("billing", "delivery", "returns", "other"), text) == choice


def test_an_option_that_is_not_in_the_table_has_its_own_name() -> None:
    assert classify(("ham", "cheese", "bread"), "Cheese, please") == "cheese"
    assert classify(("ham", "cheese"), "Water") == "cheese"  # the last, where none is for the rest
