"""The fast way to count conversations counts what the gateways' own code counts."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from bench.judge.conversations.arms import Step, play
from bench.judge.conversations.cases import CASES, Case
from bench.judge.conversations.gateways import Gateways, named
from bench.judge.conversations.kinds import Pods
from bench.judge.conversations.sessions import ERROR, draw
from bench.judge.conversations.tally import CANARY, STABLE, Tally

from claude_operator.api.evidence import Evidence, Histogram
from claude_operator.core.judge.evidence.increments import PodReading, advance

BY_NAME = {one.name: one for one in CASES}
QUANTITIES = ("ttft", "duration", "cost", "output_tokens", "time_per_output_token")


def both(case: Case, number: int = 0) -> tuple[list[Evidence], list[list[PodReading]]]:
    """What all pods have counted after each tick: the fast way, and by the gateways."""
    drawn = named(case, draw(case, seed=3, number=number))
    steps = [Step(index * case.step_seconds, weight) for index, weight in enumerate(case.weights)]
    played = play(case, drawn, steps)
    ticks = round(case.planned_seconds / case.tick_seconds)
    fast = list(Tally(case, played, steps, drawn.surfaces).ticks(ticks))
    return fast, list(Gateways(case, drawn, played, steps).readings(ticks))


def units(documents: list[Evidence], *, costs: bool = True) -> dict[tuple[object, ...], float]:
    """Of conversations that were drawn; sums are rounded."""
    found: Counter[tuple[object, ...]] = Counter()
    for document in documents:
        for each in document.generations:
            for one in each.units if each.generation > 1 else ():
                cell = (each.generation, one.revision, one.surface, one.period, one.cache)
                found[(*cell, "entries")] += one.counters.entries
                found.update({(*cell, key): many for key, many in one.counters.first_bad.items()})
                for name in QUANTITIES:
                    values: Histogram = getattr(one.counters, name)
                    found[(*cell, name)] += values.count
                    if costs or name != "cost":
                        found[(*cell, name, "sum")] += round(values.ln_sum, 6)
                        found.update({(*cell, name, edge): many for edge, many in values.buckets.items()})
    return {key: round(many, 3) for key, many in found.items() if round(many, 3)}


def small(name: str, seconds: float = 90.0, rate: float = 10.0, **more: object) -> Case:
    return replace(BY_NAME[name], step_seconds=seconds, requests_per_second=rate, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "case",
    [
        small("agents+20-rescue"),
        small("single"),
        small("users"),
        small("limited-60", pods=Pods(3)),
        pytest.param(small("agents-toxic"), marks=pytest.mark.slow),
        pytest.param(small("half-failing-10pods"), marks=pytest.mark.slow),
        pytest.param(small("tenant-sick"), marks=pytest.mark.slow),
        pytest.param(small("giant-by-request"), marks=pytest.mark.slow),
        pytest.param(small("canary-toxic", pods=Pods(3)), marks=pytest.mark.slow),
        pytest.param(small("surface+1"), marks=pytest.mark.slow),
        small("hangs-30"),
        pytest.param(small("cut"), marks=pytest.mark.slow),
    ],
    ids=lambda case: case.name,
)
def test_both_ways_count_the_same(case: Case) -> None:
    fast, slow = both(case)
    for tick in (len(fast) // 2, len(fast) - 1):
        expected = units([fast[tick]])
        found = units([one.evidence for one in slow[tick] if one.evidence])
        assert found == pytest.approx(expected, abs=0.01)
    assert {key[1] for key in expected} == {STABLE, CANARY}


@pytest.mark.slow
def test_conversations_without_a_name_stay_where_they_began() -> None:
    """All have one user id; each is found by the answers that it quotes, by any pod."""
    case = small("one-user", seconds=120.0, pods=Pods(3))
    drawn = named(case, draw(case, seed=3, number=0))
    steps = [Step(index * case.step_seconds, weight) for index, weight in enumerate(case.weights)]
    played = play(case, drawn, steps)
    pods = Gateways(case, drawn, played, steps)
    for _ in pods.readings(round(case.planned_seconds / case.tick_seconds)):
        pass
    again = np.isin(played.unit, played.unit[(played.turn == 0) & (played.outcome == ERROR)])
    assert (pods.played.canary == played.canary)[~again].all()
    assert played.canary[~again].sum() > 100
    assert again.mean() < 0.05


def test_both_ways_count_the_same_with_a_prompt_cache() -> None:
    """But for the price of it, which goes by what each pod has seen of the cache."""
    fast, slow = both(small("agents-cached"))
    expected = units([fast[-1]], costs=False)
    found = units([one.evidence for one in slow[-1] if one.evidence], costs=False)
    assert found == pytest.approx(expected, abs=0.01)
    assert {key[4] for key in expected} == {"read", "write", "none"}


def test_both_ways_count_the_same_requests() -> None:
    fast, slow = both(small("agents+20-rescue"))
    for what in ("requests", "outcomes", "stop_reasons"):
        expected, found = Counter(), Counter()  # type: ignore[var-annotated]
        for total, documents in ((expected, [fast[-1]]), (found, [one.evidence for one in slow[-1]])):
            for document in documents:
                for each in document.generations if document else ():
                    for one in each.strata:
                        value = getattr(one.counters, what)
                        counts = {what: value} if isinstance(value, int) else value
                        counts = {key: many for key, many in counts.items() if key != "end_turn"}
                        total.update({(one.revision, each.generation, key): many for key, many in counts.items()})
        del_before = {key: many for key, many in found.items() if key[1] > 1 and many}
        assert del_before == {key: many for key, many in expected.items() if key[1] > 1 and many}


def test_pods_that_restart_count_no_conversation_twice() -> None:
    case = small("restarts", seconds=360.0, rate=5.0)
    assert case.pods == Pods(10, 180.0)
    fast, slow = both(case)
    boots = {one.evidence.boot_id for readings in slow for one in readings if one.evidence}
    assert len(boots) > 40
    memory, found = None, Counter()  # type: ignore[var-annotated]
    for index, readings in enumerate(slow):
        increments, memory = advance(memory, readings, now=15.0 * (index + 1))
        for key, sample in increments.units.items():
            found[key.revision, key.period] += sample.entries if key.era > 1 else 0
    expected = Counter()  # type: ignore[var-annotated]
    for each in fast[-1].generations:
        for one in each.units if each.generation > 1 else ():
            expected[one.revision, one.period] += one.counters.entries
    for key, many in expected.items():
        # A pod takes with it what it counted since the last reading: a tick of twelve.
        assert (11 / 12) * many - 5 * math.sqrt(many) <= found[key] <= many, key


def test_a_silent_pod_has_no_evidence() -> None:
    _, slow = both(small("users-unread", rate=5.0))
    assert [one.evidence is None for one in slow[0]] == [True, False]
    assert all(one.evidence for one in slow[1])
