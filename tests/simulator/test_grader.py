"""The simulated grader errs as often as it is told to, on the very requests that the graders of evals send."""

from __future__ import annotations

import json

import pytest
from tests.simulator.harness import Running, message
from tests.simulator.test_draws import within

from claude_operator.core.evals.graders.rubrics import Question, comparison, factuality, material, rubric
from claude_operator.core.evals.outcomes import Answer

MANY = 400
KNOWN = """{answers: [{question: "Where is it?", answer: on its way}],
  defaults: {grader: {sensitivity: %s, specificity: %s}, latency: {median: 0s}, tokensPerSecond: 1e6}}"""
ASKED = material(json.dumps([{"role": "user", "content": "Where is it?"}]).encode())
RIGHT, WRONG = (Answer(text, "end_turn", "claude-haiku-5-5", {}) for text in ("on its way", "who knows"))


async def decide(api: Running, question: Question) -> list[bool | str]:
    form = {"format": {"type": "json_schema", "schema": json.loads(question.form)}}
    body = message(question.text, system=question.system, output_config=form, max_tokens=500)
    _, answer = await api.ask(body)
    return [one.decision for one in question.read(answer["content"][0]["text"])]


@pytest.mark.parametrize(("answer", "holds"), [(RIGHT, True), (WRONG, False)])
async def test_a_perfect_grader(api: Running, answer: Answer, holds: bool) -> None:
    await api.steer(KNOWN % (1, 1))
    assert await decide(api, rubric(ASKED, answer, ["It says where it is.", "It is short."])) == [holds, holds]
    assert await decide(api, factuality(ASKED, answer, "It is on its way.")) == [holds]


async def test_a_perfect_grader_compares(api: Running) -> None:
    await api.steer(KNOWN % (1, 1))
    pairs = [(RIGHT, WRONG), (WRONG, RIGHT), (RIGHT, RIGHT), (WRONG, WRONG)]
    found = [(await decide(api, comparison(ASKED, *pair, "better")))[0] for pair in pairs]
    assert found == ["first", "second", "equal", "equal"]


async def test_a_grader_errs_at_its_rates_and_each_vote_is_drawn_anew(api: Running) -> None:
    await api.steer(KNOWN % (0.9, 0.7))
    for answer, rate in ((RIGHT, 0.9), (WRONG, 0.3)):
        votes = [(await decide(api, rubric(ASKED, answer, ["It says where."])))[0] for _ in range(MANY)]
        assert within(votes.count(True), rate, MANY)


async def test_what_is_no_grading_is_answered_as_before(api: Running) -> None:
    await api.steer(KNOWN % (0, 0))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    form = {"format": {"type": "json_schema", "schema": schema}}
    _, answer = await api.ask(message("Count", output_config=form))
    assert answer["content"][0]["text"] == '{"n":1}'
