"""The demo's files: data, manifests and the simulator's scenario are valid, and tell the story that run.py tells."""

from __future__ import annotations

import copy
import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from demo.story import CHAPTERS, flagged_model, tidy

from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.evals import EvalSetSpec
from claude_operator.core.catalogue.lifecycle import lifecycle_of
from claude_operator.core.catalogue.table import find
from claude_operator.core.evals.checks import Context, Subject, grade
from claude_operator.core.evals.contents import Contents, item_keys
from claude_operator.core.evals.gate import judge_run
from claude_operator.core.evals.outcomes import Answer, Outcome
from claude_operator.core.evals.sets import Item, load_items
from claude_operator.core.judge.assessment import unsupported
from claude_operator.core.spec.revision import content, name
from claude_operator.core.spec.validate import problems
from claude_operator.simulator.answers import reply_to
from claude_operator.simulator.profile import Compiled, compile_scenario
from claude_operator.simulator.request import Request
from claude_operator.simulator.scenario import parse
from demo import run

DEMO = Path(run.__file__).parent
TODAY = datetime.date(2026, 11, 25)
LIVE = run.lines_of("live.jsonl")
OBJECTS = {one["kind"]: one for one in yaml.safe_load_all((DEMO / "app.yaml").read_text())}
SET = EvalSetSpec.model_validate(OBJECTS["ClaudeEvalSet"]["spec"])
LABELS = {"v1", "v2", "v3", "v4", "v5"}


def spec(label: str) -> dict[str, Any]:
    """The ClaudeDeployment's spec with the version's patch, as a JSON merge patch leaves it. `v5` may name a model."""
    label, _, model = label.partition(" on ")
    merged = copy.deepcopy(OBJECTS["ClaudeDeployment"]["spec"])
    if label != "v1":
        merged["request"] |= yaml.safe_load((DEMO / f"{label}.yaml").read_text())["spec"]["request"]
    merged["request"]["model"] = model or merged["request"]["model"]
    return merged


def items() -> list[Item]:
    return load_items(SET, Contents({key: (DEMO / "data/evals.jsonl").read_text() for key in item_keys(SET)}))


@pytest.fixture(scope="module")
def scenario() -> Compiled:
    return compile_scenario(parse(json.dumps(run.scenario())), None)


def ask(scenario: Compiled, label: str, question: str) -> tuple[float, str]:
    """The share of errors that a question meets under a version, and the answer without them."""
    body = {**spec(label)["request"], "messages": [{"role": "user", "content": question}]}
    request = Request(body)
    profile = scenario.profile(body["model"], request.system, request.system_hash, question)
    model = find(body["model"])
    assert model
    return profile.error_rate, reply_to(request, model, scenario, profile).text


def scores(scenario: Compiled, label: str) -> dict[str, list[Outcome]]:
    """Graded answers of the eval set."""
    found = {}
    for item in items():
        error, text = ask(scenario, label, json.loads(item.messages)[0]["content"])
        assert error == 0, "a gate would see this"
        failed, score, _ = grade(item.checks, Subject(Answer(text, "end_turn", "", {}), Context()))
        found[item.id] = [Outcome(failed, score)]
    return found


def test_the_sample_is_what_its_readme_says() -> None:
    assert (len(items()), len(LIVE)) == (64, 204)
    asked = {json.loads(item.messages)[0]["content"] for item in items()}
    live = {one["question"] for one in LIVE}
    assert (len(asked), len(live)) == (64, 204)
    assert not asked & live
    intents = {one["answer"] for one in LIVE}
    assert len(intents) == 11
    assert {item.checks[0].value for item in items()} == {one for one in intents if "transfer" not in one}
    assert "CC BY 4.0" in (DEMO / "data/README.md").read_text()


@pytest.mark.parametrize("label", sorted(LABELS))
def test_every_version_is_accepted(label: str) -> None:
    raw = spec(label)
    parsed = DeploymentSpec.model_validate(raw)
    assert problems(parsed, today=TODAY) == []
    assert unsupported(parsed.strategy.canary.analysis) is None
    (block,) = raw["request"]["system"]
    for intent in {one["answer"] for one in LIVE}:
        assert intent in block["text"]


def test_five_versions_are_five_revisions() -> None:
    assert {chapter.label for chapter in CHAPTERS} == LABELS
    assert len({name("assistant", content(spec(label), {})) for label in LABELS}) == 5


def test_the_gate_lets_all_but_v3_pass(scenario: Compiled) -> None:
    first = scores(scenario, "v1")
    assert judge_run(items(), first, None, SET.gate).phase == "Passed"
    second = scores(scenario, "v2")
    assert judge_run(items(), second, first, SET.gate).phase == "Passed"
    phases = {
        label: judge_run(items(), scores(scenario, label), second, SET.gate).phase for label in ("v3", "v4", "v5")
    }
    assert phases == {"v3": "Failed", "v4": "Passed", "v5": "Passed"}


def test_the_gates_own_sentence_is_short_in_the_story(scenario: Compiled) -> None:
    """Whatever the operator says of how much a set can show: a row has the score alone."""
    judged = judge_run(items(), scores(scenario, "v2"), scores(scenario, "v1"), SET.gate)
    told = tidy(f"evals passed: assistant-bbbbbbbbbb-01234567: {judged.message}", {"assistant-bbbbbbbbbb": "v2"})
    assert told.startswith("evals passed: ")
    assert ";" not in told, told


def test_the_gate_lets_v5_pass_on_whatever_day_it_is(scenario: Compiled) -> None:
    """The model that is flagged is another one once the one of the file has retired."""
    preferred = spec("v5")["request"]["model"]
    days = (TODAY + datetime.timedelta(days=number) for number in range(0, 400, 5))
    flagged = {flagged_model(preferred, day)[0] for day in days}
    assert len(flagged) > 1
    second = scores(scenario, "v2")
    for model in flagged:
        assert judge_run(items(), scores(scenario, f"v5 on {model}"), second, SET.gate).phase == "Passed", model


def test_only_v4_fails_on_live_questions_and_only_on_some(scenario: Compiled) -> None:
    for label in LABELS - {"v4"}:
        assert {ask(scenario, label, one["question"])[0] for one in LIVE} == {0}
    failing = sum(ask(scenario, "v4", one["question"])[0] for one in LIVE)
    assert 0.2 < failing / len(LIVE) < 0.4


def test_v5_names_a_model_to_warn_of_on_any_day() -> None:
    preferred = spec("v5")["request"]["model"]
    assert flagged_model(preferred, TODAY) == (preferred, "Deprecated")
    for day in (datetime.date(2026, 12, 24), datetime.date(2028, 1, 1)):
        chosen, lifecycle = flagged_model(preferred, day)
        assert lifecycle_of(chosen, day).lifecycle == lifecycle
        assert lifecycle in ("Deprecated", "Legacy")
