"""Quantities: the mixture against its integral, edges against enumeration, and what must hold for all values."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.judge.arms import many, measured, values

from claude_operator.api.sums import Moments, Score
from claude_operator.core.judge.evidence.sample import LN_WIDTH, Values, significant
from claude_operator.core.judge.stats import eprocess
from claude_operator.core.judge.stats.continuous import (
    EDGE_COUNT,
    but_not_early,
    choose_edges,
    edge_logs,
    mixture,
    moments,
    scored,
    shift,
)
from claude_operator.core.judge.stats.eprocess import CAP, EDGES, value

FEW = settings(max_examples=20)
MARGIN = math.log(1.1)


def integral(function: Callable[[float], float], low: float, high: float, steps: int = 2000) -> float:
    """Simpson's rule."""
    width = (high - low) / steps
    inner = (4 if index % 2 else 2 for index in range(1, steps))
    middle = math.fsum(weight * function(low + width * index) for index, weight in enumerate(inner, 1))
    return (function(low) + middle + function(high)) * width / 3.0


def normal(x: float, mean: float, variance: float) -> float:
    return math.exp(-((x - mean) ** 2) / (2.0 * variance)) / math.sqrt(2.0 * math.pi * variance)


def above(edge: int, ratio: float, sigma: float = 0.7) -> float:
    """Share of lognormal values of that ratio to a median of 1 that are at or above an edge."""
    return 0.5 * math.erfc((edge * LN_WIDTH - math.log(ratio)) / sigma / math.sqrt(2.0))


# ------------------------------------------------------------------------------------------------ mixture


@pytest.mark.parametrize("margin", [0.0, MARGIN])
@pytest.mark.parametrize(("u", "v", "prior"), [(0.0, 4.0, 0.1), (30.0, 90.0, 0.08), (-9.0, 50.0, 1.0), (2.0, 0.1, 3.0)])
def test_it_is_the_integral_over_a_half_normal_prior(u: float, v: float, prior: float, margin: float) -> None:
    score = u - margin * v

    def integrand(theta: float) -> float:
        return math.exp(theta * score - theta * theta * v / 2.0) * 2.0 * normal(theta, 0.0, prior)

    assert mixture(u, v, prior, margin) == pytest.approx(integral(integrand, 0.0, 14.0 * math.sqrt(prior)), rel=1e-6)


@pytest.mark.parametrize("margin", [0.0, MARGIN])
@pytest.mark.parametrize(("v", "prior"), [(1.0, 0.5), (60.0, 0.09)])
def test_it_is_worth_one_on_average_at_the_margin_and_less_within_it(v: float, prior: float, margin: float) -> None:
    """U of a true difference d is normal with mean d V and variance V."""
    reach = 12.0 * math.sqrt(v * (1.0 + prior * v))

    def expectation(difference: float) -> float:
        mean = difference * v
        return integral(lambda u: normal(u, mean, v) * mixture(u, v, prior, margin), mean - reach, mean + reach)

    assert expectation(margin) == pytest.approx(1.0, rel=1e-6)
    assert expectation(margin - 0.1) < 1.0
    assert expectation(margin + 0.1) > 1.0


@given(st.floats(-1e150, 1e150), st.floats(0.0, 1e150), st.floats(0.0, 1e10), st.floats(-3.0, 3.0))
@FEW
def test_it_is_a_number_whatever_comes(u: float, v: float, prior: float, margin: float) -> None:
    assert 0.0 <= mixture(u, v, prior, margin) <= CAP * (1 + 1e-9)


def test_far_below_zero_it_goes_on_smoothly() -> None:
    found = [mixture(-step / 100.0, 1.0, 1e6, 0.0) for step in range(2900, 4200)]
    assert all(0.99 < after / before < 1.0 for before, after in pairwise(found))
    assert 0.0 < mixture(-1e6, 1.0, 1e6, 0.0) < 1e-8


def test_evidence_of_harm_waits_for_thirty_values_and_that_against_it_does_not() -> None:
    assert [but_not_early(50.0, n) for n in (0, 29, 30)] == [1.0, 1.0, 50.0]
    assert but_not_early(0.2, 0) == 0.2


