"""What is told of a whole rollout with arrays is what the judge finds tick by tick."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from bench.judge.conversations import judged
from bench.judge.conversations.arms import Played, Step, play
from bench.judge.conversations.cases import CASES, Case
from bench.judge.conversations.evidence import closing_ticks
from bench.judge.conversations.judged import FAST, Judging, judge, run
from bench.judge.conversations.kinds import Harm
from bench.judge.conversations.screen import Screen, can_screen
from bench.judge.conversations.sessions import Drawn, draw
from bench.judge.conversations.users import offsets

from claude_operator.api.analysis import Analysis
from claude_operator.api.status import Judgement
from claude_operator.api.sums import IncidentSums
from claude_operator.core.judge.evidence import incident
from claude_operator.core.judge.evidence.increments import advance
from claude_operator.core.judge.evidence.sample import Values
from claude_operator.core.judge.evidence.strata import close
from claude_operator.core.judge.evidence.tick import UnitArms, UnitStratum
from claude_operator.core.judge.evidence.units import UnitSample
from claude_operator.core.judge.metrics import quantities, watched

BY_NAME = {one.name: one for one in CASES}


def small(name: str, seconds: float = 300.0, **more: object) -> Case:
    return replace(BY_NAME[name], step_seconds=seconds, **more)  # type: ignore[arg-type]


def rollout(case: Case, number: int) -> tuple[Drawn, Played, list[Step]]:
    drawn = draw(case, seed=11, number=number)
    steps = [Step(index * case.step_seconds, weight) for index, weight in enumerate(case.weights)]
    return drawn, play(case, drawn, steps, ordered=case.unit == "User"), steps


def screened(case: Case, number: int = 0) -> Screen:
    drawn, played, steps = rollout(case, number)
    return Screen(case, drawn, played, steps)


def judgements(case: Case, number: int = 0) -> Iterator[Judgement]:
    """Tick by tick, by the judge, until it takes traffic back for evidence of 1e9."""
    drawn, _, steps = rollout(case, number)
    played = play(case, drawn, steps)
    shown = FAST.source(case, drawn, played, steps)
    analysis = Analysis(false_rollback_rate=1e-9)
    memory = advance(None, shown.start(), quantities(analysis), now=0.0)[1]
    found = Judging(case, analysis, memory, offsets=offsets(case, drawn))
    ticks = round(case.step_seconds / case.tick_seconds)
    for tick, readings in enumerate(shown.readings(ticks * len(case.weights))):
        found.tick(readings, (tick + 1) * case.tick_seconds, tick // ticks)
        assert found.judgement is not None
        if found.judgement.verdict == "Fail":
            return
        yield found.judgement


@pytest.mark.parametrize(
    "case",
    [
        small("agents-toxic"),
        small("users", 150.0),
        pytest.param(small("users-unread-5rps"), marks=pytest.mark.slow),
        small("single", 240.0, weights=(0.1, 0.5)),
        small("surfaces", 150.0),
        pytest.param(small("restarts-5rps"), marks=pytest.mark.slow),
        small("agents-cached", 240.0),
        small("agents+20-rescue", 60.0),
        small("slower-1.5", 120.0),
        small("cut", 120.0),
        pytest.param(BY_NAME["tenant-sick"], marks=pytest.mark.slow),
        pytest.param(BY_NAME["diurnal-5rps"], marks=pytest.mark.slow),
        pytest.param(BY_NAME["giant-by-request"], marks=pytest.mark.slow),
        pytest.param(BY_NAME["chat-cached"], marks=pytest.mark.slow),
        pytest.param(BY_NAME["pareto"], marks=pytest.mark.slow),
        pytest.param(BY_NAME["single"], marks=pytest.mark.slow),
    ],
    ids=lambda case: case.name,
)
def test_evidence_is_the_judges(case: Case) -> None:
    """To a hundredth, or half of one of its logarithm: status holds five decimals of that, and eight digits of sums."""
    expected: dict[str, list[float]] = defaultdict(list)
    names = [one.name for one in watched(Analysis())]
    for judgement in judgements(case):
        known = {one.name: one.evidence for one in judgement.state}
        for name in names:
            expected[name].append(known.get(name, 1.0))
    found = screened(case).evidence()
    assert set(found) == set(names)
    for name in names:
        assert len(expected[name]) > 10
        ln = np.log(expected[name])
        assert (np.abs(np.log(found[name][: len(ln)]) - ln) < 0.01 + 0.005 * np.abs(ln)).all(), name
    assert sum(max(abs(each - 1.0) for each in one) > 0.02 for one in expected.values()) > 6


@pytest.mark.parametrize("name", ["agents", "single", "users", "loop-during", "agents-toxic-gap20"])
def test_screened_rollouts_end_as_the_judge_has_them_end(name: str) -> None:
    """After as many seconds, with as many requests and failures."""
    case = small(name, 90.0)
    passed = 0
    for number in range(1, 7):
        found, expected = run(case, FAST, seed=11, number=number), judge(case, FAST, rollout(case, number)[0])
        assert found == replace(expected, words=found.words), number
        passed += not found.words
    assert passed > 3


@pytest.mark.parametrize(
    "case",
    [
        small("agents", harm=Harm(errors=0.2)),
        small("agents", harm=Harm(errors=1.0)),
        small("agents", harm=Harm(output=0.2)),
        small("agents", harm=Harm(ttft=1.5)),
        small("single", harm=Harm(cost=2.0)),
        small("agents", harm=Harm(hangs=0.5)),
        small("loop-during", weights=(0.5,), kinds=(BY_NAME["loop-during"].kinds[1],)),  # nothing but failures
        small("single", requests_per_second=0.05),  # ticks without a request
    ],
    ids=lambda case: f"{case.name}-{case.harm}",
)
def test_what_the_judge_stops_or_holds_does_not_pass(case: Case) -> None:
    assert not screened(case).is_clear()


def test_canary_that_gets_another_share_does_not_pass() -> None:
    case = small("agents")
    drawn, played, steps = rollout(case, 0)
    assert Screen(case, drawn, played, steps).is_clear()
    told = [step._replace(weight=step.weight / 4) for step in steps]
    assert not Screen(case, drawn, played, told).is_clear()


def test_incident_does_not_pass() -> None:
    case = small("agents", 600.0)
    drawn, played, steps = rollout(case, 0)
    slow = replace(played, ttft=np.where(played.time > 400.0, 4.0, 1.0) * played.ttft)
    assert not Screen(case, drawn, slow, steps)._is_calm()
    assert Screen(case, drawn, played, steps)._is_calm()


def test_incident_is_looked_for_tick_by_tick_where_ticks_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mean of all that was is never further from another than the ticks are from one another."""
    looks = 0

    def counted(*rest: object, **more: object) -> IncidentSums:
        nonlocal looks
        looks += 1
        return update(*rest, **more)  # type: ignore[arg-type]

    update = incident.update
    monkeypatch.setattr(incident, "update", counted)
    case = small("agents")
    drawn, played, steps = rollout(case, 0)
    assert Screen(case, drawn, played, steps)._is_calm()
    assert looks == 0
    uneven = replace(played, ttft=np.where(played.time < 60.0, 1.5, 1.0) * played.ttft)  # faster than before
    assert Screen(case, drawn, uneven, steps)._is_calm()
    assert looks == 60


