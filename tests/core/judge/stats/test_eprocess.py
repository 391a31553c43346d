"""The e-process: against its definition, at the extremes, and by what has to hold for all counts."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_operator.core.judge.stats.eprocess import CAP, EDGES, RISE, SIDES, Grid, resized, stored, updated, value

Arm = tuple[int, int]
GRIDS = (RISE, SIDES, EDGES)
RATIOS = tuple(ratio for _, ratio in RISE.alternatives)
LIMIT = 100.0
FEW = settings(max_examples=40)


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
    logs = RISE.start
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


def binomial(m: int, x: int, share: float) -> float:
    return math.comb(m, x) * share**x * (1.0 - share) ** (m - x)


def hypergeometric(n_c: int, n_s: int, m: int, x: int) -> float:
    return math.comb(n_c, x) * math.comb(n_s, m - x) / math.comb(n_c + n_s, m)


def expected(law: list[float], n_c: int, n_s: int, **more: Any) -> list[float]:
    """Of the likelihood ratio of each alternative, over a law of the canary's bad events out of len(law) - 1."""
    grid, bad = more.get("grid", RISE), len(law) - 1
    total = [0.0] * grid.size
    for x, chance in enumerate(law):
        logs = updated(grid.start, (n_c, x), (n_s, bad - x), **more)
        total = [one + chance * math.exp(log) for one, log in zip(total, logs, strict=True)]
    return total


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("share", "bad"), [(0.01, 3), (0.3, 8), (0.5, 20), (0.97, 5)])
def test_a_tick_is_worth_one_on_average_where_both_arms_are_alike(share: float, bad: int, grid: Grid) -> None:
    """The null law is summed over, not sampled: the expectation of every alternative's factor is 1."""
    n_c, n_s = round(1e6 * share), round(1e6 * (1 - share))
    law = [binomial(bad, x, share) for x in range(bad + 1)]
    assert expected(law, n_c, n_s, grid=grid) == pytest.approx([1.0] * grid.size, abs=1e-9)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("n_c", "n_s", "bad"), [(3, 300, 12), (40, 60, 25), (60, 40, 90), (1, 1, 1), (5, 5, 10)])
def test_counts_without_replacement_are_worth_no_more(n_c: int, n_s: int, bad: int, grid: Grid) -> None:
    """Bernoulli requests: which of all were bad is drawn without putting back, at any rate up to all."""
    low, high = max(0, bad - n_s), min(bad, n_c)
    law = [hypergeometric(n_c, n_s, bad, x) if low <= x <= high else 0.0 for x in range(bad + 1)]
    assert math.fsum(law) == pytest.approx(1.0)
    assert max(expected(law, n_c, n_s, grid=grid)) <= 1.0 + 1e-9


@pytest.mark.parametrize("margin", [1.0, 1.1, 1.5, 4.0])
@pytest.mark.parametrize("share", [0.01, 0.4, 0.9])
def test_within_the_margin_a_tick_is_worth_one_at_most(margin: float, share: float) -> None:
    n_c, n_s = round(1e6 * share), round(1e6 * (1 - share))
    for part in (0.0, 0.3, 0.8, 1.0):
        ratio = 1.0 + part * (margin - 1.0)
        true = ratio * share / (ratio * share + 1.0 - share)
        found = expected([binomial(15, x, true) for x in range(16)], n_c, n_s, margin=margin)
        assert max(found) <= 1.0 + 1e-9
    assert found == pytest.approx([1.0] * RISE.size)  # at the margin itself


@pytest.mark.parametrize("exposure", [0.4, 1.0, 2.5])
def test_users_who_were_so_much_unluckier_before_are_no_harm(exposure: float) -> None:
    n_c, n_s = 30_000, 970_000
    true = exposure * n_c / (exposure * n_c + n_s)
    found = expected([binomial(12, x, true) for x in range(13)], n_c, n_s, exposure=exposure)
    assert found == pytest.approx([1.0] * RISE.size)


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 50), st.integers(0, 50), st.integers(1, 5))
@FEW
def test_ticks_of_the_same_shares_may_be_merged(n_c: int, n_s: int, x_c: int, x_s: int, times: int) -> None:
    x_c, x_s = min(x_c, n_c), min(x_s, n_s)
    apart = RISE.start
    for _ in range(times):
        apart = updated(apart, (n_c, x_c), (n_s, x_s))
    together = updated(RISE.start, (n_c * times, x_c * times), (n_s * times, x_s * times))
    assert apart == pytest.approx(together, rel=1e-9, abs=1e-6)