# ------------------------------------------------------------------------------------------------- scores


def test_a_stratum_adds_its_difference_over_its_variance() -> None:
    known = moments(Moments(), values([math.exp(0.1 * (index % 10)) for index in range(200)]))
    ours, theirs = values([2.0, 3.0]), values([1.0, 1.5, 1.2, 0.8])
    variance = 0.01 * 8.25 * 200 / 199
    information = 1.0 / (variance * (1 / 2 + 1 / 4))
    difference = math.log(6.0) / 2 - math.log(1.44) / 4
    u, v, prior, *raw = scored(Score(), known, ours, theirs, judged=0)
    assert (u, v, prior) == pytest.approx((difference * information, information, variance / 4.0))
    assert raw == [0.0] * 3
    shifted = scored(Score(), known, ours, theirs, judged=0, offset=0.3)
    assert shifted[0] == pytest.approx((difference - 0.3) * information)
    again = scored(Score(1.0, 2.0, 0.5), known, ours, theirs, judged=0)
    assert again[:3] == pytest.approx((1.0 + u, 2.0 + v, 0.5))  # the prior is chosen once


def test_without_a_variance_of_stable_nothing_is_said() -> None:
    few = moments(Moments(), values([1.0, 2.0] * 15))
    assert scored(Score(), few, values([9.0] * 50), values([1.0] * 50), judged=0) == Score()
    assert scored(Score(), Moments(), values([9.0]), values([1.0]), judged=5000, cap=9) == Score()


def bucketed(value: float) -> float:
    """The middle of a value's bucket, which is all that is known of it."""
    return float(1.25 ** (math.floor(math.log(value) / math.log(1.25)) + 0.5))


def test_raw_values_count_from_a_thousand_on() -> None:
    known = moments(Moments(), values([1.0, 3.0] * 50), cap=9)
    ours, theirs = values([4.0] * 10), values([2.0] * 10)
    assert scored(Score(), known, ours, theirs, judged=999, cap=9)[3:] == (0.0,) * 3
    assert scored(Score(), known, ours, theirs, judged=1000)[3:] == (0.0,) * 3
    one, two, three, four = (bucketed(value) for value in (1.0, 2.0, 3.0, 4.0))
    variance = (three - one) ** 2 / 4 * 100 / 99
    u, v, prior = scored(Score(), known, ours, theirs, judged=1000, cap=9)[3:]
    most = (variance / bucketed(1.25**9.5)) ** 2  # an effect of which one value at the cap would not decide
    assert (u, v, prior) == pytest.approx(((four - two) * 5.0 / variance, 5.0 / variance, min(variance / 4.0, most)))
    slower = scored(Score(), known, ours, theirs, judged=1000, cap=9, offset=math.log(1.5))[3]
    half = 0.5 * (one + three) / 2  # half as much again of stable's mean
    assert slower == pytest.approx((four - two - half) * 5.0 / variance)
    capped = scored(Score(), known, values([4.0] * 9 + [1e6]), theirs, judged=1000, cap=9)[3]
    assert capped == pytest.approx((0.9 * four + 0.1 * bucketed(1.25**9.5) - two) * 5.0 / variance)


def test_values_that_are_all_alike_have_a_least_variance() -> None:
    """One per cent more of a constant is no harm beyond all doubt."""
    known = moments(Moments(), values([0.1] * 5000), cap=9)
    score = scored(Score(), known, values([0.101] * 10), values([0.1] * 1000), judged=1000, cap=9)
    assert 1.0 < mixture(*score[:3], 0.0) < 100.0
    assert mixture(*score[3:], 0.0) <= 1.0  # both are of one bucket


