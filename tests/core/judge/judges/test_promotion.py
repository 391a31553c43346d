"""What lets a canary go on: exact where it can be enumerated, and seldom wrong."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_operator.api.status import Promotion
from claude_operator.core.judge.judges.promotion import advanced, margin_of, needed, new_promotion

FEW = settings(max_examples=30)
MUCH = (10**9, 10**7)  # stable's rate is 1 %, known for certain
RATIOS, SHARES = 3, 4


def run(promotion: Promotion, *ticks: tuple[tuple[int, int], tuple[int, int]]) -> Promotion:
    requests, bad = 0, 0
    for canary, stable in ticks:
        promotion = advanced(promotion, canary, stable, (requests, bad))
        requests, bad = requests + stable[0], bad + stable[1]
    return promotion


def binomial(n: int, x: int, share: float) -> float:
    return math.comb(n, x) * share**x * (1.0 - share) ** (n - x)


@pytest.mark.parametrize(("next_weight", "margin"), [(10, 0.05), (50, 0.01), (100, 0.005), (0, 1.0), (0.01, 50.0)])
def test_the_next_weight_says_what_it_stands(next_weight: float, margin: float) -> None:
    assert margin_of(0.005, next_weight / 100) == pytest.approx(margin)


def test_the_start_has_shown_nothing_but_what_needs_no_proof() -> None:
    start = new_promotion(1, 0.05, 0.05)
    assert (start.evidence, start.threshold, start.shown, start.logs) == (1.0, 20.0, False, [0.0] * 7)
    for margin in (1.0, 50.0):
        given_away = new_promotion(1, margin, 0.01)
        assert (given_away.shown, given_away.evidence) == (True, given_away.threshold)
        assert advanced(given_away, (100, 100), (100, 0), (100, 0)) is given_away


def test_by_definition() -> None:
    """Ten canary requests of which one is bad, against 90 with two; stable's rate before was 12 of 1,002."""
    found = advanced(new_promotion(1, 0.05, 0.05), (10, 1), (90, 2), (1000, 10))
    worst, share = 1 + 0.05 / (12 / 1002), 0.1

    def part(ratio: float) -> float:
        return ratio * share / (ratio * share + 1 - share)

    compared = [
        math.log(part(ratio) / part(worst)) + 2 * math.log((1 - part(ratio)) / (1 - part(worst)))
        for ratio in (1.0, 0.7, 0.4)
    ]
    alone = [math.log(share) + 9 * math.log((1 - 0.05 * share) / 0.95) for share in (0.5, 0.2, 0.05, 0.01)]
    assert found.logs == pytest.approx([*compared, *alone], abs=1e-5)
    mean = [sum(map(math.exp, logs)) / len(logs) for logs in (compared, alone)]
    assert found.evidence == pytest.approx(0.6 * mean[0] + 0.4 * mean[1], rel=1e-4)


@pytest.mark.parametrize(("share", "bad"), [(0.01, 4), (0.3, 9), (0.9, 12)])
@pytest.mark.parametrize("margin", [0.005, 0.05])
def test_the_comparison_is_worth_one_on_average_at_the_margin(share: float, bad: int, margin: float) -> None:
    """Given how many were bad, which arm they were in is summed over; beyond the margin it is worth less."""
    n_c, n_s = round(1e6 * share), round(1e6 * (1 - share))
    for excess in (margin, 2.0 * margin):
        ratio = 1.0 + excess / 0.01
        true = ratio * share / (ratio * share + 1.0 - share)
        total = [0.0] * RATIOS
        for x in range(bad + 1):
            logs = advanced(new_promotion(1, margin, 0.05), (n_c, x), (n_s, bad - x), MUCH).logs
            total = [one + binomial(bad, x, true) * math.exp(log) for one, log in zip(total, logs, strict=False)]
        if excess == margin:
            assert total == pytest.approx([1.0] * RATIOS, rel=1e-3)  # stable's rate is taken a little too high
        else:
            assert max(total) < 1.0


@pytest.mark.parametrize("exposure", [0.5, 1.0, 1.7])
def test_the_canarys_own_rate_is_worth_one_on_average_at_the_margin(exposure: float) -> None:
    n, margin = 40, 0.05
    for rate in (min(exposure, 1.0) * margin, 0.1):
        total = [0.0] * SHARES
        for x in range(n + 1):
            found = advanced(new_promotion(1, margin, 0.05), (n, x), (0, 0), (0, 0), exposure=exposure)
            assert found.logs[:RATIOS] == [0.0] * RATIOS
            logs = found.logs[RATIOS:]
            total = [one + binomial(n, x, rate) * math.exp(log) for one, log in zip(total, logs, strict=True)]
        if rate == 0.1:
            assert max(total) < 1.0
        else:
            assert total == pytest.approx([1.0] * SHARES, rel=1e-4)


