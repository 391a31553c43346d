"""What chance decides is within its bounds, and the same again."""

from __future__ import annotations

import math
import statistics
from collections import Counter

import pytest
from tests.simulator.harness import Running, message

from claude_operator.core.catalogue.table import find
from claude_operator.simulator.answers import reply_to
from claude_operator.simulator.draws import draw
from claude_operator.simulator.profile import Profile, compile_scenario
from claude_operator.simulator.request import Request
from claude_operator.simulator.scenario import parse

MANY = 4000
RATES = Profile(error_rate=0.1, overload_rate=0.05, rate_limit_rate=0.02, refusal_rate=0.2, break_stream_rate=0.3)
QUESTIONS = [f"Question {number}?" for number in range(1000)]
ANSWERS = str([{"question": question, "answer": f"a{number % 4}"} for number, question in enumerate(QUESTIONS)])


def within(count: int, rate: float, of: int = MANY) -> bool:
    """Whether a count is within four standard deviations of a binomial's mean."""
    return abs(count - of * rate) < 4 * math.sqrt(of * rate * (1 - rate))


def right(accuracy: float, system: str, seed: int = 1, model: str = "claude-haiku-5-5") -> list[bool | None]:
    scenario = compile_scenario(
        parse(f"{{seed: {seed}, answers: {ANSWERS}, defaults: {{accuracy: {accuracy}}}}}"), None
    )
    found = find(model)
    assert found is not None
    return [
        reply_to(Request(message(question, system=system)), found, scenario, scenario.profiles[-1]).right
        for question in QUESTIONS
    ]


def test_rates_are_kept() -> None:
    draws = [draw(RATES, 1, number) for number in range(MANY)]
    statuses = Counter(one.status for one in draws)
    assert set(statuses) == {200, 429, 500, 529}
    assert all(within(statuses[status], rate) for status, rate in ((500, 0.1), (529, 0.05), (429, 0.02)))
    assert within(sum(one.refused for one in draws), 0.2)
    assert within(sum(one.broken for one in draws), 0.3)


def test_latency_has_its_median_and_p95() -> None:
    found = sorted(draw(Profile(median=0.3, p95=0.9), 1, number).latency for number in range(MANY))
    assert statistics.median(found) == pytest.approx(0.3, rel=0.08)
    assert found[int(MANY * 0.95)] == pytest.approx(0.9, rel=0.12)
    assert {draw(Profile(median=0.2, p95=None), 1, number).latency for number in range(9)} == {0.2}


def test_the_same_seed_draws_the_same() -> None:
    first = [draw(RATES, 7, number) for number in range(200)]
    assert first == [draw(RATES, 7, number) for number in range(200)]
    assert first != [draw(RATES, 8, number) for number in range(200)]


def test_a_higher_rate_only_adds_failures() -> None:
    low, high = Profile(error_rate=0.1), Profile(error_rate=0.2)
    failed = [{n for n in range(MANY) if draw(profile, 1, n).status == 500} for profile in (low, high)]
    assert failed[0] < failed[1]


@pytest.mark.parametrize("accuracy", [0, 0.6, 0.9, 1])
def test_accuracy_is_kept(accuracy: float) -> None:
    count = right(accuracy, "prompt").count(True)
    assert within(count, accuracy, 1000) if 0 < accuracy < 1 else count == 1000 * accuracy


def test_right_and_wrong_are_properties_of_the_prompt() -> None:
    first = right(0.6, "prompt v1")
    assert first == right(0.6, "prompt v1")
    for other in (
        right(0.6, "prompt v2"),
        right(0.6, "prompt v1", seed=2),
        right(0.6, "prompt v1", model="claude-opus-5"),
    ):
        assert 300 < sum(a == b for a, b in zip(first, other, strict=True)) < 700


def test_better_accuracy_keeps_what_was_right() -> None:
    pairs = zip(right(0.6, "prompt"), right(0.8, "prompt"), strict=True)
    assert not [1 for before, after in pairs if before and not after]


HARD = "difficulty: [{share: 0.82, alpha: 60, beta: 0.8}, {share: 0.18, alpha: 1.2, beta: 1.2}]"


