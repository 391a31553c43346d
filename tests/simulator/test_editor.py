"""The simulated editor proposes as often as it is told to, on the very requests that `eval improve` sends, and what it
proposes answers as its kind says."""

from __future__ import annotations

import json
import re

import pytest
from tests.simulator.harness import Running, message
from tests.simulator.test_draws import within

from claude_operator.core.evals.editing import Failure, Request
from claude_operator.core.evals.outcomes import Answer, Outcome
from claude_operator.core.evals.report import Graded
from claude_operator.core.evals.sets import Item
from claude_operator.simulator.editor import edited
from claude_operator.simulator.scenario import Editor, ScenarioError, parse

MANY = 400
QUESTIONS = [f"Question {number}" for number in range(MANY)]
ANSWERS = json.dumps([{"question": one, "answer": f"answer {place}"} for place, one in enumerate(QUESTIONS)])
EDITOR = "{better: 0.4, equal: 0.3, overfitted: 0.2, worse: 0.1, gain: 0.15}"
KNOWN = f"""{{answers: {ANSWERS}, defaults: {{accuracy: 0.7, editor: {EDITOR}, latency: {{median: 0s}},
  tokensPerSecond: 1e6}}}}"""


def request(number: str = "1.1", shown: list[str] | None = None) -> Request:
    failed = Graded(Outcome("x"), Answer("no", "end_turn", "m", {}))
    items = [Item(one, json.dumps([{"role": "user", "content": one}]).encode(), ()) for one in shown or []]
    return Request(["Be kind.", "Be short."], [Failure(one, 1, 1, failed) for one in items], 0, number, 5_000)


async def propose(api: Running, asked: Request) -> tuple[str, str]:
    """The kind of a proposal, and its whole prompt."""
    form = {"format": {"type": "json_schema", "schema": json.loads(asked.form)}}
    _, answer = await api.ask(message(asked.text, system=asked.system, output_config=form, max_tokens=4000))
    found = asked.read(answer["content"][0]["text"])
    assert found.texts[0] == "Be kind."
    system = "\n".join(found.texts)
    return re.findall(r"\[simulated edit \w{8}: (\w+)", system)[0], system


async def right(api: Running, system: str, questions: list[str]) -> set[str]:
    found = set()
    for one in questions:
        _, answer = await api.ask(message(one, system=system))
        if answer["content"][0]["text"] == one.replace("Question", "answer"):
            found.add(one)
    return found


async def test_kinds_are_as_frequent_as_the_scenario_says(api: Running) -> None:
    await api.steer(KNOWN)
    kinds = [(await propose(api, request(str(number))))[0] for number in range(MANY)]
    for kind, share in (("better", 0.4), ("equal", 0.3), ("overfitted", 0.2), ("worse", 0.1)):
        assert within(kinds.count(kind), share, MANY)


@pytest.mark.parametrize(("kind", "accuracy"), [("better", 0.85), ("equal", 0.7), ("overfitted", 0.7), ("worse", 0.55)])
async def test_a_proposal_answers_as_its_kind_says(api: Running, kind: str, accuracy: float) -> None:
    shares = {name: int(name == kind) for name in ("better", "equal", "overfitted", "worse")} | {"gain": 0.15}
    await api.steer(KNOWN.replace(EDITOR, json.dumps(shares)))
    before = await right(api, "Be kind.\nBe short.", QUESTIONS)
    shown = [one for one in QUESTIONS[:60] if one not in before]
    _, system = await propose(api, request(shown=shown))
    after = await right(api, system, QUESTIONS)
    assert edited(system, 0.7, Editor(**shares)).accuracy == pytest.approx(accuracy)
    others = set(QUESTIONS) - set(shown) if kind == "overfitted" else set(QUESTIONS)
    if kind == "better":
        assert before < after
    if kind == "worse":
        assert after < before
    if kind == "equal":
        assert before - after
        assert after - before
    if kind == "overfitted":
        assert after == before | set(shown)
    else:
        assert within(len(after & others), accuracy, MANY)


async def test_edits_add_up(api: Running) -> None:
    await api.steer(KNOWN.replace(EDITOR, "{better: 1, equal: 0, overfitted: 0, worse: 0, gain: 0.1}"))
    asked = request()
    _, once = await propose(api, asked)
    second = Request(once.split("\n", 1), [], 0, "2.1", 5_000)
    _, twice = await propose(api, second)
    assert edited(twice, 0.7, Editor(gain=0.1)).accuracy == pytest.approx(0.9)


async def test_what_is_no_editing_is_answered_as_before(api: Running) -> None:
    await api.steer(KNOWN)
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    _, answer = await api.ask(message("Count", output_config={"format": {"type": "json_schema", "schema": schema}}))
    assert answer["content"][0]["text"] == '{"n":1}'


def test_shares_sum_to_one() -> None:
    with pytest.raises(ScenarioError, match="must sum to 1: write all four of them"):
        parse("{defaults: {editor: {better: 0.9}}}")
