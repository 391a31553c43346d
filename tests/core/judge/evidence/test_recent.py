"""The last requests of both arms: what they say of the upstream, and what not."""

from __future__ import annotations

import pytest

from claude_operator.api.status import Judgement
from claude_operator.api.sums import RecentRequests
from claude_operator.core.judge.evidence.recent import (
    is_cured,
    is_failing,
    is_limited,
    is_out_of_credit,
    is_outage,
    update,
)
from claude_operator.core.judge.evidence.sample import NOTHING, Counts


def counts(ok: int = 0, errors: int = 0, overloads: int = 0, accounts: int = 0) -> Counts:
    every = ok + errors + overloads + accounts
    return Counts(every, ok, errors, overloads, accounts=accounts)


def after(*ticks: tuple[Counts, Counts], seconds: float = 1.0) -> RecentRequests:
    """Canary and stable, tick by tick."""
    state = RecentRequests()
    for canary, stable in ticks:
        state = update(state, seconds=seconds, canary=canary, stable=stable)
    return state


GOOD = (counts(5), counts(45))
DOWN = (counts(errors=5), counts(errors=45))


@pytest.mark.parametrize(
    ("ticks", "said"),
    [
        ([GOOD] * 60, set()),
        ([GOOD] * 60 + [DOWN], {"outage"}),  # within a tick, without a past
        ([DOWN], {"outage", "failing"}),
        ([GOOD] * 60 + [DOWN] * 4, {"outage", "failing"}),
        ([GOOD] * 60 + [DOWN] * 4 + [GOOD] * 12, set()),
        ([DOWN, (NOTHING, counts(errors=45))], {"outage", "failing"}),
        ([(NOTHING, counts(errors=4))], set()),
        # Stable alone fails: the canary is the way out, as soon as both have been seen at the same time for a while.
        ([GOOD] * 60 + [(counts(5), counts(errors=45))], {"outage"}),
        ([GOOD] * 60 + [(counts(5), counts(errors=45))] * 30, {"cured"}),
        ([GOOD] * 60 + [(counts(4, 1), counts(errors=45))] * 30, {"cured"}),
        ([GOOD] * 60 + [(counts(2, 3), counts(errors=45))] * 30, {"outage", "failing"}),
        ([(counts(5), counts(20, 25))] * 30, {"cured"}),
        ([(counts(5), counts(30, 15))] * 30, set()),
        # The canary fails: that is for the judge, but nothing goes on meanwhile.
        ([GOOD] * 60 + [(counts(3, 2), counts(45))], {"failing"}),
        ([GOOD] * 60 + [(counts(4, 1), counts(45))], set()),
        ([(counts(9, 1), counts(81, 9))] * 20, set()),
        ([GOOD] * 60 + [(counts(3, overloads=2), counts(45))], {"limited"}),
        ([(counts(3, overloads=2), counts(27, overloads=18))] * 20, set()),
        ([GOOD] * 60 + [(counts(3, accounts=2), counts(45))], {"out_of_credit"}),
        ([GOOD] * 60 + [(NOTHING, counts(30, accounts=15))], {"out_of_credit"}),
        ([GOOD] * 60 + [(NOTHING, counts(44, accounts=1))], set()),
    ],
)
def test_what_it_says(ticks: list[tuple[Counts, Counts]], said: set[str]) -> None:
    found = after(*ticks)
    questions = {
        "outage": is_outage,
        "cured": is_cured,
        "failing": is_failing,
        "limited": is_limited,
        "out_of_credit": is_out_of_credit,
    }
    assert {name for name, holds in questions.items() if holds(found)} == said


def test_a_quiet_service_is_known_by_its_last_minute() -> None:
    """One request of stable every two seconds, and none of the canary."""
    good, down = (NOTHING, counts(1)), (NOTHING, counts(errors=1))
    assert not is_outage(after(*[good] * 30, *[down] * 9, seconds=2.0))
    assert is_outage(after(*[good] * 30, *[down] * 36, seconds=2.0))


def test_a_state_of_another_version_says_nothing() -> None:
    stored = Judgement.model_validate({"verdict": "Inconclusive", "recent": [1.0] * 8})
    assert stored.recent == RecentRequests()


def test_a_clock_that_goes_back_forgets_nothing_and_adds_nothing() -> None:
    state = update(RecentRequests(), seconds=0.0, canary=counts(3), stable=counts(7))
    assert update(state, seconds=-5.0, canary=NOTHING, stable=NOTHING) == state