def test_moments_are_stables_over_all_and_within_strata() -> None:
    fast, slow = [0.5, 1.0, 0.7], [20.0, 30.0]
    count, mean, dof, squares, raw_mean, raw_dof, raw_squares = moments(
        moments(Moments(), values(fast), cap=99), values(slow), cap=99
    )
    logs = [math.log(one) for one in (*fast, *slow)]

    def within(*groups: list[float]) -> float:
        return sum(sum((one - sum(group) / len(group)) ** 2 for one in group) for group in groups)

    assert (count, dof, raw_dof) == (5, 3, 3)
    assert mean == pytest.approx(sum(logs) / 5)
    raw = [bucketed(one) for one in (*fast, *slow)]
    assert raw_mean == pytest.approx(sum(raw) / 5, rel=0.4)  # weighed by degrees of freedom
    assert squares == pytest.approx(within(logs[:3], logs[3:]))
    assert raw_squares == pytest.approx(within(raw[:3], raw[3:]))


@given(
    st.lists(st.tuples(measured(), measured()), min_size=1, max_size=4),
    st.floats(0.0, 1.0),
    st.sampled_from([-700, 9, 700, None]),
)
@FEW
def test_scores_and_moments_stay_finite(strata: list[tuple[Values, Values]], offset: float, cap: int | None) -> None:
    score, known = Score(), Moments()
    for ours, theirs in strata:
        score = scored(score, known, ours, theirs, judged=10**6, offset=offset, cap=cap)
        known = moments(known, theirs, cap)
        assert all(math.isfinite(number) for number in (*score, *known))
        for u, v, prior in (score[:3], score[3:]):
            assert 0.0 <= mixture(u, v, prior, MARGIN) <= CAP * (1 + 1e-9)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9)), min_size=1, max_size=5), st.floats(0.01, 100.0))
@FEW
def test_equal_values_never_give_evidence(strata: list[tuple[int, int]], size: float) -> None:
    score, known = Score(), moments(Moments(), values([size, 2 * size] * 60))
    logs, edges = [0.0] * EDGES.size * 3, [-2, 0, 3]
    for number, times in strata:
        ours = values([size * (1 + index) for index in range(number)])
        score = scored(score, known, ours, many(ours, times), judged=10**6, cap=9)
        known = moments(known, many(ours, times))
        logs = edge_logs(logs, edges, [(ours, many(ours, times))], 0)
    assert max(mixture(*score[:3], 0.0), mixture(*score[3:], 0.0), value(logs)) <= 1.0 + 1e-6


# -------------------------------------------------------------------------------------------------- edges


def test_edges_are_near_stables_quantiles_and_beyond() -> None:
    rng = random.Random(4)
    buckets = Counter(math.floor(rng.gauss(0.0, 0.7) / LN_WIDTH) for _ in range(3000))
    edges = choose_edges(buckets)
    assert len(edges) <= EDGE_COUNT
    assert edges == sorted(set(edges))
    shares = [sum(count for index, count in buckets.items() if index >= edge) / 3000 for edge in edges]
    assert shares[0] == pytest.approx(0.75, abs=0.13)
    assert shares[-4] == pytest.approx(0.003, abs=0.003)
    assert [edge - edges[-4] for edge in edges[-3:]] == [3, 6, 9]
    assert choose_edges({3: 99}) == []
    assert choose_edges({3: 100}) == [4, 7, 10, 13]
    assert choose_edges({-200: 10**9, 200: 10**9})[:2] == [-199, 201]


@given(st.dictionaries(st.integers(-200, 200), st.integers(1, 10**9), min_size=1, max_size=30))
@FEW
def test_edges_of_any_distribution_ascend(buckets: dict[int, int]) -> None:
    edges = choose_edges(buckets)
    assert edges == sorted(set(edges))
    assert len(edges) <= EDGE_COUNT
    assert bool(edges) == (sum(buckets.values()) >= 100)


@pytest.mark.parametrize(
    ("margin", "offset", "buckets"),
    [(0.0, 0.0, 0), (MARGIN, 0.0, 1), (math.log(1.25), 0.0, 1), (math.log(1.26), 0.0, 2), (MARGIN, 0.05, 1),
     (MARGIN, 0.2, 2), (MARGIN, -0.9, 1), (math.log(5.5), 0.0, 8)],
)  # fmt: skip
def test_a_margin_is_held_by_whole_buckets(margin: float, offset: float, buckets: int) -> None:
    assert shift(margin, offset) == buckets