def test_a_canary_without_errors_is_shown_to_be_harmless_in_time() -> None:
    """5 points: 0.95^n has to fall to 1 in 20 x 4 x 2.5."""
    asked = 0
    promotion = new_promotion(1, 0.05, 0.05)
    while not promotion.shown:
        asked += 1
        promotion = advanced(promotion, (1, 0), (99, 0), (99 * asked, 0))
    assert 80 <= asked <= 110


def test_stables_own_errors_make_it_a_comparison() -> None:
    """Stable fails 10 %, so does the canary: its own rate is beyond a margin of 5 points, the comparison is not."""
    tick = ((50, 5), (450, 45))
    promotion, ticks = new_promotion(1, 0.05, 0.05), 0
    while not promotion.shown and ticks < 100:
        promotion, ticks = advanced(promotion, *tick, (450 * (ticks + 1), 45 * (ticks + 1))), ticks + 1
    assert promotion.shown
    assert ticks <= 20
    worse = run(new_promotion(1, 0.05, 0.05), *[((50, 8), (450, 45))] * 100)
    assert not worse.shown
    assert worse.evidence < 1.0


def test_what_was_shown_stays_shown() -> None:
    good = run(new_promotion(1, 0.05, 0.05), *[((50, 0), (50, 0))] * 5)
    assert good.shown
    later = advanced(good, (100, 100), (100, 0), (1000, 0))
    assert (later.shown, later.evidence < 1.0) == (True, True)


def test_unlucky_users_may_be_as_bad_as_they_were() -> None:
    tick = ((50, 10), (450, 45))
    plain, known = new_promotion(1, 0.05, 0.05), new_promotion(1, 0.05, 0.05)
    for number in range(1, 31):
        plain = advanced(plain, *tick, (450 * number, 45 * number))
        known = advanced(known, *tick, (450 * number, 45 * number), exposure=2.0)
    assert (plain.shown, known.shown) == (False, True)


def test_a_canary_that_costs_too_much_is_seldom_promoted() -> None:
    """5 % is promised; the canary has just the excess that is not tolerated. The seed is fixed."""
    rng = random.Random(21)
    promoted = 0
    for _ in range(200):
        promotion, requests, bad = new_promotion(1, 0.05, 0.05), 0, 0
        for _ in range(40):
            x_c, x_s = (sum(rng.random() < rate for _ in range(n)) for n, rate in ((5, 0.07), (20, 0.02)))
            promotion = advanced(promotion, (5, x_c), (20, x_s), (requests, bad))
            requests, bad = requests + 20, bad + x_s
        promoted += promotion.shown
    assert promoted <= 12


NUMBERS = st.integers(0, 10**9)
RATES = st.tuples(NUMBERS, st.sampled_from([0.0, 1.0]) | st.floats(0.0, 1.0)).map(
    lambda one: (one[0], int(one[0] * one[1]))
)


@given(
    st.lists(st.tuples(RATES, RATES), max_size=5),
    st.floats(1e-9, 2.0),
    st.floats(1e-6, 1e6),
    st.floats(1e-9, 0.999),
    st.floats(0.0, 1.0),
)
@FEW
def test_it_is_a_number_whatever_comes(
    ticks: list[tuple[tuple[int, int], tuple[int, int]]], margin: float, exposure: float, chance: float, share: float
) -> None:
    promotion, known = new_promotion(1, margin, chance), (0, 0)
    for canary, stable in ticks:
        promotion = advanced(promotion, canary, stable, known, exposure=exposure)
        known = known[0] + stable[0], known[1] + stable[1]
        assert 0.0 <= promotion.evidence < math.inf
        assert all(math.isfinite(log) for log in promotion.logs)
        rate = known[1] / known[0] if known[0] else 0.0
        for each in (0.0, 1.0, rate):
            assert needed(promotion, each, share) >= 0.0


def test_what_is_needed_of_the_worst_canary_is_still_a_number() -> None:
    worst = run(new_promotion(1, 0.5, 1e-9), ((0, 0), (10**6, 0)), ((5000, 5000), (10**6, 0)))
    assert needed(worst, 0.3, 0.1) > 1000.0
    for rate in (0.05, 0.05 - 1e-17, 0.05 - 1e-10, 0.049999):
        assert needed(new_promotion(1, 0.05, 0.05), rate, 0.1) > 0.0


def test_what_is_still_needed() -> None:
    start = new_promotion(1, 0.05, 0.05)
    assert 80 <= needed(start, 0.0, 0.01) <= 110
    assert needed(start, 0.2, 0.1) < needed(new_promotion(1, 0.01, 0.05), 0.2, 0.1) < math.inf
    half = run(start, *[((10, 0), (90, 0))] * 5)
    assert needed(half, 0.0, 0.1) == pytest.approx(needed(start, 0.0, 0.1) - 50, rel=0.25)
    assert needed(run(start, *[((500, 0), (500, 0))] * 2), 0.0, 0.5) == 0.0
    assert needed(start, 0.3, 0.0) == math.inf
