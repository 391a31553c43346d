"""The sample ratio: against its integral, against chance, and how soon a mismatch is seen."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_operator.api.status import SampleRatio
from claude_operator.core.judge.stats.sample_ratio import LIMIT, advance, log_bayes_factor


@pytest.mark.parametrize(("canary", "stable", "weight"), [(3, 97, 0.1), (0, 50, 0.1), (12, 4, 0.5), (30, 20, 0.9)])
def test_it_is_the_integral_over_the_prior(canary: int, stable: int, weight: float) -> None:
    """The prior is Beta with 2 conversations of the smaller arm; midpoint rule with 20,000 points."""
    strength = 2.0 / min(weight, 1 - weight)
    a, b = strength * weight, strength * (1 - weight)
    norm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    points = 20_000
    total = math.fsum(
        math.exp(norm + (a - 1 + canary) * math.log(p) + (b - 1 + stable) * math.log(1 - p))
        for p in ((i + 0.5) / points for i in range(points))
    )
    null = canary * math.log(weight) + stable * math.log(1 - weight)
    assert log_bayes_factor(canary, stable, weight) == pytest.approx(math.log(total / points) - null, abs=1e-5)


@pytest.mark.parametrize("weight", [0.01, 0.1, 0.5])
def test_one_more_conversation_is_worth_nothing_on_average(weight: float) -> None:
    """The martingale property that Ville's inequality needs, at a few histories."""
    for canary, stable in ((0, 0), (3, 10), (40, 17), (1, 900)):
        now = math.exp(log_bayes_factor(canary, stable, weight))
        one = math.exp(log_bayes_factor(canary + 1, stable, weight))
        other = math.exp(log_bayes_factor(canary, stable + 1, weight))
        assert weight * one + (1 - weight) * other == pytest.approx(now, rel=1e-9)


def test_a_weight_of_nothing_or_all_is_never_doubted() -> None:
    for weight in (0.0, 1.0):
        assert log_bayes_factor(500, 3, weight) == 0.0
        assert log_bayes_factor(0, 10**6, weight) == 0.0


@pytest.mark.parametrize(
    ("weight", "share", "conversations"),
    [(0.01, 0.0, 1060), (0.01, 0.02, 2340), (0.01, 0.1, 110), (0.1, 0.0, 110), (0.1, 0.2, 210), (0.5, 0.45, 2020)],
)
def test_when_a_wrong_ratio_is_seen(weight: float, share: float, conversations: int) -> None:
    assert log_bayes_factor(share * conversations, (1 - share) * conversations, weight) >= LIMIT
    fewer = 0.95 * conversations - 10
    assert log_bayes_factor(share * fewer, (1 - share) * fewer, weight) < LIMIT


def test_conversations_add_up_and_another_weight_begins_anew() -> None:
    known = advance(None, 60, 240, weight=1000)
    known = advance(known, 140, 560, weight=1000)
    assert (known.canary, known.stable, known.evidence >= LIMIT) == (200, 800, True)
    assert advance(known, 0, 0, weight=1000) == known
    assert advance(known, 0, 0, weight=5000) == SampleRatio(weight=5000)


def test_it_seldom_doubts_a_right_ratio() -> None:
    """1 in 1,000 is promised for any number of looks; 150 rollouts of 2,000 conversations, each looked at."""
    draw, doubts = random.Random(5), 0
    for _ in range(150):
        canary = 0
        for number in range(1, 2001):
            canary += draw.random() < 0.1
            if number % 20 == 0 and log_bayes_factor(canary, number - canary, 0.1) >= LIMIT:
                doubts += 1
                break
    assert doubts <= 1


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 1))
def test_it_stays_finite(canary: float, stable: float, weight: float) -> None:
    assert math.isfinite(log_bayes_factor(canary, stable, weight))