def test_each_edge_is_the_exact_test_of_what_lies_above_it() -> None:
    ours, theirs = Values(10, buckets={0: 4, 2: 5, 9: 1}), Values(90, buckets={-1: 50, 1: 37, 3: 3})
    found = edge_logs([0.5] * 3 * EDGES.size, [1, 3, 12], [(ours, theirs)], 0)
    for place, (x_canary, x_stable) in enumerate([(6, 40), (1, 3), (0, 0)]):
        expected = [
            0.5 + x_canary * ln_ratio - (x_canary + x_stable) * math.log1p((ratio - 1) * 0.1)
            for ln_ratio, ratio in EDGES.alternatives
        ]
        assert found[place * EDGES.size : (place + 1) * EDGES.size] == pytest.approx(expected)
    lower = edge_logs([0.0] * EDGES.size, [3], [(ours, theirs)], 2)
    assert lower == pytest.approx(edge_logs([0.0] * EDGES.size, [1], [(Values(10, buckets={1: 1}), theirs)], 0))


def edge_expectation(n_c: int, n_s: int, p_c: float, p_s: float) -> list[float]:
    """Of the likelihood ratios at one edge, over both arms' numbers above it."""
    total = [0.0] * EDGES.size
    for x in range(n_c + 1):
        for y in range(n_s + 1):
            chance = math.comb(n_c, x) * p_c**x * (1 - p_c) ** (n_c - x)
            chance *= math.comb(n_s, y) * p_s**y * (1 - p_s) ** (n_s - y)
            logs = edge_logs([0.0] * EDGES.size, [0], [(Values(n_c, buckets={0: x}), Values(n_s, buckets={0: y}))], 0)
            total = [one + chance * math.exp(log) for one, log in zip(total, logs, strict=True)]
    return total


@pytest.mark.parametrize("ratio", [0.6, 1.0, 1.1])
@pytest.mark.parametrize("edge", [-2, 1, 4])
def test_within_the_margin_an_edge_is_worth_one_at_most(edge: int, ratio: float) -> None:
    """Lognormal values; the canary's above the edge against stable's above one so much lower. Nothing is sampled."""
    lower = shift(MARGIN)
    assert max(edge_expectation(3, 12, above(edge, ratio), above(edge - lower, 1.0))) <= 1.0 + 1e-9
    assert max(edge_expectation(3, 12, above(edge, 2.0), above(edge - lower, 1.0))) > 1.0


def test_within_the_margin_all_edges_together_are_worth_one_at_most() -> None:
    """Sampled lognormal values of two arms at the margin itself, over five strata; the seed is fixed."""
    rng = random.Random(8)

    def buckets(number: int, ratio: float) -> Values:
        mean = math.log(ratio)
        return Values(number, buckets=Counter(math.floor(rng.gauss(mean, 0.7) / LN_WIDTH) for _ in range(number)))

    edges = choose_edges(buckets(1000, 1.0).buckets)
    found = []
    for _ in range(150):
        logs = list(EDGES.start) * len(edges)
        for _ in range(5):
            logs = edge_logs(logs, edges, [(buckets(6, 1.1), buckets(40, 1.0))], shift(MARGIN))
        found.append(value(logs))
    assert sum(found) / len(found) <= 1.0
    assert max(found) < 20.0


# ------------------------------------------------------------------------------------------------- storage


@given(st.lists(st.floats(-1e6, 1e6), max_size=5))
@FEW
def test_what_is_stored_is_close_and_stays_as_it_is(numbers: list[float]) -> None:
    for form, close in ((eprocess.stored, {"abs": 5.1e-6}), (significant, {"rel": 5.1e-8})):
        once = form(numbers)
        assert once == pytest.approx(numbers, **close)
        assert form(once) == once


def test_the_smallest_step_is_not_lost_in_storage() -> None:
    """At a weight of 0.01 % every bad event of stable has to count against the smallest alternative."""
    step = math.log1p(0.25 * 1e-4)
    assert eprocess.stored([-step])[0] == pytest.approx(-step, rel=0.25)
