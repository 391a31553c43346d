"""Simulated conversations are what they say, and are counted once."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from bench.judge.conversations.arms import Played, Step, play
from bench.judge.conversations.cases import CASES, Case, find_cases
from bench.judge.conversations.kinds import SINGLE, Harm, Kind, Pods
from bench.judge.conversations.prototype import found_at
from bench.judge.conversations.quantities import price
from bench.judge.conversations.sessions import ERROR, HUNG, LIMITED, OK, Drawn, draw
from bench.judge.conversations.tally import CANARY, STABLE, Tally

from claude_operator.api.evidence import MOVED, TURNS, Evidence

BY_NAME = {one.name: one for one in CASES}
STEPS = [Step(600.0 * index, weight) for index, weight in enumerate((0.01, 0.1, 0.5))]


def played(case: Case | str, number: int = 0) -> tuple[Case, Drawn, Played]:
    case = BY_NAME[case] if isinstance(case, str) else case
    drawn = draw(case, seed=5, number=number)
    return case, drawn, play(case, drawn, steps_of(case))


def steps_of(case: Case) -> list[Step]:
    return [Step(case.step_seconds * index, weight) for index, weight in enumerate(case.weights)]


def within(found: float, expected: float, spread: float) -> bool:
    """Five standard deviations: a test with a fixed seed that fails has found something."""
    return abs(found - expected) < 5 * spread


# ---------------------------------------------------------------------------------------------- traffic


def test_every_case_has_a_name_of_its_own_and_both_speeds() -> None:
    assert len(BY_NAME) == len(CASES)
    for case in CASES:
        plain = case.name.removesuffix("-10pods").removesuffix("-5rps")
        assert {f"{plain}", f"{plain}-5rps"} <= set(BY_NAME)
        assert case.planned_seconds % case.tick_seconds == 0
        assert case.ways == ("slow",) or not case.retries
    with pytest.raises(ValueError, match="no cell nothing; there are: agents"):
        find_cases(["nothing"])
    assert [one.name for one in find_cases(["chat", "agents"])] == ["agents", "chat"]


@pytest.mark.parametrize("name", ["agents", "agents-gap20", "single", "tenant-sick", "agents-5rps", "giant-sick"])
def test_there_are_as_many_requests_as_planned(name: str) -> None:
    case, _, found = played(name)
    many = len(found.time) / case.planned_seconds
    giants = sum(bool(kind.agents) for kind in case.kinds)
    assert many == pytest.approx(case.requests_per_second, rel=0.2 if giants else 0.08)
    assert (np.diff(found.time) >= 0).all()


def test_the_same_seed_and_number_give_the_same_conversations() -> None:
    one, same, other = (draw(BY_NAME["agents-toxic"], seed=seed, number=0) for seed in (1, 1, 2))
    assert (one.time == same.time).all()
    assert (one.outcome[0] == same.outcome[0]).all()
    assert len(one.time) != len(other.time)


def test_a_conversation_stays_where_it_began() -> None:
    _, drawn, found = played("agents")
    arms = {(int(unit), bool(canary)) for unit, canary in zip(found.unit, found.canary, strict=True)}
    assert len(arms) == len(set(found.unit.tolist()))
    for era, weight in enumerate((0.0, 0.01, 0.1, 0.5)):
        begun = np.searchsorted([0.0, 600.0, 1200.0], drawn.begin, "right") == era
        share = np.isin(np.flatnonzero(begun), found.unit[found.canary]).mean()
        assert within(share, weight, math.sqrt(weight * (1 - weight) / begun.sum()) + 1e-9)


def test_later_weights_change_nothing_of_the_past() -> None:
    case, drawn, whole = played("agents-toxic+20")
    early = play(case, drawn, STEPS[:1])
    until = whole.time < 600.0
    assert (early.outcome[until] == whole.outcome[until]).all()
    assert (early.canary[until] == whole.canary[until]).all()
    assert not early.canary[~until][whole.canary[~until]].all()


def test_only_the_canary_is_harmed() -> None:
    _, _, found = played("agents+20")
    for canary, expected in ((True, 0.205), (False, 0.005)):
        here = found.canary == canary
        share = (found.outcome[here] == ERROR).mean()
        assert within(share, expected, math.sqrt(expected / here.sum()))
    assert found.excess.sum() == pytest.approx(0.2 * found.canary.sum(), rel=0.1)


@pytest.mark.parametrize(
    ("name", "outcome", "share"), [("hangs-30", HUNG, 0.3), ("limited-60", LIMITED, 0.6), ("agents-broken", ERROR, 1.0)]
)
def test_harm_is_of_its_kind(name: str, outcome: int, share: float) -> None:
    _, _, found = played(name)
    assert (found.outcome[found.canary] == outcome).mean() == pytest.approx(share, abs=0.02)
    assert (found.outcome[~found.canary] == outcome).mean() < 0.02


@pytest.mark.parametrize(
    ("harm", "what", "factor"),
    [
        (Harm(ttft=1.5), lambda one: one.ttft, 1.5),
        (Harm(output=0.2), lambda one: one.output, 0.2),
        (Harm(speed=0.5), lambda one: (one.duration - one.ttft) / one.output, 2.0),
        (Harm(cost=2.0), lambda one: price(one.prompt, one.output), 2.0),
    ],
)
def test_harm_is_of_its_size(harm: Harm, what, factor: float) -> None:  # type: ignore[no-untyped-def]
    case = replace(BY_NAME["single"], harm=harm)
    _, _, found = played(case)
    ln = np.log(what(found))
    assert np.exp(ln[found.canary].mean() - ln[~found.canary].mean()) == pytest.approx(factor, rel=0.05)


def test_harm_may_come_late_or_with_the_weight() -> None:
    for name, first in (("late+20", 900.0), ("onset-10+20", 600.0)):
        _, _, found = played(name)
        bad = found.time[found.canary & (found.excess > 0)]
        assert first <= bad.min() < first + 60.0


def test_conversations_go_bad_and_stay_so() -> None:
    case = replace(BY_NAME["agents-toxic"], kinds=(Kind(errors=0.0, toxic_share=0.5, toxic_errors=1.0),))
    _, drawn, _ = played(case)
    failed = drawn.outcome[0] == ERROR
    again = failed[1:][failed[:-1] & (drawn.conversation[1:] == drawn.conversation[:-1])]
    assert again.all()
    assert len(set(drawn.conversation[failed].tolist())) / len(drawn.begin) == pytest.approx(0.5, abs=0.06)


def test_three_failures_in_a_row_bring_a_conversation_back() -> None:
    case, _, found = played(replace(BY_NAME["agents+20-rescue"], harm=Harm(errors=0.6)))
    assert case.rescue_after == 3
    moved = 0
    for unit in set(found.unit[found.canary].tolist()):
        here = np.flatnonzero(found.unit == unit)
        bad = found.outcome[here] == ERROR
        runs = [index + 3 for index in range(len(here) - 2) if bad[index : index + 3].all()]
        expected = runs[0] if runs else len(here)
        assert found.canary[here].tolist() == [index < expected for index in range(len(here))]
        assert found.moved[here].tolist() == [index >= expected for index in range(len(here))]
        moved += expected < len(here)
    assert moved > 20
    assert not found.moved[~np.isin(found.unit, found.unit[found.canary])].any()


def test_traffic_goes_up_and_down() -> None:
    _, drawn, _ = played("diurnal")
    begun, _ = np.histogram(drawn.begin, bins=24, range=(-480.0, 1800.0))
    assert begun.max() > 8 * begun.min()


def test_surfaces_change_places() -> None:
    _, drawn, found = played("surfaces")
    early, late = (found.surface[(found.time // 600) == part] for part in (0, 2))
    shares = {name: ((early == at).mean(), (late == at).mean()) for at, name in enumerate(drawn.surfaces)}
    assert shares["code"][0] > 1.5 * shares["code"][1]
    assert shares["batch"][1] > 1.2 * shares["batch"][0]
    assert sum(first for first, _ in shares.values()) == pytest.approx(1.0)


def test_pareto_tails_are_long() -> None:
    tails = {}
    for name in ("agents", "pareto"):
        _, _, found = played(name)
        tails[name] = np.quantile(found.ttft, 0.9999) / np.median(found.ttft)
        assert np.median(found.ttft) == pytest.approx(1.2, rel=0.15)
    assert tails["pareto"] > 4 * tails["agents"]


def test_users_go_by_the_weight_of_the_moment() -> None:
    _, drawn, found = played("users")
    on = {step: set(found.unit[found.canary & (found.step == step)].tolist()) for step in (1, 2, 3)}
    assert on[1] <= on[2] <= on[3]
    assert len(on[3]) == pytest.approx(150, abs=45)
    assert len(set(drawn.user.tolist())) <= 300


def test_turns_are_answers_or_what_a_process_has_seen() -> None:
    for pods in (Pods(3), Pods(3, restart_seconds=60.0)):
        case = replace(BY_NAME["agents-toxic"], pods=pods, requests_per_second=5.0)
        _, drawn, found = played(case)
        canary = set(found.unit[found.canary].tolist())
        answers: Counter[int] = Counter()
        seen: Counter[tuple[int, int, int]] = Counter()
        turns = {}
        for place in np.argsort(drawn.time, kind="stable").tolist():
            unit, pod = int(drawn.conversation[place]), int(drawn.pod[place])
            every = pods.restart_seconds or 1e12
            boot = math.floor((drawn.time[place] + pod * every / 3) / every)
            turns[place] = max(answers[unit], seen[unit, pod, boot])
            outcome = drawn.outcome[int(unit in canary)][place]
            seen[unit, pod, boot] += outcome <= ERROR
            answers[unit] += outcome < ERROR
            if len(turns) > 1500:
                break
        for index, place in enumerate(found.here.tolist()):
            if place in turns:
                assert found.turn[index] == turns[place]


# --------------------------------------------------------------------------------------------- counting


def counted(case: Case) -> tuple[Drawn, Played, Evidence]:
    _, drawn, found = played(case)
    tally = Tally(case, found, steps_of(case), drawn.surfaces)
    last = None
    for evidence in tally.ticks(round(case.planned_seconds / case.tick_seconds)):
        last = evidence
    assert last is not None
    return drawn, found, last


SMALL = replace(
    BY_NAME["agents+20-rescue"],
    requests_per_second=2.0,
    cached=True,
    kinds=(Kind(errors=0.05, toxic_share=0.2), replace(SINGLE, share=0.3, surface="calls")),
)


def test_conversations_are_counted_one_by_one() -> None:
    drawn, found, last = counted(SMALL)
    entries: Counter[tuple[object, ...]] = Counter()
    first_bad: Counter[tuple[object, ...]] = Counter()
    costs: Counter[tuple[object, ...]] = Counter()
    known: set[object] = set()

    def first(*what: object) -> bool:
        fresh = what not in known
        known.add(what)
        return fresh

    for index, unit in enumerate(found.unit.tolist()):
        outcome, turn = int(found.outcome[index]), int(found.turn[index])
        complete = outcome < ERROR
        cache = "none" if not complete else "write" if found.cold[index] else "read"
        surface = MOVED if found.moved[index] else drawn.surfaces[found.surface[index]]
        period = "opening" if turn == 0 else "early" if turn < 8 else "late"
        arm = CANARY if found.canary[index] else STABLE
        cell = (int(found.era[index]) + 1, arm, surface, period, cache)
        entries[cell] += first(unit, period)
        kinds = {1: ["refusal"], 2: ["max_tokens"], ERROR: ["error"]}.get(outcome, [])
        kinds += ["tool_use"] * (outcome == OK and not found.last[index])
        kinds += ["cache_write"] * (cache == "write")
        edge = max(edge for edge in TURNS if edge <= turn)
        for kind in kinds:
            first_bad[*cell, f"{kind}:{edge}"] += first(unit, kind)
        costs[cell] += complete and first(unit, period, "cost")
    units = [
        ((each.generation, one.revision, one.surface, one.period, one.cache), one.counters)
        for each in last.generations
        for one in each.units
    ]
    assert {cell: one.entries for cell, one in units if one.entries} == {k: v for k, v in entries.items() if v}
    assert {cell: one.cost.count for cell, one in units if one.cost.count} == {k: v for k, v in costs.items() if v}
    bad = {(*cell, key): many for cell, one in units for key, many in one.first_bad.items()}
    assert bad == {key: many for key, many in first_bad.items() if many}
    assert {one.surface for each in last.generations for one in each.units} == {"other", "calls", MOVED}


def test_requests_are_counted_under_their_own_generation() -> None:
    _, found, last = counted(SMALL)
    for each in last.generations:
        requests = sum(one.counters.requests for one in each.strata)
        assert requests == (found.step == each.generation - 1).sum()
        for one in each.strata:
            assert sum(one.counters.outcomes.values()) == one.counters.requests
            assert one.counters.cost.count == one.counters.outcomes.get("ok", 0)
    assert last.generations[-1].weights == {STABLE: 5000, CANARY: 5000}


def test_readings_grow() -> None:
    case, drawn, found = played(replace(SMALL, step_seconds=300.0))
    before = 0
    for evidence in Tally(case, found, steps_of(case), drawn.surfaces).ticks(180):
        entries = sum(one.counters.entries for each in evidence.generations for one in each.units)
        assert entries >= before
        before = entries
    assert before > 0


# --------------------------------------------------------------------------------------------- the test


@pytest.mark.slow
@pytest.mark.parametrize("name", ["half-failing", "first-fail", "old-agents", "agents-toxic-gap20"])
def test_the_label_is_no_evidence_where_the_arms_are_alike(name: str) -> None:
    """The largest of 20 rollouts' evidence reaches 100 in at most one: more has a chance of 2 %."""
    case = BY_NAME[name]
    found = 0
    for number in range(20):
        drawn = draw(case, seed=7, number=number)
        found += found_at(play(case, drawn, STEPS), STEPS, case.tick_seconds) is not None
    assert found <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "requests", "failures"),
    [
        ("agents+20", (30, 130), (8, 24)),
        ("agents-toxic-gap20+20", (15, 60), (4, 12)),
        ("agents+2", (350, 1100), (9, 24)),
    ],
)
def test_harm_is_found_as_soon_as_in_the_prototype(
    name: str, requests: tuple[int, int], failures: tuple[int, int]
) -> None:
    """Of 40 rollouts the prototype had medians of 63, 27 and 536 canary requests, and 17, 7 and 19 failures."""
    case = BY_NAME[name]
    many, failed = [], []
    for number in range(24):
        drawn = draw(case, seed=7, number=number)
        one = play(case, drawn, STEPS)
        at = found_at(one, STEPS, 5.0)
        assert at is not None
        many.append((one.canary & (one.time < at)).sum())
        failed.append(one.excess[one.time < at].sum())
    assert requests[0] < np.median(many) < requests[1]
    assert failures[0] < np.mean(failed) < failures[1]


def test_the_label_finds_what_is_broken_and_lets_an_equal_canary_pass() -> None:
    for name, expected in (("agents-broken", True), ("agents-toxic", False)):
        _, _, found = played(name)
        assert (found_at(found, STEPS, 5.0) is not None) is expected