def test_only_rollouts_that_go_through_all_ticks_are_screened() -> None:
    for name in ("agents", "agents-cached", "users-5rps", "giant-sick-10pods"):
        assert can_screen(BY_NAME[name])
    for name in ("agents+20", "cut"):
        assert not can_screen(BY_NAME[name])
    assert not can_screen(small("single", steps="evidence"))


def test_each_so_many_th_rollout_is_judged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    case = small("agents", 60.0)
    assert run(case, FAST, seed=11, number=0).words
    assert not run(case, FAST, seed=11, number=1).words
    whole = judge(case, FAST, draw(case, seed=11, number=1))
    assert replace(whole, words="") == run(case, FAST, seed=11, number=1)
    monkeypatch.setattr(judged, "judge", lambda *rest: replace(whole, end="rolled back", reason="errors"))
    with pytest.raises(AssertionError, match=r"rollout 0 of agents is rolled back \(errors\)"):
        run(case, FAST, seed=11, number=0)


def test_strata_are_closed_as_the_judge_closes_them() -> None:
    dice = random.Random(1)
    sizes = np.array([[dice.choice((0, 0, 1, 2, 4, 12)) for _ in range(12)] for _ in range(60)])
    keys = [UnitStratum(one, 0.1, "other", "opening") for one in range(12)]
    open_, since, expected = [], {}, np.full(sizes.shape, len(sizes))
    for tick, row in enumerate(sizes.tolist()):
        values = {("cost", "none"): Values(1, buckets={0: 1})}
        new = {}
        for stratum, size in enumerate(row):
            if size:
                since.setdefault(stratum, tick)
                whole = {key: replace(one, count=size) for key, one in values.items()}
                new[keys[stratum]] = UnitArms(stable=UnitSample(size, {}, whole))
        _, open_ = close(open_, {}, new)
        kept = {one.generation for one in open_}
        for stratum in [one for one in since if one not in kept]:
            expected[since.pop(stratum) : tick + 1, stratum] = tick
    assert (closing_ticks(sizes)[0] == expected).all()
    assert (expected == len(sizes)).any()