def again(system: str, epochs: int, behaviour: str = HARD) -> list[list[bool]]:
    """Whether each of a prompt's questions is answered right, in each epoch."""
    scenario = compile_scenario(parse(f"{{answers: {ANSWERS}, defaults: {{{behaviour}}}}}"), None)
    model = find("claude-haiku-5-5")
    assert model is not None
    requests = [Request(message(question, system=system)) for question in QUESTIONS]
    return [
        [bool(reply_to(one, model, scenario, scenario.profiles[-1], epoch).right) for one in requests]
        for epoch in range(epochs)
    ]


def test_difficulty_draws_each_answer_anew_from_a_chance_that_all_prompts_share() -> None:
    ours, theirs = again("prompt v1", 3), again("prompt v2", 3)
    assert ours == again("prompt v1", 3)
    assert ours[0] != ours[1]
    expected = 0.82 * 60 / 60.8 + 0.18 * 0.5
    means = [[sum(column) / 3 for column in zip(*epochs, strict=True)] for epochs in (ours, theirs)]
    assert all(statistics.mean(mean) == pytest.approx(expected, abs=0.03) for mean in means)
    # Two prompts find the same questions hard, as two epochs of one prompt do.
    between = statistics.correlation(*means)
    assert between > 0.6  # 0 where each prompt has failures of its own
    halves = statistics.correlation(*([float(right) for right in epoch] for epoch in ours[:2]))
    assert halves == pytest.approx(
        statistics.correlation(*([float(right) for right in arm[0]] for arm in (ours, theirs))), abs=0.1
    )


def test_with_difficulty_accuracy_is_the_share_that_can_be_right_at_all() -> None:
    easy = "difficulty: [{share: 1, alpha: 1000000, beta: 0.000001}]"
    epochs = again("prompt", 4, f"accuracy: 0.9, {easy}")
    assert all(epoch == epochs[0] for epoch in epochs)
    assert within(sum(epochs[0]), 0.9, 1000)


async def test_a_question_asked_again_is_drawn_again(api: Running) -> None:
    hard = "difficulty: [{share: 1, alpha: 50, beta: 50}]"
    scenario = f"{{answers: {ANSWERS}, defaults: {{{hard}, latency: {{median: 0s}}, tokensPerSecond: 1e6}}}}"

    async def answers() -> list[str]:
        await api.steer(scenario)
        return [(await api.ask(message("Question 0?")))[1]["content"][0]["text"] for _ in range(30)]

    first = await answers()
    assert 5 < first.count("a0") < 25
    assert first == await answers()


async def test_a_wrong_answer_is_another_of_the_set(api: Running) -> None:
    await api.steer(f"{{answers: {ANSWERS}, defaults: {{accuracy: 0, latency: {{median: 0s}}, tokensPerSecond: 1e6}}}}")
    said = set()
    for question in QUESTIONS[0:40:4]:  # the right answer of each is a0
        _, answer = await api.ask(message(f"  {question}\n"))
        said.add(answer["content"][0]["text"])
    assert said == {"a1", "a2", "a3"}
    assert (await api.stats())["total"]["wrong"] == 10


async def test_a_scenario_begins_its_draws_anew_and_profiles_do_not_disturb_each_other(api: Running) -> None:
    scenario = """{seed: 3, defaults: {latency: {median: 0s}, tokensPerSecond: 1e6}, rules: [
      {match: {model: claude-opus-5}, errorRate: 0.5}, {match: {model: claude-haiku-*}, errorRate: 0.5}]}"""

    async def statuses(*others: str) -> list[int]:
        await api.steer(scenario)
        found = []
        for _ in range(20):
            for other in others:
                await api.ask(message(model=other))
            found.append((await api.ask())[0])
        return found

    alone = await statuses()
    assert set(alone) == {200, 500}
    assert alone == await statuses()
    assert alone == await statuses("claude-opus-5", "claude-sonnet-5-5")


def test_a_prompt_that_is_wrong_may_say_always_the_same() -> None:
    """Short answers of status 200 that are wrong: what nothing but a grader sees."""
    behaviour = "{accuracy: 0.5, wrongAnswer: 'No.'}"
    scenario = compile_scenario(parse(f"{{answers: {ANSWERS}, defaults: {behaviour}}}"), None)
    found = find("claude-haiku-5-5")
    assert found is not None
    replies = [reply_to(Request(message(one)), found, scenario, scenario.profiles[-1]) for one in QUESTIONS]
    assert {reply.text for reply in replies if not reply.right} == {"No."}
    assert within(sum(bool(reply.right) for reply in replies), 0.5, len(QUESTIONS))
