"""First bad events of conversations are weighed by the label that was drawn: exactly, whatever the conversations do."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.judge.arms import analysis

from claude_operator.api.evidence import TURNS
from claude_operator.core.judge.judges import engine
from claude_operator.core.judge.judges.comparisons import Comparison, Firsts
from claude_operator.core.judge.metrics import watched
from claude_operator.core.judge.stats import drawn, eprocess

FEW = settings(max_examples=40, deadline=None)
TICKS = 4


class Conversation(NamedTuple):
    """What becomes of it, without its arm: the weight that it was drawn with, and ticks of its periods and event."""

    share: float
    periods: tuple[int, int, int]
    """The tick in which it enters each; TICKS: none."""
    bad: int
    turn: int


CONVERSATIONS = st.lists(
    st.builds(
        Conversation,
        st.sampled_from([0.01, 0.1, 0.5, 0.9]),
        st.tuples(*[st.integers(0, TICKS)] * 3),
        st.integers(0, TICKS),
        st.sampled_from(TURNS),
    ),
    min_size=1,
    max_size=6,
)
PLANS = [{"name": "errors"}, {"name": "errors", "maxIncrease": "50%"}, {"name": "toolUse"}]


def compared(metric: str, labelled: list[tuple[Conversation, bool]], tick: int) -> list[Comparison]:
    """What a tick brings, each conversation on its arm: True is the canary."""
    found = []
    for share in sorted({one.share for one, _ in labelled}):
        arms = []
        for arm in (True, False):
            mine = [one for one, label in labelled if label is arm and one.share == share]
            opening, early, late = (sum(one.periods[period] == tick for one in mine) for period in range(3))
            bad = Counter(one.turn for one in mine if one.bad == tick)
            arms.append(Firsts((opening, early, late), dict(bad)))
        found.append(Comparison(metric, *arms, share))
    return found


@pytest.mark.parametrize("plan", PLANS)
@given(CONVERSATIONS)
@FEW
def test_whatever_conversations_do_the_mean_over_their_draws_is_one_at_most(
    plan: dict[str, str], conversations: list[Conversation]
) -> None:
    """All 2^n draws are gone through, with the code that judges: what is known of stable comes from draws too."""
    watches = watched(analysis(plan))
    means = [0.0] * TICKS
    for labels in itertools.product((True, False), repeat=len(conversations)):
        chance = math.prod(
            one.share if label else 1.0 - one.share for one, label in zip(conversations, labels, strict=True)
        )
        labelled = list(zip(conversations, labels, strict=True))
        states = [engine.initial(watch) for watch in watches]
        for tick in range(TICKS):
            pairs = compared(plan["name"], labelled, tick)
            states = engine.tick(states, watches, pairs, number=tick + 1, exact=True)
            means[tick] += chance * states[0].evidence
    assert max(means) <= 1.0 + 1e-9
    if "maxIncrease" not in plan:
        assert min(means) >= 1.0 - 1e-9


@given(st.floats(0.001, 0.9), st.floats(0.0001, 0.9), st.sampled_from(TURNS), st.sampled_from([1.0, 1.5]))
@FEW
def test_one_event_says_as_much_as_the_weight_allows(share: float, rate: float, turn: int, margin: float) -> None:
    """A conversation of the canary multiplies the evidence by 1 / w at most, where nothing is tolerated."""
    start = [0.0] * len(drawn.EXCESSES)
    ours, theirs = (
        drawn.updated(start, *arms, share=share, rate=rate, margin=margin)
        for arms in (({turn: 1}, {}), ({}, {turn: 1}))
    )
    assert all(-1e-12 <= log <= math.log(1.0 / share) + 1e-9 for log in ours)
    assert all(log <= 1e-12 for log in theirs)


def test_a_late_first_event_says_less_of_harm() -> None:
    """A canary that fails often has few conversations that come to their 32nd turn without a failure."""
    ratios = [drawn.ratio(20.0, turn, 0.01) for turn in TURNS]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] == 20.0
    assert ratios[-1] < 1.0
    assert [drawn.ratio(1.0, turn, 0.3) for turn in TURNS] == [1.0] * len(TURNS)


def test_harm_to_later_turns_is_found_beside_single_calls_whose_bad_ones_are_stables() -> None:
    """Single calls go bad on stable alone; of the others that go bad the canary has more than its share."""
    logs: Sequence[float] = [0.0] * len(drawn.EXCESSES)
    for _ in range(40):
        logs = eprocess.stored(drawn.updated(logs, {2: 1}, {0: 50}, share=0.1, rate=0.005), 10)
    assert max(log for log, one in zip(logs, drawn.EXCESSES, strict=True) if not one.since) < 0.0
    assert eprocess.value(logs) > 1e20


def test_evidence_of_requests_goes_on_in_as_many_alternatives() -> None:
    assert len(drawn.EXCESSES) == eprocess.RISE.size == eprocess.SIDES.size


def test_the_rate_is_a_usual_one_until_more_is_known() -> None:
    assert drawn.rate_of(0.0, 0.0) == 0.005
    assert drawn.rate_of(199_800.0, 0.0) == pytest.approx(5e-6)
    assert drawn.rate_of(9800.0, 499.0) == pytest.approx(0.05)
    assert drawn.rate_of(1.0, 900.0) == 0.95