# ------------------------------------------------------------------------------------------------- floor


def test_the_floor_adds_one_in_a_hundred_over_all_ticks() -> None:
    """Each alternative is raised by its floor at most, at every tick."""
    nothing = [-1e6] * RISE.size
    added = [value(stored(nothing, tick)) for tick in range(1, 2001)]
    assert added[0] == pytest.approx(6e-3, rel=1e-4)
    assert math.fsum(added) + added[-1] * 2000 <= 0.01  # the tail of 1 / t^2 after t is below 1 / t


def test_a_fault_that_comes_late_is_found_almost_as_fast_as_one_that_comes_early() -> None:
    """What a long good run has cost is not to be earned back."""

    def until_found(good: int, floor: bool) -> int:
        logs, late = RISE.start, 0
        for number in range(1, 10**6):
            if value(logs) >= LIMIT:
                return late
            late += number > good
            logs = updated(logs, (100, 10 if number > good else 0), (900, 5))
            logs = stored(logs, number) if floor else logs
        return late

    assert [until_found(good, floor=True) for good in (0, 1000)] == [1, 2]
    assert until_found(1000, floor=False) > 30


@given(st.lists(st.floats(-1e9, 1e3), min_size=1, max_size=12), st.integers(1, 10**9))
@FEW
def test_the_floor_only_raises(logs: list[float], number: int) -> None:
    after = stored(logs, number)
    assert all(new >= old - 1e-5 for new, old in zip(after, logs, strict=True))
    assert min(after) >= math.log(6e-3 / number**2) - 1e-5
    assert list(stored(after, number)) == list(after)


# -------------------------------------------------------------------------------------------- properties


@given(arms(), arms())
@FEW
def test_nothing_to_compare_changes_nothing(canary: Arm, stable: Arm) -> None:
    for one, other in ((canary, (0, 0)), ((0, 0), stable), ((canary[0], 0), (stable[0], 0))):
        assert updated(RISE.start, one, other) is RISE.start


@given(
    st.lists(st.tuples(arms(), arms()), max_size=6), st.sampled_from(GRIDS), st.floats(1.0, 20.0), st.floats(1e-3, 1e3)
)
@FEW
def test_it_stays_finite(ticks: list[tuple[Arm, Arm]], grid: Grid, margin: float, exposure: float) -> None:
    logs = grid.start
    for number, (canary, stable) in enumerate(ticks, 1):
        logs = stored(updated(logs, canary, stable, grid=grid, margin=margin, exposure=exposure), number)
        assert all(math.isfinite(log) for log in logs)
        assert 0.0 <= value(logs) <= CAP * (1 + 1e-9)


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 1000), st.integers(0, 1000)), min_size=1, max_size=8))
@FEW
def test_arms_of_equal_rates_never_give_evidence(ticks: list[tuple[int, int, int]]) -> None:
    """Requests are multiples of one unit in both arms, bad events the same share of each."""
    for n_c, times, bad in ticks:
        assert run([((n_c, min(bad, n_c)), (n_c * times, min(bad, n_c) * times))]) <= 1 + 1e-9
    assert run([((n, min(b, n)), (n * times, min(b, n) * times)) for n, times, b in ticks]) <= 1 + 1e-9


@given(arms(10**6), arms(10**6))
@FEW
def test_one_more_bad_canary_event_is_more_evidence(canary: Arm, stable: Arm) -> None:
    requests, bad = canary[0] + 1, canary[1]
    if not stable[0]:
        return
    fewer, more = updated(RISE.start, (requests, bad), stable), updated(RISE.start, (requests, bad + 1), stable)
    assert all(right >= left - 1e-6 for left, right in zip(fewer, more, strict=True))
    assert value(more) >= value(fewer) * (1 - 1e-6)


def test_evidence_stored_under_another_grid_is_kept() -> None:
    assert value(resized([0.3, 0.4], RISE.size, 17.0)) == pytest.approx(17.0)
    assert value(resized([], RISE.size, 1.0)) == 1.0
    assert value(resized([-1e9], RISE.size, 0.0)) == pytest.approx(0.0, abs=1e-290)
    logs = updated(RISE.start, (10, 2), (90, 1))
    assert resized(logs, RISE.size, value(logs)) is logs


# -------------------------------------------------------------------------------------- seeded simulation

PER_TICK = 100  # requests of both arms; the split and the failures are drawn


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
    logs, asked = RISE.start, 0
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
