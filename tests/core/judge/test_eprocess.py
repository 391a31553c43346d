"""The e-process: against its definition, at the extremes, and by what has to hold for all counts."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_operator.core.judge.eprocess import CAP, RATIOS, START, carried, updated, value

Arm = tuple[int, int]


@st.composite
def arms(draw: st.DrawFn, most: int = 10**9) -> Arm:
    requests = draw(st.integers(0, most))
    return requests, draw(st.integers(0, requests))


def by_definition(ticks: list[tuple[Arm, Arm]]) -> float:
    """Mean over g of the product of Bin(x_c; m, q(g)) / Bin(x_c; m, q(1)), in plain numbers."""
    total = 0.0
    for ratio in RATIOS:
        product = 1.0
        for (n_c, x_c), (n_s, x_s) in ticks:
            alternative, null = ratio * n_c / (ratio * n_c + n_s), n_c / (n_c + n_s)
            m = x_c + x_s
            product *= (math.comb(m, x_c) * alternative**x_c * (1 - alternative) ** x_s) / (
                math.comb(m, x_c) * null**x_c * (1 - null) ** x_s
            )
        total += product
    return total / len(RATIOS)


def run(ticks: list[tuple[Arm, Arm]]) -> float:
    logs = START
    for canary, stable in ticks:
        logs = updated(logs, canary, stable)
    return value(logs)


def test_golden_numbers() -> None:
    # One bad canary request in a fair split: mean of 2 g / (g + 1).
    assert run([((1, 1), (1, 0))]) == pytest.approx(sum(2 * g / (g + 1) for g in RATIOS) / 10, rel=1e-12)
    assert run([((1, 0), (1, 1))]) == pytest.approx(sum(2 / (g + 1) for g in RATIOS) / 10, rel=1e-12)
    # All of one percent of the traffic fails, nothing else: two requests are enough for 1 in 100.
    assert run([((1, 1), (99, 0))]) == pytest.approx(sum(100 * g / (g + 99) for g in RATIOS) / 10, rel=1e-12)
    assert run([((1, 1), (99, 0))] * 2) > 100 > run([((1, 1), (99, 0))])


@pytest.mark.parametrize(
    "ticks",
    [
        [((58, 31), (512, 4))],
        [((3, 1), (290, 2)), ((0, 0), (300, 4)), ((5, 0), (310, 1)), ((4, 4), (280, 0))],
        [((100, 5), (100, 6)), ((100, 9), (900, 41)), ((7, 0), (0, 0))],
    ],
)
def test_it_is_the_mean_likelihood_ratio(ticks: list[tuple[Arm, Arm]]) -> None:
    informative = [tick for tick in ticks if tick[0][0] and tick[1][0]]
    assert run(ticks) == pytest.approx(by_definition(informative), rel=1e-9)


@pytest.mark.parametrize(("share", "bad"), [(0.01, 3), (0.3, 8), (0.5, 20), (0.97, 5)])
def test_a_tick_is_worth_one_on_average_where_both_arms_are_alike(share: float, bad: int) -> None:
    """The null law is summed over, not sampled: the expectation of every factor is 1."""
    n_c, n_s = round(1e6 * share), round(1e6 * (1 - share))
    mean = sum(
        math.comb(bad, x) * share**x * (1 - share) ** (bad - x) * run([((n_c, x), (n_s, bad - x))])
        for x in range(bad + 1)
    )
    assert mean == pytest.approx(1.0, abs=1e-9)


@given(arms(), arms())
def test_nothing_to_compare_changes_nothing(canary: Arm, stable: Arm) -> None:
    for one, other in ((canary, (0, 0)), ((0, 0), stable), ((canary[0], 0), (stable[0], 0))):
        assert updated(START, one, other) is START


@given(st.lists(st.tuples(arms(), arms()), max_size=6))
def test_it_stays_finite(ticks: list[tuple[Arm, Arm]]) -> None:
    assert 0.0 <= run(ticks) <= CAP * (1 + 1e-9)


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 1000), st.integers(0, 1000)), min_size=1, max_size=8))
def test_arms_of_equal_rates_never_give_evidence(ticks: list[tuple[int, int, int]]) -> None:
    """Requests are multiples of one unit in both arms, bad events the same share of each."""
    for n_c, times, bad in ticks:
        assert run([((n_c, min(bad, n_c)), (n_c * times, min(bad, n_c) * times))]) <= 1 + 1e-9
    assert run([((n, min(b, n)), (n * times, min(b, n) * times)) for n, times, b in ticks]) <= 1 + 1e-9


@given(arms(10**6), arms(10**6))
def test_one_more_bad_canary_event_is_more_evidence(canary: Arm, stable: Arm) -> None:
    requests, bad = canary[0] + 1, canary[1]
    if not stable[0]:
        return
    fewer, more = updated(START, (requests, bad), stable), updated(START, (requests, bad + 1), stable)
    assert all(right >= left - 1e-6 for left, right in zip(fewer, more, strict=True))
    assert value(more) >= value(fewer) * (1 - 1e-6)


def test_evidence_stored_under_another_grid_is_carried_over() -> None:
    assert value(carried([0.3, 0.4], 17.0)) == pytest.approx(17.0)
    assert value(carried([], 1.0)) == 1.0
    assert value(carried([-1e9], 0.0)) == pytest.approx(0.0, abs=1e-290)
    logs = updated(START, (10, 2), (90, 1))
    assert carried(logs, value(logs)) is logs


# -------------------------------------------------------------------------------------- seeded simulation

PER_TICK = 100  # requests of both arms; the split and the failures are drawn
LIMIT = 100.0


def failures(draw: random.Random, requests: int, rate: float) -> int:
    """A binomial number, by the gaps between failures."""
    found, place, scale = 0, -1, math.log1p(-rate)
    while True:
        place += 1 + int(math.log(1.0 - draw.random()) / scale)
        if place >= requests:
            return found
        found += 1


def rollout(draw: random.Random, share: float, rate: float, harm: float, ticks: int) -> int | None:
    """Canary requests until the evidence reaches 100, None where it does not within `ticks`."""
    logs, asked = START, 0
    for tick in range(ticks):
        level = rate * (4.0 if ticks // 3 <= tick < ticks // 2 else 1.0)  # an incident of both arms
        n_c = failures(draw, PER_TICK, share)
        asked += n_c
        n_s = PER_TICK - n_c
        logs = updated(logs, (n_c, failures(draw, n_c, level + harm)), (n_s, failures(draw, n_s, level)))
        if value(logs) >= LIMIT:
            return asked
    return None


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_false_rollbacks_are_as_rare_as_asked_for(share: float) -> None:
    """At most 1 % is promised; of 200, 7 or more would then happen once in 220 such tests, the seed is fixed."""
    draw = random.Random(2026)
    assert sum(rollout(draw, share, 0.02, 0.0, 40) is not None for _ in range(200)) <= 6


def test_twenty_points_are_found_within_few_canary_requests() -> None:
    draw = random.Random(7)
    asked = sorted(rollout(draw, 0.01, 0.005, 0.2, 400) or 10**6 for _ in range(100))
    assert asked[50] <= 25
    assert asked[95] < 60
