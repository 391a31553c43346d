"""The Mann-Whitney judge: against R's and Kayenta's own numbers, by hand, and by what holds for all series."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_operator.core.judge.stats.mannwhitney import _quantile, _statistic, compare, shift

NAN = math.nan
values = st.lists(st.floats(-1e6, 1e6).map(lambda number: round(number, 3)), min_size=1, max_size=12)


def test_exact_interval_of_r() -> None:
    """R: wilcox.test(treated, untreated, conf.int = TRUE) gives -807, 198 and -83.5."""
    treated = [323.0, 421, 578, 300, 256, 640, 912, 370]
    untreated = [2388.0, 210, 380, 345, 1130, 260, 665, 1157]
    interval = shift(treated, untreated, 0.95)
    assert (interval.lower, interval.upper, interval.estimate) == (-807, 198, -83.5)
    assert interval.exact
    assert interval.attained


def test_interval_of_kayentas_suite() -> None:
    interval = shift([10.0, 20, 30, 40], [1.0, 2, 3, 4], 0.95)
    assert (interval.lower, interval.upper, interval.estimate) == (6, 39, 22.5)


def test_tied_interval_of_r() -> None:
    """R: -1.866663 and 2.899996 at 99 %; its root finder stops within 1e-4 of the limits."""
    canary = [0.0, 20.95, 30.5666666666667, 31.4, 32.1166666666667, 31.9833333333334, 31.1833333333334, 32.35, 33.25]
    canary += [32.8000000000001, 34.5166666666667, 33.4166666666667, 35.8833333333334, 35.0666666666667, 33.9]
    stable = [0.0, 21.9000000000001, 30.2833333333334, 29.45, 32.1, 31.1166666666667, 33.5, 32.1166666666667, 32.7]
    stable += [33.85, 32.6833333333334, 33.5166666666667, 33.6, 34.3, 33.05]
    interval = shift(canary, stable, 0.99)
    assert (interval.lower, interval.upper) == pytest.approx((-1.866663, 2.899996), abs=1e-4)
    assert not interval.exact


def test_limits_are_where_the_test_begins_to_reject() -> None:
    """By the definition: shifts just inside are kept, shifts just outside rejected, also with many ties."""
    quantile = NormalDist().inv_cdf(0.99)
    draw = random.Random(3)
    for _ in range(20):
        canary = [draw.randrange(2, 9) / 2 for _ in range(draw.randrange(15, 40))]
        stable = [draw.randrange(1, 8) / 2 for _ in range(draw.randrange(15, 60))]
        interval = shift(canary, stable)
        for limit, inwards in ((interval.lower, 0.1), (interval.upper, -0.1)):
            assert abs(_statistic([x - limit - inwards for x in canary], stable)) <= quantile
            assert abs(_statistic([x - limit + inwards for x in canary], stable)) > quantile


def test_rank_sum_distribution_is_enumerated() -> None:
    for m, n in ((1, 1), (2, 3), (4, 4), (3, 6), (6, 5)):
        sums = Counter(sum(chosen) - m * (m - 1) // 2 for chosen in itertools.combinations(range(m + n), m))
        below, total = 0, math.comb(m + n, m)
        for place in range(m * n // 2 + 1):
            below += sums[place]
            if below / total < 0.5:
                assert _quantile(m, n, below / total) == place
                assert _quantile(m, n, below / total + 1e-6) > place


@pytest.mark.parametrize(("m", "n", "place"), [(49, 49, 874), (30, 30, 294), (7, 40, 64), (5, 5, 2), (12, 20, 61)])
def test_quantiles_of_scipy(m: int, n: int, place: int) -> None:
    """The 1 % quantiles of SciPy's exact distribution."""
    assert _quantile(m, n, 0.01) == place


