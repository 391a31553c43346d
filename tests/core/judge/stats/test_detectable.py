"""The information bound: known numbers, its own definition, and that both directions agree."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_operator.core.judge.stats.detectable import (
    detectable,
    promotion_needed,
    ratio_needed,
    requests_needed,
)

rates = st.floats(0.0, 0.5)
shares = st.floats(0.005, 0.9)


@pytest.mark.parametrize(
    ("excess", "requests"),
    [(0.0025, 8612), (0.005, 2415), (0.01, 722), (0.02, 232), (0.05, 58), (0.2, 9), (0.995, 2)],
)
def test_known_floor(excess: float, requests: int) -> None:
    """Baseline 0.5 %, canary at 1 %, one false rollback in 100."""
    assert requests_needed(0.005, excess, 0.01, 100.0) == pytest.approx(requests, abs=1.0)


@pytest.mark.parametrize(
    ("margin", "share", "requests"),
    [(0.05, 0.01, 84), (0.01, 0.01, 680), (0.01, 0.1, 827), (0.005, 0.01, 1985), (0.005, 0.5, 5087)],
)
def test_known_promotion_floor(margin: float, share: float, requests: int) -> None:
    assert promotion_needed(0.005, margin, share, 20.0) == pytest.approx(requests, abs=0.5)


def test_divergence_by_its_definition() -> None:
    """Sum over what one bad event may be, times the bad events a canary request brings."""
    rate, excess, share = 0.02, 0.03, 0.25
    events = (share * (rate + excess) + (1 - share) * rate) / share
    theirs = share * (rate + excess) / (share * (rate + excess) + (1 - share) * rate)
    each = theirs * math.log(theirs / share) + (1 - theirs) * math.log((1 - theirs) / (1 - share))
    assert requests_needed(rate, excess, share, 100.0) == pytest.approx(math.log(100) / (events * each))
    assert requests_needed(0.0, 0.05, 0.01, 100.0) == pytest.approx(math.log(100) / (0.05 * math.log(100)))


def test_normal_floor() -> None:
    assert ratio_needed(0.64, 1.1, 0.01, 100.0) == pytest.approx(2 * math.log(100) * 0.64 / math.log(1.1) ** 2 / 0.99)
    assert ratio_needed(0.64, 1.0, 0.01, 100.0) == math.inf
    assert ratio_needed(0.64, 1 / 1.1, 0.01, 100.0) == pytest.approx(ratio_needed(0.64, 1.1, 0.01, 100.0))


def test_nothing_to_see_with() -> None:
    assert detectable(0.005, 0, 0.01, 100.0) == math.inf
    assert detectable(0.005, 1, 0.01, 100.0) == math.inf  # even if it fails
    assert detectable(0.005, 2, 0.01, 100.0) < 1.0
    assert detectable(1.0, 1000, 0.01, 100.0) == math.inf
    assert detectable(0.005, 1000, 1.0, 100.0) == math.inf
    assert requests_needed(0.005, 0.0, 0.01, 100.0) == math.inf
    assert promotion_needed(0.0, 0.01, 0.1, 20.0) == math.inf  # without bad events there is nothing to compare


@given(rates, st.floats(3.0, 1e7), shares, st.floats(2.0, 1e4))
def test_both_directions_agree(rate: float, requests: float, share: float, evidence: float) -> None:
    excess = detectable(rate, requests, share, evidence)
    if excess == math.inf or excess < 1e-7:
        return
    assert requests_needed(rate, excess, share, evidence) == pytest.approx(requests, rel=1e-3)


@given(rates, st.floats(3.0, 1e6), shares, st.floats(1.01, 10.0))
def test_more_requests_show_less(rate: float, requests: float, share: float, times: float) -> None:
    assert detectable(rate, requests * times, share, 100.0) <= detectable(rate, requests, share, 100.0)
