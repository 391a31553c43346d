"""The gate's statistics, against scipy and by hand."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats  # type: ignore[import-untyped]

from claude_operator.core.evals.stats import exact, looks
from claude_operator.core.evals.stats.bounded import Sample, fewest

ARMS = st.integers(0, 3)


def sample(*values: float) -> Sample:
    return Sample.of(values, -1, 1)


# ------------------------------------------------------------------------------------------------ bounded means


@pytest.mark.parametrize("size", [1, 5, 8, 50, 99, 100, 1000])
@pytest.mark.parametrize("share", [0, 0.02, 0.1])
@pytest.mark.parametrize("margin", [0.03, 0.1, 0.3])
def test_with_two_values_it_is_the_exact_binomial_test(size: int, share: float, margin: float) -> None:
    lost = round(size * share)
    found = sample(*[0.0] * (size - lost), *[-1.0] * lost).p_at_most(-margin)
    assert found == pytest.approx(stats.binom.cdf(lost, size, margin), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(("lost", "size"), [(0, 10), (1, 20), (3, 100), (20, 1000)])
def test_with_two_values_the_bounds_are_clopper_and_pearsons(lost: int, size: int) -> None:
    values = sample(*[0.0] * (size - lost), *[-1.0] * lost)
    assert values.lower(0.05) == pytest.approx(-stats.beta.ppf(0.95, lost + 1, size - lost), abs=1e-6)
    upward = Sample.of([1.0] * lost + [0.0] * (size - lost), -1, 1)
    assert upward.upper(0.05) == pytest.approx(stats.beta.ppf(0.95, lost + 1, size - lost), abs=1e-6)


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ((0.0, 0.0, 1 / 3, -1 / 3, 0.0, 0.0, 1.0), -0.03),
        ((0.5, -0.5, 0.25), -0.2),
        ((-1 / 3,) * 4 + (0.0,) * 10, -0.1),
    ],
)
def test_it_is_the_chance_of_a_weighted_mean(values: tuple[float, ...], mean: float) -> None:
    """By another way: the weighted mean is a ratio of sums of exponentials, whose characteristic function is known."""
    weights = [value - mean for value in (*values, -1.0)]

    def integrand(t: float) -> float:
        product_ = complex(1)
        for weight in weights:
            product_ /= 1 - 1j * weight * t
        return product_.imag / t

    whole, _ = integrate.quad(integrand, 0, math.inf, limit=500)
    assert sample(*values).p_at_most(mean) == pytest.approx(0.5 - whole / math.pi, abs=1e-6)


def test_without_values_below_the_margin_it_is_the_reciprocal_of_a_product_of_bets() -> None:
    values = [0.0, 1 / 3, 0.0, 2 / 3, 1.0]
    bets = math.prod(1 + (value + 0.1) / 0.9 for value in values)
    assert sample(*values).p_at_most(-0.1) == pytest.approx(1 / bets)


def test_it_errs_in_at_most_alpha_whatever_is_lost() -> None:
    """All samples of six values of three kinds with a mean of exactly -margin, counted with their chances."""
    for margin, alpha in product((0.2, 0.3, 0.5), (0.05, 0.2)):
        for up in (0.0, 0.1, 0.3, 0.6):
            lost = up + margin
            if lost + up > 1:
                continue
            chance = 0.0
            for a in range(7):
                for b in range(7 - a):
                    values = [-1.0] * a + [1.0] * b + [0.0] * (6 - a - b)
                    if sample(*values).p_at_most(-margin) <= alpha:
                        ways = stats.multinomial.pmf([a, b, 6 - a - b], 6, [lost, up, 1 - lost - up])
                        chance += float(ways)
            assert chance <= alpha


def test_student_t_errs_where_little_is_lost_altogether() -> None:
    """Why it is not used: 20 values without a loss have no variance, and one in two such samples has none."""
    assert sample(*[0.0] * 20).p_at_most(-0.03) == pytest.approx(0.97**20)
    assert 0.97**20 > 0.5


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=30), st.floats(0.001, 0.5))
def test_bounds_hold_the_mean_and_agree_with_the_p_value(values: list[float], alpha: float) -> None:
    found = sample(*values)
    lower, upper = found.lower(alpha), found.upper(alpha)
    assert -1 <= lower <= found.mean <= upper <= 1
    assert found.p_at_most(lower - 1e-6) <= alpha + 1e-9 or lower == -1
    assert found.mirrored.lower(alpha) == pytest.approx(-upper)


def test_fewest() -> None:
    for margin, alpha in product((0.01, 0.03, 0.1, 0.5), (0.001, 0.03, 0.05)):
        size = fewest(margin, -1, alpha)
        assert size is not None
        assert sample(*[0.0] * size).p_at_most(-margin) <= alpha < sample(*[0.0] * (size - 1)).p_at_most(-margin)
    assert fewest(1, -1, 0.05) == 1
    assert fewest(0, -1, 0.05) is None
    assert fewest(1e-300, -1, 0.05) is None


def test_clusters_are_summed() -> None:
    values, names = [1.0, 0.0, -1.0, 0.5], ["a", "a", "b", "c"]
    found = Sample.of(values, -1, 1, names)
    assert found.groups == ((1.0, 2, 1), (-1.0, 1, 1), (0.5, 1, 1))
    assert (found.clusters, found.values) == (3, 4)
    assert found.mean == pytest.approx(0.125)
    alone = Sample.of(values, -1, 1, ["a", "b", "c", "d"])
    assert alone.p_at_most(-0.2) == pytest.approx(sample(*values).p_at_most(-0.2))
    copies = Sample.of([0.0] * 100, -1, 1, [str(n // 10) for n in range(100)])
    assert copies.p_at_most(-0.03) == pytest.approx(0.97**10)


# ------------------------------------------------------------------------------------------------ these items


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_an_item_is_fishers_exact_test(ours: int, theirs: int, data: st.DataObject) -> None:
    a, b = data.draw(st.integers(0, ours)), data.draw(st.integers(0, theirs))
    expected = stats.fisher_exact([[a, ours - a], [b, theirs - b]], alternative="less").pvalue
    assert exact.item_p(exact.Item(a, ours, b, theirs)) == pytest.approx(expected)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(ARMS, ARMS), min_size=1, max_size=4))
def test_the_total_is_the_sum_of_hypergeometric_counts(passes: list[tuple[int, int]]) -> None:
    items = [exact.Item(a, 3, b, 3) for a, b in passes]
    chance = 0.0
    for counts in product(range(4), repeat=len(items)):
        if sum(counts) <= sum(a for a, _ in passes):
            chance += math.prod(
                float(stats.hypergeom.pmf(count, 6, a + b, 3)) for count, (a, b) in zip(counts, passes, strict=True)
            )
    assert exact.total_p(items) == pytest.approx(chance)


def test_items_by_hand() -> None:
    lost = exact.Item(0, 3, 3, 3)
    assert exact.item_p(lost) == pytest.approx(1 / 20)
    assert exact.total_p([lost] * 3) == pytest.approx(1 / 8000)
    assert exact.item_p(exact.Item(3, 3, 0, 3)) == 1
    one_epoch = [exact.Item(0, 1, 1, 1)] * 5 + [exact.Item(1, 1, 1, 1)] * 20
    assert exact.total_p(one_epoch) == pytest.approx(1 / 32), "the sign test"
    assert exact.items_that_can_tell(one_epoch) == 5


def test_the_total_of_many_items_is_normal() -> None:
    """Work that takes the square of their number is not done within an hour."""
    drawn = random.Random(5)
    items = [exact.Item(drawn.randint(0, 12), 12, drawn.randint(0, 12), 12) for _ in range(10_000)]
    both = [one.passed + one.baseline_passed for one in items]
    deviation = math.sqrt(sum(passes / 2 * (1 - passes / 24) * 12 / 23 for passes in both))
    above = (sum(one.passed for one in items) + 0.5 - sum(both) / 2) / deviation
    assert exact.total_p(items) == pytest.approx(float(stats.norm.cdf(above)), abs=0.001)


def test_a_total_that_is_all_but_impossible_is_0() -> None:
    assert exact.total_p([exact.Item(0, 3, 3, 3)] * 10_000) == 0
    assert exact.total_p([exact.Item(3, 3, 0, 3)] * 10_000) == pytest.approx(1)


# ------------------------------------------------------------------------------------------------ looks


def test_looks_add_up_to_alpha() -> None:
    shares = [looks.alpha_at(look, 0.05, last=look == looks.LOOKS - 1) for look in range(looks.LOOKS)]
    assert sum(shares) == pytest.approx(0.05)
    assert shares[-1] == looks.least_alpha(0.05)
    for last in range(looks.LOOKS):
        spent = sum(looks.alpha_at(look, 0.05, last=look == last) for look in range(last + 1))
        assert spent == pytest.approx(0.05), "whichever is the last"


def test_looks_are_taken_after_twice_and_four_times_as_many_epochs() -> None:
    assert [looks.look_of(epochs, 3) for epochs in (1, 3, 5, 6, 11, 12, 50)] == [0, 0, 1, 1, 2, 2, 2]
    assert [looks.more_epochs(epochs, 3) for epochs in (3, 4, 6)] == [3, 8, 6]
    assert [looks.more_epochs(epochs, 1) for epochs in (1, 2)] == [1, 2]


def test_a_seeded_sample_of_candidates_at_the_margin_passes_in_at_most_alpha() -> None:
    """Few of them, as a smoke test; `bench/evals` draws thousands."""
    draw = random.Random(1)
    passed = 0
    for _ in range(200):
        values = [draw.choices((-1.0, -1 / 3, 0.0, 1 / 3), (0.05, 0.06, 0.74, 0.15))[0] for _ in range(120)]
        passed += sample(*values).p_at_most(-0.02) <= 0.05
    assert passed <= 18  # binomial(200, 0.05) exceeds it in 1 of 200