def test_statistic_of_scipy() -> None:
    """scipy.stats.mannwhitneyu(method="asymptotic"), from its p values."""
    assert _statistic([1.0, 2, 2, 3, 5], [0.0, 0, 1, 2]) == pytest.approx(1.7591864148251213, abs=1e-9)
    assert _statistic([3.0, 4, 9, 11], [1.0, 2, 5, 7, 8]) == pytest.approx(0.8573214099741123, abs=1e-9)


def test_kayentas_own_cases() -> None:
    assert compare([20.0, 22, 21, 25, 30], [1.0, 2.2, 1.1, 2.5, 3]).classification == "High"
    assert compare([1.0, 2.2, 1.1, 2.5, 3], [20.0, 22, 21, 25, 30]).classification == "Low"
    assert compare([1.0, 2, 3], [3.0, 2, 1]).classification == "Pass"
    assert compare([], [1.0]).classification == "Nodata"
    assert compare([1.0], [NAN, NAN]).classification == "Nodata"


def test_direction() -> None:
    high, low = [20.0, 22, 21, 25, 30], [1.0, 2.2, 1.1, 2.5, 3]
    assert compare(high, low, direction="Decrease").classification == "Pass"
    assert compare(high, low, direction="Increase").classification == "High"
    assert compare(low, high, direction="Increase").classification == "Pass"
    assert compare(low, high, direction="Decrease").classification == "Low"


def test_missing_values_are_left_out_or_zero() -> None:
    canary, stable = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5], [NAN] * 6
    assert compare(canary, stable).classification == "Nodata"
    assert compare(canary, stable, missing="replace").classification == "High"
    with pytest.raises(ValueError, match="leave out NaN"):
        shift(canary, stable)


def test_two_constants_differ() -> None:
    assert compare([2.0] * 8, [1.0] * 8).classification == "High"
    assert compare([1.0] * 8, [1.0] * 9).classification == "Pass"
    assert shift([2.0] * 8, [1.0] * 8).lower == 1.0


def test_too_few_values_say_nothing() -> None:
    """Four a side reach 1 in 70 a side at most, more than 1 %; five reach 1 in 252."""
    assert compare([10.0, 11, 12, 13], [1.0, 2, 3, 4]).classification == "Nodata"
    assert compare([10.0, 11, 12, 13, 14], [1.0, 2, 3, 4, 5]).classification == "High"


def test_mostly_zero_series_are_told_apart() -> None:
    """Error shares per interval: stable seldom fails, the canary in every third interval."""
    stable = [0.0] * 110 + [1.5] * 10
    canary = [0.0] * 80 + [1.5] * 40
    compared = compare(canary, stable)
    assert compared.interval is not None
    assert compared.interval.estimate == 0.0
    assert compared.classification == "High"
    assert compare(stable, canary).classification == "Low"
    assert compare([0.0] * 107 + [1.5] * 13, stable).classification == "Pass"


@given(values, values)
def test_sides_mirror_each_other(canary: list[float], stable: list[float]) -> None:
    one, other = shift(canary, stable), shift(stable, canary)
    assert (one.lower, one.upper) == pytest.approx((-other.upper, -other.lower), abs=1e-9)
    assert one.estimate == pytest.approx(-other.estimate, abs=1e-9)
    assert one.lower <= one.estimate <= one.upper


@given(values, values, st.integers(-1000, 1000))
def test_moving_the_canary_moves_the_interval(canary: list[float], stable: list[float], by: int) -> None:
    before, after = shift(canary, stable), shift([value + by for value in canary], stable)
    if before.exact == after.exact:
        assert (after.lower, after.upper) == pytest.approx((before.lower + by, before.upper + by), abs=1e-5)


def test_it_seldom_blames_an_equal_canary() -> None:
    draw = random.Random(11)
    blamed = sum(
        compare([draw.gauss(1, 0.2) for _ in range(20)], [draw.gauss(1, 0.2) for _ in range(20)]).classification
        != "Pass"
        for _ in range(400)
    )
    assert 1 <= blamed <= 18
